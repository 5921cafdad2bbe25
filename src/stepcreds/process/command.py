"""Runs the command of a step from its start until nothing of it is left; it knows nothing about credentials."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

from stepcreds.clock import Clock
from stepcreds.errors import ProcessError
from stepcreds.exit_codes import MAX_TTL
from stepcreds.model import Outcome
from stepcreds.printable import one_line
from stepcreds.process.program import find_program, start
from stepcreds.process.pump import Pump
from stepcreds.process.supervision import Supervision
from stepcreds.process.worker import Worker
from stepcreds.redact import Redactor


def run_command(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    max_ttl: float,
    grace: float,
    redact: Redactor | None,
    worker: Worker,
    clock: Clock,
) -> Outcome:
    """Runs `argv` with `environment` and ends everything it started; `max_ttl` and `grace` are in seconds.

    The first request to end is passed on to the command's process group, which has `grace` seconds to follow it;
    a second one, or the death of the front, kills it at once. After `max_ttl` it gets SIGTERM, and the same grace.
    What is still there 0.2 seconds after the command has ended is killed.

    With `redact` the command writes into pipes and what it writes is passed on without secrets; without, it has
    our files, a terminal included.

    Where a request came before the start, nothing is started: `reason` is "not_started".
    Raises `ProcessError` (126, 127) if the command cannot be started. Nothing has been started then.
    """
    path = find_program(argv[0], environment)
    begin = clock.now()
    arrivals = worker.cancellation.listen()
    try:
        if name := worker.cancellation.signal:
            return Outcome(128 + signal.Signals[name], "not_started", name, begin, begin, 0, ())
        pump = _open_pump(redact, path) if redact else None
        try:
            defaults, outputs = worker.signals_to_restore, pump.outputs if pump else {}
            worker.starting()
            process = start(path, argv, environment, defaults=defaults, outputs=outputs)
        finally:
            if pump:
                pump.close()
        supervision = Supervision(process, worker, clock, arrivals, max_ttl=max_ttl, grace=grace)
        try:
            supervision.watch()
        finally:
            ended = supervision.end()
        if pump:
            pump.finish(clock, lambda: bool(worker.cancellation.signal))
    finally:
        worker.over()
        worker.cancellation.stop_listening()
    status = ended.statuses.get(process, signal.SIGKILL)  # as good as killed: it will never be heard of again
    was_killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = 128 + was_killed_by if was_killed_by else os.WEXITSTATUS(status)
    return Outcome(
        exit_code=MAX_TTL if supervision.timed_out else code,
        reason="max_ttl" if supervision.timed_out else "signalled" if was_killed_by else "exited",
        cancelled_by=worker.cancellation.signal,
        start=begin,
        end=clock.now(),
        descendants_ended=ended.killed - (was_killed_by == signal.SIGKILL and process in ended.statuses),
        survivors=ended.survivors,
        output_lost=pump.failure if pump else "",
    )


def _open_pump(redact: Redactor, path: str) -> Pump:
    try:
        return Pump(redact)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else one_line(str(error))
        raise ProcessError(
            f"the output of {one_line(path)!r} cannot be read to take secrets out of it: {reason}",
            code=126,
            cause="the process, the user or the container has no file or thread left to give",
            fix="Look at `ulimit -n` and `ulimit -u`, or pass --no-redact.",
            docs="command-not-runnable",
        ) from None
