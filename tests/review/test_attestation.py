"""Checkpoints in the order in which steps that run side by side write them; files that are made to be read for ever."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from ledger_samples import UIDS, leaked, open_journal, records
from ledger_site import CHANGE, Life, Scribe, Signer, job_of, profiles, proven, refused
from signed_chains import found, live, review

from signatures import KEY
from stepcreds.cli.ledger_findings import fails
from stepcreds.cli.ledger_text import cells
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, credential
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.link import line_hash
from stepcreds.model import Leak
from stepcreds.review.attestation import WINDOW
from stepcreds.review.demand import MOST
from stepcreds.review.dossier import read
from stepcreds.review.selection import is_signed
from stepcreds.review.sources import local
from stepcreds.trust.file import dumps
from stepcreds.trust.keys import Trust
from stepcreds.trust.vault_keys import Asked, read_keys

NAME = "transit/keys/stepcreds-ledger-9000000"


class Job:
    """A chain in memory, and a key that is made here: the order of things is what these tests are about."""

    def __init__(self) -> None:
        self.signer = Signer(NAME)
        self.trust = Trust("", (self.signer.trusted("checkpoint", "9000000"),))
        self.chance = random.Random(1)  # noqa: S311 - the same chain each time
        self.scribe = Scribe(job_of(0, 0, "deploy", 0.0), self.chance, self.signer, 1_793_000_000.0)

    def life(self) -> Life:
        return Life(self.scribe, profiles(0)["migrate"], "migrate", self.chance)


def test_steps_that_run_side_by_side_are_signed_side_by_side(stack: Stack, signed: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "exec", "verify", "--", "sleep", "0.2"],
            cwd=signed.parent,
            env=stack.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    steps = [start() for _ in range(8)]
    for step in steps:
        said = step.communicate(timeout=120)[1]
        assert step.returncode == 0, said
    with live(stack) as vault:
        trust = Trust("", read_keys(vault, stack.address, [Asked.parse(KEY, "checkpoint")]).keys)
    (result,) = review(signed.parent / ".stepcreds", trust, require_signed=True)
    assert found([result]) == []
    assert (result.entries, result.signing.state, result.signing.checkpoints) == (25, "signed", 16)


@pytest.mark.parametrize("seed", range(20))
def test_lives_interleaved_in_any_order_are_no_finding(seed: int, tmp_path: Path) -> None:
    """Each step signs its own records, and the checkpoints come in any order near that of the records."""
    job = Job()
    chance = random.Random(seed)  # noqa: S311 - the same order for the same seed
    waiting: list[list[str]] = [["request", "issue", "end"] for _ in range(12)]
    lives = [job.life() for _ in waiting]
    while any(waiting):
        number = chance.choice(
            [index for index, steps in enumerate(waiting[:8] if any(waiting[:8]) else waiting) if steps]
        )
        action = waiting[number].pop(0)
        if action == "end":
            lives[number].end(proven)
        else:
            getattr(lives[number], action)()
    for index in range(len(job.scribe.envelopes) - 3):
        part = job.scribe.envelopes[index : index + 3]
        chance.shuffle(part)
        job.scribe.envelopes[index : index + 3] = part
    job.scribe.close()
    job.scribe.save(tmp_path)
    (result,) = review(tmp_path, job.trust, require_signed=True)
    assert (found([result]), result.signing.state) == ([], "signed")


def test_a_checkpoint_that_stands_far_too_late(tmp_path: Path) -> None:
    """It is not compared, because nothing as far back is kept; that it stands there is what somebody did."""
    journal = open_journal(tmp_path / "a")
    journal.append(leaked(UIDS[0]))
    first, second = records(journal.path)
    lines = [canonical(first)]
    for seq in range(1, WINDOW + 3):
        lines.append(canonical({**second, "seq": seq, "prev": line_hash(lines[-1])}))
    journal.path.write_bytes(b"".join(line + b"\n" for line in lines))
    told = {name: first["job"][name] for name in ("repository_id", "run_id", "run_attempt")}
    signer = Signer(NAME)

    def of(size: int) -> bytes:
        said = checkpoint.Checkpoint(
            first["chain_uid"], **told, size=size, head=line_hash(lines[size - 1]), time=first["time"]
        )
        return signer.envelope(checkpoint.PAYLOAD_TYPE, checkpoint.dumps(said)) + b"\n"

    trust = Trust("", (signer.trusted("checkpoint"),))
    for early, expected in ((4, []), (3, [("checkpoint", "late", 2, "tampered")])):
        checkpoint.beside(journal.path).write_bytes(of(len(lines)) + of(early))
        results = review(tmp_path / "a", trust)
        assert [each for each in found(results) if each[1] != "vault"] == expected


def test_records_that_nobody_signed_are_counted_and_not_kept(tmp_path: Path) -> None:
    job = Job()
    for number in range(MOST + 200):
        life = job.life()
        life.request()
        life.issue()
        life.end(proven)
        if number:
            del job.scribe.envelopes[-2:]
    last = job.life()
    last.request()
    last.issue()
    job.scribe.save(tmp_path)
    (result,) = review(tmp_path, job.trust)
    assert len(result.findings) == 102
    # Nobody knows what the rest would have shown.
    assert [each.code for each in result.findings if fails(each, "tampered")] == ["more"]
    assert {(each.layer, each.code) for each in result.findings} == {
        ("order", "unclosed"),
        ("checkpoint", "missing"),
        ("file", "more"),
    }


def test_what_stands_in_the_place_of_checkpoints(tmp_path: Path) -> None:
    """A folder, a FIFO, a link to what never ends, a file of holes: none of them is waited for."""
    job = Job()
    life = job.life()
    life.request()
    life.issue()
    life.end(proven)
    path = job.scribe.save(tmp_path)
    beside = checkpoint.beside(path)
    beside.unlink()
    beside.mkdir()
    assert found(review(tmp_path, job.trust)) == [("checkpoint", "unreadable", 0, "unknown")]
    beside.rmdir()
    os.mkfifo(beside)
    assert found(review(tmp_path, job.trust)) == [("checkpoint", "none", 1, "incomplete")]
    beside.unlink()
    beside.symlink_to("/dev/zero")
    assert found(review(tmp_path, job.trust)) == [("checkpoint", "none", 1, "incomplete")]
    beside.unlink()
    with beside.open("wb") as file:
        file.truncate(1 << 40)
    assert found(review(tmp_path, job.trust)) == [("checkpoint", "too-long", 1, "tampered")]


def work_for_a_while(folder: Path) -> list[str]:
    """The command that verifies enough ledgers for several processes."""
    job = Job()
    for _ in range(1000):
        life = job.life()
        life.request()
        life.issue()
        life.end(proven)
    path = job.scribe.save(folder / "ledgers")
    for number in range(10):
        shutil.copy(path, folder / "ledgers" / f"{number}.jsonl")
        shutil.copy(checkpoint.beside(path), folder / "ledgers" / f"{number}.checkpoints")
    (folder / "trust.json").write_text(dumps(job.trust))
    return [sys.executable, "-m", "stepcreds", "ledger", "verify", "--trust", "trust.json", "ledgers"]


def started(command: list[str], folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """The process, and those that it has begun."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not children.read_text().split():
        time.sleep(0.02)
    return process, [int(pid) for pid in children.read_text().split()]


def test_an_interrupt_ends_all_processes_without_a_word_of_them(tmp_path: Path) -> None:
    process, workers = started(work_for_a_while(tmp_path), tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert workers
    assert (process.returncode, err.strip()) == (130, "")
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []


def test_a_process_that_is_killed_leaves_its_work_to_the_other(tmp_path: Path) -> None:
    process, workers = started(work_for_a_while(tmp_path), tmp_path)
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate(timeout=250)
    assert (process.returncode, err) == (1, "")
    assert out.count(" 3001 records, open, signed\n") == 11
    assert "11 files, 33011 records: 10 findings in 10 files (10 unknown).\n" in out


def test_what_was_asked_for_and_is_said_to_be_refused_needs_a_signature(tmp_path: Path) -> None:
    """Whoever cuts the tail with its checkpoints and writes that nothing was issued has no token to have it signed."""
    job = Job()
    first, second = job.life(), job.life()
    first.request()
    first.issue()
    first.end(proven)
    second.request()
    second.end(refused, exit_code=None)
    signed, lines = list(job.scribe.envelopes), list(job.scribe.lines)
    job.scribe.close()
    job.scribe.save(tmp_path / "honest")
    (honest,) = review(tmp_path / "honest", job.trust, require_signed=True)
    assert (found([honest]), honest.signing.state, len(lines), len(signed)) == ([], "signed", 6, 3)
    del job.scribe.envelopes[-1]
    job.scribe.save(tmp_path / "forged")
    (result,) = review(tmp_path / "forged", job.trust, require_signed=True)
    assert (result.signing.state, result.signing.entries) == ("partly signed", 4)
    assert [(each.code, each.line, each.certainty, each.meaning) for each in result.findings] == [
        (
            "tail",
            6,
            "incomplete",
            "3 records after the last checkpoint, among them credential.closed: signed by nobody",
        ),
        ("required", 0, "unknown", "signed up to record 4 of 7"),
    ]


@pytest.mark.parametrize("kind", ["credential.measured", "credential.left"])
def test_what_was_measured_or_left_behind_an_end_was_put_there(kind: str, tmp_path: Path) -> None:
    job = Job()
    life = job.life()
    life.request()
    life.issue()
    life.end(proven)
    step, uid, name = life.step_uid, life.uid, life.profile.name
    if kind == "credential.left":
        job.scribe.add(credential.left(step, uid, name, [CHANGE], ""))
    else:
        job.scribe.add(credential.measured(step, uid, name, life.measurement))
    job.scribe.close()
    path = job.scribe.save(tmp_path)
    (result,) = review(tmp_path, job.trust, require_signed=True)
    assert (result.signing.state, result.signing.entries) == ("partly signed", 4)
    assert [(each.code, each.line, each.meaning) for each in result.findings] == [
        ("tail", 5, f"2 records after the last checkpoint, among them {kind}: signed by nobody"),
        ("required", 0, "signed up to record 4 of 6"),
    ]
    ((chapter, shown),) = read(local([path]), job.trust).credentials
    assert is_signed(chapter, shown) is False


@pytest.mark.parametrize("kind", ["credential.leaked", "credential.closed"])
def test_what_no_step_signs_is_told_of_where_nothing_signed_comes_after_it(kind: str, tmp_path: Path) -> None:
    job = Job()
    before = job.life()
    before.request()
    before.issue()
    before.end(proven)
    step, uid, name = before.step_uid, before.uid, before.profile.name
    if kind == "credential.leaked":
        job.scribe.add(credential.leaked(step, uid, name, [Leak(uid, name, "GITHUB_ENV", 3, "DATABASE_URL", True)]))
    else:
        job.life().end(refused, exit_code=None)
        del job.scribe.envelopes[-1]
    path = job.scribe.save(tmp_path / "open")
    job.scribe.close()
    job.scribe.save(tmp_path / "closed")
    for folder, records_after in (("open", "1 record"), ("closed", "2 records")):
        (result,) = review(tmp_path / folder, job.trust)
        ((chapter, shown),) = [each for each in read(local([path]), job.trust).credentials if each[1].issued]
        # Its life is signed, and the word of where it was left is not.
        assert is_signed(chapter, shown) is True
        assert ("; leaked (not signed)" in " ".join(cells(chapter, shown, False))) is (kind == "credential.leaked")
        meaning = (
            f"{records_after} after the last checkpoint, among them {kind}: signed by nobody, as an honest job leaves "
            "them; whoever could write to the file could have, too"
        )
        assert [(each.layer, each.code, each.line, each.certainty, each.meaning) for each in result.findings] == [
            ("checkpoint", "after", 5, "unknown", meaning)
        ]
    after = job.life()
    after.request()
    after.issue()
    after.end(proven)
    job.scribe.save(tmp_path / "later")
    (result,) = review(tmp_path / "later", job.trust)
    assert [each.code for each in result.findings if each.layer == "checkpoint"] == []


def test_a_file_of_garbage_in_the_place_of_checkpoints_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A line of it is a byte, and a finding some hundreds."""
    job = Job()
    life = job.life()
    life.request()
    life.issue()
    life.end(proven)
    path = job.scribe.save(tmp_path)
    beside = checkpoint.beside(path)
    beside.write_bytes(b"\n" * 1_000_000 + beside.read_bytes())
    tracemalloc.start()
    try:
        (result,) = review(tmp_path, job.trust, require_signed=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    assert (result.signing.state, result.signing.checkpoints) == ("not checked", 101)
    assert [(each.layer, each.code) for each in result.findings] == [
        *[("checkpoint", "envelope")] * 100,
        ("file", "more"),
        ("trust", "required"),
    ]
