"""waitspy with fewer rights than root, and readers without any."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NOBODY = 65534
_CAPABILITIES = {
    "dac_override": 1,
    "dac_read_search": 2,
    "setgid": 6,
    "setuid": 7,
    "sys_ptrace": 19,
}


def waitspy(*, uid: int = 0, keep: tuple[str, ...] = ()) -> tuple[str, ...]:
    """waitspy as that user with these capabilities only; it is imported before, as root."""
    mask = sum(1 << _CAPABILITIES[name] for name in keep)
    return (
        sys.executable,
        "-c",
        f"""import ctypes, os, struct, sys
from waitspy.cli import load, main
load(sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
if {uid}:
    assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setgroups([]); os.setgid({uid}); os.setuid({uid})
header = struct.pack("<Ii", 0x20080522, 0)
data = struct.pack("<6I", {mask}, {mask}, {mask}, 0, 0, 0)
assert libc.capset(header, data) == 0, ctypes.get_errno()
for bit in {[bit for name, bit in _CAPABILITIES.items() if name in keep]}:
    assert libc.prctl(47, 2, bit, 0, 0) == 0  # PR_CAP_AMBIENT, raise: py-spy has them, too
if not {uid}:  # what root executes has all that is in its bounding set
    assert libc.prctl(28, 1, 0, 0, 0) in (0, -1)
libc.prctl(4, 1, 0, 0, 0)  # dumpable
main(prog_name="waitspy")""",
    )


def seeing(waitspy: Sequence[str], hidepid: str = "off") -> tuple[str, ...]:
    """waitspy with a /proc of its own, which shows the processes of others, or hides them."""
    line = 'mount -t proc -o hidepid="$0" proc /proc && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", line, hidepid, *waitspy)


def open_to_all(folder: Path) -> None:
    """Everybody may write there."""
    os.chmod(folder, 0o777)
    for above in folder.parents[:3]:
        os.chmod(above, os.stat(above).st_mode | 0o055)


def readable_to(uid: int, folder: Path) -> list[str]:
    """What of a folder that user can list or read."""
    script = (
        "import os, sys\n"
        f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
        "for place in sys.argv[1:]:\n"
        "    try:\n"
        "        os.listdir(place) if os.path.isdir(place) else open(place, 'rb').read(1)\n"
        "        print(place)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    places = [str(folder), *map(str, folder.rglob("*"))]
    done = subprocess.run(
        [sys.executable, "-S", "-c", script, *places], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
