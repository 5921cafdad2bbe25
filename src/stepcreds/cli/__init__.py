"""The command line: flags become a frozen request and one call; only here is anything printed or exited."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from stepcreds.errors import StepcredsError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, INTERRUPTED


def main() -> NoReturn:
    """The console script: runs one command and exits with its code (see `exit_codes`)."""
    is_exec = sys.argv[1:2] == ["exec"]
    is_action = sys.argv[1:2] == ["action"]
    try:
        # Those of `process.cancel`, which takes its time to import. The pair of processes handles them as soon as it is
        # there; nothing before that takes long, and an interrupt of it would be a traceback.
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        signal.pthread_sigmask(signal.SIG_BLOCK if is_exec or is_action else signal.SIG_UNBLOCK, ending)
        if is_action:
            from stepcreds.cli.action import run_action

            code = run_action(sys.argv[2])
        elif is_exec:
            # Before click is imported: see `start`.
            from stepcreds.cli.start import run_exec

            code = run_exec(sys.argv[2:])
        else:
            from stepcreds.cli.group import run_command

            code = run_command()
    except StepcredsError as error:
        from stepcreds.cli.surroundings import bare_voice

        bare_voice().fail(error)
        code = BEFORE_THE_COMMAND if is_exec or is_action else error.exit_code
    except KeyboardInterrupt:
        code = BEFORE_THE_COMMAND if is_exec or is_action else INTERRUPTED
    sys.exit(code)
