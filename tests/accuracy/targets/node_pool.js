// The threads of libuv's pool, which do the file system calls of Node.js: argv STORY.
//
// full: as many reads of a pipe as the pool has threads wait for data, and other calls wait for a
// thread; roomy: one thread stays free; idle: all threads are held, and nothing else is asked for.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const truth = require('./truth');
const victims = require('./node_victims');

const [story] = process.argv.slice(2);
const FIFO = path.join(path.dirname(process.env.TRUTH_LOG), 'fifo');
const THREADS = Number(process.env.UV_THREADPOOL_SIZE || 4);
const ASK_MS = 20;

function ask() {
  const due = truth.nowNs();
  fs.stat(__filename, () => truth.served('work-item', due, { tid: 0 }));
  setTimeout(ask, ASK_MS);
}

async function main() {
  execFileSync('mkfifo', [FIFO]);
  const pipe = fs.openSync(FIFO, 'r+');
  const readers = story === 'roomy' ? THREADS - 1 : THREADS;
  const facts = await victims.start(['io', 'timers']);
  if (story !== 'idle') ask();
  truth.ready(facts);
  for (const length of truth.lengths(0.2)) {
    await victims.pause(victims.GAP_MS);
    const number = story === 'full' ? truth.begin('exhausted-pool', null, { tid: 0 }) : null;
    const reads = Array.from({ length: readers }, () =>
      new Promise((resolve) => { fs.read(pipe, Buffer.alloc(1), 0, 1, null, resolve); }));
    setTimeout(() => fs.writeSync(pipe, 'x'.repeat(readers)), length * 1000);
    await Promise.all(reads);
    if (number !== null) truth.end(number);
  }
}

main();
