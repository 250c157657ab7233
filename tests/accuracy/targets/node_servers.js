// Servers on Node.js: argv STORY.
//
// idle; upstream: each answer awaits a slow service; short: many callbacks, each short; crowded: more
// of them than can be served in time; slow-reader: who reads leaves much unread, and says so to libuv;
// stopped: something stops the process; large: so much is on its heap that the walk through it, with
// which V8's profiler starts, takes a while; cluster: one of two processes is held up; cluster-healthy.
'use strict';
const cluster = require('cluster');
const http = require('http');
const net = require('net');
const { execSync, spawn } = require('child_process');
const { Worker, isMainThread, workerData } = require('worker_threads');
const truth = require('./truth');
const victims = require('./node_victims');

const [story] = process.argv.slice(2);
const AGENT = new http.Agent({ keepAlive: true });
const OBJECTS = story === 'large' ? 1_000_000 : 0;
globalThis.kept = Array.from({ length: OBJECTS }, (_, n) => ({ n, name: `part ${n}`, more: [n] }));

function compute(ms) {
  const until = truth.nowNs() + ms * 1e6;
  while (truth.nowNs() < until) JSON.parse('{"numbers": [1, 2, 3]}');
}

// Answers each line by "respond", which gets what to call then.
const answering = (respond) => (socket) => {
  socket.on('error', () => {});
  socket.on('data', (lines) => {
    for (const line of String(lines).split('\n').filter(Boolean)) {
      truth.served('io', Number(line));
      respond(() => socket.write('answer\n'));
    }
  });
};

function askUpstream(then) {
  const url = `http://127.0.0.1:${process.env.UPSTREAM_PORT}/0.6`;
  http.get(url, { agent: AGENT }, (reply) => reply.resume().on('end', then));
}

const computing = (ms) => (then) => {
  compute(ms);
  then();
};

const RESPONDS = { upstream: askUpstream, short: computing(12), crowded: computing(8) };

// Reads a little of what is there, and waits before it reads on.
async function readSlowly(port) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('data', () => {
    socket.pause();
    setTimeout(() => socket.resume(), 400);
  });
}

function writeMuch(socket) {
  const piece = Buffer.alloc(1 << 20);
  const write = () => { while (socket.write(piece)); };
  socket.on('error', () => {});
  socket.on('drain', write);
  write();
}

function stop(seconds) {
  const program = `kill -STOP ${process.pid}; sleep ${seconds}; kill -CONT ${process.pid}`;
  return new Promise((resolve) => { spawn('sh', ['-c', program]).on('exit', resolve); });
}

function runShell(seconds) {
  execSync(`sleep ${seconds}`);
}

async function serve() {
  const respond = RESPONDS[story];
  const server = await victims.serveLines(respond ? answering(respond) : undefined);
  return server.address().port;
}

async function inCluster() {
  if (cluster.isPrimary) {
    cluster.fork();
    cluster.fork();
    let ports = 0;
    cluster.on('message', (_, { port }) => {
      ports += 1;
      if (ports === 2) truth.ready({ port });
    });
    return;
  }
  process.send({ port: await serve() });
  if (story === 'cluster' && cluster.worker.id === 1) victims.harmOften(runShell, 'blocked-loop');
}

async function main() {
  if (!isMainThread) {
    readSlowly(workerData);
  } else if (story.startsWith('cluster')) {
    inCluster();
  } else if (story === 'slow-reader') {
    const server = await victims.serveLines(writeMuch);
    const reader = new Worker(__filename, { argv: [story], workerData: server.address().port });
    reader.once('online', () => truth.ready());
  } else {
    const port = await serve();
    if (story === 'crowded') truth.begin('overloaded-loop', compute);
    truth.ready({ port });
    if (story === 'stopped') {
      await victims.harmOften(stop, 'no-cpu', null);
    }
  }
}

main();
