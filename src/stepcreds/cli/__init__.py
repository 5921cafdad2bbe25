"""The command line: flags become a frozen request and one call; only here is anything printed or exited."""

import sys

from stepcreds.cli.isolation import isolate

TYPE_CHECKING = False  # of typing, which is not imported: see cli/isolation.py
if TYPE_CHECKING:
    from typing import NoReturn


# errno(3) by number, because nothing can be imported any more; and how ld.so(8) says it of a part of Python.
STARVED = {12: "memory", 23: "file", 24: "file"}
UNLOADED = {"failed to map segment": "memory", "cannot allocate memory": "memory", "Error 24": "file"}

LIBRARIES = ("click", "urllib3", "yaml", "tabulate")


def main() -> "NoReturn":
    """The console script: runs one command and exits with its code (see `exit_codes`)."""
    try:
        _run()
    except (MemoryError, OSError, ImportError) as error:
        before_the_command = sys.argv[1:2] in (["exec"], ["action"])
        if isinstance(error, ModuleNotFoundError) and error.name in LIBRARIES:
            _miss(error.name, before_the_command)
        lacking = _lacking(error)
        if not lacking:
            raise
        _give_up(lacking, before_the_command)


def _run() -> "NoReturn":
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
    # Clients of object stores wait at the end for threads of theirs that wait for servers: see storage/bounded.py.
    if is_exec or is_action or "fsspec" in sys.modules:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> "NoReturn":
    """Without taking Python apart first: that takes a step 10 ms, in which a kill would turn a success into a failure
    when nobody holds any longer what has been handed out."""
    import os
    from contextlib import suppress

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code & 0xFF)


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


def _miss(library: str, before_the_command: bool) -> "NoReturn":
    """As above."""
    sys.stderr.write(
        f"stepcreds: error: stepcreds is not installed whole: there is no {library}\n"
        "  cause: It was installed without its libraries, or they are in a folder of PYTHONPATH that stepcreds itself "
        "is not in. Such a folder is for the command alone.\n"
        "  fix: Install it into an environment of its own (pipx install stepcreds), or all of it into one folder (pip "
        "install --target).\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine\n"
    )
    sys.exit(125 if before_the_command else 2)


def _lacking(error: BaseException) -> str:
    """What the process has none left of, where that is what is wrong."""
    if isinstance(error, OSError):
        return STARVED.get(error.errno or 0, "")
    if isinstance(error, MemoryError):
        return "memory"
    return next((what for text, what in UNLOADED.items() if text in str(error)), "")


def _give_up(lacking: str, before_the_command: bool) -> "NoReturn":
    """As above; a limit is so low that Python cannot even load what says so."""
    if sys.stderr is not None:
        sys.stderr.write(
            f"stepcreds: error: this process has no {lacking} left to give\n"
            "  cause: A limit of the process, the user or the container is lower than what Python needs.\n"
            "  fix: Look at `ulimit -n`, `ulimit -v` and the container's limits. What a step held by then, "
            "`stepcreds revoke` ends.\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-not-started\n"
        )
    sys.exit(125 if before_the_command else 1)
