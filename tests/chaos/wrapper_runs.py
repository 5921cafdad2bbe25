"""What the tests of the wrapper under fire share: a step whose command runs, and a worker that its front has left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from step_runs import Running, until
from sweep_runs import Sweep

from faulty_vault import Fault
from processes import Watched, descendants

SEALED = Fault(status=503, body=b'{"errors":["Vault is sealed"]}')


def start(
    sweep: Sweep, *words: str, script: str = "exec sleep 600", before: Sequence[str] = (), **variables: str | None
) -> Running:
    """`stepcreds exec` with `words` (`migrate` where there are none), whose command says that it runs and then is
    `script`; it runs when this returns. `before` is put in front of the command line."""
    command = ("sh", "-c", f"echo ran > {sweep.marker}; {script}")
    arguments = ("exec", *(words or ("migrate",)), "--", *command)
    step = Running(sweep.stack, sweep.config_file, *arguments, before=before, **variables)
    until(lambda: sweep.ran or step.process.poll() is not None, "the command runs")
    assert sweep.ran, step.wait().stderr
    return step


class Alone:
    """Asks `step` to end, and waits until its front has left its worker alone: `code` and `stderr` are the step's."""

    def __init__(self, step: Running, number: signal.Signals = signal.SIGTERM) -> None:
        self.worker = step.worker
        self._watched = Watched([self.worker])
        self.asked_at = time.monotonic()
        step.kill(step.process.pid, number)
        run = step.wait()  # also for the end of its output
        self.code, self.stderr = run.returncode, run.stderr
        self.seconds = time.monotonic() - self.asked_at
        assert os.getpgid(self.worker) == self.worker, "it does not go on"

    def has_ended(self) -> bool:
        """Waits for it."""
        return self._watched.alive_after(100) == []

    def tether(self) -> int:
        """Its only child."""
        return until(lambda: next(iter(descendants(self.worker)), 0), "the tether")
