// The program of the story: it takes events and hands each to the workers of two pools of piscina, one
// of which exports rows by buffer and the other by job: node server.js PORT ATOMICS SETTINGS
//
//   GET /event/ROW    ROW begins with the name of its pool; answered at once
//   GET /wake/POOL    an event that exports nothing, for each worker of that pool
//   GET /exports      what the workers have said of their exports until now
//
// SETTINGS is JSON: the port of the "endpoint", "timeout_ms", "retry_ms", "retries", "workers".
'use strict';
const http = require('http');
const path = require('path');
const { BroadcastChannel } = require('worker_threads');
const { Piscina } = require('piscina');

const TASKS_PER_WORKER = 10;
const [port, atomics, told] = process.argv.slice(2);
const settings = JSON.parse(told);
const exported = [];
const pools = {};

function start(via) {
  const heard = new BroadcastChannel(via); // piscina's own channel takes nothing else in old versions
  heard.onmessage = ({ data }) => {
    if (data.type === 'export') exported.push(data);
    else setTimeout(() => pools[via].run(data), data.delay_ms);
  };
  return new Piscina({
    filename: path.join(__dirname, 'plugin.js'),
    workerData: { via, ...settings },
    minThreads: settings.workers,
    maxThreads: settings.workers,
    concurrentTasksPerWorker: TASKS_PER_WORKER,
    idleTimeout: 3600000,
    atomics,
    useAtomics: atomics !== 'disabled', // before 5.0
  });
}

async function handle(pool, row) {
  await pool.run({ type: 'processEvent', row });
  await pool.run({ type: 'ingestEvent' });
}

function wake(pool) {
  return Promise.all(Array.from({ length: settings.workers }, () => pool.run({ type: 'ingestEvent' })));
}

async function main() {
  for (const via of ['buffer', 'job']) {
    pools[via] = start(via);
    await wake(pools[via]); // their plugins are loaded now
  }
  const server = http.createServer((request, response) => {
    const [, what, name = ''] = request.url.split('/');
    if (what === 'event') handle(pools[name.split('-')[0]], name);
    else if (what === 'wake') wake(pools[name]);
    response.end(what === 'exports' ? JSON.stringify(exported) : '{}');
  });
  server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
}

main();
