// Worker threads of Node.js, each with a loop of its own: argv STORY [VICTIMS].
//
// parked: a pool parks its worker in Atomics.wait until the next job, as piscina does, while what the
// job before has begun waits for the worker's loop; idle: nothing does. busy: a worker computes while
// clients ask it; computing: the same, and nobody asks. healthy: workers get short jobs by messages.
'use strict';
const fs = require('fs');
const path = require('path');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const truth = require('./truth');
const victims = require('./node_victims');

const [story, names = 'io'] = process.argv.slice(2);
const LIBRARY = path.join(path.dirname(process.env.TRUTH_LOG), 'node_modules', 'parking');
const PARKS = `'use strict';
function waitForJob(jobs) {
  Atomics.wait(jobs, 0, 0); // waits here
}
async function serve(jobs, run, begins, ends) {
  for (;;) {
    await run();
    begins(waitForJob);
    waitForJob(jobs);
    ends();
  }
}
module.exports = serve;
`;
const WORKERS = 3;

function compute(seconds) {
  const until = truth.nowNs() + seconds * 1e9;
  while (truth.nowNs() < until) JSON.parse('{"numbers": [1, 2, 3]}');
}

function takeJobs(jobs) {
  const lengths = truth.lengths();
  let number = null;
  require(LIBRARY)(
    jobs,
    () => victims.pause(victims.GAP_MS), // a job, of which the worker awaits something
    (waits) => {
      parentPort.postMessage({ length: lengths.next().value });
      if (story === 'parked') number = truth.begin('parked-loop', waits);
    },
    () => {
      if (number !== null) truth.end(number);
      Atomics.store(jobs, 0, 0);
    },
  );
}

async function work() {
  const asked = story === 'parked' || story === 'busy';
  parentPort.postMessage({ ready: asked ? await victims.start(names.split(',')) : {} });
  if (story === 'parked' || story === 'idle') {
    takeJobs(new Int32Array(workerData));
  } else if (story === 'busy') {
    victims.harmOften(compute, 'busy-loop');
  } else if (story === 'computing') {
    for (const length of truth.lengths()) {
      await victims.pause(victims.GAP_MS);
      compute(length);
    }
  } else {
    parentPort.on('message', (line) => {
      compute(0.002);
      parentPort.postMessage({ line });
    });
  }
}

function start(workers = 1) {
  fs.mkdirSync(LIBRARY, { recursive: true });
  fs.writeFileSync(path.join(LIBRARY, 'index.js'), PARKS);
  const jobs = new SharedArrayBuffer(4);
  return Array.from({ length: workers }, () => new Worker(__filename, { argv: process.argv.slice(2), workerData: jobs }))
    .map((worker) => [worker, new Int32Array(jobs)]);
}

async function main() {
  if (story === 'healthy') {
    const waiting = [];
    const pool = start(WORKERS).map(([worker]) => worker);
    for (const worker of pool) {
      worker.on('message', ({ line }) => line && waiting.shift().write('answer\n'));
    }
    let turn = 0;
    const server = await victims.serveLines((socket) => {
      socket.on('error', () => {});
      socket.on('data', (lines) => {
        for (const line of String(lines).split('\n').filter(Boolean)) {
          truth.served('io', Number(line));
          waiting.push(socket);
          turn += 1;
          pool[turn % WORKERS].postMessage(line);
        }
      });
    });
    truth.ready({ port: server.address().port });
    return;
  }
  const [[worker, jobs]] = start();
  worker.on('message', ({ ready, length }) => {
    if (ready) truth.ready(ready);
    if (!length) return;
    setTimeout(() => {
      Atomics.store(jobs, 0, 1);
      Atomics.notify(jobs, 0);
    }, length * 1000);
  });
}

if (isMainThread) main();
else work();
