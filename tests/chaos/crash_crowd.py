"""Many steps that begin at once, on one OpenBao and one PostgreSQL: what each came to, and what is left of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from crash_step import PATIENCE, Started
from hvac.exceptions import Forbidden, InvalidPath

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

CREDS = "database/creds/app-verify"
# Hundreds of starting Pythons leave the servers little of a small machine: their answers take longer than the 30 s after
# which a step asks once more, which would be yet more to do.
TIMEOUT = "300s"
QUEUE = 60.0  # seconds


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
    tokens = _accessors(stack)
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
    """What of it lives when the last step has ended; `tokens` were there before.

    A token that was given back is good for nothing from then on, and OpenBao still finds it until its queue of ended
    leases has come to it: that is waited for.
    """
    assert _alive(stack, tokens), "the token of whoever asks is alive"
    queued = time.monotonic() + QUEUE
    while _alive(stack, _accessors(stack) - tokens) and time.monotonic() < queued:
        time.sleep(1)
    sessions = stack.sql("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'v-%-app-verify-%'")[0][0]
    left = {
        "leases": stack.leases(CREDS),
        "users": [user for user in stack.issued_roles() if "-app-verify-" in user],
        "sessions": [sessions] if sessions else [],
        "tokens": _alive(stack, _accessors(stack) - tokens),
    }
    return [f"{what} are left: {which}" for what, which in left.items() if which]


def _accessors(stack: Stack) -> set[str]:
    """All that OpenBao lists, which after hundreds of ends at once has those of tokens in it that are no more."""
    with stack.client() as client:
        return set(client.list("auth/token/accessors")["data"]["keys"])


def _alive(stack: Stack, accessors: Collection[str]) -> list[str]:
    """Those that stand for a token; of a token that is no more OpenBao says "permission denied" to its root."""
    found = []
    with stack.client() as client:
        for accessor in sorted(accessors):
            with suppress(Forbidden, InvalidPath):
                client.auth.token.lookup_accessor(accessor)
                found.append(accessor)
    return found


def _on_record(ledger: Path, steps: int) -> list[str]:
    (file,) = ledger.glob("*.jsonl")
    views = read_chain(file).credentials
    # On a busy machine OpenBao gives an issue up ("timed out generating string", of a password): the step then revokes the
    # token that asked, and with it whatever was made, and asks once more.
    proven = [view for view in views if view.proven]
    wrong = [f"{view.credential_uid} ended {view.verdict}" for view in views if not (view.proven or _died_with(view))]
    if len(proven) != steps:
        wrong.append(f"{len(proven)} credentials proven dead, not {steps}")
    return wrong + [f"line {each.line}: {each.code}" for result in verify(local([file])) for each in result.findings]


def _died_with(view: CredentialView) -> bool:
    """Whether it ended with the token that asked for it."""
    return (text_of(view.closed, "revoke", "method"), text_of(view.closed, "revoke", "status")) == ("token", "revoked")
