// Greets with a template that lies on a share: node server.js PORT TEMPLATE sync|async
'use strict';
const fs = require('fs');
const http = require('http');

const [port, file, how] = process.argv.slice(2);

function readTemplate() {
  return fs.readFileSync(file, 'utf8');
}

async function greet(request, response) {
  const template = how === 'sync' ? readTemplate() : await fs.promises.readFile(file, 'utf8');
  response.end(template.trim());
}

const server = http.createServer((request, response) => {
  if (request.url === '/greet') greet(request, response);
  else response.end('well\n');
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
