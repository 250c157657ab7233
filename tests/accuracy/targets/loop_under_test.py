"""The asyncio loop that is harmed: what waits on it, and when it is harmed. Python 3.8 syntax.

Victims: ``io`` (clients ask a line server; each question says when it was sent), ``timers`` (tasks
that sleep), ``callbacks`` (another thread hands them in) and ``tasks`` (what they await is done
right before the harm).
"""

import asyncio
import itertools
import os
import sys
import threading
import time

import truth

GAP_S = 0.3
BEAT_S = 0.02


def new_loop():
    """A loop of the kind that TRUTH_LOOP asks for."""
    if os.environ.get("TRUTH_LOOP") == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


async def answer(reader, writer):
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            truth.served("io", int(line))
            writer.write(b"answer\n")
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve_lines(handler=answer):
    """Starts the line server and gives its port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=128)
    return server, server.sockets[0].getsockname()[1]


async def beat():
    while True:
        due_ns = time.monotonic_ns() + int(BEAT_S * 1e9)
        await asyncio.sleep(BEAT_S)
        truth.served("timer", due_ns)


def hand_in_callbacks(loop):
    while not loop.is_closed():
        loop.call_soon_threadsafe(truth.served, "callback", time.monotonic_ns())
        time.sleep(BEAT_S)


async def await_turns():
    while True:
        turn = asyncio.get_running_loop().create_future()
        _turns.append(turn)
        truth.served("task", await turn)


_turns = []


def wake_tasks():
    """Makes the tasks runnable, on the loop's own thread."""
    turns, _turns[:] = _turns[:], []
    for turn in turns:
        turn.set_result(time.monotonic_ns())


async def start_victims(names):
    """Starts these victims on the running loop and gives what the harness must know of them."""
    facts, kept = {}, []
    if "io" in names:
        server, facts["port"] = await serve_lines()
        kept.append(server)
    if "timers" in names:
        kept += [asyncio.ensure_future(beat()) for _ in range(3)]
    if "callbacks" in names:
        loop = asyncio.get_running_loop()
        threading.Thread(target=hand_in_callbacks, args=(loop,), daemon=True).start()
    if "tasks" in names:
        kept += [asyncio.ensure_future(await_turns()) for _ in range(3)]
    return facts, kept


async def harm_often(harm, kind, victims, lengths=None):
    """Harms the running loop every now and then, for ever."""
    facts, kept = await start_victims(victims)
    truth.ready(**facts)
    for length_s in lengths or truth.lengths():
        await asyncio.sleep(GAP_S)
        wake_tasks()
        with truth.stall(kind, harm):
            harm(length_s)
    return kept


async def beside(works, victims):
    """The same work in threads, while the loop serves: nobody is harmed."""
    facts, kept = await start_victims(victims)
    truth.ready(**facts)
    for work in works:
        threading.Thread(target=repeat, args=(work,), daemon=True).start()
    await asyncio.Event().wait()
    return kept


def repeat(work):
    for length_s in truth.lengths():
        work(length_s)
        time.sleep(BEAT_S)


async def unseen(works):
    """The same work on the loop, while nothing else is due: nobody is harmed."""
    truth.ready()
    for work, length_s in zip(itertools.cycle(works), truth.lengths()):
        await asyncio.sleep(GAP_S)
        work(length_s)


def run(main):
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main)


def run_harm(harms, kind):
    """Runs what argv asks for: HARM[,HARM...] on-loop|in-threads|unseen [VICTIMS]."""
    works, where = [harms[name] for name in sys.argv[1].split(",")], sys.argv[2]
    victims = sys.argv[3].split(",") if len(sys.argv) > 3 else ("io",)
    if where == "on-loop":
        run(harm_often(works[0], kind, victims))
    elif where == "in-threads":
        run(beside(works, victims))
    else:
        run(unseen(works))
