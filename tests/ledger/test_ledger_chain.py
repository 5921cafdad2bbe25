"""What is done to a ledger, and which check finds it: each case is a real ledger, changed the way somebody would."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_samples import (
    FAILED,
    NOT_ISSUED,
    STEP,
    UIDS,
    UNPROVEN,
    closed,
    issued,
    open_journal,
    records,
    relinked,
    requested,
    write_ledger,
)

from stepcreds.ledger import credential
from stepcreds.ledger.canonical import fitted
from stepcreds.ledger.chain import Certainty, Chain, Finding, Layer, check
from stepcreds.ledger.link import MAX_LINE, ZERO, line_hash
from stepcreds.ledger.reading import stored_lines
from stepcreds.model import Ending, Revocation
from stepcreds.review.sources import local
from stepcreds.review.verification import MAX_FINDINGS, verify

Record = dict[str, Any]

NOT_CANONICAL = (
    "not a line that stepcreds writes: not canonical JSON: white space, the order of keys, or a key that comes twice"
)
PREV = "prev is not the hash of the line before: that line was changed, or lines removed, added or moved"
UNCLOSED = "a credential was issued, and no record says how it ended"
NOT_PROVEN = "a credential was ended without a proof that it is dead"
REQUESTED = "a credential was requested and may exist, and no record says how it ended"
TORN = "the last line has no end: its writer was killed, or is writing now"


def seq_should_be(seq: int) -> str:
    return f"the record with seq {seq} belongs here: records were removed, added, repeated or moved"


def found(data: bytes) -> list[Finding]:
    return list(check(io.BytesIO(data), "x.jsonl"))


def finding(layer: Layer, code: str, line: int, meaning: str, certainty: Certainty = "tampered") -> Finding:
    return Finding(layer, "x.jsonl", line, code, meaning, certainty)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Lines: 1 opened; 2-4, 5-7, 8-10 requested, issued, closed; 11 chain.closed."""
    return write_ledger(tmp_path / "ledger")


def test_a_clean_ledger_has_no_findings(ledger: Path) -> None:
    chain = Chain(str(ledger))
    assert list(chain.check(stored_lines(ledger))) == []
    lines = ledger.read_bytes().splitlines()
    assert (chain.entries, chain.head, chain.closed) == (11, line_hash(lines[-1]), True)
    assert chain.uid == json.loads(lines[0])["chain_uid"]


def test_a_chain_that_is_not_closed_is_only_open(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger", close=False)
    chain = Chain(str(path))
    assert list(chain.check(stored_lines(path))) == []
    assert (chain.entries, chain.closed) == (10, False)


def test_the_relinked_ledger_is_the_ledger(ledger: Path) -> None:
    """The control of every case below that relinks: a forger's tools change nothing by themselves."""
    assert relinked(records(ledger)) == ledger.read_bytes()


# What is done to the lines, and every finding it gives.
Lines = list[bytes]
LINE_CASES: dict[str, tuple[Callable[[Lines], Lines], list[Finding]]] = {
    "a value is edited": (
        lambda lines: [*lines[:3], lines[3].replace(b'"exit_code":0', b'"exit_code":1'), *lines[4:]],
        [finding("chain", "prev", 5, PREV)],
    ),
    "a verdict is edited": (
        lambda lines: [*lines[:3], lines[3].replace(b"proven dead", b"not issued"), *lines[4:]],
        [
            finding("record", "verdict", 4, "the verdict 'not issued' contradicts what the record says was done"),
            finding("chain", "prev", 5, PREV),
        ],
    ),
    "two lines change places": (
        lambda lines: [*lines[:4], lines[7], *lines[5:7], lines[4], *lines[8:]],
        [
            finding("chain", "seq", 5, seq_should_be(4)),
            finding("chain", "prev", 5, PREV),
            finding("chain", "seq", 6, seq_should_be(8)),
            finding("chain", "prev", 6, PREV),
            finding("order", "issued-unrequested", 6, "issued without a request on record, or twice"),
            finding("chain", "seq", 8, seq_should_be(7)),
            finding("chain", "prev", 8, PREV),
            finding("chain", "seq", 9, seq_should_be(5)),
            finding("chain", "prev", 9, PREV),
            finding("order", "unclosed", 8, REQUESTED, "incomplete"),
        ],
    ),
    "a line is repeated": (
        lambda lines: [*lines[:6], lines[5], *lines[6:]],
        [
            finding("chain", "seq", 7, seq_should_be(6)),
            finding("chain", "prev", 7, PREV),
            finding("order", "issued-unrequested", 7, "issued without a request on record, or twice"),
            finding("order", "entries", 12, "11 records when the chain was closed, 12 now"),
        ],
    ),
    "a key is given twice": (
        lambda lines: [*lines[:3], lines[3].replace(b'"exit_code":0', b'"exit_code":1,"exit_code":0'), *lines[4:]],
        [
            finding("line", "not-canonical", 4, NOT_CANONICAL),
            finding("chain", "prev", 5, PREV),
            finding("order", "unclosed", 3, UNCLOSED, "incomplete"),
        ],
    ),
    "white space is put in": (
        lambda lines: [*lines[:1], lines[1].replace(b",", b", ", 1), *lines[2:]],
        [
            finding("line", "not-canonical", 2, NOT_CANONICAL),
            finding("chain", "prev", 3, PREV),
            finding("order", "issued-unrequested", 3, "issued without a request on record, or twice"),
        ],
    ),
    "white space is put into the first line": (
        lambda lines: [lines[0].replace(b",", b", ", 1), *lines[1:]],
        [finding("line", "not-canonical", 1, NOT_CANONICAL), finding("chain", "prev", 2, PREV)],
    ),
    "the ends of lines become those of Windows": (
        lambda lines: [*lines[:9], lines[9].replace(b"\n", b"\r\n"), *lines[10:]],
        [
            finding("line", "not-canonical", 10, NOT_CANONICAL),
            finding("chain", "prev", 11, PREV),
            finding("order", "unclosed", 9, UNCLOSED, "incomplete"),
        ],
    ),
    "a line becomes something else": (
        lambda lines: [*lines[:10], b"[]\n"],
        [finding("line", "not-canonical", 11, "not a line that stepcreds writes: not an object")],
    ),
    "a line from the middle is dropped": (
        lambda lines: [*lines[:9], *lines[10:]],
        [
            finding("chain", "seq", 10, seq_should_be(9)),
            finding("chain", "prev", 10, PREV),
            finding("order", "entries", 10, "11 records when the chain was closed, 10 now"),
            finding("order", "unclosed", 9, UNCLOSED, "incomplete"),
        ],
    ),
    "the beginning is cut": (
        lambda lines: lines[1:],
        [
            finding("chain", "seq", 1, seq_should_be(0)),
            finding("chain", "prev", 1, PREV),
            finding("order", "opened", 1, "the first record is not chain.opened"),
            finding("order", "entries", 10, "11 records when the chain was closed, 10 now"),
        ],
    ),
    "the tail is cut within a life": (
        lambda lines: lines[:6],
        [finding("order", "unclosed", 6, UNCLOSED, "incomplete")],
    ),
    "the tail is cut before anything was issued": (
        lambda lines: lines[:5],
        [finding("order", "unclosed", 5, REQUESTED, "incomplete")],
    ),
    "the last line is torn": (
        lambda lines: [*lines[:10], lines[10][:-1]],
        [finding("file", "torn", 11, TORN, "incomplete")],
    ),
    "everything is cut": (
        lambda lines: [],
        [finding("file", "empty", 0, "the file is empty: nothing was written, or all of it was cut", "incomplete")],
    ),
    "a line grows beyond every record": (
        lambda lines: [*lines[:10], b" " * (MAX_LINE + 2), b"\n"],
        [finding("line", "too-long", 11, f"a line of more than {MAX_LINE} bytes; nothing after it was read")],
    ),
}


@pytest.mark.parametrize("name", LINE_CASES)
def test_lines_that_were_changed(name: str, ledger: Path) -> None:
    change, expected = LINE_CASES[name]
    lines = ledger.read_bytes().splitlines(keepends=True)
    changed = change(lines)
    assert changed != lines
    assert list(check(changed, "x.jsonl")) == expected


def edited(entry: Record, **changes: object) -> Record:
    return {**entry, **changes}


# The same by somebody who knows how lines are linked, and links them anew: what is left is what records say.
Records = list[Record]
RELINKED_CASES: dict[str, tuple[Callable[[Records], Records], bool, list[Finding]]] = {
    "a request is dropped": (
        lambda entries: [*entries[:4], *entries[5:]],
        True,
        [finding("order", "issued-unrequested", 5, "issued without a request on record, or twice")],
    ),
    "a request and its issue are dropped": (
        lambda entries: [*entries[:4], *entries[6:]],
        True,
        [finding("order", "closed-unrequested", 5, "closed without a request on record, or twice", "unknown")],
    ),
    "an end is dropped": (
        lambda entries: [*entries[:3], *entries[4:]],
        True,
        [finding("order", "unclosed", 3, UNCLOSED, "incomplete")],
    ),
    "a life is dropped, and the count forgotten": (
        lambda entries: [*entries[:4], *entries[7:]],
        False,
        [finding("order", "entries", 8, "11 records when the chain was closed, 8 now")],
    ),
    "a request is repeated": (
        lambda entries: [*entries[:3], entries[1], *entries[3:]],
        True,
        [
            finding("order", "requested-twice", 4, "the credential was requested before", "tampered"),
        ],
    ),
    "another chain's record is put in": (
        lambda entries: [*entries[:3], edited(entries[3], chain_uid="f" * 64), *entries[4:]],
        True,
        [finding("chain", "chain-uid", 4, "the record belongs to another chain")],
    ),
    "the chain becomes another job's": (
        lambda entries: [edited(entries[0], job={**entries[0]["job"], "repository_id": "99"}), *entries[1:]],
        True,
        [finding("chain", "chain-uid", 1, "chain_uid does not follow from the job and the nonce")],
    ),
    "a second beginning": (
        lambda entries: [entries[0], *entries],
        True,
        [finding("order", "opened", 2, "a second chain.opened")],
    ),
    "something comes after the end": (
        lambda entries: [*entries, edited(entries[1], credential_uid=UIDS[9])],
        True,
        [
            finding("order", "after-closed", 12, "a record after the chain was closed"),
            finding("order", "unclosed", 12, REQUESTED, "incomplete"),
        ],
    ),
    "an expiry is made a proof": (
        lambda entries: [
            *entries[:3],
            edited(entries[3], verified={**entries[3]["verified"], "time": None}),
            *entries[4:],
        ],
        True,
        [
            finding("record", "verdict", 4, "the verdict 'proven dead' contradicts what the record says was done"),
            finding("order", "unproven", 4, NOT_PROVEN, "unknown"),
        ],
    ),
    "an issued credential is said not to have been": (
        lambda entries: [
            *entries[:3],
            edited(entries[3], verdict="not issued", revoke={"time": None, "method": "none", "status": "not_issued"}),
            *entries[4:],
        ],
        True,
        [finding("record", "verdict", 4, "the verdict 'not issued' contradicts what the record says was done")],
    ),
    "a field is taken away": (
        lambda entries: [*entries[:3], {k: v for k, v in entries[3].items() if k != "verified"}, *entries[4:]],
        True,
        [
            finding("record", "field", 4, "the field verified is missing or cannot be what it says", "unknown"),
            finding("order", "unclosed", 3, UNCLOSED, "incomplete"),
        ],
    ),
    "a kind that this version does not know": (
        lambda entries: [*entries[:4], edited(entries[3], kind="credential.admired"), *entries[4:]],
        True,
        [finding("record", "kind", 5, "a kind of record that this version does not know", "unknown")],
    ),
    "another schema": (
        lambda entries: [*entries[:10], edited(entries[10], schema="stepcreds.ledger/2")],
        True,
        [finding("record", "field", 11, "the field schema is missing or cannot be what it says", "unknown")],
    ),
}


@pytest.mark.parametrize("name", RELINKED_CASES)
def test_records_that_were_changed_and_linked_anew(name: str, ledger: Path) -> None:
    change, recount, expected = RELINKED_CASES[name]
    assert found(relinked(change(records(ledger)), recount=recount)) == expected


@pytest.mark.parametrize("uid", ["", "x" * 200_000, "F" * 64, "f" * 63, "f" * 64 + "\n", 1, None, ["f" * 64]])
def test_a_name_of_a_chain_that_is_no_hash_is_never_handed_on(uid: object, ledger: Path) -> None:
    """Seals and reports repeat a chain's name: it is 64 characters, or there is none."""
    entries = [edited(entry, chain_uid=uid) for entry in records(ledger)[:3]]
    chain = Chain("x.jsonl")
    findings = list(chain.check(io.BytesIO(relinked(entries))))
    assert chain.uid == ""
    meaning = "chain_uid is not a hash, and stepcreds writes no other"
    assert [each for each in findings if each.layer == "chain"] == [
        finding("chain", "chain-uid", line, meaning) for line in (1, 2, 3)
    ]
    assert max(len(each.meaning) for each in findings) < 200


def test_a_step_that_another_step_ended_still_says_what_it_left(tmp_path: Path) -> None:
    """As the worker of a front that is gone writes it: its end is on record already, and it has no proof to add."""
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed()):
        journal.append(event)
    left = credential.left(STEP, UIDS[0], "migrate", [], "the database did not answer")
    journal.append_end(closed(), [left])
    assert [each["kind"] for each in records(journal.path)][-2:] == ["credential.closed", "credential.left"]
    assert found(journal.path.read_bytes()) == []


# What the chain alone cannot see: docs/ledger.md says so, and signed checkpoints are to change it.
UNSEEN: dict[str, Callable[[Records], Records]] = {
    "a value is edited, and the chain linked anew": lambda entries: [
        *entries[:2],
        edited(entries[2], db_user="v-somebody-else"),
        *entries[3:],
    ],
    "a whole life is dropped, and the chain linked anew": lambda entries: [*entries[:4], *entries[7:]],
    "the tail is cut after a whole life": lambda entries: entries[:7],
    "the last record is edited": lambda entries: [*entries[:10], edited(entries[10], time="2020-01-01T00:00:00.000Z")],
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_an_unsigned_chain_does_not_show(name: str, ledger: Path) -> None:
    changed = UNSEEN[name](records(ledger))
    assert changed != records(ledger)
    assert found(relinked(changed)) == []


@pytest.mark.parametrize("ending", [UNPROVEN, FAILED])
def test_an_end_without_a_proof(ending: Ending, tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed(ending=ending)):
        journal.append(event)
    assert found(journal.path.read_bytes()) == [finding("order", "unproven", 4, NOT_PROVEN, "unknown")]


def test_what_cannot_be_revoked_was_accepted_in_words(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    ending = FAILED._replace(revocation=Revocation("none", "impossible", None))
    for event in (requested(), issued(), closed(ending=ending)):
        journal.append(event)
    assert found(journal.path.read_bytes()) == []


def test_what_was_closed_without_a_proof_may_be_closed_again_until_it_is_proven(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed(ending=FAILED), closed(ending=UNPROVEN), closed()):
        journal.append(event)
    assert found(journal.path.read_bytes()) == []
    journal.append(closed())
    twice = finding("order", "closed-unrequested", 7, "closed without a request on record, or twice", "unknown")
    assert found(journal.path.read_bytes()) == [twice]


def test_a_refused_login_and_a_refused_issue_are_no_findings(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    journal.append(closed(UIDS[0], NOT_ISSUED, None))
    journal.append(requested(UIDS[1]))
    journal.append(closed(UIDS[1], NOT_ISSUED, None))
    journal.close(STEP)
    assert found(journal.path.read_bytes()) == []


def test_two_credentials_of_one_step_may_overlap(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (
        requested(UIDS[0]),
        requested(UIDS[1]),
        issued(UIDS[1]),
        issued(UIDS[0]),
        closed(UIDS[0]),
        closed(UIDS[1]),
    ):
        journal.append(event)
    assert found(journal.path.read_bytes()) == []


def test_memory_holds_only_what_is_not_closed(ledger: Path) -> None:
    chain = Chain("x.jsonl")
    assert list(chain.check(stored_lines(ledger))) == []
    assert (chain._alive, chain._found) == ({}, [])


def test_two_files_of_one_chain(tmp_path: Path) -> None:
    path = write_ledger(tmp_path / "ledger")
    data = path.read_bytes()
    copy, older, fork = tmp_path / "copy.jsonl", tmp_path / "older.jsonl", tmp_path / "fork.jsonl"
    copy.write_bytes(data)
    older.write_bytes(b"".join(data.splitlines(keepends=True)[:7]))
    fork.write_bytes(relinked([*records(path)[:10], edited(records(path)[10], time="2026-11-22T09:00:00.000Z")]))
    first, *others = verify(local([path, copy, older, fork]))
    assert first.findings == ()
    assert [result.findings for result in others] == [
        (Finding("folder", str(copy), 0, "same-chain", f"the same chain as in {path}: a copy", "unknown"),),
        (
            Finding(
                "folder",
                str(older),
                0,
                "older-state",
                f"an older state of the chain in {path}, by 4 records: a copy, or one that was put back",
                "unknown",
            ),
        ),
        (
            Finding(
                "folder", str(fork), 0, "fork", f"the same chain as in {path}, with other records: a fork", "tampered"
            ),
        ),
    ]


def test_a_file_of_garbage_is_not_listed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"garbage\n" * 10_000)
    (result,) = verify(local([path]))
    assert len(result.findings) == MAX_FINDINGS + 1
    last = f"{MAX_FINDINGS} findings; the rest of the file was not checked"
    assert result.findings[-1] == Finding("file", str(path), 0, "more", last, "unknown")
    assert result.findings[0] == Finding(
        "line", str(path), 1, "not-canonical", "not a line that stepcreds writes: not JSON", "tampered"
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**60)
    | st.floats()
    | st.text()
    | st.sampled_from([ZERO, STEP, "never"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return records(write_ledger(tmp_path_factory.mktemp("shared") / "ledger"))


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 30), json_values), min_size=1, max_size=6))
def test_no_field_whatever_it_holds_stops_the_check(
    changes: list[tuple[int, int, object]], lives: list[Record]
) -> None:
    """Any field of any record holds anything, linked anew: the check reaches the end, and its words can be printed."""
    entries = [dict(entry) for entry in lives]
    for index, field, value in changes:
        name = sorted(entries[index])[field % len(entries[index])]
        entries[index][name] = fitted(value)
    for result in found(relinked(entries)):
        assert re.fullmatch(r"[ -~]+", result.meaning)


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"{}\n", b"\n", b"null\n", b'{"seq":0}\n', b"[" * 5000 + b"\n"]))
)
def test_no_bytes_whatever_stop_the_check(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    results = found(data)
    assert results != []
    assert {result.layer for result in results} <= {"file", "line", "chain", "record", "order"}
