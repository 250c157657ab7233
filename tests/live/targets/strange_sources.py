"""Gives up root's rights, and says of its code that it is in whatever files it is told."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

_NOBODY = 65534
_CODE = "def work(time):\n    while True:\n        time.sleep(0.01)\n"


def main() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    for path in sys.argv[1:]:
        names: dict[str, object] = {}
        exec(compile(_CODE, path, "exec"), names)
        threading.Thread(target=names["work"], args=(time,), daemon=True).start()  # type: ignore[arg-type]
    print(json.dumps({"pid": os.getpid()}), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
