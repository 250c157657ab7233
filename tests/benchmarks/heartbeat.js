// A Node.js that says how late its timer of 5 ms was: argv MB FUNCTIONS WORKERS.
//
// With so much on its heap, so many compiled functions, and idle worker threads. When standard input
// ends, it prints all beats that were late by more than a millisecond: [time in ns, late by ms].
'use strict';
const { Worker } = require('worker_threads');

const [MB, FUNCTIONS, WORKERS] = process.argv.slice(2).map(Number);
const BEAT_MS = 5;
const late = [];

const kept = Array.from({ length: MB * 8000 }, (_, n) => ({ n, name: `part ${n}`, more: [n] }));
const functions = Array.from({ length: FUNCTIONS }, (_, n) => new Function('a', `return a + ${n}`));
for (const one of functions) one(1);
const idle = 'setInterval(() => {}, 1000)';
const workers = Array.from({ length: WORKERS }, () => new Worker(idle, { eval: true }));

let due = process.hrtime.bigint();
function beat() {
  const now = process.hrtime.bigint();
  const ms = Number(now - due) / 1e6;
  if (ms > 1) late.push([Number(now), ms]);
  due = process.hrtime.bigint() + BigInt(BEAT_MS * 1e6);
  setTimeout(beat, BEAT_MS);
}

Promise.all(workers.map((worker) => new Promise((then) => { worker.once('online', then); }))).then(() => {
  console.log(JSON.stringify({ kept: kept.length }));
  due = process.hrtime.bigint();
  beat();
});
process.stdin.resume().on('end', () => {
  console.log(JSON.stringify(late));
  process.exit();
});
