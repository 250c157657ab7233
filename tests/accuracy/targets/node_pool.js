// The threads of libuv's pool, which do the file system calls of Node.js: argv STORY.
//
// full: as many reads of a pipe as the pool has threads wait for data, and other calls wait for a
// thread; roomy: one thread stays free; idle: all threads are held, and nothing else is asked for.
// lookups: half of the threads look up names, which takes long, so that other names wait although
// there are threads to spare; lookup: one thread does, and names are looked up by another one.
'use strict';
const { execFileSync } = require('child_process');
const dns = require('dns');
const fs = require('fs');
const path = require('path');
const truth = require('./truth');
const victims = require('./node_victims');

const [story] = process.argv.slice(2);
const FIFO = path.join(path.dirname(process.env.TRUTH_LOG), 'fifo');
const THREADS = Number(process.env.UV_THREADPOOL_SIZE || 4);
const ASK_MS = 20;
const OF_NAMES = story.startsWith('lookup');

function ask() {
  const due = truth.nowNs();
  const served = () => truth.served('work-item', due, { tid: 0 });
  if (OF_NAMES) dns.lookup('localhost', served);
  else fs.stat(__filename, served);
  setTimeout(ask, ASK_MS);
}

// Names without a dot are first looked for in a file of aliases, more than once: who opens that waits
// for a writer, as it is a pipe.
async function lookUpSlowly(many, seconds) {
  const names = Array.from({ length: many }, (_, n) =>
    new Promise((resolve) => { dns.lookup(`name${n}`, 4, resolve); }));
  await new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
  const goesOn = setInterval(() => fs.closeSync(fs.openSync(FIFO, 'r+')), ASK_MS);
  await Promise.all(names);
  clearInterval(goesOn);
}

async function main() {
  execFileSync('mkfifo', [FIFO]);
  if (OF_NAMES) {
    process.env.HOSTALIASES = FIFO;
    process.env.RES_OPTIONS = 'timeout:1 attempts:1';
  }
  const pipe = OF_NAMES ? -1 : fs.openSync(FIFO, 'r+');
  const readers = story === 'roomy' ? THREADS - 1 : THREADS;
  const facts = await victims.start(['io', 'timers']);
  if (story !== 'idle') ask();
  truth.ready(facts);
  for (const length of truth.lengths(0.2)) {
    await victims.pause(victims.GAP_MS);
    const harms = story === 'full' || story === 'lookups';
    const number = harms ? truth.begin('exhausted-pool', null, { tid: 0 }) : null;
    if (OF_NAMES) {
      await lookUpSlowly(story === 'lookups' ? THREADS / 2 : 1, length);
      if (number !== null) truth.end(number);
      continue;
    }
    const reads = Array.from({ length: readers }, () =>
      new Promise((resolve) => { fs.read(pipe, Buffer.alloc(1), 0, 1, null, resolve); }));
    setTimeout(() => fs.writeSync(pipe, 'x'.repeat(readers)), length * 1000);
    await Promise.all(reads);
    if (number !== null) truth.end(number);
  }
}

main();
