"""What a crash leaves, byte for byte, and what an attack leaves that looks like it: recovered, kept aside, recorded, and
told apart where the signatures tell them apart."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_samples import requested
from signed_chains import CLOCK, Copy, Notary, found, live, review, write

from signatures import KEY
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.reading import stored_lines
from stepcreds.trust.keys import Trust, TrustedKey
from stepcreds.trust.vault_keys import Asked, read_keys

OURS = "transit-torn/keys/stepcreds-123456"


@pytest.fixture(scope="module")
def notary(stack: Stack) -> Iterator[Notary]:
    with Notary(stack, OURS) as made:
        yield made


@pytest.fixture(scope="module")
def trust(stack: Stack, notary: Notary) -> Trust:
    return Trust("", keys_of(stack))


def keys_of(stack: Stack) -> tuple[TrustedKey, ...]:
    with live(stack) as vault:
        template = "transit-torn/keys/stepcreds-{repository_id}"
        return read_keys(vault, stack.address, [Asked.parse(template, "checkpoint")]).keys


def test_a_last_line_that_is_torn_at_any_byte(stack: Stack, notary: Notary, trust: Trust, tmp_path: Path) -> None:
    """A record that nobody signed yet: what is left of it is a crash, wherever it ends; nothing else is lost."""
    whole = write(tmp_path / "whole", notary, stack.address, lives=1)
    data = whole.read_bytes()
    lines = data.splitlines(keepends=True)
    start = len(data) - len(lines[-1])
    for length in range(start, len(data)):
        copy = Copy(tmp_path / "torn", whole)
        copy.path.write_bytes(data[:length])
        checkpoint.beside(copy.path).write_bytes(b"".join(copy.envelopes))
        (result,) = review(tmp_path / "torn", trust)
        torn = [("file", "torn", 5, "incomplete")] if length > start else []
        assert (length, found([result])) == (length, torn)
        assert (result.entries, result.signing.state, result.signing.entries) == (4, "signed", 4)


def test_what_is_torn_is_kept_aside_and_put_on_record(
    stack: Stack, notary: Notary, trust: Trust, tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole", notary, stack.address, lives=1)
    data = whole.read_bytes()
    start = len(data) - len(data.splitlines(keepends=True)[-1])
    for length in range(start + 1, len(data)):
        folder = tmp_path / str(length)
        copy = Copy(folder, whole)
        copy.save()
        copy.path.write_bytes(data[:length])
        Journal.at(copy.path, clock=CLOCK).append(requested("cccccccc-0000-4000-8000-000000000009"))
        torn = data[start:length]
        kept = f"{copy.path.name}.torn-{hashlib.sha256(torn).hexdigest()[:12]}"
        assert (folder / kept).read_bytes() == torn
        kinds = [line for line in stored_lines(copy.path) if b'"chain.recovered"' in line]
        assert len(kinds) == 1
        assert f'"kept":"{kept}"'.encode() in kinds[0]
        (result,) = review(folder, trust)
        assert found([result]) == [("order", "unclosed", 6, "incomplete")]
        assert (result.entries, result.signing.entries) == (6, 4)


def test_a_signed_record_that_is_torn_was_cut(stack: Stack, notary: Notary, trust: Trust, tmp_path: Path) -> None:
    """Vault signs what is on the disk: where its checkpoint is there, no crash has left the record torn."""
    whole = write(tmp_path / "whole", notary, stack.address, lives=1, close=False)
    data = whole.read_bytes()
    start = len(data) - len(data.splitlines(keepends=True)[-1])
    for length in (start, start + 1, len(data) - 1):
        copy = Copy(tmp_path / "torn", whole)
        copy.path.write_bytes(data[:length])
        checkpoint.beside(copy.path).write_bytes(b"".join(copy.envelopes))
        torn = [("file", "torn", 4, "incomplete")] if length > start else []
        expected = [*torn, ("order", "unclosed", 3, "incomplete"), ("checkpoint", "beyond", 2, "tampered")]
        assert found(review(tmp_path / "torn", trust)) == expected


def test_a_last_checkpoint_that_is_torn_at_any_byte(stack: Stack, notary: Notary, trust: Trust, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", notary, stack.address, lives=1)
    copy = Copy(tmp_path / "torn", whole)
    last = copy.envelopes[1]
    for length in range(1, len(last)):
        copy.envelopes[1] = last[:length]
        copy.save()
        (result,) = review(tmp_path / "torn", trust)
        expected = [("checkpoint", "torn", 2, "incomplete"), ("checkpoint", "tail", 4, "incomplete")]
        assert (length, found([result])) == (length, expected)
        assert (result.signing.state, result.signing.entries) == ("partly signed", 3)


def test_the_next_checkpoint_takes_the_place_of_one_that_is_torn(
    stack: Stack, notary: Notary, trust: Trust, tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole", notary, stack.address, lives=1, close=False)
    copy = Copy(tmp_path / "torn", whole)
    whole_line, copy.envelopes[1] = copy.envelopes[1], copy.envelopes[1][:100]
    path = copy.save()
    checkpoint.keep(whole_line.rstrip(b"\n"), path, CLOCK)
    (result,) = review(tmp_path / "torn", trust)
    assert (found([result]), result.signing.state) == ([], "signed")


def test_a_step_that_is_killed_and_a_tail_that_is_cut_with_its_checkpoints(stack: Stack, tmp_path: Path) -> None:
    """The first is found as the second is: both leave a credential without an end. Without the cut checkpoints, that is."""
    folder = tmp_path / "job"
    folder.mkdir()
    config = stack.write_config(folder)
    config.write_text(config.read_text().replace("ledger:\n", f'ledger:\n  key: "{KEY}"\n'))
    stack.set_up(KEY)
    try:
        step = subprocess.Popen(
            [sys.executable, "-m", "stepcreds", "exec", "verify", "--", "sleep", "60"],
            cwd=folder,
            env=stack.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        chain = wait_for_chain(folder / ".stepcreds")
        for pid in session_of(step.pid):
            os.kill(pid, signal.SIGKILL)
        step.wait(60)
        with live(stack) as vault:
            template = Asked.parse(KEY, "checkpoint")
            trust = Trust("", read_keys(vault, stack.address, [template]).keys)
        (crashed,) = review(folder / ".stepcreds", trust)
        done = subprocess.run(
            [sys.executable, "-m", "stepcreds", "revoke", "--all"],
            cwd=folder,
            env=stack.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    finally:
        stack.set_up()
    whole = Copy(tmp_path / "cut", chain)
    assert found(review(folder / ".stepcreds", trust)) == []
    cut = Copy(tmp_path / "cut", chain)
    cut.lines, cut.envelopes = cut.lines[:3], cut.envelopes[:1]
    cut.save()
    assert found(review(tmp_path / "cut", trust)) == found([crashed]) == [("order", "unclosed", 3, "incomplete")]
    cut.envelopes = whole.envelopes
    cut.save()
    assert found(review(tmp_path / "cut", trust)) == [
        ("order", "unclosed", 3, "incomplete"),
        ("checkpoint", "beyond", len(whole.envelopes), "tampered"),
    ]


def wait_for_chain(folder: Path) -> Path:
    """Until the credential is issued, and that is signed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for chain in folder.glob("*.jsonl") if folder.exists() else ():
            if checkpoint.beside(chain).exists() and checkpoint.beside(chain).read_bytes().endswith(b"\n"):
                return chain
        time.sleep(0.05)
    raise AssertionError("nothing was signed")


def session_of(leader: int) -> list[int]:
    """The processes of a session, its leader included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return found
