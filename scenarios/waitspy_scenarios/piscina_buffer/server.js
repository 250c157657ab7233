// Takes records and hands each to a worker thread of a pool: node server.js PORT ATOMICS
//
// The store that the workers send them to is here, too: it answers a line with a line, a moment later.
'use strict';
const http = require('http');
const net = require('net');
const path = require('path');
const { Piscina } = require('piscina');

const STORE_MS = 300;
const [port, atomics] = process.argv.slice(2);

const store = net.createServer((connection) => {
  connection.on('data', () => setTimeout(() => connection.write('stored\n'), STORE_MS));
  connection.on('error', () => {});
});

store.listen(0, '127.0.0.1', async () => {
  const pool = new Piscina({
    filename: path.join(__dirname, 'worker.js'),
    workerData: { store: store.address().port },
    minThreads: 2,
    maxThreads: 2,
    idleTimeout: 3600000,
    atomics,
    useAtomics: atomics !== 'disabled', // before 5.0
  });
  const server = http.createServer(async (request, response) => {
    response.end(`${await pool.run({ at: Date.now() })} under way\n`);
  });
  await Promise.all([pool.run({ at: 0 }), pool.run({ at: 0 })]);
  server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
});
