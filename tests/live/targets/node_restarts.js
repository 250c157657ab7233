// A server on Node.js whose master starts it again when it is told to: one line on stdin each time.
//
//   node --inspect-port=0 node_restarts.js
//
// Each server prints {"pid"}, and then stands still in Atomics.wait every now and then while a timer is due.
'use strict';
const { fork } = require('child_process');

const STANDS_MS = 400;
const EVERY_MS = 500;

function standStill() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDS_MS);
}

function start() {
  const server = fork(__filename, ['server']);
  server.once('message', () => console.log(JSON.stringify({ pid: server.pid })));
  server.once('exit', start);
  process.stdin.once('data', () => server.kill('SIGTERM'));
}

if (process.argv[2] === 'server') {
  setInterval(() => {}, 20);
  setInterval(() => setImmediate(standStill), EVERY_MS);
  process.on('disconnect', () => process.exit());
  process.send('up');
} else {
  start();
}
