"""Kills many steps, waits for one effective TTL, and then has OpenBao, PostgreSQL, ledgers and machine looked at.

What must hold of every kill, and is a violation where it does not:

- every credential that OpenBao issued, by its own audit log, has a `credential.requested` of its token in a ledger,
  written before it was asked for
- nothing lives on after one effective TTL, and 20 seconds for a busy machine to notice: no user, no session, no
  lease, no token
- no ledger is found tampered with, and what is unclosed in it is a killed step's alone
- where one half survived, it ended every credential, and left no process and no private folder; but what is handed out
  as outputs may meet a front that is killed between the worker's last word and its own end: an exception, and counted
- `stepcreds revoke --all` (after outputs the Action's `post`) leaves nothing unproven, in a chain that is closed
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from crash_audit import AuditLog
from crash_check import SLACK, Seen, check
from crash_kills import Killer, Life
from crash_plan import Kill
from crash_stack import LASTING, LONGEST, CrashStack
from crash_tally import Checked

from stepcreds.devstack.postgresql import SUPERUSER

LOOK = 0.1  # seconds


class Watch:
    """When each user of the batch was last seen alive, and how many there were at once at most."""

    def __init__(self, stack: CrashStack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self.last: dict[str, float] = {}
        self.most_users = 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - of whoever stops it
            self._error = error

    def _look(self) -> None:
        with closing(self._stack.connect(SUPERUSER, self._stack.postgresql.password)) as connection:
            while not self._stop.wait(LOOK):
                rows = connection.run("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'v-%'")
                now = time.time()  # noqa: TID251 - compared with the servers' logs
                alive = [str(row[0]) for row in rows if f"-app-{LASTING}-" not in row[0]]
                self.last |= dict.fromkeys(alive, now)
                self.most_users = max(self.most_users, len(alive))

    def stop(self) -> None:
        """Raises what kept it from looking: an end that nobody watched for is not known."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error


class Killed(NamedTuple):
    """A batch of which nothing runs any more."""

    killer: Killer
    lives: list[Life]
    watch: Watch
    left: dict[str, set[str]]  # what lives, by what it is


class Batches:
    """`run` kills and checks, batch by batch; nothing else may issue on `stack` meanwhile but the profile `lasting`.

    Whoever sets `stops` has what has begun by then checked, and no more.

    Folders of a batch without a violation are removed; the others are kept below `folder`, as evidence.
    """

    def __init__(self, stack: CrashStack, folder: Path, concurrency: int, stops: threading.Event | None = None) -> None:
        self.stack = stack
        self.folder = folder
        self.concurrency = concurrency
        self.audit = AuditLog(stack)
        self.tokens = stack.accessors()  # not of any kill
        self.forgotten: set[str] = set()  # users that OpenBao has no lease of
        self.count = 0
        self.stops = stops or threading.Event()

    def rehearse(
        self, scenarios: Iterable[str], *, record: bool
    ) -> tuple[dict[str, float], dict[str, list[tuple[str, str, int]]]]:
        """How long each takes when as many run at once as will be killed at once, and the lines that each executes."""
        killer = Killer(self.stack, self.new_folder("rehearsal"))
        names = list(scenarios)
        with ThreadPoolExecutor(self.concurrency) as pool:
            runs = {name: [pool.submit(killer.whole, f"{name}-{n}", name) for n in range(2)] for name in names}
            seconds = {name: max(run.result()[0] for run in each) for name, each in runs.items()}
            lines = {name: pool.submit(killer.whole, f"{name}-lines", name, record=True) for name in names if record}
            recorded = {name: run.result()[1] for name, run in lines.items()}
        self.audit.skip()
        shutil.rmtree(killer.batch)
        return seconds, recorded

    def run(self, kills: Sequence[Kill], before_check: Callable[[Killer], None] = lambda killer: None) -> Checked:
        """`before_check` is for a test of the check itself."""
        killed = self.kill(kills)
        return self.settle(killed, before_check)

    def run_all(self, kills: Sequence[Kill], size: int) -> Iterator[Checked]:
        """The same in batches of `size`; each settles while the next is killed."""
        with ThreadPoolExecutor(1) as settling:
            settled: Future[Checked] | None = None
            for first in range(0, len(kills), size):
                if self.stops.is_set():
                    break
                killed = self.kill(kills[first : first + size])
                if settled is not None:
                    yield settled.result()
                settled = settling.submit(self.settle, killed)
            if settled is not None:
                yield settled.result()

    def kill(self, kills: Sequence[Kill]) -> Killed:
        self.count += 1
        killer = Killer(self.stack, self.new_folder(f"batch-{self.count}"))
        watch = Watch(self.stack)
        try:
            with ThreadPoolExecutor(self.concurrency) as pool:
                lives = list(pool.map(lambda kill: None if self.stops.is_set() else killer.run(kill), kills))
            return Killed(killer, [life for life in lives if life], watch, self.alive())
        except BaseException:
            watch.stop()
            raise

    def settle(self, killed: Killed, before_check: Callable[[Killer], None] = lambda killer: None) -> Checked:
        """One TTL later nothing of it lives, or is a violation. Folders of a batch without a violation are removed."""
        try:
            left = self.until_dead(killed.left)
        finally:
            killed.watch.stop()
        before_check(killed.killer)
        forgotten = self.forget(left)
        steps = self.audit.of({life.kill.name for life in killed.lives})
        watch = killed.watch
        checked = check(
            self.stack, Seen(killed.lives, killed.killer.ledger, steps, watch.last, watch.most_users, left, forgotten)
        )
        if not checked.violations:
            shutil.rmtree(killed.killer.batch)
        return checked

    def new_folder(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def until_dead(self, left: dict[str, set[str]]) -> dict[str, set[str]]:
        """What of `left` still lives one TTL later."""
        deadline = time.monotonic() + LONGEST + SLACK
        while any(left.values()) and time.monotonic() < deadline:
            time.sleep(0.5)
            now = self.alive()
            left = {what: which & now[what] for what, which in left.items()}
        return left

    def forget(self, left: dict[str, set[str]]) -> set[str]:
        """Takes out of `left` the users that OpenBao does not know: a client that is killed while it issues makes it give
        up between the user and the lease (docs/reliability.md). They cannot log in, and are looked for no longer."""
        if left["lease"]:
            return set()
        found = (left["user"] & self.stack.expired_users()) - left["session"]
        left["user"] -= found
        self.forgotten |= found
        return found

    def alive(self) -> dict[str, set[str]]:
        return {
            "user": self.stack.alive_users() - self.forgotten,
            "session": self.stack.alive_sessions(),
            "lease": set(self.stack.alive_leases()),
            "token": self.stack.accessors() - self.tokens,
        }
