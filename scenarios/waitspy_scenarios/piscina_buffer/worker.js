// Sends each record to the store, over one connection; a record is buffered until it is stored.
'use strict';
const net = require('net');
const { workerData } = require('piscina');

const buffered = [];
let connection;

function send(record) {
  return new Promise((stored) => {
    buffered.push({ record, stored });
    connection.write(`${JSON.stringify(record)}\n`);
  });
}

module.exports = async function save(record) {
  if (connection === undefined) {  // the first one waits until the store is there
    connection = net.connect(workerData.store, '127.0.0.1');
    connection.on('data', (said) => {
      for (const { stored } of buffered.splice(0, String(said).split('\n').length - 1)) stored();
    });
    await send(record);
  } else {
    send(record);  // the answer comes when it comes
  }
  return buffered.length;
};
