"""Each attack of the table in docs/ledger.md, on chains that a real OpenBao signed: which check finds it, and which does not.

What `verify` cannot find is asserted, too. That a tail was cut with its checkpoints, and that a chain is gone, the seal
finds (tests/seals/test_seal_findings.py); what never was on record, and what was invented, the audit log alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ledger_samples import JOB, records, relinked
from signed_chains import Copy, Found, Notary, found, review, said, write

from signatures import KEY, OURS
from stepcreds.cli.ledger_verify_text import NOT_COMPLETE
from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Certainty, Finding
from stepcreds.review.dossier import read
from stepcreds.review.selection import is_signed, is_tampered
from stepcreds.review.sources import Source, absent, local
from stepcreds.trust.file import load_trust
from stepcreds.trust.keys import Trust

TAMPERED: Certainty = "tampered"
INCOMPLETE: Certainty = "incomplete"
UNKNOWN: Certainty = "unknown"


class Scene(NamedTuple):
    """What two steps and the end of their job left: records 1 opened, 2-4 and 5-7 a credential each, 8 closed;
    checkpoints of 3, 4, 6 and 7 records. `other`: the same of another run of the repository."""

    chain: Path
    other: Path
    trust_file: Path
    trust: Trust
    ours: Notary
    theirs: Notary  # another repository's key, which the reviewer trusts as well


def run(stack: Stack, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stepcreds", *arguments],
        cwd=folder,
        env=stack.environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def job_of(stack: Stack, folder: Path, run_id: str) -> Path:
    """The chain of a job of two steps, and its end."""
    folder.mkdir()
    config = stack.write_config(folder)
    config.write_text(config.read_text().replace("ledger:\n", f'ledger:\n  key: "{KEY}"\n'))
    stack.issuer.claims["run_id"], before = run_id, stack.issuer.claims["run_id"]
    try:
        for arguments in (("exec", "verify", "--", "true"), ("exec", "verify", "--", "true"), ("revoke", "--all")):
            done = run(stack, folder, *arguments, GITHUB_RUN_ID=run_id)
            assert done.returncode == 0, done.stderr
    finally:
        stack.issuer.claims["run_id"] = before
    (chain,) = (folder / ".stepcreds").glob("*.jsonl")
    return chain


@pytest.fixture(scope="module")
def scene(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    stack.set_up(KEY)
    with Notary(stack, OURS) as ours, Notary(stack, "transit/keys/stepcreds-99") as theirs:
        try:
            chain, other = job_of(stack, folder / "a", "4711"), job_of(stack, folder / "b", "4712")
            environment = {"VAULT_ADDR": stack.address, "VAULT_TOKEN": stack.openbao.root_token.reveal()}
            exported = run(stack, folder / "a", "ledger", "trust", "export", **environment)
            assert exported.returncode == 0, exported.stderr
        finally:
            stack.set_up()
        trust_file = folder / "a" / "stepcreds-trust.json"
        yield Scene(chain, other, trust_file, load_trust(trust_file), ours, theirs)


def test_the_scene_is_what_the_attacks_take_it_for(scene: Scene) -> None:
    life = ["credential.requested", "credential.issued", "credential.closed"]
    for chain in (scene.chain, scene.other):
        assert [record["kind"] for record in records(chain)] == ["chain.opened", *life, *life, "chain.closed"]
        assert [said(line).size for line in checkpoint.beside(chain).read_bytes().splitlines()] == [3, 4, 6, 7]
    whose = {(key.name, key.repository_id) for key in scene.trust.keys}
    assert {("transit/keys/stepcreds-71717171", "71717171"), ("transit/keys/stepcreds-99", "99")} <= whose


def test_nothing_is_found_where_nothing_was_done(scene: Scene, tmp_path: Path) -> None:
    Copy(tmp_path, scene.chain).save()
    Copy(tmp_path, scene.other).save()
    results = review(tmp_path, scene.trust, require_signed=True)
    assert found(results) == []
    assert [result.signing for result in results] == [("signed", 7, 4, (f"{OURS}:1",), ())] * 2
    assert [result.closed for result in results] == [True, True]


# By somebody who can write to both files, and cannot sign: another step of the job, or whoever holds the copy.


def edited(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "db_user": "v-somebody-else"}


def rewrite(copy: Copy, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Records changed, and all lines linked anew."""
    entries = change([json.loads(line) for line in copy.lines])
    copy.lines = relinked(entries).splitlines(keepends=True)


def edit(copy: Copy) -> None:
    copy.lines[2] = canonical(edited(json.loads(copy.lines[2]))) + b"\n"


def edit_and_relink(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:2], edited(entries[2]), *entries[3:]])


def swap(copy: Copy) -> None:
    copy.lines[3], copy.lines[4] = copy.lines[4], copy.lines[3]


def swap_and_relink(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:3], entries[4], entries[3], *entries[5:]])


def repeat(copy: Copy) -> None:
    copy.lines.insert(3, copy.lines[2])


def repeat_and_relink(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:4], entries[3], *entries[4:]])


def key_twice(copy: Copy) -> None:
    copy.lines[3] = copy.lines[3].replace(b'"exit_code":0', b'"exit_code":1,"exit_code":0')


def white_space(copy: Copy) -> None:
    copy.lines[1] = copy.lines[1].replace(b",", b", ", 1)


def drop_a_life(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:1], *entries[4:]])


def drop_a_life_with_its_checkpoints(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:1], *entries[4:]])
    copy.drop(3, 4)


def cut(copy: Copy) -> None:
    copy.lines = copy.lines[:4]


def cut_all(copy: Copy) -> None:
    copy.lines = []


def put_garbage_in_its_place(copy: Copy) -> None:
    copy.lines = [b"garbage\n"]


def cut_within_a_life_with_checkpoints(copy: Copy) -> None:
    copy.lines = copy.lines[:6]
    copy.drop(7)


def cut_between_lives_with_checkpoints(copy: Copy) -> None:
    copy.lines = copy.lines[:4]
    copy.drop(6, 7)


def edit_the_end_of_the_chain(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:7], {**entries[7], "time": "2020-01-01T00:00:00.000Z"}])


def add_after_the_last_checkpoint(copy: Copy) -> None:
    rewrite(copy, lambda entries: [*entries[:7], {**entries[6], "profile": "other"}, entries[7]])


def no_checkpoints(copy: Copy) -> None:
    copy.envelopes = []


def no_key_and_no_checkpoints(copy: Copy) -> None:
    copy.envelopes = []
    rewrite(copy, lambda entries: [{**entries[0], "trust": {**entries[0]["trust"], "key": None}}, *entries[1:]])


def no_checkpoint_of_an_issue(copy: Copy) -> None:
    copy.drop(3)


def no_checkpoint_of_an_end(copy: Copy) -> None:
    copy.drop(4)


def no_checkpoint_at_the_end(copy: Copy) -> None:
    copy.drop(7)


def spoil_a_signature(copy: Copy) -> None:
    envelope = dsse.loads(copy.envelopes[1].rstrip(b"\n"))
    (signature,) = envelope.signatures
    sig = bytes([signature.sig[0] ^ 1]) + signature.sig[1:]
    copy.envelopes[1] = dsse.dumps(envelope._replace(signatures=(signature._replace(sig=sig),))) + b"\n"


def change_what_was_signed(copy: Copy) -> None:
    envelope = dsse.loads(copy.envelopes[1].rstrip(b"\n"))
    payload = checkpoint.dumps(checkpoint.loads(envelope.payload)._replace(head="0" * 64))
    copy.envelopes[1] = dsse.dumps(envelope._replace(payload=payload)) + b"\n"


def garbage(copy: Copy) -> None:
    copy.envelopes.insert(1, b"garbage\n")


def shuffle(copy: Copy) -> None:
    copy.envelopes.reverse()


def repeat_a_checkpoint(copy: Copy) -> None:
    copy.envelopes.append(copy.envelopes[1])


def tear_the_checkpoints(copy: Copy) -> None:
    copy.envelopes[3] = copy.envelopes[3][:-40]


PREV = ("chain", "prev")
SEQ = ("chain", "seq")
HEAD = ("checkpoint", "head")

WITHOUT_A_KEY: dict[Callable[[Copy], None], list[Found]] = {
    edit: [(*PREV, 4, TAMPERED), (*HEAD, 1, TAMPERED)],
    edit_and_relink: [(*HEAD, line, TAMPERED) for line in (1, 2, 3, 4)],
    swap: [
        (*SEQ, 4, TAMPERED),
        (*PREV, 4, TAMPERED),
        (*SEQ, 5, TAMPERED),
        (*PREV, 5, TAMPERED),
        (*SEQ, 6, TAMPERED),
        (*PREV, 6, TAMPERED),
        (*HEAD, 2, TAMPERED),
    ],
    swap_and_relink: [
        (*HEAD, 2, TAMPERED),
        (*HEAD, 3, TAMPERED),
        (*HEAD, 4, TAMPERED),
        ("checkpoint", "tail", 5, INCOMPLETE),
    ],
    repeat: [
        (*SEQ, 4, TAMPERED),
        (*PREV, 4, TAMPERED),
        ("order", "issued-unrequested", 4, TAMPERED),
        ("order", "entries", 9, TAMPERED),
        (*HEAD, 2, TAMPERED),
        (*HEAD, 3, TAMPERED),
        (*HEAD, 4, TAMPERED),
        ("checkpoint", "tail", 4, INCOMPLETE),
    ],
    repeat_and_relink: [
        ("order", "closed-unrequested", 5, UNKNOWN),
        (*HEAD, 3, TAMPERED),
        (*HEAD, 4, TAMPERED),
        ("checkpoint", "tail", 5, INCOMPLETE),
    ],
    key_twice: [
        ("line", "not-canonical", 4, TAMPERED),
        (*PREV, 5, TAMPERED),
        ("order", "unclosed", 3, INCOMPLETE),
        (*HEAD, 2, TAMPERED),
    ],
    white_space: [
        ("line", "not-canonical", 2, TAMPERED),
        (*PREV, 3, TAMPERED),
        ("order", "issued-unrequested", 3, TAMPERED),
    ],
    drop_a_life: [
        (*HEAD, 1, TAMPERED),
        (*HEAD, 2, TAMPERED),
        ("checkpoint", "beyond", 4, TAMPERED),
    ],
    drop_a_life_with_its_checkpoints: [("checkpoint", "beyond", 2, TAMPERED)],
    cut: [("checkpoint", "beyond", 4, TAMPERED)],
    repeat_a_checkpoint: [("checkpoint", "repeated", 5, TAMPERED)],
    cut_all: [("file", "empty", 0, INCOMPLETE), ("checkpoint", "orphan", 4, UNKNOWN)],
    put_garbage_in_its_place: [("line", "not-canonical", 1, TAMPERED), ("checkpoint", "beyond", 4, TAMPERED)],
    # As a runner that was lost leaves it: the audit log and the seal know better.
    cut_within_a_life_with_checkpoints: [("order", "unclosed", 6, INCOMPLETE)],
    # Found by the seal and the audit log alone: what is left is a job that goes on.
    cut_between_lives_with_checkpoints: [],
    edit_the_end_of_the_chain: [],
    add_after_the_last_checkpoint: [
        ("order", "closed-unrequested", 8, UNKNOWN),
        ("checkpoint", "tail", 8, INCOMPLETE),
    ],
    no_checkpoints: [("checkpoint", "none", 1, INCOMPLETE)],
    no_key_and_no_checkpoints: [("checkpoint", "none", 1, INCOMPLETE)],
    no_checkpoint_of_an_issue: [("checkpoint", "missing", 3, INCOMPLETE)],
    no_checkpoint_of_an_end: [("checkpoint", "missing", 4, INCOMPLETE)],
    no_checkpoint_at_the_end: [("checkpoint", "tail", 7, INCOMPLETE)],
    spoil_a_signature: [("trust", "signature", 2, TAMPERED), ("checkpoint", "missing", 4, INCOMPLETE)],
    change_what_was_signed: [("trust", "signature", 2, TAMPERED), ("checkpoint", "missing", 4, INCOMPLETE)],
    garbage: [("checkpoint", "envelope", 2, TAMPERED)],
    # Their order says nothing: steps that run side by side sign side by side.
    shuffle: [],
    tear_the_checkpoints: [("checkpoint", "torn", 4, INCOMPLETE), ("checkpoint", "tail", 7, INCOMPLETE)],
}


# Up to which record the chain is signed then; of the others it is the whole of it. A key signed the lines behind a
# break as well, and not what stands in front of it now.
SIGNED_UP_TO: dict[Callable[[Copy], None], int] = {
    edit: 0,
    edit_and_relink: 0,
    swap: 3,
    swap_and_relink: 3,
    repeat: 3,
    repeat_and_relink: 4,
    key_twice: 3,
    white_space: 0,
    drop_a_life: 0,
    drop_a_life_with_its_checkpoints: 0,
    cut: 4,
    cut_all: 0,
    put_garbage_in_its_place: 0,
    add_after_the_last_checkpoint: 7,
    no_checkpoints: 0,
    no_key_and_no_checkpoints: 0,
    no_checkpoint_at_the_end: 6,
    tear_the_checkpoints: 6,
}


@pytest.mark.parametrize("attack", WITHOUT_A_KEY, ids=lambda attack: attack.__name__)
def test_by_who_can_write_and_not_sign(attack: Callable[[Copy], None], scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    before = (list(copy.lines), list(copy.envelopes))
    attack(copy)
    assert (copy.lines, copy.envelopes) != before
    path = copy.save()
    results = review(tmp_path, scene.trust)
    assert found(results) == WITHOUT_A_KEY[attack]
    ((_, *signing),) = [(result.file, result.signing.state, result.signing.entries) for result in results]
    if attack in SIGNED_UP_TO:
        entries = SIGNED_UP_TO[attack]
        assert signing == ["partly signed" if entries else "unsigned", entries]
    else:
        assert signing[0] == "signed"
    ((chapter, *_),) = [read(local([path]), scene.trust).chapters]
    if any(layer in ("line", "chain") for layer, *_ in WITHOUT_A_KEY[attack]):
        assert [is_signed(chapter, each) for each in chapter.view.credentials] == [False] * len(
            chapter.view.credentials
        )


def test_each_finding_says_what_it_means_and_where(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path / "ledger", scene.chain)
    cut(copy)
    copy.envelopes.insert(1, b"garbage\n")
    path = copy.save()
    done = run_verify(tmp_path, "--trust", str(scene.trust_file), str(tmp_path))
    beside = checkpoint.beside(path).name
    assert done == (
        1,
        f"{path}: 2 findings, 4 records, open, signed up to record 4\n"
        f"  {beside} line 2: checkpoint/envelope (tampered): not a checkpoint: not JSON\n"
        f"  {beside} line 5: checkpoint/beyond (tampered): the tail was cut: 3 records that Vault signed for are missing\n"
        f"Partly signed: 1 chain, by keys of {scene.trust_file}.\n{NOT_COMPLETE}\n",
        "",
    )


def run_verify(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "stepcreds", "ledger", "verify", *arguments],
        cwd=folder,
        env={"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# By somebody who can have something signed: a step that lies, another repository, another kind of thing.


def last_entry(copy: Copy, size: int) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(copy.lines[size - 1])
    return entry


def test_another_chains_checkpoint(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    copy.envelopes.append(checkpoint.beside(scene.other).read_bytes().splitlines(keepends=True)[0])
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [("checkpoint", "chain", 5, TAMPERED)]


def test_the_checkpoints_of_another_run_instead(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    copy.envelopes = checkpoint.beside(scene.other).read_bytes().splitlines(keepends=True)
    copy.save()
    (result,) = review(tmp_path, scene.trust)
    assert found([result]) == [("checkpoint", "chain", line, TAMPERED) for line in (1, 2, 3, 4)]
    assert result.signing.state == "unsigned"


@pytest.mark.parametrize("changed", ["run_id", "run_attempt", "repository_id"])
def test_a_checkpoint_that_tells_of_another_job(changed: str, scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    copy.envelopes[3] = honest(copy, scene.ours, 7, **{changed: "1234567"})
    copy.save()
    # The key is that of the repository it was made for: of another one it is not believed anything.
    layer = ("trust", "repository") if changed == "repository_id" else ("checkpoint", "job")
    expected = [(*layer, 4, TAMPERED), ("checkpoint", "tail", 7, INCOMPLETE)]
    assert found(review(tmp_path, scene.trust)) == expected


def honest(copy: Copy, notary: Notary, size: int, **changes: object) -> bytes:
    """What `notary` signs of a chain as it is."""
    told = last_entry(copy, 1)["job"]
    names = ("repository_id", "run_id", "run_attempt")
    return notary.certify(last_entry(copy, size), **{**{name: told[name] for name in names}, **changes}) + b"\n"


def test_another_repositorys_key(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    copy.envelopes[3] = honest(copy, scene.theirs, 7)
    copy.save()
    expected = [("trust", "repository", 4, TAMPERED), ("checkpoint", "tail", 7, INCOMPLETE)]
    assert found(review(tmp_path, scene.trust)) == expected


def test_a_key_that_nobody_pinned(stack: Stack, scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    with Notary(stack, "transit-elsewhere/keys/stepcreds-71717171") as stranger:
        copy.envelopes = [honest(copy, stranger, size) for size in (3, 4, 6, 7)]
    copy.save()
    (result,) = review(tmp_path, scene.trust)
    assert found([result]) == [("trust", "unknown-key", 1, UNKNOWN)]
    assert result.signing.state == "unsigned"


def test_a_key_under_the_name_of_ours(stack: Stack, scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    with Notary(stack, "transit-elsewhere/keys/stepcreds-71717171") as stranger:
        line = honest(copy, stranger, 7)
    copy.envelopes[3] = line.replace(b"transit-elsewhere/", b"transit/")
    copy.save()
    expected = [("trust", "signature", 4, TAMPERED), ("checkpoint", "tail", 7, INCOMPLETE)]
    assert found(review(tmp_path, scene.trust)) == expected


def test_a_key_for_seals(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    copy.envelopes[3] = honest(copy, scene.ours, 7)
    copy.save()
    keys = [replace(key, purpose="seal", repository_id=None) if key.name == OURS else key for key in scene.trust.keys]
    assert found(review(tmp_path, Trust("", tuple(keys)))) == [
        ("trust", "purpose", line, TAMPERED) for line in (1, 2, 3, 4)
    ]


SEAL = "application/vnd.stepcreds.seal+json"


def test_something_else_that_the_same_key_signed(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    payload = dsse.loads(copy.envelopes[3].rstrip(b"\n")).payload
    as_it_is = scene.ours.sign(payload, SEAL)
    renamed = scene.ours.sign(payload, SEAL, says=checkpoint.PAYLOAD_TYPE)
    other_way = scene.ours.sign(payload, says=SEAL)
    no_checkpoint = scene.ours.sign(canonical({"schema": "stepcreds.seal/1", "size": 7}))
    copy.envelopes += [line + b"\n" for line in (as_it_is, renamed, other_way, no_checkpoint)]
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [
        ("checkpoint", "payload-type", 5, TAMPERED),
        ("trust", "signature", 6, TAMPERED),
        ("checkpoint", "payload-type", 7, TAMPERED),
        ("checkpoint", "payload", 8, TAMPERED),
    ]


def test_the_boundary_between_type_and_payload(scene: Scene, tmp_path: Path) -> None:
    """What is signed holds the lengths of both, so nothing moves from one into the other."""
    copy = Copy(tmp_path, scene.chain)
    payload = dsse.loads(copy.envelopes[3].rstrip(b"\n")).payload
    kind = checkpoint.PAYLOAD_TYPE
    # The same bytes after the type's length, once its end is forgotten.
    shifted = scene.ours.sign(b"json " + payload, kind.removesuffix("json"))
    envelope = dsse.loads(shifted)
    assert (envelope.payload_type + envelope.payload.decode()).replace("json ", "json", 1) == kind + payload.decode()
    # Without any encoding: what a key would sign for somebody who may have it sign texts.
    made = scene.ours._vault.sign(OURS, kind.encode() + payload)
    bare = dsse.Envelope(kind, payload, (dsse.Signature(f"{OURS}:1", made.sig),))
    moved = envelope._replace(payload_type=kind, payload=payload)
    copy.envelopes += [dsse.dumps(bare) + b"\n", dsse.dumps(moved) + b"\n"]
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [
        ("trust", "signature", 5, TAMPERED),
        ("trust", "signature", 6, TAMPERED),
    ]


def test_two_heads_of_one_size(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    second = honest(copy, scene.ours, 7, head="0" * 64)
    copy.envelopes.append(second)
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [("checkpoint", "two-heads", 5, TAMPERED)]
    copy.envelopes.insert(0, copy.envelopes.pop())
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [(*HEAD, 1, TAMPERED), ("checkpoint", "two-heads", 5, TAMPERED)]


def test_history_that_is_rewritten_between_two_steps_and_signed_by_the_second(scene: Scene, tmp_path: Path) -> None:
    """The first step's end is edited, its checkpoint taken away; the second step signs what it finds."""
    copy = Copy(tmp_path, scene.chain)
    rewrite(copy, lambda entries: [*entries[:3], {**entries[3], "profile": "migrate"}, *entries[4:]])
    copy.envelopes = [copy.envelopes[0], honest(copy, scene.ours, 6), honest(copy, scene.ours, 7)]
    copy.save()
    assert found(review(tmp_path, scene.trust)) == [("checkpoint", "missing", 4, INCOMPLETE)]


def test_a_credential_that_was_cut_out_before_the_next_step_signed_is_not_found(scene: Scene, tmp_path: Path) -> None:
    """With its checkpoints, before the job's next step signed what it found: the audit log knows, and an older seal."""
    copy = Copy(tmp_path, scene.chain)
    drop_a_life(copy)
    copy.envelopes = [honest(copy, scene.ours, size) for size in (3, 4)]
    copy.save()
    (result,) = review(tmp_path, scene.trust, require_signed=True)
    assert (found([result]), result.signing.state, result.signing.entries) == ([], "signed", 4)


def test_a_credential_that_was_rewritten_before_the_next_step_signed_is_not_found(scene: Scene, tmp_path: Path) -> None:
    """As a login that was refused, of which nobody can sign anything: the audit log knows, and an older seal."""
    copy = Copy(tmp_path, scene.chain)

    def refused(end: dict[str, Any]) -> dict[str, Any]:
        looked = {"lookup": "not_checked", "db_login": "not_applicable", "witness": "not_checked"}
        verified = {**looked, "method": "nothing was issued", "time": None}
        revoke = {"method": "none", "status": "not_issued", "time": None}
        return {**end, "revoke": revoke, "verified": verified, "verdict": "not issued"}

    rewrite(copy, lambda entries: [entries[0], refused(entries[3]), *entries[4:]])
    copy.envelopes = [honest(copy, scene.ours, size) for size in (4, 5)]
    copy.save()
    (result,) = review(tmp_path, scene.trust, require_signed=True)
    assert (found([result]), result.signing.state, result.signing.entries) == ([], "signed", 5)


def test_a_job_whose_last_step_was_cut_off_and_that_was_closed_anew_is_not_found(scene: Scene, tmp_path: Path) -> None:
    """Nobody signs `chain.closed`: the audit log knows, and an older seal."""
    copy = Copy(tmp_path, scene.chain)
    rewrite(copy, lambda entries: [*entries[:4], {**entries[7], "entries": 5}])
    copy.drop(6, 7)
    copy.save()
    (result,) = review(tmp_path, scene.trust, require_signed=True)
    assert (found([result]), result.signing.state, result.closed) == ([], "signed", True)


def test_a_chain_that_names_no_vault_is_signed_by_none(scene: Scene, tmp_path: Path) -> None:
    copy = Copy(tmp_path, scene.chain)
    rewrite(copy, lambda entries: [{**entries[0], "trust": {**entries[0]["trust"], "vault_addr": ""}}, *entries[1:]])
    copy.envelopes = [honest(copy, scene.ours, size) for size in (3, 4, 6, 7)]
    copy.save()
    (result,) = review(tmp_path, scene.trust)
    assert found([result]) == [("trust", "vault", 1, UNKNOWN)]
    assert result.findings[0].meaning == (
        f"the chain names no Vault, as every step does: what {OURS}:1 signed does not count for it"
    )
    assert result.signing == ("unsigned", 0, 4, (), ())


def test_a_chain_without_its_beginning_is_signed_by_none(scene: Scene, tmp_path: Path) -> None:
    """Which Vault is its own, its first record says."""
    copy = Copy(tmp_path, scene.chain)
    job = last_entry(copy, 1)["job"]
    told = {name: job[name] for name in ("repository_id", "run_id", "run_attempt")}
    rewrite(copy, lambda entries: entries[1:])
    copy.envelopes = [scene.ours.certify(last_entry(copy, size), **told) + b"\n" for size in (2, 3, 5, 6)]
    copy.save()
    (result,) = review(tmp_path, scene.trust)
    assert found([result]) == [("order", "opened", 1, TAMPERED)]
    assert result.signing == ("unsigned", 0, 4, (), ())


def test_a_step_that_invents_its_lease_is_not_found(scene: Scene, tmp_path: Path) -> None:
    """Only the audit log knows that there was no such lease."""
    copy = Copy(tmp_path, scene.chain)
    rewrite(
        copy, lambda entries: [*entries[:2], {**entries[2], "lease_id": "database/creds/app-verify/x"}, *entries[3:]]
    )
    copy.envelopes = [honest(copy, scene.ours, size) for size in (3, 4, 6, 7)]
    copy.save()
    (result,) = review(tmp_path, scene.trust, require_signed=True)
    assert (found([result]), result.signing.state) == ([], "signed")


def test_another_address_of_vault(scene: Scene, tmp_path: Path) -> None:
    Copy(tmp_path, scene.chain).save()
    keys = tuple(replace(key, vault_addr="https://vault.example.com:8200") for key in scene.trust.keys)
    (result,) = review(tmp_path, Trust("", keys))
    assert found([result]) == [("trust", "vault", 1, UNKNOWN)]
    assert result.signing.state == "signed"


# Several files.


def test_a_chain_and_its_checkpoints_deleted_is_not_found(scene: Scene, tmp_path: Path) -> None:
    """Only the seal and the audit log know that there was another."""
    Copy(tmp_path, scene.other).save()
    assert found(review(tmp_path, scene.trust)) == []


def test_a_chain_deleted_and_its_checkpoints_left(scene: Scene, tmp_path: Path) -> None:
    path = Copy(tmp_path, scene.chain).save()
    path.unlink()
    (result,) = review(tmp_path, scene.trust)
    assert found([result]) == [("checkpoint", "orphan", 4, UNKNOWN)]
    meaning = "the chain is not here, with 7 records that Vault signed for: it was removed, or not copied"
    assert result.findings[0].meaning == meaning
    other = Copy(tmp_path, scene.other).save()
    dossier = read(local([path, other]), scene.trust)
    assert [chapter.source.path for chapter in dossier.chapters] == [other]
    assert [each.file for each in dossier.gone] == [str(path)]
    assert [error.what for error in dossier.errors] == [f"{path}: {meaning}"]
    # Without a trust file nobody knows who signed; without `verify`, what.
    (error,) = read(local([path])).errors
    assert error.what == f"{path}: {meaning.replace('that Vault signed for', 'that a checkpoint counts')}"
    alone = absent(local([path])[0])
    assert alone is not None
    assert alone.what == f"{path}: the chain is not here, and its checkpoints are: it was removed, or not copied"


def test_what_was_written_over_in_a_store_is_judged_by_its_oldest_version(scene: Scene, tmp_path: Path) -> None:
    path = Copy(tmp_path, scene.chain).save()
    said_of_it = Finding("store", str(path), 0, "overwritten", "overwritten; the oldest version is read", TAMPERED)
    (chapter,) = read([Source(str(path), path, (said_of_it,))], scene.trust).chapters
    assert (found([chapter.verified]), chapter.verified.signing.state) == (
        [("store", "overwritten", 0, TAMPERED)],
        "signed",
    )
    assert is_tampered(chapter) is False
    assert [is_signed(chapter, each) for each in chapter.view.credentials] == [True, True]


def test_a_chain_in_the_place_of_another(scene: Scene, tmp_path: Path) -> None:
    """The second run's chain is deleted, and the first one's put there under its name."""
    Copy(tmp_path, scene.chain).save()
    Copy(tmp_path, scene.chain).save(scene.other.name)
    assert found(review(tmp_path, scene.trust)) == [
        ("folder", "name", 0, TAMPERED),
        ("folder", "same-chain", 0, UNKNOWN),
    ]


def test_a_fork_that_is_signed_as_well(scene: Scene, tmp_path: Path) -> None:
    Copy(tmp_path / "a", scene.chain).save()
    fork = Copy(tmp_path / "b", scene.chain)
    edit_and_relink(fork)
    fork.envelopes = [honest(fork, scene.ours, size) for size in (3, 4, 6, 7)]
    fork.save()
    assert found(review(tmp_path, scene.trust)) == [("folder", "fork", 0, TAMPERED)]


def test_an_older_state_put_back(scene: Scene, tmp_path: Path) -> None:
    Copy(tmp_path / "a", scene.chain).save()
    older = Copy(tmp_path / "b", scene.chain)
    cut_between_lives_with_checkpoints(older)
    older.save()
    assert found(review(tmp_path, scene.trust)) == [("folder", "older-state", 0, UNKNOWN)]


def test_a_second_chain_of_the_job_attempt(stack: Stack, scene: Scene, tmp_path: Path) -> None:
    """One beside it under another name; the next one, which is as it should be; and that one where the first was cut."""
    first = write(tmp_path / "a", scene.theirs, stack.address, JOB._replace(repository_id="99"))
    second = write(tmp_path / "a", scene.theirs, stack.address, JOB._replace(repository_id="99"))
    assert second.name == first.name.replace(".jsonl", ".2.jsonl")
    assert found(review(tmp_path, scene.trust)) == []
    copy = Copy(tmp_path / "b", first)
    copy.lines.pop()
    copy.save()
    Copy(tmp_path / "b", second).save()
    assert found(review(tmp_path / "b", scene.trust)) == [("folder", "not-closed", 0, TAMPERED)]
    Copy(tmp_path / "c", second).save()
    assert found(review(tmp_path / "c", scene.trust)) == [("folder", "gap", 0, UNKNOWN)]
    Copy(tmp_path / "d", second).save("x.jsonl")
    Copy(tmp_path / "d", first).save()
    assert found(review(tmp_path / "d", scene.trust)) == [("folder", "second-chain", 0, UNKNOWN)]
