"""Stops a process and lets it go on, again and again: argv PID STOPPED_S GAP_S."""

import os
import signal
import sys
import time

pid, stopped_s, gap_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
try:
    while True:
        time.sleep(gap_s)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(stopped_s)
        os.kill(pid, signal.SIGCONT)
finally:
    os.kill(pid, signal.SIGCONT)
