"""How many UDP datagrams programs have read so far: /proc/PID/net/snmp and snmp6.

The kernel counts them for a whole network namespace, when they are read. While that number stands
still, nobody in it has read any, from whichever socket.
"""

from __future__ import annotations

from waitspy.kernel import procfs

_COLUMN = b"InDatagrams"
_LINE_OF_6 = b"Udp6InDatagrams"


def read_so_far(pid: int) -> int | None:
    """How many were read in the network namespace of ``pid``; None where that is not known.

    Raises:
        ProcessLookupError: it is gone.
        PermissionError: this user may not look.
    """
    of_4 = parse_snmp(procfs.read(pid, "net/snmp"))
    if of_4 is None:
        return None
    try:
        return of_4 + (parse_snmp6(procfs.read(pid, "net/snmp6")) or 0)
    except ProcessLookupError:  # a namespace without IPv6 has no such file
        procfs.read_stat(pid)
        return of_4


def parse_snmp(raw: bytes) -> int | None:
    """The number in the two lines of UDP: names, then values."""
    rows = [line.split() for line in raw.splitlines() if line.startswith(b"Udp: ")]
    if len(rows) != 2 or _COLUMN not in rows[0]:
        return None
    at = rows[0].index(_COLUMN)
    return int(rows[1][at]) if at < len(rows[1]) and rows[1][at].isdigit() else None


def parse_snmp6(raw: bytes) -> int | None:
    """The number in the line of UDP over IPv6: a name and its value."""
    for line in raw.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[0] == _LINE_OF_6 and parts[1].isdigit():
            return int(parts[1])
    return None
