"""Many steps that begin at once, on one OpenBao and one PostgreSQL: what each came to, and what is left of all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crash_step import PATIENCE, Started

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.reading import read_chain
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

CREDS = "database/creds/app-verify"
# Hundreds of starting Pythons leave the servers little of a small machine: their answers take longer than the 30 s after
# which a step asks once more, which would be yet more to do.
TIMEOUT = "300s"
QUEUE = 20.0  # seconds


class Crowd(NamedTuple):
    seconds: list[float]  # that each step took, in ascending order
    wrong: list[str]  # everything that should not be

    def quantile(self, percent: int) -> float:
        return self.seconds[min(len(self.seconds) - 1, len(self.seconds) * percent // 100)]

    def __str__(self) -> str:
        return ", ".join(f"p{percent} {self.quantile(percent):.1f} s" for percent in (50, 95, 99))


def crowd(stack: Stack, folder: Path, steps: int, told: Callable[[int], object] = lambda done: None) -> Crowd:
    """`steps` steps of one job. One takes 25 MB of memory while it runs, and three connections to the database at most
    one after the other; `stack` has to have as many connections as there are steps, and some.

    `told` hears how many have ended.
    """
    (folder / "stepcreds.yml").write_text(stack.config_text(folder / ".stepcreds"))
    tokens = _tokens(stack)
    variables = {**stack.environment(), "VAULT_CLIENT_TIMEOUT": TIMEOUT}

    # Not a thread for each: they would keep the issuer, which is one of this process's, from answering.
    began, started = time.monotonic(), []
    for number in range(steps):
        step = Started("verify", "true", folder=folder, variables=variables, said=folder / f"step-{number}")
        started.append((step, time.monotonic()))
    ends: dict[int, float] = {}
    while len(ends) < steps and time.monotonic() < began + PATIENCE:
        time.sleep(0.05)
        for number, (step, start) in enumerate(started):
            if number not in ends and step.process.poll() is not None:
                ends[number] = time.monotonic() - start
        told(len(ends))
    wrong = [f"step {number} {what}" for number, (step, _) in enumerate(started) if (what := step.wrong(0.0))]
    seconds = sorted(ends.values())
    return Crowd(seconds, wrong + _left(stack, tokens) + _on_record(folder / ".stepcreds", steps))


def _left(stack: Stack, tokens: set[str]) -> list[str]:
    """Credentials are ended when the last step is, so they are not waited for. A token that OpenBao has revoked is not
    good for anything either, and stays in its list until its queue of ended leases has come to it."""
    queued = time.monotonic() + QUEUE
    while _tokens(stack) - tokens and time.monotonic() < queued:
        time.sleep(0.1)
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
    return wrong + [f"line {each.line}: {each.code}" for result in verify(local([file])) for each in result.findings]
