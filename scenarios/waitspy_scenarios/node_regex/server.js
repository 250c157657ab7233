// Checks names with a regular expression: node server.js PORT nested|plain
'use strict';
const http = require('http');

const [port, how] = process.argv.slice(2);
const NAME = how === 'nested' ? /^(?:[a-z]+)+$/ : /^[a-z]+$/;
const STRANGE = `${'a'.repeat(20)}!`;
const MANY_MS = 300;

function checkNames() {
  const until = Date.now() + MANY_MS;
  let names = 0;
  for (let n = 0; n < 50 && Date.now() < until; n += 1) names += NAME.test(STRANGE) ? 1 : 0;
  return names;
}

const server = http.createServer((request, response) => {
  response.end(request.url === '/check' ? `${checkNames()}\n` : 'well\n');
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
