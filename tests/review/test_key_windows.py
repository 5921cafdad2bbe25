"""Versions of a key, each in its time: after a rotation the old ones still verify, and sign nothing new."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_samples import JOB
from signed_chains import CLOCK, Notary, found, live, review, write

from manual_clock import ManualClock
from stepcreds.clock import rfc3339
from stepcreds.devstack.stack import Stack
from stepcreds.ledger.view import epoch_of
from stepcreds.trust.keys import SKEW, Trust, TrustedKey
from stepcreds.trust.vault_keys import Asked, read_keys

NAME = "transit-windows/keys/stepcreds-123456"


@pytest.fixture(scope="module")
def notary(stack: Stack) -> Iterator[Notary]:
    with Notary(stack, NAME) as made:
        yield made


def keys(stack: Stack) -> list[TrustedKey]:
    with live(stack) as vault:
        found = read_keys(vault, stack.address, [Asked.parse(NAME.replace("123456", "{repository_id}"), "checkpoint")])
    return sorted(found.keys, key=lambda key: key.version)


def test_old_versions_verify_after_a_rotation(stack: Stack, notary: Notary, tmp_path: Path) -> None:
    write(tmp_path / "a", notary, stack.address, lives=1)
    before = Trust("", tuple(keys(stack)))
    notary.rotate()
    write(tmp_path / "b", notary, stack.address, JOB._replace(run_id="4712"), lives=1)
    first, second = keys(stack)[-2:]
    assert (first.not_after, second.not_after) == (second.not_before, None)
    assert (first.repository_id, second.repository_id) == ("123456", "123456")
    results = review(tmp_path, Trust("", (first, second)), require_signed=True)
    assert found(results) == []
    assert [result.signing.keys for result in results] == [(first.keyid,), (second.keyid,)]
    # The file of before the rotation: what is newer than it is not known, and what is older still verifies.
    assert found(review(tmp_path, before)) == [("trust", "unknown-key", 1, "unknown")]


def test_a_version_signs_nothing_outside_of_its_time(stack: Stack, notary: Notary, tmp_path: Path) -> None:
    """By the clock of the job: before the version was made, and after the next one was, with `SKEW` on both sides."""
    newest = keys(stack)[-1]
    made = epoch_of(newest.not_before)
    assert made is not None
    trusts = {
        "as it is": (newest, made - SKEW),
        "ended": (replace(newest, not_before=rfc3339(made - 7200), not_after=rfc3339(made)), made + SKEW),
    }
    for name, (key, edge) in trusts.items():
        out = 1 if name == "ended" else -1
        for number, (moment, expected) in enumerate(
            [
                (edge, []),
                (edge - out, []),
                (edge + out, [("trust", "window", 1, "unknown"), ("trust", "window", 2, "unknown")]),
            ]
        ):
            folder = tmp_path / name / str(number)
            write(folder, notary, stack.address, lives=1, clock=ManualClock(moment))
            results = review(folder, Trust("", (key,)))
            assert (name, number, found(results)) == (name, number, expected)
            assert results[0].signing.state == ("unsigned" if expected else "signed")
    (result,) = review(tmp_path / "ended" / "2", Trust("", (trusts["ended"][0],)))
    assert re.fullmatch(
        rf"signed by {NAME}:\d+ as of \S+Z, outside of its time, from \S+Z to \S+Z: a clock, or a key kept back",
        result.findings[0].meaning,
    )


def test_a_chain_that_nobody_signed_is_expected_to_be_signed_once_its_repository_has_a_key(
    stack: Stack, notary: Notary, tmp_path: Path
) -> None:
    """Whoever takes the checkpoints away can take the key's name out of the chain as well."""
    from ledger_samples import STEP, closed, issued, requested

    from stepcreds.config.model import LedgerSettings
    from stepcreds.ledger.journal import Journal

    newest = keys(stack)[-1]
    made = epoch_of(newest.not_before)
    assert made is not None
    for name, now, expected in (
        ("now", CLOCK.now(), [("checkpoint", "none", 1, "incomplete")]),
        ("before there was one", made - SKEW - 1, []),
    ):
        clock = ManualClock(now)
        journal = Journal.open(
            LedgerSettings(tmp_path / name, None), JOB, step_uid=STEP, claims={}, vault_addr=stack.address, clock=clock
        )
        for event in (requested(), issued(), closed()):
            journal.append(event)
        assert found(review(tmp_path / name, Trust("", (newest,)))) == expected
        assert found(review(tmp_path / name, Trust("", (replace(newest, repository_id="99"),)))) == []
        assert found(review(tmp_path / name, None)) == []
