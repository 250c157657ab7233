// What all targets on Node.js share: truth.py's rows, in JavaScript.
//
// A profile of V8 tells where a function begins, and sometimes where in it a thread waits: these lines
// may be blamed. Without an inspector nobody can be, and nobody is logged.
'use strict';
const fs = require('fs');

const LEAST_NS = 50_000_000;
const LOG = fs.openSync(process.env.TRUTH_LOG, 'a', 0o600);
const INSPECTED = process.env.TRUTH_INSPECTED === '1';
const TID = Number(fs.readlinkSync('/proc/thread-self').split('/').pop());
const begun = new Map();
const known = new Map();
let numbers = TID * 1_000_000; // threads share the log

const nowNs = () => Number(process.hrtime.bigint());
const say = (row) => fs.writeSync(LOG, `${JSON.stringify({ ...row, pid: process.pid })}\n`);

// Tells the harness that the target runs; "port" is where clients may ask.
const ready = (facts = {}) => fs.writeSync(1, `${JSON.stringify(facts)}\n`);

// Endless seconds of stalls: many short ones, some long ones, the same for each run.
function* lengths(shortest = 0.15, longest = 1.1) {
  let state = Number(process.env.TRUTH_SEED || 1) >>> 0;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield shortest * (longest / shortest) ** (state / 2 ** 32);
  }
}

// For how long a thread has run, and waited for a CPU (proc(5), schedstat).
function cpu(tid) {
  if (!tid) return [];
  const told = fs.readFileSync(`/proc/self/task/${tid}/schedstat`, 'latin1');
  return told.split(' ').slice(0, 2).map(Number);
}

// The lines where functions of these names begin, and those in them that say that they wait, in all
// that was required here.
function linesOf(names) {
  if (!known.has(names)) {
    const begins = new RegExp(`function (?:${names})\\(`);
    const lines = [];
    for (const file of Object.keys(require.cache)) {
      let inside = false;
      for (const [n, line] of fs.readFileSync(file, 'utf8').split('\n').entries()) {
        inside = begins.test(line) || (inside && line !== '}');
        if (begins.test(line) || (inside && line.endsWith('// waits here'))) lines.push(n + 1);
      }
    }
    known.set(names, lines);
  }
  return known.get(names);
}

// Logs that a stall begins; "culprit" is a function, or null where none is to blame; several that are
// equally right are in its attribute "culprits", joined by "|". "tid" is the thread that should have
// served, 0 where it is not one; "anyone": no single process should have.
function begin(kind, culprit, { tid = TID, anyone = false } = {}) {
  const name = INSPECTED && culprit ? culprit.culprits || culprit.name : null;
  const lines = name ? linesOf(name) : [];
  numbers += 1;
  begun.set(numbers, [tid, cpu(tid)]);
  say({ stall: numbers, kind, function: name, lines, tid, anyone, at_ns: nowNs() });
  return numbers;
}

// Logs that a stall ended, and how long its thread ran and waited for a CPU meanwhile.
function end(number) {
  const at_ns = nowNs();
  const [tid, before] = begun.get(number);
  begun.delete(number);
  const [cpu_ns, delay_ns] = cpu(tid).map((spent, n) => spent - before[n]);
  say({ ended: number, at_ns, cpu_ns, delay_ns });
}

function waits(kind, due_ns, served_ns, { tid = TID, anyone = false } = {}) {
  say({ wait: kind, due_ns, served_ns, tid, anyone });
}

// Called when something that was due at that time is served now; logs it if it was late.
function served(kind, due_ns, where) {
  const now = nowNs();
  if (now - due_ns >= LEAST_NS) waits(kind, due_ns, now, where);
}

module.exports = { INSPECTED, TID, nowNs, ready, lengths, begin, end, waits, served };
