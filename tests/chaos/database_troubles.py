"""What goes wrong with a database, or on the way to it, while a step measures, locks or proves; each row of it is a step.
Which database that is, and what it does of its own, the tests know.
"""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml
from chaos_table import Tell
from step_runs import of_kind, reporting, until
from sweep_runs import DEAD, EXPIRES, REVOKED, RUNS, Expected, Sweep

from faulty_relay import FaultyRelay, Treatment
from faulty_vault import Fault, Rule

GOOD = Expected(7, True, (DEAD,))
ENDED = Expected(125, False, (DEAD,))
UNPROVEN = Expected(121, True, (REVOKED,))
BEFORE_UNPROVEN = Expected(125, False, (REVOKED,))
LEFT = Expected(121, True, (EXPIRES,))
MEANWHILE = {"soon": "for a second", "never": "for good"}


class Trouble:
    """From `begin` to `end`, which may be called again."""

    what: str  # in the table
    blinds = False  # nobody can look who is there

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class OnTheWay(Trouble):
    """Between the step and the server. OpenBao has a way of its own."""

    treatment: Treatment = "relay"

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self._now: Treatment = "relay"
        url = str(yaml.safe_load(sweep.config_file.read_text())["profiles"]["migrate"]["database"])
        port = urlsplit(url).port
        assert port is not None
        self.relay = FaultyRelay(port, lambda _: self._now)
        sweep.change(database=url.replace(f":{port}/", f":{self.relay.port}/"))

    def begin(self) -> None:
        self._now = self.treatment

    def end(self) -> None:
        self._now = "relay"

    def close(self) -> None:
        self.relay.close()


class Reset(OnTheWay):
    what = "resets"
    treatment = "reset"


class Hang(OnTheWay):
    what = "hangs"
    treatment = "hang"


class Refused(OnTheWay):
    what = "refuses"

    def begin(self) -> None:
        self.relay.refuse()

    def end(self) -> None:
        self.relay.listen()


class Filled(Trouble):
    """No connection is left but those that the server keeps for its superuser; who gives one back does not get it again.

    It looks at the password first: a user that is gone is refused as ever, so this keeps nobody from the proof.
    """

    what = "is full"

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep)
        self._full, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def connect(self) -> AbstractContextManager[Any] | None:
        """A session that is closed in the end; None where there was no place for one."""
        raise NotImplementedError

    def begin(self) -> None:
        self._thread.start()
        assert self._full.wait(60)

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _fill(self) -> None:
        with ExitStack() as held:
            while not self._over.wait(0.01 if self._full.is_set() else 0):
                session = self.connect()
                if session is None:
                    self._full.set()
                else:
                    held.enter_context(session)


class Row(NamedTuple):
    trouble: type[Trouble]
    stage: str  # before which it begins: measure, lock, proof
    over: str  # when it is over: at a stage of OpenBao, "soon", or "never"
    expected: Expected
    lock: str  # what the ledger says of it
    chaos: bool = True


class Meanwhile:
    """A thread that ends a trouble in a second, or when `now` is called."""

    def __init__(self, trouble: Trouble, over: str) -> None:
        self._trouble = trouble
        self._over = threading.Event()
        self._began = threading.Event()
        self._soon = over == "soon"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._trouble.begin()
        self._began.set()

    def now(self) -> None:
        """Returns when it is over."""
        self._over.set()
        if self._began.is_set():
            self._thread.join()

    def _run(self) -> None:
        self._began.wait()
        self._over.wait(1.0 if self._soon else None)
        self._trouble.end()


def name(row: Row) -> str:
    return f"{row.trouble.what}, {MEANWHILE.get(row.over, f'until {row.over}')}"


def fails_at_a_stage(sweep: Sweep, row: Tell, who: str, case: Row) -> None:
    """A step of which this row must come; `who` is its subject."""
    trouble = case.trouble(sweep)
    meanwhile = Meanwhile(trouble, case.over)
    since: Rule | float
    if case.stage != "lock":
        since = sweep.vault.fail(
            {"measure": "issue", "proof": "lookup"}[case.stage], Fault("pass", then=meanwhile.begin)
        )
    if case.over not in MEANWHILE:
        sweep.vault.fail(case.over, Fault("pass", then=meanwhile.now))
    go = sweep.folder / "go"
    script = f"echo ran > {sweep.marker}; until test -e {go}; do sleep 0.05; done; exit 7"
    try:
        with sweep.start("exec", "migrate", "--", "sh", "-c", script) as step:
            if case.stage == "lock":
                until(sweep.marker.exists, "the command runs")
                since = time.monotonic()
                meanwhile.begin()
            go.touch()
            run = step.wait()
        (closed,) = of_kind(sweep.config_file, "credential.closed")
        if case.over == "never" and not case.trouble.blinds:
            assert sweep.verdicts() == list(case.expected.verdicts), run.stderr
            assert bool(sweep.alive()) == (EXPIRES in case.expected.verdicts)
        meanwhile.now()
        sweep.check(run, **case.expected._asdict())
        if case.over == "never" and case.expected.verdicts != (DEAD,):
            sweep.check_recovery()
        assert closed["lock"]["status"] == case.lock, closed["lock"]
        assert "sessions of the step" not in str(closed["lock"]["detail"])  # it is full of others
        if case.stage == "lock" and case.lock == "unreachable":
            # The revocation does not wait for a second look at a database that did not answer the lock.
            (left,) = of_kind(sweep.config_file, "credential.left")
            assert left["unknown"] == closed["lock"]["detail"]
        sweep.tell(row, f"{who}: {name(case)}", {"lock": RUNS}.get(case.stage, case.stage), run, since)
    finally:
        meanwhile.now()
        trouble.close()


def waiting(sweep: Sweep, *more: str) -> tuple[Path, list[str]]:
    """A command that says what it was given, and ends with 7 when the file is there."""
    report, go = sweep.folder / "report", sweep.folder / "go"
    then = f"open({str(sweep.marker)!r}, 'w').close()\nimport time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    return go, ["exec", "migrate", *more, "--", *reporting(report, then + "sys.exit(7)\n")]
