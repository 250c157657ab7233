// Runs Perfetto's trace_processor, built for a browser's worker, on the requests of standard input.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const folder = process.argv[2];
const read = (url) => fs.readFileSync(path.join(folder, path.basename(String(url))));

globalThis.self = globalThis;
globalThis.location = { href: "http://localhost/engine_bundle.js" };
globalThis.WorkerGlobalScope = class {};
globalThis.fetch = async (url) =>
  new Response(read(url), { headers: { "content-type": "application/wasm" } });
globalThis.XMLHttpRequest = class {
  open(_method, url) {
    this.url = url;
  }
  send() {
    this.response = Uint8Array.from(read(this.url)).buffer;
  }
};
console.log = console.warn = console.error; // standard output is for replies
vm.runInThisContext("var process = undefined;"); // or it would refuse to run in Node
vm.runInThisContext(read("engine_bundle.js").toString());

const port = { postMessage: (reply) => fs.writeSync(1, reply) };
self.onmessage({ data: port });
const requests = new Uint8Array(fs.readFileSync(0));
setImmediate(() => port.onmessage({ data: requests }));
