"""Threads that run all the time, through functions of which each line calls one: argv SPIN DEPTH.

Prints which function each line may call, so that a stack tells whether its frames were ever there
together. SPIN is how often the innermost functions count, DEPTH how many calls deep they are.
"""

import json
import os
import sys
import threading

SPIN, DEPTH = int(sys.argv[1]), int(sys.argv[2])
WIDTH = 3
FILE = "/one_callee/made.py"

lines, callees = [], {}


def define(name, depth):
    inner = (
        [f"{name}_{n}" for n in range(WIDTH if depth > DEPTH - 3 else 1)] if depth < DEPTH else []
    )
    for each in inner:
        define(each, depth + 1)
    lines.append(f"def {name}():")
    if not inner:
        lines.append(f"    for _ in range({SPIN}):")
        lines.append("        pass")
    for each in inner:
        lines.append(f"    {each}()")
        callees[f"{name}:{len(lines)}"] = each


define("root", 0)
lines.append("def run():")
lines.append("    while True:")
lines.append("        root()")
callees[f"run:{len(lines)}"] = "root"
made = {}
exec(compile("\n".join(lines), FILE, "exec"), made)
threading.Thread(target=made["run"], daemon=True).start()
print(json.dumps({"pid": os.getpid(), "file": FILE, "callees": callees}), flush=True)
threading.Event().wait()
