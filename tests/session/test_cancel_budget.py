"""A cancelled step has ten seconds: what of them the ending may take, counted from the signal."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from step_runs import until
from sweep_runs import Sweep

from faulty_vault import Fault
from manual_clock import ManualClock
from stepcreds.devstack.stack import Stack
from stepcreds.process.cancel import FRONT_DIED, Cancellation
from stepcreds.session.finish import PATIENCE, _patience


@pytest.mark.parametrize(("passed", "left"), [(0.0, 7.0), (4.0, 3.0), (6.5, 1.0), (60.0, 1.0)])
def test_what_has_passed_since_the_signal_counts(passed: float, left: float) -> None:
    clock = ManualClock()
    cancellation = Cancellation(clock)
    closing: Any = SimpleNamespace(
        keeper=SimpleNamespace(cancellation=cancellation), around=SimpleNamespace(clock=clock)
    )
    assert _patience(closing) == PATIENCE
    clock.sleep(5)
    cancellation.request("SIGINT")
    clock.sleep(passed)
    cancellation.request("SIGTERM")  # the first counts
    assert _patience(closing) == left


def test_nobody_kills_a_step_whose_front_is_dead() -> None:
    cancellation = Cancellation(ManualClock())
    cancellation.request(FRONT_DIED)
    closing: Any = SimpleNamespace(keeper=SimpleNamespace(cancellation=cancellation))
    assert _patience(closing) == PATIENCE


def test_a_vault_that_hangs_does_not_hold_a_cancelled_step(stack: Stack, tmp_path: Path) -> None:
    """The command ignores the signal, and Vault the revocation: it is over all the same, and says what is alive."""
    with Sweep(stack, tmp_path) as sweep:
        sweep.vault.fail("revoke", Fault("hang"), None)
        sweep.vault.fail("queue", Fault("hang"), None)
        script = f"trap '' INT; echo ran > {sweep.marker}; while :; do sleep 0.1; done"
        with sweep.start("exec", "migrate", "--", "sh", "-c", script) as step:
            until(lambda: sweep.ran, "the command runs")
            begin = time.monotonic()
            step.process.send_signal(signal.SIGINT)
            run = step.wait()
            seconds = time.monotonic() - begin
        assert run.returncode == 121, run.stderr
        assert "The credential of profile migrate is not proven dead" in run.stderr
        assert 4 <= seconds < 20  # 7 on a machine that has nothing else to do; 75 if nobody had counted
