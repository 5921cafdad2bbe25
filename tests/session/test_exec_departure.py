"""What a step or a recovery says, and ends with, when it is cancelled and its front leaves its worker alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from step_runs import normalised
from sweep_runs import Sweep, swept
from wrapper_runs import SEALED, Alone, start

from processes import descendants
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.errors import StepcredsError
from stepcreds.model import Holding
from stepcreds.process.custody import Custody
from stepcreds.secret import Secret
from stepcreds.session.departure import depart
from stepcreds.session.renewal import Renewal

SEE = "\n  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#carried-on\n"
TOKEN = Holding("uid", "migrate", Secret("t"), "accessor")
CREDENTIAL = TOKEN._replace(ledger="/ledger.jsonl", lease_id="database/creds/x/1")


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("custody", "code"),
    [
        (Custody((CREDENTIAL,), (), started=True), 121),
        (Custody((CREDENTIAL,), (), started=False), 125),
        (Custody((TOKEN,), (), started=False), 125),
        (Custody((), (), started=True, code=143), 143),  # all of it is dead, and only the rest takes long
        (Custody((), (), started=True, code=121), 121),
        (Custody((), (), started=True, code=0), 137),
        (Custody((), (), started=True), 137),
    ],
)
def test_the_code_of_a_step_that_is_left(custody: Custody, code: int) -> None:
    said: list[StepcredsError] = []
    around: Any = SimpleNamespace(voice=SimpleNamespace(fail=said.append, hurry=lambda: None))
    assert depart(custody._replace(reason="SIGTERM"), around=around) == code
    (error,) = said
    ends_others = "It holds no credential of its own, and is ending what earlier steps left or handed out."
    assert error.cause.startswith(ends_others) == (custody.holdings == (TOKEN,))


def test_a_recovery_that_is_cancelled_goes_on_in_the_background(sweep: Sweep) -> None:
    with start(sweep) as step:
        halves = [step.worker, step.process.pid]
        command = descendants(step.worker)[0]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in halves:
                step.kill(pid, number)
        step.kill(command)
        step.wait()
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with sweep.start("revoke", VAULT_CLIENT_TIMEOUT=None) as revoke:
        assert sealed.arrived.wait(60)
        alone = Alone(revoke)
    assert alone.code == 1
    assert normalised(alone.stderr) == (
        "stepcreds: error: This step is still busy 7 seconds after SIGTERM\n"
        "  cause: It holds no credential of its own, and is ending what earlier steps left or handed out. Vault or the "
        "database is slow, or does not answer.\n"
        "  fix: Another process of this step goes on trying, for up to 75 seconds for each credential, unless the runner "
        "ends it. End what is left, in a later step of the same job:\n"
        "      stepcreds revoke" + SEE
    )
    sealed.left = 0
    assert alone.has_ended()
    assert sweep.alive() == set()


def test_the_page_of_the_run_has_one_table(sweep: Sweep) -> None:
    """The runner takes the page when the front has ended; what the worker adds later is nobody's."""
    page = sweep.folder / "summary.md"
    sealed = sweep.vault.fail("revoke", SEALED, None)
    with start(sweep, GITHUB_STEP_SUMMARY=str(page)) as step:
        alone = Alone(step)
    assert "expires at" in page.read_text()
    page.unlink()
    sealed.left = 0
    assert alone.has_ended()
    assert sweep.verdicts() == ["proven dead"]
    assert not page.exists()


def test_a_renewal_that_hangs_holds_nothing_once_the_command_is_over() -> None:
    asked, answer, held, said = threading.Event(), threading.Event(), list[Holding](), list[str]()

    def renew(*_: object) -> float:
        asked.set()
        assert answer.wait(60)
        return 1.0

    clock = SystemClock()
    vault = SimpleNamespace(limit=lambda _: None, renew_lease=renew, renew_token=lambda _: 1.0, fresh=lambda: None)
    holding = CREDENTIAL._replace(expire_time=clock.now() + 1)
    profile = SimpleNamespace(name="migrate", ttl=60.0)

    class Credential(SimpleNamespace):
        def until(self, end: float) -> Credential:
            return Credential(**{**vars(self), "holding": self.holding._replace(expire_time=end)})

    credentials: Any = [Credential(vault=vault, holding=holding, profile=profile)]
    keeper: Any = SimpleNamespace(hold=held.append)
    voice: Any = SimpleNamespace(warn=said.append)
    with Renewal(credentials, keeper=keeper, clock=clock, voice=voice) as renewal:
        assert asked.wait(60)
    answer.set()
    renewal._thread.join(60)
    assert (held, said) == ([], [])
