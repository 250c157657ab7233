// Calls that hold up the main thread of Node.js: argv CALL on-loop|unseen [VICTIMS].
//
// "unseen": nothing is due meanwhile.
'use strict';
const { execFileSync, execSync, spawnSync } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const v8 = require('v8');
const vm = require('vm');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const FIFO = path.join(path.dirname(process.env.TRUTH_LOG), 'fifo');

if (!isMainThread) {
  parentPort.on('message', ([seconds, fd]) => {
    setTimeout(() => {
      const to = fd < 0 ? fs.openSync(FIFO, 'w') : fd;
      fs.writeSync(to, 'x');
      if (fd < 0) fs.closeSync(to);
    }, seconds * 1000);
  });
  return;
}

const truth = require('./truth');
const victims = require('./node_victims');
let helper;
let pipe;

function readPipe(seconds) {
  helper.postMessage([seconds, pipe]);
  fs.readSync(pipe, Buffer.alloc(1));
}

function readWholeFile(seconds) {
  helper.postMessage([seconds, -1]);
  fs.readFileSync(FIFO);
}

function runShell(seconds) {
  execSync(`sleep ${seconds}`);
}

function runProgram(seconds) {
  spawnSync('sleep', [String(seconds)]);
}

function waitForMemory(seconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000); // waits here
}

function parseText(seconds) {
  const until = truth.nowNs() + seconds * 1e9;
  while (truth.nowNs() < until) JSON.parse(TEXT);
}

function matchText(seconds) {
  const until = truth.nowNs() + seconds * 1e9;
  while (truth.nowNs() < until) /^(a+)+$/.test(`${'a'.repeat(20)}b`);
}

function deriveKey(seconds) {
  crypto.pbkdf2Sync('password', 'salt', Math.round(seconds * ROUNDS_PER_SECOND), 32, 'sha256');
}

async function neverIdle(seconds) {
  const until = truth.nowNs() + seconds * 1e9;
  while (truth.nowNs() < until) await step();
}

async function step() {
  for (let n = 0; n < 100; n += 1) await undefined;
}

neverIdle.culprits = 'neverIdle|step';

function collectGarbage(seconds) {
  const until = truth.nowNs() + seconds * 1e9;
  while (truth.nowNs() < until) gc();
}

const CALLS = {
  'read-pipe': [readPipe, 'blocked-loop'],
  'read-file': [readWholeFile, 'blocked-loop'],
  'exec-sync': [runShell, 'blocked-loop'],
  'spawn-sync': [runProgram, 'blocked-loop'],
  // whose code waits in a futex is known by its stack; else it looks like a pool's worker
  'atomics-wait': [waitForMemory, truth.INSPECTED ? 'blocked-loop' : 'parked-loop'],
  'json-parse': [parseText, 'busy-loop'],
  regex: [matchText, 'busy-loop'],
  pbkdf2: [deriveKey, 'busy-loop'],
  microtasks: [neverIdle, 'busy-loop'],
  gc: [collectGarbage, 'gc-pause'], // of which V8 shows no stack: nobody has to be blamed
};
const TEXT = JSON.stringify(Array.from({ length: 2000 }, (_, n) => ({ n, name: `part ${n}` })));
const [call, where, names = 'io'] = process.argv.slice(2);
const [harm, kind] = CALLS[call];
let ROUNDS_PER_SECOND;
let gc;
let kept;

async function main() {
  if (call.startsWith('read')) {
    execFileSync('mkfifo', [FIFO]);
    pipe = fs.openSync(FIFO, 'r+');
    if (call === 'read-file') fs.closeSync(pipe);
    helper = new Worker(__filename);
    await new Promise((resolve) => helper.once('online', resolve));
  } else if (call === 'pbkdf2') {
    const before = truth.nowNs();
    crypto.pbkdf2Sync('password', 'salt', 200_000, 32, 'sha256');
    ROUNDS_PER_SECOND = 200_000 / ((truth.nowNs() - before) / 1e9);
  } else if (call === 'gc') {
    v8.setFlagsFromString('--expose-gc');
    gc = vm.runInNewContext('gc');
    kept = Array.from({ length: 300_000 }, (_, n) => ({ n, name: `part ${n}` }));
  }
  if (where === 'on-loop') {
    truth.ready(await victims.start(names.split(',')));
    await victims.harmOften(harm, kind, call === 'gc' ? null : harm);
  } else {
    truth.ready();
    for (const length of truth.lengths()) {
      await victims.pause(victims.GAP_MS);
      await harm(length);
    }
  }
}

main();
