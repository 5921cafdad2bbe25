"""Judges a batch of kills, of which nothing should be left: OpenBao's audit log against the ledgers and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crash_audit import Entry, is_issue, issues, same, when
from crash_fate import Fate, is_ended, outcome, stage
from crash_kills import Life
from crash_plan import ONE
from crash_stack import LONGEST, CrashStack
from crash_tally import Checked

from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

SLACK = 20.0  # seconds that a machine that is too busy may take to notice that something has expired
BOUND = f"one effective TTL ({LONGEST} s), and {SLACK:.0f} s for a busy machine to notice"
HONEST = {"unclosed", "unproven", "torn", "empty"}  # findings that a crash leaves as well


class Seen(NamedTuple):
    """What is known of a batch of which nothing runs any more, nor should live."""

    lives: Sequence[Life]
    ledger: Path  # that its steps share
    steps: dict[str, list[Entry]]  # the audit log's entries, by step
    users: dict[str, float]  # each that was there -> when it was last seen, in epoch seconds
    most_users: int
    alive: dict[str, set[str]]  # what lives after all, by what it is
    forgotten: set[str]  # users without a lease that nobody can log in as


def check(stack: CrashStack, seen: Seen) -> Checked:
    return _Check(stack, seen).check()


class _Check:
    def __init__(self, stack: CrashStack, seen: Seen) -> None:
        self.stack = stack
        self.seen = seen
        self.lives, self.steps = seen.lives, seen.steps
        self.found: list[str] = []
        self.exceptions: list[str] = []
        folders = {seen.ledger, *(life.ledger for life in self.lives)}
        self.files = [file for folder in sorted(folders) for file in sorted(folder.glob("*.jsonl"))]
        self.views = [view for file in self.files for view in read_chain(file).credentials]
        # The log has accessors as OpenBao hashes them, and it hashes what it is asked to.
        self.of_token = {self.hashed(view.token_accessor): view for view in self.views if view.requested}

    def hashed(self, text: str) -> str:
        return str(self.stack.ask("POST", "sys/audit-hash/file", input=text)["hash"])

    def check(self) -> Checked:
        self.check_intents()
        for what, which in self.seen.alive.items():
            if which:
                self.found.append(f"after {BOUND}, a {what} lives: {', '.join(sorted(which))}")
        for life in self.lives:
            self.check_survivor(life)
            self.check_recovery(life)
        self.check_ledgers()
        fates = [self.fate(life) for life in self.lives if life.hit]
        missed = len(self.lives) - len(fates)
        return Checked(
            fates,
            missed,
            self.found,
            self.exceptions,
            self.longest(),
            self.seen.most_users,
            sorted(self.seen.forgotten),
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

    def check_survivor(self, life: Life) -> None:
        kill = life.kill
        if life.hit and kill.victims not in ONE:
            return
        if life.running:
            self.wrong(life, f"processes were left: {life.running}")
        if life.private:
            self.wrong(life, f"private folders were left: {life.private}")
        for view in self.of(life):
            if is_ended(view):
                continue
            if view.delivery != "outputs" or life.code > 0:  # a front that was killed itself has one below 0
                self.wrong(life, f"one half survived, and {view.credential_uid} is not closed")
            elif life.code:
                self.exceptions.append(f"{kill}: {view.delivery}, {view.verdict}")

    def check_recovery(self, life: Life) -> None:
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
        for result in verify(local(self.files)):
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
        users = [view.db_user for view in views if view.db_user in self.seen.users]
        proofs = [view.proven_time for view in views if view.proven_time]
        ends = proofs if proofs and all(map(is_ended, views)) else [self.seen.users[user] for user in users]
        seconds = max(0.0, max(ends) - life.at) if ends else None
        asked = self.stack.issuer.asked.get(life.kill.name, life.at + 1)
        return Fate(
            life.kill.victims,
            life.kill.scenario,
            stage(life, entries, asked),
            outcome(life, views, entries),
            seconds,
        )

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
                if view is not None and view.db_user in self.seen.users:
                    lives.append(self.seen.users[view.db_user] - asked)
                    if lives[-1] > LONGEST + SLACK and not is_ended(view):
                        self.found.append(f"{step}: {view.db_user} lived for {lives[-1]:.1f} s")
        return max(lives)
