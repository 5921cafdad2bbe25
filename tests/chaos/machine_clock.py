"""Runs stepcreds on a machine whose clock jumps: `python machine_clock.py FILE …`; FILE has the seconds that it is off.

The wall clock alone, as when somebody sets it: the monotonic one goes on. It is this process's and its forks'; the
servers keep the right time.
"""

import sys
import time
from pathlib import Path

offset = Path(sys.argv.pop(1))
right = time.time  # noqa: TID251 - what our clock asks
time.time = lambda: right() + float(offset.read_text())  # noqa: TID251 - as above

from stepcreds.cli import main  # noqa: E402 - now that the clock is what it is

main()
