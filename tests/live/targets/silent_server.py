"""An asyncio line server that answers all but one thing: "silent" waits for what never comes."""

import asyncio
import json


async def serve(reader, writer):
    async for line in reader:
        if line == b"silent\n":
            await asyncio.get_event_loop().create_future()
        writer.write(b"here\n")


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
