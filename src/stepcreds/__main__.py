"""`python -m stepcreds`, and this file by its path, as cli/isolation.py starts it: the same as the console script."""

import os
import sys

if sys.flags.isolated and not __package__:
    given = str(sys._xoptions.get("stepcreds_path", "")).split(os.pathsep)
    # After the standard library, whatever came first before; and before older packages of the system, as they were.
    end = next((index for index, entry in enumerate(sys.path) if entry.endswith("-packages")), len(sys.path))
    sys.path[:] = dict.fromkeys([*sys.path[:end], *filter(None, given), *sys.path[end:]])

from stepcreds.cli import main

main()
