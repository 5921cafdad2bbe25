"""Which of the files that say that they are one chain is sealed: anybody may add such, and nobody but a step signs one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from ledger_samples import relinked
from ledger_site import START, Scribe, Signer, job_of, write_job

from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.link import chain_uid, line_hash
from stepcreds.review.sources import local
from stepcreds.sealing.chains import look
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust

SIGNER = Signer("transit/keys/stepcreds-ledger-9000000")
TRUST = Trust("", (SIGNER.trusted("checkpoint", "9000000"),))


class Copies:
    """A folder of copies of one chain; `sizes` is how far each of its checkpoints goes."""

    def __init__(self, folder: Path) -> None:
        chance = random.Random(7)  # noqa: S311 - the same chain each time
        scribe = Scribe(job_of(0, 0, "deploy", 1.0), chance, SIGNER, START)
        list(write_job(scribe, 0, "proven", chance))
        (folder / "made").mkdir()
        made = scribe.save(folder / "made")
        self.folder, self.name = folder / "copies", made.name
        self.lines = made.read_bytes().splitlines(keepends=True)
        self.signed = checkpoint.beside(made).read_bytes().splitlines(keepends=True)
        self.sizes = [checkpoint.loads(dsse.loads(line[:-1]).payload).size for line in self.signed]

    def add(self, folder: str, lines: int, signed: int, *, other: int = 0, lie: bool = False) -> None:
        """The first `lines` with the checkpoints up to record `signed`; record `other` is another, and all after it.

        `lie`: a job of the same repository signs what it ends with.
        """
        path = self.folder / folder / self.name
        path.parent.mkdir(parents=True)
        data = self.lines[:lines]
        if other:
            records = [json.loads(line) for line in data]
            records[other - 1]["time"] = "2026-11-01T00:00:00.000Z"
            data = relinked(records).splitlines(keepends=True)
        path.write_bytes(b"".join(data))
        kept = [line for line, size in zip(self.signed, self.sizes, strict=True) if size <= signed]
        if lie:
            honest = checkpoint.loads(dsse.loads(self.signed[-1][:-1]).payload)
            said = honest._replace(size=lines, head=line_hash(data[-1][:-1]))
            kept.append(SIGNER.envelope(checkpoint.PAYLOAD_TYPE, checkpoint.dumps(said)) + b"\n")
        checkpoint.beside(path).write_bytes(b"".join(kept))

    def sealed(self, trust: Trust | None = TRUST) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
        """(folder, records) of what is sealed, and (folder, code) of what is not."""
        seen = look(local(sorted(self.folder.rglob("*.jsonl"))), Log("", checked=True), trust)
        good = [(each.source.path.parent.name, each.leaf.size) for each in seen if not each.wrong]
        return good, [(each.source.path.parent.name, each.wrong[0].code) for each in seen if each.wrong]


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies(tmp_path)


@pytest.mark.parametrize("name", ["a", "z"])
def test_an_older_state_that_is_signed_to_its_end(copies: Copies, name: str) -> None:
    """The end of the honest one was never signed: Vault was away, or the runner was lost."""
    first = copies.sizes[0]
    copies.add("honest", 7, 6)
    copies.add(name, first, first)
    assert copies.sealed() == ([("honest", 7)], [])


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_fork_before_the_last_signature(copies: Copies, name: str) -> None:
    first = copies.sizes[0]
    copies.add("honest", 7, 6)
    copies.add(name, len(copies.lines), first, other=first + 1)
    assert copies.sealed() == ([("honest", 7)], [(name, "fork")])


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_fork_behind_the_last_signature(copies: Copies, name: str) -> None:
    first, last = copies.sizes[0], len(copies.lines)
    copies.add("honest", last, first)
    copies.add(name, last, first, other=first + 1)
    assert copies.sealed() == ([], sorted([("honest", "fork"), (name, "fork")]))
    copies.add("0-older", first, 0)  # each goes on from this, and they contradict each other all the same
    assert copies.sealed() == ([], sorted([("honest", "fork"), (name, "fork")]))


def test_a_copy_that_somebody_went_on_with(copies: Copies) -> None:
    """What is sealed too much would be held against the chain when it goes on."""
    first = copies.sizes[0]
    copies.add("honest", first, first)
    copies.add("a", len(copies.lines) - 1, first, other=first + 1)
    assert copies.sealed() == ([("honest", first)], [("a", "tail")])


def test_of_what_nobody_signed_the_longest(copies: Copies) -> None:
    copies.add("honest", len(copies.lines), 0)
    copies.add("a", 2, 0)
    assert copies.sealed() == ([("honest", len(copies.lines))], [])
    assert copies.sealed(None) == ([("honest", len(copies.lines))], [])


def test_a_fork_that_a_job_of_the_repository_signed_further(copies: Copies) -> None:
    copies.add("honest", 7, 6)
    copies.add("a", 7, 3, other=4, lie=True)
    assert copies.sealed() == ([], [("a", "fork"), ("honest", "fork")])


def test_a_next_chain_that_somebody_made_does_not_keep_an_open_one_from_being_sealed(copies: Copies) -> None:
    copies.add("honest", 4, 4)
    opened = json.loads(copies.lines[0])
    opened["nonce"] = "0" * len(opened["nonce"])
    identity = {name: opened["job"][name] for name in ("iss", "repository_id", "run_id", "run_attempt", "job")}
    opened["chain_uid"] = chain_uid(identity, opened["nonce"])
    second = copies.folder / "honest" / copies.name.replace(".jsonl", ".2.jsonl")
    second.write_bytes(relinked([opened]))
    good, refused = copies.sealed()
    assert (sorted(good), refused) == ([("honest", 1), ("honest", 4)], [])
