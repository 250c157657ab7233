// The plugin that runs in every worker: it handles events and exports rows, by buffer or by job.
'use strict';
const fs = require('fs');
const http = require('http');
const { BroadcastChannel } = require('worker_threads');
const { workerData } = require('piscina');

const { via, endpoint, timeout_ms: TIMEOUT_MS, retry_ms: RETRY_MS, retries: RETRIES } = workerData;
const TID = Number(fs.readlinkSync('/proc/thread-self').split('/').pop());
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function say(message) {
  const channel = new BroadcastChannel(via);
  channel.postMessage(message);
  channel.close(); // what its siblings say is not for us
}

function ask(method, url, body, more = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: endpoint, method, path: url, ...more });
    const late = () => request.destroy(Object.assign(new Error('timed out'), { late: true }));
    const timer = more.timeout_ms && setTimeout(late, more.timeout_ms);
    const ended = (then) => (what) => {
      clearTimeout(timer);
      then(what);
    };
    request.on('error', ended(reject));
    request.on('response', (response) => response.resume().on('end', ended(resolve)));
    if (body) request.setHeader('Content-Length', Buffer.byteLength(body));
    request.end(body);
  });
}

const lookUp = () => ask('GET', '/lookup', '', { agent });

async function exportRows(rows, tries = 0) {
  const began_ns = process.hrtime.bigint();
  let timedOut = false;
  try {
    await ask('POST', '/insert', JSON.stringify(rows), { agent: false, timeout_ms: TIMEOUT_MS });
  } catch (error) {
    if (!error.late) throw error;
    timedOut = true;
  }
  const again = timedOut && tries < RETRIES;
  say({
    type: 'export',
    rows,
    tries,
    tid: TID,
    began_s: Number(began_ns) / 1e9,
    ended_s: Number(process.hrtime.bigint()) / 1e9,
    timed_out: timedOut,
    settled: !again,
  });
  if (again) say({ type: 'runJob', rows, tries: tries + 1, delay_ms: RETRY_MS * 2 ** tries });
}

async function processEvent(row) {
  if (via === 'buffer') exportRows([row]); // a buffer of one row: nobody awaits its flush
  else say({ type: 'runJob', rows: [row], tries: 0, delay_ms: 0 });
  await lookUp();
}

async function ingestEvent() {
  for (let n = 0; n < 3; n += 1) await lookUp();
}

module.exports = async function handle(message) {
  if (message.type === 'processEvent') await processEvent(message.row);
  else if (message.type === 'ingestEvent') await ingestEvent();
  else await exportRows(message.rows, message.tries);
};
