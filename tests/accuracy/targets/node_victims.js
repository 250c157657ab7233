// What waits on a loop of Node.js, and when it is harmed: as in loop_under_test.py.
//
// Victims: "io" (clients ask a line server; each question says when it was sent) and "timers".
'use strict';
const net = require('net');
const truth = require('./truth');

const GAP_MS = 300;
const BEAT_MS = 20;

function answer(socket) {
  let received = '';
  socket.on('error', () => {});
  socket.on('data', function read(chunk) {
    const lines = (received + chunk).split('\n');
    received = lines.pop();
    for (const line of lines) {
      truth.served('io', Number(line));
      socket.write('answer\n');
    }
  });
}

// A line server, once it listens; "handler" gets each connection.
const serveLines = (handler = answer) =>
  new Promise((resolve) => {
    const server = net.createServer(handler);
    server.listen(0, '127.0.0.1', 128, () => resolve(server));
  });

function beat() {
  const due = truth.nowNs() + BEAT_MS * 1e6;
  setTimeout(function late() {
    truth.served('timer', due);
    beat();
  }, BEAT_MS);
}

// Starts these victims, and gives what the harness must know of them.
async function start(names) {
  const facts = {};
  if (names.includes('io')) facts.port = (await serveLines()).address().port;
  if (names.includes('timers')) for (let n = 0; n < 3; n += 1) beat();
  return facts;
}

// After a while, and not in a timer's callback: libuv learns of other timers only after that.
const pause = (ms) => new Promise((resolve) => { setTimeout(() => setImmediate(resolve), ms); });

// Harms the loop of this thread every now and then, for ever; "harm" gets seconds.
async function harmOften(harm, kind, culprit = harm) {
  for (const length of truth.lengths()) {
    await pause(GAP_MS);
    const number = truth.begin(kind, culprit);
    await harm(length);
    truth.end(number);
  }
}

module.exports = { GAP_MS, answer, serveLines, start, pause, harmOften };
