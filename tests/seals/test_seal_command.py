"""`stepcreds ledger seal` as a scheduled job runs it, against a real OpenBao: what it makes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ledger_samples import relinked
from sealing_site import KEY, MOUNT, ROLE, SealingSite
from step_runs import audited, said, token_is_gone

from stepcreds.devstack.stack import Stack
from stepcreds.ledger import checkpoint
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.link import ZERO, line_hash
from stepcreds.seals.seal import digest, hash_of
from stepcreds.seals.tree import is_consistent, root_of


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[SealingSite]:
    with SealingSite(stack, tmp_path) as site:
        yield site


def stored(site: SealingSite, number: int) -> bytes:
    return (site.seals / f"seal-{number:06d}.json").read_bytes()


def test_a_log_grows_seal_by_seal(site: SealingSite) -> None:
    first, second = site.life(), site.life()
    lines = first.read_bytes().splitlines()
    made = site.seal()
    log = site.log()
    assert (made.returncode, made.stderr, log.findings, log.state) == (0, "", [], "signed")
    (seal,) = [each.seal for each in log.seals]
    assert (seal.seq, seal.prev, seal.tree_size, seal.refused, seal.parquet) == (1, ZERO, 2, (), None)
    names = sorted([first.name, second.name])
    assert [leaf.name for leaf in seal.leaves] == names
    leaf = next(each for each in seal.leaves if each.name == first.name)
    assert (leaf.size, leaf.head) == (len(lines), line_hash(lines[-1]))
    assert (leaf.chain_uid, leaf.repository_id, leaf.run_id, leaf.run_attempt) == (
        json.loads(lines[0])["chain_uid"],
        "9000000",
        "50000000",
        "1",
    )
    assert seal.root == root_of([hash_of(each) for each in seal.leaves]).hex()
    sizes = {path.name: len(path.read_bytes().splitlines()) for path in (first, second)}
    assert made.stdout == (
        f"seal 1: 2 chains added, 2 leaves in all, root {seal.root}\n"
        f"  {names[0]}: {sizes[names[0]]} records\n"
        f"  {names[1]}: {sizes[names[1]]} records\n"
        f"written to {site.seals}/seal-000001.json, SHA-256 {digest(stored(site, 1))}\n"
    )

    nothing = site.seal()  # a period in which no job ran
    assert nothing.stdout == (
        f"seal 2: nothing is new, 2 leaves in all, root {seal.root}\n"
        f"written to {site.seals}/seal-000002.json, SHA-256 {digest(stored(site, 2))}\n"
    )

    site.life()
    third = json.loads(site.seal("--json").stdout)
    log = site.log()
    assert (log.findings, [each.seal.seq for each in log.seals]) == ([], [1, 2, 3])
    assert [each.seal.prev for each in log.seals] == [ZERO, digest(stored(site, 1)), digest(stored(site, 2))]
    assert [len(each.seal.leaves) for each in log.seals] == [2, 0, 1]
    newest = log.seals[-1].seal
    proof = [bytes.fromhex(each) for each in newest.consistency]
    assert is_consistent(2, bytes.fromhex(seal.root), 3, bytes.fromhex(newest.root), proof)
    assert (third[0]["seq"], third[0]["root"], third[0]["sha256"], third[0]["findings"], third[0]["unsigned"]) == (
        3,
        newest.root,
        digest(stored(site, 3)),
        [],
        [],
    )


def test_a_chain_that_grew_gets_another_leaf(site: SealingSite) -> None:
    whole = site.life()
    lines = whole.read_bytes().splitlines(keepends=True)
    restore = site.shorten(whole, 4)
    assert site.seal().returncode == 0
    restore()
    with whole.open("ab") as file:
        file.write(lines[0][:20])  # a line that is being written
    made = site.seal()
    assert made.stdout.splitlines()[1] == f"  {whole.name}: {len(lines)} records, {len(lines) - 4} of them new"
    log = site.log()
    assert [(leaf.size, leaf.head) for each in log.seals for leaf in each.seal.leaves] == [
        (4, line_hash(lines[3][:-1])),
        (len(lines), line_hash(lines[-1][:-1])),
    ]
    assert log.findings == []


def test_the_token_is_given_back(site: SealingSite) -> None:
    site.life()
    since = len(site.stack.audit())
    assert site.seal().returncode == 0
    asked = [entry for entry in audited(site.stack, since) if not entry[1].startswith("sys/seal-status")]
    assert asked == [
        ("update", "auth/jwt/login"),
        ("update", f"{MOUNT}/sign/stepcreds-seal"),
        ("update", "auth/token/revoke-self"),
    ]
    login = next(
        entry
        for entry in site.stack.audit()[since:]
        if entry["type"] == "request" and entry["request"]["path"] == "auth/token/revoke-self"
    )
    assert login["auth"]["policies"] == [ROLE]


def test_an_operator_may_seal(site: SealingSite) -> None:
    site.life()
    with site.stack.client() as client:
        made = client.auth.token.create(policies=["root"], ttl="10m")["auth"]
    variables: dict[str, str | None] = {"VAULT_TOKEN": made["client_token"], "VAULT_ADDR": site.stack.address}
    # On a machine without a CI.
    variables |= dict.fromkeys(site.stack.issuer.environment())
    run = site.seal("--as-operator", **variables)
    assert (run.returncode, run.stderr) == (0, "")
    assert site.log().findings == []
    assert not token_is_gone(site.stack, made["accessor"])  # the operator's own stays
    children = [
        entry["response"]["auth"]["accessor"]
        for entry in site.stack.audit()
        if entry["type"] == "response"
        and entry["request"]["path"] == "auth/token/create"
        and "auth" in entry.get("response", {})
    ]
    assert children


def test_unsigned_chains_are_called_that(stack: Stack, tmp_path: Path) -> None:
    with SealingSite(stack, tmp_path, signed=False) as site:
        chain = site.life()
        size = len(chain.read_bytes().splitlines())
        made = site.seal()
        assert made.stdout.splitlines()[1] == f"  {chain.name}: {size} records, unsigned"
        site.life()
        (second,) = json.loads(site.seal("--json").stdout)
        assert second["unsigned"] == [second["leaves"][0]["name"]]


def test_what_was_changed_is_not_sealed_and_the_rest_is(site: SealingSite) -> None:
    changed, cut, good = site.life(), site.life(), site.life()
    assert site.seal().returncode == 0
    records = [json.loads(line) for line in changed.read_bytes().splitlines()]
    records[2]["db_user"] = "somebody"
    changed.write_bytes(relinked(records))
    lines = cut.read_bytes().splitlines(keepends=True)
    cut.write_bytes(b"".join(lines[:-2]))
    for path in (changed, cut):
        checkpoint.beside(path).unlink()
    (site.ledgers / "garbage.jsonl").write_bytes(b'{"a": 1}\n')
    (site.ledgers / "empty.jsonl").write_bytes(b"")
    new = site.life()
    made = site.seal("--json")
    assert made.returncode == 1
    (told,) = json.loads(made.stdout)
    assert [leaf["name"] for leaf in told["leaves"]] == [new.name]
    assert {(each["name"], each["code"]) for each in told["refused"]} == {
        (changed.name, "rewritten"),
        (cut.name, "shorter"),
        ("garbage.jsonl", "not-canonical"),
        ("empty.jsonl", "empty"),
    }
    (when,) = {each.seal.time for each in site.log().seals[:1]}
    where = f"the seal of {when} ({site.seals}/seal-000001.json)"
    meanings = {(each["layer"], each["code"], each["certainty"]): each["meaning"] for each in told["findings"]}
    size = len(lines)
    assert meanings["seal", "shorter", "tampered"] == (
        f"{size - 2} records, and {size} in {where}: its end was cut, or this is an older copy"
    )
    assert meanings["seal", "rewritten", "tampered"] == (
        f"its first {len(records)} records are not those that {where} has: they were rewritten"
    )
    assert good.name not in made.stdout
    text = site.seal().stdout.splitlines()
    assert text[1] == "not sealed: 4 ledgers, because of what was found"
    assert site.log().findings == []


def test_chains_that_are_not_here_are_counted(site: SealingSite) -> None:
    """A job may seal what came since yesterday alone; and a folder that is not there must not look like a quiet night."""
    gone = [site.life(), site.life()]
    assert site.seal().returncode == 0
    for path in gone:
        path.unlink()
        checkpoint.beside(path).unlink()
    made = site.seal()
    assert made.returncode == 0
    assert made.stdout.splitlines()[1] == "not here: 2 chains that earlier seals have (ledger verify --seals)"
    (told,) = json.loads(site.seal("--json").stdout)
    assert (told["missing"], told["findings"]) == (2, [])


def test_nothing_is_built_upon_seals_that_do_not_fit(site: SealingSite) -> None:
    site.life()
    assert site.seal().returncode == 0
    assert site.seal().returncode == 0
    (site.seals / "seal-000001.json").unlink()
    made = site.process()
    assert (made.returncode, made.stdout) == (1, "")
    assert said(made.stderr) == (
        f"stepcreds: error: No seal was made: {site.seals}/seal-000002.json: seal 1 is missing before it: removed, or not copied\n"
        "  cause: A seal upon these would say of them that they are in order.\n"
        f"  fix: See everything that is wrong: stepcreds ledger verify --seals {site.seals}\n"
        "    Keep the seals as evidence. To go on meanwhile, begin a log in another place: --to\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-seal\n"
    )


def test_no_key_is_a_usage_error(site: SealingSite) -> None:
    document = yaml.safe_load(site.config.read_text())
    del document["ledger"]["seal"]
    site.config.write_text(yaml.safe_dump(document))
    made = site.seal()
    assert (made.returncode, made.stdout) == (2, "")
    assert made.stderr == (
        f"stepcreds: error: {site.config} does not say who seals: there is no ledger.seal\n"
        "  cause: A seal is signed by a key of its own, which no step can sign with.\n"
        "  fix: Add to stepcreds.yml:\n"
        "      ledger:\n"
        "        seal:\n"
        "          key: transit/keys/stepcreds-seal\n"
        "          role: stepcreds-seal\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-seal\n"
    )


def test_a_step_may_not_seal(site: SealingSite) -> None:
    site.life()
    document = yaml.safe_load(site.config.read_text())
    document["ledger"]["seal"]["role"] = "app-verify"
    site.config.write_text(yaml.safe_dump(document))
    made = site.seal(GITHUB_ACTIONS="true")
    assert (made.returncode, made.stdout) == (1, "")
    assert f"{MOUNT}/sign/stepcreds-seal" in made.stderr
    assert not site.seals.exists()


def test_a_role_that_is_not_there_is_that_of_the_seal(site: SealingSite) -> None:
    document = yaml.safe_load(site.config.read_text())
    document["ledger"]["seal"]["role"] = "nobody"
    site.config.write_text(yaml.safe_dump(document))
    made = site.seal()
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.splitlines()[0].startswith("stepcreds: error: Vault refused the login of role nobody at auth/")
    assert "    Correct `ledger.seal.role` (its default is stepcreds-seal), or `mount` of vault.auth.\n" in made.stderr


def test_jobs_that_seal_at_once_do_not_fork_the_log(site: SealingSite) -> None:
    site.life()
    site.life()
    runs = [
        subprocess.Popen(
            site.command("--json"),
            cwd=site.folder,
            env=site.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    made: list[dict[str, Any]] = []
    for run in runs:
        stdout, stderr = run.communicate(timeout=240)
        assert (run.returncode, stderr) == (0, "")
        made += json.loads(stdout)
    log = site.log()
    assert (log.findings, [each.seal.seq for each in log.seals]) == ([], [1, 2, 3, 4])
    assert sorted(each["seq"] for each in made) == [1, 2, 3, 4]
    assert [len(each.seal.leaves) for each in log.seals] == [2, 0, 0, 0]
    assert sorted(path.name for path in site.seals.iterdir()) == [f"seal-00000{n}.json" for n in range(1, 5)]


def test_a_rotated_key_goes_on(site: SealingSite) -> None:
    site.life()
    assert site.seal().returncode == 0
    site.rotate()
    site.life()
    assert site.seal().returncode == 0
    log = site.log()
    assert (log.findings, [each.keyid for each in log.seals]) == ([], [f"{KEY}:1", f"{KEY}:2"])


def test_the_envelope_is_what_its_bytes_say(site: SealingSite) -> None:
    site.life()
    site.seal()
    data = stored(site, 1)
    assert data == canonical(json.loads(data)) + b"\n"
    assert json.loads(data)["payloadType"] == "application/vnd.stepcreds.seal+json"
