"""The command line: flags become a frozen request and one call; only here is anything printed or exited."""

import sys

from stepcreds.cli.isolation import isolate

TYPE_CHECKING = False  # of typing, which is not imported: see cli/isolation.py
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """The console script: runs one command and exits with its code (see `exit_codes`)."""
    is_exec = sys.argv[1:2] == ["exec"]
    is_action = sys.argv[1:2] == ["action"]
    try:
        isolate(sys.argv[1:])
    except OSError as error:
        _refuse(error, is_exec or is_action)
    import signal

    from stepcreds.errors import StepcredsError, UnsupportedError
    from stepcreds.exit_codes import BEFORE_THE_COMMAND, INTERRUPTED

    try:
        # Those of `process.cancel`, which takes its time to import. The pair of processes handles them as soon as it is
        # there; nothing before that takes long, and an interrupt of it would be a traceback.
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        signal.pthread_sigmask(signal.SIG_BLOCK if is_exec or is_action else signal.SIG_UNBLOCK, ending)
        if is_exec:
            # Before click is imported: see `start`.
            from stepcreds.cli.start import run_exec

            code = run_exec(sys.argv[2:])
        else:
            from contextlib import suppress

            from stepcreds.process.kernel import forbid_inspection

            # `revoke`, `scope`, `doctor` and `setup` hold tokens as well. Only Linux has such a call, and what ends a
            # credential must not fail for it.
            with suppress(UnsupportedError):
                forbid_inspection()
            if is_action:
                from stepcreds.cli.action import run_action

                code = run_action(sys.argv[2])
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


def _refuse(error: OSError, before_the_command: bool) -> "NoReturn":
    """In the form of cli/messages.py, without importing it."""
    sys.stderr.write(
        f"stepcreds: error: Python cannot be started again, isolated: {error.strerror}\n"
        "  cause: A variable PYTHON* is set, or the working folder is where Python looks for its modules (-m); so "
        "stepcreds starts itself again without them.\n"
        f"  fix: Start it isolated: {sys.executable} -I -m stepcreds\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine\n"
    )
    sys.exit(125 if before_the_command else 2)
