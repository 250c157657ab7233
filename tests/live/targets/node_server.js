// A server on Node.js whose worker thread stands still, when it is told to, while an answer waits.
//
//   node node_server.js idle|park|busy
//
// The worker thread asks the main thread's server again and again, and is answered a moment later.
// "park": meanwhile it sits in Atomics.wait; "busy": it computes; "idle": it is in its loop. The answer
// comes in all of them; only in "idle" it is read at once. "park" does so from before the first line
// that is printed, {"port"}, until the end.
'use strict';
const net = require('net');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

const ANSWER_MS = 150;
const ASK_EVERY_MS = 1200;
const COMPUTE_MS = 900;

function standStill(how) {
  if (how === 'park') {
    parentPort.postMessage('parked');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  } else if (how === 'busy') {
    const until = Date.now() + COMPUTE_MS;
    while (Date.now() < until) JSON.parse(JSON.stringify({ numbers: [1, 2, 3] }));
  }
}

if (isMainThread) {
  const server = net.createServer((socket) => {
    socket.on('data', () => setTimeout(() => socket.write('answer\n'), ANSWER_MS));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    const worker = new Worker(__filename, { workerData: { how: process.argv[2], port } });
    worker.once('message', () => console.log(JSON.stringify({ port })));
  });
} else {
  const socket = net.connect(workerData.port, '127.0.0.1', function ask() {
    socket.write('question\n');
    setTimeout(ask, ASK_EVERY_MS);
    setTimeout(function task() { standStill(workerData.how); }, ANSWER_MS / 3);
    if (workerData.how !== 'park') parentPort.postMessage('asked');
  });
  socket.on('data', () => {});
}
