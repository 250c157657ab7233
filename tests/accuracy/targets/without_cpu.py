"""A healthy loop that does not get the CPU: argv stopped|crowded|fair [VICTIMS]. Python 3.8 syntax.

stopped: somebody sends SIGSTOP, and later SIGCONT. crowded: more busy processes than cores, and
this one has the lowest priority. fair: the same with the usual priority.
"""

import asyncio
import os
import subprocess
import sys

import loop_under_test
import truth

VICTIMS = sys.argv[2].split(",") if len(sys.argv) > 2 else ["io", "timers"]


async def be_stopped():
    for length_s in truth.lengths(0.2):
        await asyncio.sleep(loop_under_test.GAP_S)
        number = truth.begin("no-cpu", None)
        command = "kill -STOP $PPID; sleep %f; kill -CONT $PPID" % length_s
        process = subprocess.Popen(["sh", "-c", command])
        while process.poll() is None:
            await asyncio.sleep(0.01)
        truth.end(number)


async def main():
    facts, kept = await loop_under_test.start_victims(VICTIMS)
    truth.ready(**facts)
    if sys.argv[1] == "stopped":
        await be_stopped()
    if sys.argv[1] == "crowded":
        truth.begin("no-cpu", None)
    await asyncio.Event().wait()
    return kept


if sys.argv[1] != "stopped":
    for _ in range(3 * (os.cpu_count() or 1)):
        subprocess.Popen(["sh", "-c", "while :; do :; done"])
if sys.argv[1] == "crowded":
    os.nice(19)
loop_under_test.run(main())
