"""From when until when a credential lived, and during which other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepcreds.clock import rfc3339
from stepcreds.ledger.view import CredentialView
from stepcreds.review.lifetimes import Lifetime, lifetime, overlaps

NOW = 1_795_336_000.0


def view(
    uid: str,
    issue: float,
    *,
    command: tuple[float, float] | None = None,
    proof: float | None = None,
    verdict: str = "proven dead",
    revoked: float | None = None,
    expiry: float = 120,
    step: str = "",
) -> CredentialView:
    def time(after: float | None) -> str | None:
        return None if after is None else rfc3339(NOW + after)

    first, last = command or (None, None)
    closed: dict[str, Any] = {
        "step": {"name": uid, "start": time(first), "end": time(last)},
        "revoke": {"time": time(revoked)},
        "verified": {"time": time(proof)},
        "verdict": verdict,
    }
    requested: dict[str, Any] = {"step_uid": step or uid}
    issued: dict[str, Any] = {"issue_time": time(issue), "expire_time": time(expiry)}
    return CredentialView(Path(), {}, uid, requested, issued, (closed,))


def told(*views: CredentialView) -> list[tuple[str, str, float, float | None, bool]]:
    return [
        (
            each.credential.credential_uid,
            each.other.credential_uid,
            each.start - NOW,
            None if each.end is None else each.end - NOW,
            each.certain,
        )
        for each in overlaps(views)
    ]


@pytest.mark.parametrize(
    ("credential", "end"),
    [
        (view("a", 0, command=(1, 5), proof=6), 6),
        (view("a", 0, command=(1, 5), verdict="revoked, not proven", revoked=6), 120),
        # A command that ran for longer than its credential was issued for: it was renewed, and nobody knows until when.
        (view("a", 0, command=(1, 500), verdict="revoked, not proven", revoked=501), None),
        (view("a", 0, command=(1, 500), verdict=f"expires at {rfc3339(NOW + 600)}"), 600),
    ],
)
def test_what_is_not_proven_dead_lives_to_the_last_expiry_on_record(
    credential: CredentialView, end: float | None
) -> None:
    proven = credential.proven
    assert lifetime(credential) == Lifetime(NOW, None if end is None else NOW + end, proven)


def test_a_credential_that_lived_into_the_next_command_overlaps_it() -> None:
    early = view("early", 0, command=(1, 5), proof=8)
    late = view("late", 6, command=(7, 10), proof=11)
    after = view("after", 11, command=(12, 13), proof=14)
    assert told(early, late, after) == [("early", "late", 7, 8, True)]


def test_what_is_not_proven_dead_may_have_lived_into_every_later_command_until_its_expiry() -> None:
    early = view("early", 0, command=(1, 5), verdict="revoked, not proven", revoked=6)
    late = view("late", 6, command=(7, 10), proof=11)
    last = view("last", 119, command=(119, 125), proof=126)
    beyond = view("beyond", 130, command=(130, 140), proof=141)
    assert told(early, late, last, beyond) == [
        ("early", "late", 7, 10, False),
        ("early", "last", 119, 120, False),
    ]


def test_two_credentials_of_one_step_do_not_overlap() -> None:
    assert told(view("a", 0, command=(1, 5), proof=6, step="s"), view("b", 0, command=(1, 5), proof=6, step="s")) == []


def test_steps_side_by_side_overlap_each_other_and_a_long_one_all_that_began_in_it() -> None:
    long = view("long", 0, command=(1, 100), proof=101)
    short = [view(f"short{n}", 10 * n, command=(10 * n + 1, 10 * n + 5), proof=10 * n + 6) for n in range(1, 4)]
    assert told(*short, long) == [
        *((f"short{n}", "long", 10 * n, 10 * n + 6, True) for n in range(1, 4)),
        *(("long", f"short{n}", 10 * n + 1, 10 * n + 5, True) for n in range(1, 4)),
    ]
