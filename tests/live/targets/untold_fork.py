"""A fork that the interpreter is not told of, as uWSGI makes them: its main thread keeps the id of
the parent's. The child prints its pid, then sleeps.
"""

from __future__ import annotations

import ctypes
import json
import os
import time


def main() -> None:
    if ctypes.PyDLL(None).fork():
        os.wait()
        return
    print(json.dumps({"pid": os.getpid(), "parent": os.getppid()}), flush=True)
    while True:
        time.sleep(0.2)


main()
