"""Kills many steps, waits for one effective TTL, and then looks at OpenBao, PostgreSQL, the ledgers and the machine.

What must hold of every kill, and is a violation where it does not:

- every credential that OpenBao issued, by its own audit log, has a `credential.requested` of its token in a ledger,
  written before it was asked for
- nothing lives on after one effective TTL: no user, no session, no lease, no token
- no ledger is found tampered with, and what is unclosed in it is a killed step's alone
- where one half survived, it ended every credential, and left no process and no private folder
- `stepcreds revoke --all` (after outputs the Action's `post`) leaves nothing unproven, in a chain that is closed
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from crash_kills import ONE, SCENARIOS, Kill, Killer, Life
from crash_stack import CLAIM, LASTING, LONGEST, AuditLog, CrashStack

from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.verify import verify
from stepcreds.ledger.view import CredentialView, text_of

SLACK = 20.0  # seconds that a machine that is too busy may take to notice that something has expired
LOOK = 0.1  # seconds
HONEST = {"unclosed", "unproven", "torn", "empty"}  # findings that a crash leaves as well

Entry = dict[str, Any]  # of the audit log


class Fate(NamedTuple):
    """What came of one kill."""

    victims: str
    scenario: str
    stage: str
    outcome: str
    seconds: float | None  # from the kill until nothing of it lived any more; None: nothing ever did


class Checked(NamedTuple):
    """What came of a batch."""

    fates: list[Fate]  # of the kills that hit
    missed: int  # of those that came after the end
    violations: list[str]
    exceptions: list[str]  # one half survived, and yet the proof is not on record
    longest: float  # seconds that a user lived after OpenBao was last asked about it
    most_leases: int


class Watch:
    """When each user of the batch was last seen alive, and how many leases there were at most."""

    def __init__(self, stack: CrashStack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self.last: dict[str, float] = {}
        self.most = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with closing(self._stack.connect(SUPERUSER, self._stack.postgresql.password)) as connection:
            while not self._stop.wait(LOOK):
                rows = connection.run("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'v-%'")
                now = time.time()  # noqa: TID251 - compared with the servers' logs
                alive = [str(row[0]) for row in rows if f"-app-{LASTING}-" not in row[0]]
                self.last |= dict.fromkeys(alive, now)
                self.most = max(self.most, len(alive))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Killed(NamedTuple):
    """A batch of which nothing runs any more."""

    killer: Killer
    lives: list[Life]
    watch: Watch
    left: dict[str, set[str]]  # what lives, by what it is


class Batches:
    """`run` kills and checks, batch by batch; nothing else may issue on `stack` meanwhile but the profile `lasting`.

    Folders of a batch without a violation are removed; the others are kept below `folder`, as evidence.
    """

    def __init__(self, stack: CrashStack, folder: Path, concurrency: int) -> None:
        self.stack = stack
        self.folder = folder
        self.concurrency = concurrency
        self.audit = AuditLog(stack)
        self.tokens = stack.accessors()  # not of any kill
        self.count = 0
        self._unread: dict[str, list[Entry]] = {}
        self._reading = threading.Lock()

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
        self.audit.entries()
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
                lives = list(pool.map(killer.run, kills))
            return Killed(killer, lives, watch, self.alive())
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
        checked = _Check(self, killed, left).check()
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
            time.sleep(0.25)
            now = self.alive()
            left = {what: which & now[what] for what, which in left.items()}
        return left

    def alive(self) -> dict[str, set[str]]:
        return {
            "user": self.stack.alive_users(),
            "session": self.stack.alive_sessions(),
            "lease": set(self.stack.alive_leases()),
            "token": self.stack.accessors() - self.tokens,
        }

    def entries_of(self, names: set[str]) -> dict[str, list[Entry]]:
        """What the audit log has of these kills, by step: a kill's recovery is another step of it."""
        with self._reading:
            for entry in self.audit.entries():
                if step := ((entry.get("auth") or {}).get("metadata") or {}).get(CLAIM):
                    self._unread.setdefault(step, []).append(entry)
            mine = [step for step in self._unread if step.removesuffix("-first").removesuffix("-recovery") in names]
            return {step: self._unread.pop(step) for step in mine}


class _Check:
    def __init__(self, batches: Batches, killed: Killed, alive: dict[str, set[str]]) -> None:
        self.stack = batches.stack
        self.lives = lives = killed.lives
        self.watch = killed.watch
        self.alive = alive
        self.found: list[str] = []
        self.exceptions: list[str] = []
        folders = {killed.killer.ledger, *(life.ledger for life in lives)}
        self.files = [file for folder in sorted(folders) for file in sorted(folder.glob("*.jsonl"))]
        self.views = [view for file in self.files for view in read_chain(file).credentials]
        self.steps = batches.entries_of({life.kill.name for life in lives})
        # The log has accessors as OpenBao hashes them, and it hashes what it is asked to.
        self.of_token = {self.hashed(view.token_accessor): view for view in self.views if view.requested}

    def hashed(self, text: str) -> str:
        return str(self.stack.ask("POST", "sys/audit-hash/file", input=text)["hash"])

    def check(self) -> Checked:
        self.check_intents()
        for what, which in self.alive.items():
            if which:
                self.found.append(f"after one effective TTL a {what} lives: {', '.join(sorted(which))}")
        for life in self.lives:
            self.check_life(life)
        self.check_ledgers()
        fates = [self.fate(life) for life in self.lives if life.hit]
        return Checked(
            fates, len(self.lives) - len(fates), self.found, self.exceptions, self.longest(), self.watch.most
        )

    def wrong(self, life: Life, what: str) -> None:
        ledger = "\n".join(file.read_text() for file in self.files if file.parent == life.ledger)
        said = life.said + (life.recovery.stdout if life.recovery else "")
        kept = [line for line in ledger.splitlines() if any(view.credential_uid in line for view in self.of(life))]
        self.found.append(f"{life.kill}\n  {what}\n  it said: {said}\n  on record: " + "\n    ".join(kept))

    def of(self, life: Life, *more: str) -> list[CredentialView]:
        """What the ledgers have of this life (of its recovery, say, with "-recovery")."""
        names = [life.kill.name + suffix for suffix in more or ("",)]
        tokens = {str((entry["auth"]).get("accessor")) for name in names for entry in self.steps.get(name, [])}
        return [self.of_token[token] for token in sorted(tokens & self.of_token.keys())]

    def check_intents(self) -> None:
        for step, entries in self.steps.items():
            for entry in issues(entries):
                view = self.of_token.get(entry["auth"]["accessor"])
                lease = entry["response"]["secret"]["lease_id"]
                if view is None or not view.requested:
                    self.found.append(f"{step}: the ledger has no credential.requested for {lease}")
                elif view.lease_id not in ("", lease):
                    self.found.append(f"{step}: {lease} is on record as {view.lease_id}")
                asked = min(
                    when(each) for each in entries if each["type"] == "request" and is_issue(each) and same(each, entry)
                )
                if view is not None and (view.time or 0.0) > asked + 0.002:  # records have milliseconds
                    self.found.append(
                        f"{step}: {lease} was asked for {(view.time or 0.0) - asked:.3f} s before the record"
                    )

    def check_life(self, life: Life) -> None:
        kill = life.kill
        if not life.hit or kill.victims in ONE:
            if life.running:
                self.wrong(life, f"processes were left: {life.running}")
            if life.private:
                self.wrong(life, f"private folders were left: {life.private}")
            for view in self.of(life):
                if not is_ended(view) and view.delivery != "outputs":
                    self.wrong(life, f"one half survived, and {view.credential_uid} is not closed")
                elif life.hit and not is_ended(view):
                    self.exceptions.append(f"{kill}: {view.delivery}, {view.verdict}")
        if life.recovery is not None:
            views = self.of(life, "", "-first", "-recovery")
            # Findings that a recovery cannot help: what nobody knows the lease of is revoked with its token and never
            # looked up; and a step of the Action that was killed before it told the runner that it had begun.
            helpless = any(text_of(view.closed, "revoke", "method") == "accessor" for view in views)
            helpless |= not views and "The runner remembers nothing of this step" in life.recovery.stdout
            allowed = (0, 1) if helpless else (0,)
            if life.recovery.returncode not in allowed:
                self.wrong(life, f"the recovery ended with {life.recovery.returncode}")
            unproven = [view for view in views if not is_ended(view)]
            if unproven:
                self.wrong(life, f"not ended by the recovery: {[view.credential_uid for view in unproven]}")

    def check_ledgers(self) -> None:
        recovered = {life.ledger for life in self.lives if life.recovery and life.recovery.returncode == 0}
        for result in verify(self.files):
            for finding in result.findings:
                if finding.certainty == "tampered" or finding.code not in HONEST:
                    self.found.append(f"{result.file}:{finding.line}: {finding.code}: {finding.meaning}")
            codes = [finding.code for finding in result.findings]
            # An empty file, whose first record was about to come, may as well be one that somebody cut.
            if Path(result.file).parent in recovered and (codes or not result.closed) and codes != ["empty"]:
                self.found.append(f"{result.file}: not clean and closed after the recovery: {codes}")

    def fate(self, life: Life) -> Fate:
        entries = self.steps.get(life.kill.name, [])
        views = self.of(life)
        users = [view.db_user for view in views if view.db_user in self.watch.last]
        proofs = [view.proven_time for view in views if view.proven_time]
        ends = proofs if proofs and all(map(is_ended, views)) else [self.watch.last[user] for user in users]
        seconds = max(0.0, max(ends) - life.at) if ends else None
        return Fate(
            life.kill.victims, life.kill.scenario, self.stage(life, entries), outcome(life, views, entries), seconds
        )

    def stage(self, life: Life, entries: Sequence[Entry]) -> str:  # noqa: PLR0911 - one for each stage
        """Where the life was, by what OpenBao had been asked until then."""
        before = [entry for entry in entries if when(entry) <= life.at]
        if not before:
            asked = self.stack.issuer.asked.get(life.kill.name, life.at + 1)
            return "login" if asked <= life.at else "before the login"
        last, answered = before[-1], before[-1]["type"] == "response"
        path = last["request"]["path"]
        if path.endswith("/login"):
            return "probe"
        if path == "sys/leases/revoke" and not list(issues(before)) and life.kill.scenario != "revoke":
            return "issue" if answered else "probe"
        if path == "auth/token/revoke-self":
            return "give back"
        if path == "sys/leases/lookup":
            return "proof" if answered else "lookup"
        if path.startswith("sys/leases/revoke"):
            return "lookup" if answered else "revoke"
        if 0 < life.begun <= life.at:
            running = life.at <= life.begun + SCENARIOS[life.kill.scenario].seconds
            return "renew" if not answered else "the command runs" if running else "lock"
        if is_issue(last):
            return "measure" if answered else "issue"
        return "measure" if answered else "renew"

    def longest(self) -> float:
        """Of users whose names are on record."""
        lives = [0.0]
        for step, entries in self.steps.items():
            last: dict[str, float] = {}
            for entry in entries:
                if is_issue(entry) or entry["request"]["path"] == "sys/leases/renew":
                    last[entry["auth"]["accessor"]] = when(entry)
            for token, asked in last.items():
                view = self.of_token.get(token)
                if view is not None and view.db_user in self.watch.last:
                    lives.append(self.watch.last[view.db_user] - asked)
                    if lives[-1] > LONGEST + SLACK and not is_ended(view):
                        self.found.append(f"{step}: {view.db_user} lived for {lives[-1]:.1f} s")
        return max(lives)


def outcome(life: Life, views: Sequence[CredentialView], entries: Sequence[Entry]) -> str:
    issued = list(issues(entries))
    if not issued and not any(view.issued for view in views):
        return "nothing was issued"
    if all(view.proven or is_refused(view) for view in views):
        return "proven dead" + (" by the recovery" if life.recovery is not None else "")
    if all(map(is_ended, views)):
        return "dead with its token"
    if any(view.delivery == "outputs" for view in views) and life.kill.victims in ONE:
        return "handed out, expired"
    issue = issued[-1] if issued else None
    revocations = [each for each in entries if each["request"]["path"].endswith(("leases/revoke", "revoke-self"))]
    if issue is None or any(each["type"] == "response" and when(each) > when(issue) for each in revocations):
        return "revoked, not on record"
    return "expired"


def is_refused(view: CredentialView) -> bool:
    return text_of(view.closed, "revoke", "status") == "not_issued"


def is_ended(view: CredentialView) -> bool:
    """On record as dead: proven, never issued, or gone with its token, where the answer was lost."""
    method, status = (text_of(view.closed, "revoke", name) for name in ("method", "status"))
    return view.proven or is_refused(view) or (method in ("token", "accessor") and status == "revoked")


def is_issue(entry: Entry) -> bool:
    return str(entry["request"]["path"]).startswith("database/creds/")


def issues(entries: Iterable[Entry]) -> Iterable[Entry]:
    """The answers that hold a credential."""
    return (
        entry
        for entry in entries
        if entry["type"] == "response" and is_issue(entry) and (entry.get("response") or {}).get("secret")
    )


def same(one: Entry, other: Entry) -> bool:
    return bool(one["request"]["id"] == other["request"]["id"])


def when(entry: Entry) -> float:
    """Epoch seconds; RFC 3339 with nanoseconds, which Python 3.10 does not read."""
    text = str(entry["time"])
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


class Tally:
    """Adds up what came of batches, for one table."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str, str]] = Counter()  # (fault, stage, outcome) -> kills
        self.seconds: dict[tuple[str, str], float] = {}
        self.kills = self.missed = self.most_leases = 0
        self.longest = 0.0
        self.violations: list[str] = []
        self.exceptions: list[str] = []

    def add(self, checked: Checked) -> None:
        for fate in checked.fates:
            fault = fault_of(fate)
            self.rows[fault, fate.stage, fate.outcome] += 1
            place = (fault, fate.stage)
            if fate.seconds is not None:
                self.seconds[place] = max(self.seconds.get(place, 0.0), fate.seconds)
        self.kills += len(checked.fates)
        self.missed += checked.missed
        self.longest = max(self.longest, checked.longest)
        self.most_leases = max(self.most_leases, checked.most_leases)
        self.violations += checked.violations
        self.exceptions += checked.exceptions

    def tell(self, row: Callable[[str, str, str, float | None], None]) -> None:
        """A line for each fault and stage: how many kills ended in which way, and the longest life after one."""
        places = sorted({(fault, stage) for fault, stage, _ in self.rows})
        for fault, stage in places:
            counts = {end: n for (f, s, end), n in sorted(self.rows.items()) if (f, s) == (fault, stage)}
            outcome = ", ".join(f"{count} {end}" for end, count in counts.items())
            row(fault, stage, outcome, self.seconds.get((fault, stage)))


def fault_of(fate: Fate) -> str:
    of = {"outputs": "the handout of outputs", "scope": "scope", "doctor": "doctor", "revoke": "revoke --all"}
    whose = f" of {of[fate.scenario]}" if fate.scenario in of else ""
    return f"SIGKILL to {fate.victims}{whose}"
