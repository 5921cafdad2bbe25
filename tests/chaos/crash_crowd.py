"""Many steps that begin at once, on one OpenBao and one PostgreSQL: what each came to, and what is left of all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.verify import verify

PATIENCE = 900.0  # seconds
CREDS = "database/creds/app-verify"


class Crowd(NamedTuple):
    seconds: list[float]  # that each step took, in ascending order
    wrong: list[str]  # everything that should not be

    def quantile(self, percent: int) -> float:
        return self.seconds[min(len(self.seconds) - 1, len(self.seconds) * percent // 100)]

    def __str__(self) -> str:
        return ", ".join(f"p{percent} {self.quantile(percent):.1f} s" for percent in (50, 95, 99))


def crowd(stack: Stack, folder: Path, steps: int) -> Crowd:
    """`steps` steps of one job. One takes 25 MB of memory while it runs, and three connections to the database at most
    one after the other; `stack` has to have as many connections as there are steps, and some."""
    (folder / "stepcreds.yml").write_text(stack.config_text(folder / ".stepcreds"))
    tokens = _tokens(stack)
    wrong = []

    # Not a thread for each: they would keep the issuer, which is one of this process's, from answering.
    began, started = time.monotonic(), []
    for number in range(steps):
        with (folder / f"step-{number}").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "stepcreds", "exec", "verify", "--", "true"],
                cwd=folder,
                env=stack.environment(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        started.append((process, time.monotonic()))
    ends: dict[int, float] = {}
    while len(ends) < steps and time.monotonic() < began + PATIENCE:
        time.sleep(0.05)
        for number, (process, start) in enumerate(started):
            if number not in ends and process.poll() is not None:
                ends[number] = time.monotonic() - start
    for number, (process, _) in enumerate(started):
        if process.poll() != 0:
            process.kill()
            text = (folder / f"step-{number}").read_text(errors="replace")
            wrong.append(f"step {number} ended with {process.wait()} after {ends.get(number, PATIENCE):.1f} s: {text}")
    seconds = sorted(ends.values())
    return Crowd(seconds, wrong + _left(stack, tokens) + _on_record(folder / ".stepcreds", steps))


def _left(stack: Stack, tokens: set[str]) -> list[str]:
    """Everything is ended when the last step is, so nothing is waited for."""
    sessions = stack.sql("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'v-%-app-verify-%'")[0][0]
    left = {
        "leases": stack.leases(CREDS),
        "users": [user for user in stack.issued_roles() if "-app-verify-" in user],
        "sessions": [sessions] if sessions else [],
        "tokens": sorted(_tokens(stack) - tokens),
    }
    return [f"{what} are left: {which}" for what, which in left.items() if which]


def _tokens(stack: Stack) -> set[str]:
    with stack.client() as client:
        return set(client.list("auth/token/accessors")["data"]["keys"])


def _on_record(ledger: Path, steps: int) -> list[str]:
    (file,) = ledger.glob("*.jsonl")
    views = read_chain(file).credentials
    wrong = [f"{view.credential_uid} ended {view.verdict}" for view in views if not view.proven]
    if len(views) != steps:
        wrong.append(f"{len(views)} credentials on record, not {steps}")
    return wrong + [f"line {each.line}: {each.code}" for result in verify([file]) for each in result.findings]
