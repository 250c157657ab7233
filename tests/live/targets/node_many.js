// A server on Node.js with many worker threads, each of which parks in a function of its own name.
//
//   node node_many.js WORKERS
//
// Worker 7 waits in park7() for ever, while an answer to its own question lies unread. Once all of them
// wait and have been answered, the thread id of each is printed: {"tids": [...]}.
'use strict';
const net = require('net');
const { Worker } = require('worker_threads');

const MANY = Number(process.argv[2]);
const SOON_MS = 20;

const code = (n) => `
const net = require('net');
const fs = require('fs');
const { parentPort, workerData } = require('worker_threads');
function park${n}(tid) {
  parentPort.postMessage(tid);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
const socket = net.connect(workerData, '127.0.0.1', () => {
  socket.on('data', () => {});
  // libuv asks for what comes only once its loop has turned
  setTimeout(() => setImmediate(() => {
    park${n}(Number(fs.readlinkSync('/proc/thread-self').split('/').pop()));
  }), ${SOON_MS});
});
`;

const asked = [];
const tids = new Map();

function answerOnceAllWait() {
  if (asked.length < MANY || tids.size < MANY) return;
  for (const socket of asked) socket.write('answer\n');
  console.log(JSON.stringify({ tids: Array.from({ length: MANY }, (_, n) => tids.get(n)) }));
}

const server = net.createServer((socket) => {
  socket.on('error', () => {});
  asked.push(socket);
  answerOnceAllWait();
});

server.listen(0, '127.0.0.1', MANY, () => {
  for (let n = 0; n < MANY; n += 1) {
    const workerData = server.address().port;
    new Worker(code(n), { eval: true, workerData }).once('message', (tid) => {
      tids.set(n, tid);
      answerOnceAllWait();
    });
  }
});
