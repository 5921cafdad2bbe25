"""`stepcreds ledger trust`: keys of a real OpenBao written down, brought up to date, and shown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.view import epoch_of
from stepcreds.trust.file import dumps, load_trust
from stepcreds.trust.keys import Trust, TrustedKey
from warm import Warm

# conftest's: `step("exec", "migrate", "--", "true", **variables)`
Step = Callable[..., "subprocess.CompletedProcess[str]"]
SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-trust\n"


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm("stepcreds.cli.ledger_trust") as run:
        yield run


@pytest.fixture
def step(stack: Stack, config_file: Path, warm: Warm) -> Step:
    """conftest's, without the start: no other process looks at how these commands begin."""

    def run(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        persons = {"VAULT_ADDR": stack.address} if "VAULT_TOKEN" in variables else {}
        merged: dict[str, str | None] = {**stack.environment(), **persons, **variables}
        environment = {name: value for name, value in merged.items() if value is not None}
        return warm(*arguments, cwd=config_file.parent, env=environment)

    return run


@pytest.fixture
def mount(stack: Stack, request: pytest.FixtureRequest) -> str:
    """A Transit engine of this test's own."""
    name = f"signing-{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    with stack.client() as vault:
        vault.sys.enable_secrets_engine("transit", path=name)
    return name


def make(stack: Stack, path: str, **more: object) -> None:
    with stack.client() as vault:
        vault.write_data(path, data={"type": "ed25519", **more})


def act(stack: Stack, path: str, **data: object) -> None:
    with stack.client() as vault:
        vault.write_data(path, data=data)


def delete(stack: Stack, path: str) -> None:
    act(stack, f"{path}/config", deletion_allowed=True)
    with stack.client() as vault:
        vault.delete(path)


def export(step: Step, stack: Stack, *arguments: str) -> tuple[int, str, str]:
    done = step(
        "ledger", "trust", "export", *arguments, VAULT_TOKEN=stack.openbao.root_token.reveal(), GITHUB_ACTIONS=None
    )
    return done.returncode, done.stdout, done.stderr


def exported(config_file: Path) -> list[TrustedKey]:
    trust = load_trust(config_file.parent / "stepcreds-trust.json")
    return sorted(trust.keys, key=lambda key: (key.name, key.version, key.not_before))


def test_every_version_of_every_repositorys_key(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    for name in ("ledger-123", "ledger-456", "ledger-seal", "other"):
        make(stack, f"{mount}/keys/{name}")
    act(stack, f"{mount}/keys/ledger-123/rotate")
    template, seal = f"{mount}/keys/ledger-{{repository_id}}", f"{mount}/keys/ledger-seal"
    assert export(step, stack, "--key", template, "--seal-key", seal) == (
        0,
        f"stepcreds-trust.json: 4 keys of {stack.address}\n"
        "It counts where it is named: --trust stepcreds-trust.json, or STEPCREDS_TRUST\n",
        "",
    )
    first, second, other, sealing = exported(config_file)
    with stack.client() as vault:
        at_vault = vault.read(first.name)["data"]["keys"]
    for key in (first, second):
        told = at_vault[str(key.version)]
        assert key.public_key == told["public_key"]
        assert key.not_before[:23] == told["creation_time"][:23]
    assert (first.not_after, second.not_after) == (second.not_before, None)
    assert [(key.purpose, key.name, key.version, key.repository_id) for key in (first, second, other, sealing)] == [
        ("checkpoint", f"{mount}/keys/ledger-123", 1, "123"),
        ("checkpoint", f"{mount}/keys/ledger-123", 2, "123"),
        ("checkpoint", f"{mount}/keys/ledger-456", 1, "456"),
        ("seal", seal, 1, None),
    ]
    assert {key.vault_addr for key in (first, second, other, sealing)} == {stack.address}


def test_the_keys_of_the_configuration_are_the_default(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    make(stack, f"{mount}/keys/ledger-123")
    make(stack, f"{mount}/keys/ledger-seal")
    settings = f'ledger:\n  key: "{mount}/keys/ledger-{{repository_id}}"\n  seal:\n    key: {mount}/keys/ledger-seal\n'
    plain = config_file.read_text()
    config_file.write_text(plain.replace("ledger:\n", settings))
    assert export(step, stack)[0] == 0
    assert [(key.purpose, key.repository_id) for key in exported(config_file)] == [
        ("checkpoint", "123"),
        ("seal", None),
    ]
    config_file.write_text(plain)
    assert export(step, stack, "--output", "other.json") == (
        2,
        "",
        "stepcreds: error: stepcreds.yml names no key that signs the ledger\n"
        "  fix: Set ledger.key there; or name the keys: --key 'transit/keys/stepcreds-{repository_id}'\n" + SEE,
    )


def test_a_key_of_any_repository_is_pointed_out(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    make(stack, f"{mount}/keys/ledger-1")
    make(stack, f"{mount}/keys/ledger-2")
    with stack.client() as vault:
        vault.write_data(f"{mount}/keys/ledger-aes", data={"type": "aes256-gcm96"})
        vault.write_data(f"{mount}/keys/ledger-derived", data={"type": "ed25519", "derived": True})
    told = "may sign for any repository; {repository_id} in --key says whose each key is"
    assert export(step, stack, "--key", f"{mount}/keys/ledger-*") == (
        0,
        f"stepcreds-trust.json: 2 keys of {stack.address}\n"
        f"left out: {mount}/keys/ledger-aes is of type aes256-gcm96, and only ed25519 signs ledgers\n"
        f"left out: {mount}/keys/ledger-derived is derived: it has another public key for each context\n"
        f"{mount}/keys/ledger-1:1: {told}\n"
        f"{mount}/keys/ledger-2:1: {told}\n"
        "It counts where it is named: --trust stepcreds-trust.json, or STEPCREDS_TRUST\n",
        "",
    )
    assert [key.repository_id for key in exported(config_file)] == [None, None]


def test_what_signs_nothing_is_refused(stack: Stack, mount: str, step: Step) -> None:
    with stack.client() as vault:
        vault.write_data(f"{mount}/keys/aes", data={"type": "aes256-gcm96"})
    assert export(step, stack, "--key", f"{mount}/keys/aes") == (
        2,
        "",
        f"stepcreds: error: The key {mount}/keys/aes is of type aes256-gcm96, and only ed25519 signs ledgers\n" + SEE,
    )


@pytest.mark.parametrize("name", ["none", "none-*", "none-{repository_id}"])
def test_a_key_that_is_not_there(name: str, stack: Stack, config_file: Path, step: Step) -> None:
    with stack.client() as vault:
        if "empty/" not in vault.sys.list_mounted_secrets_engines()["data"]:
            vault.sys.enable_secrets_engine("transit", path="empty")
    what = "There is no key" if name == "none" else "There is no key that fits"
    assert export(step, stack, "--key", f"empty/keys/{name}") == (
        2,
        "",
        f"stepcreds: error: {what} empty/keys/{name} at {stack.address}\n"
        "  cause: No step of such a repository was set up to sign yet, or it is another Vault or namespace.\n"
        "  fix: Let `stepcreds setup apply` make it, or name another: --key transit/keys/NAME\n" + SEE,
    )
    assert not (config_file.parent / "stepcreds-trust.json").exists()


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (
            ("--key", "stepcreds"),
            "stepcreds does not name a Transit key",
            "Write transit/keys/NAME, transit/keys/PREFIX* or transit/keys/PREFIX{repository_id}.",
        ),
        (
            ("--key", "transit/keys/a*b"),
            "transit/keys/a*b does not name a Transit key",
            "Write transit/keys/NAME, transit/keys/PREFIX* or transit/keys/PREFIX{repository_id}.",
        ),
        (
            ("--seal-key", "transit/keys/a-{repository_id}"),
            "A key for seals is one for all repositories: transit/keys/a-{repository_id}",
            "Leave out {repository_id}.",
        ),
        (
            ("--key", "transit/keys/a-{repository_id}-*"),
            "Both stand for anything: transit/keys/a-{repository_id}-*",
            "Leave out {repository_id}.",
        ),
    ],
)
def test_what_names_no_key(arguments: tuple[str, ...], what: str, fix: str, stack: Stack, step: Step) -> None:
    assert export(step, stack, *arguments) == (2, "", f"stepcreds: error: {what}\n  fix: {fix}\n" + SEE)


def test_nothing_is_overwritten(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    make(stack, f"{mount}/keys/ledger-1")
    path = config_file.parent / "stepcreds-trust.json"
    path.write_text("mine")
    code, out, err = export(step, stack, "--key", f"{mount}/keys/ledger-1")
    assert (code, out) == (2, "")
    assert err.startswith("stepcreds: error: stepcreds-trust.json is there already, and what a reviewer has pinned")
    assert path.read_text() == "mine"


def test_a_token_that_may_not_read_keys(stack: Stack, mount: str, step: Step) -> None:
    make(stack, f"{mount}/keys/ledger-1")
    with stack.client() as vault:
        token = vault.auth.token.create(policies=["default"], ttl="5m")["auth"]["client_token"]
    done = step("ledger", "trust", "export", "--key", f"{mount}/keys/ledger-1", VAULT_TOKEN=token)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"GET {mount}/keys/ledger-1" in done.stderr
    assert "The policies of your token do not allow it." in done.stderr
    assert token not in done.stderr


def test_an_update_adds_and_ends_and_takes_nothing_out(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    template = f"{mount}/keys/ledger-{{repository_id}}"
    make(stack, f"{mount}/keys/ledger-1")
    make(stack, f"{mount}/keys/ledger-2")
    assert export(step, stack, "--key", template)[0] == 0
    before = exported(config_file)
    assert export(step, stack, "--key", template, "--update") == (0, "stepcreds-trust.json: no change\n", "")
    assert exported(config_file) == before

    act(stack, f"{mount}/keys/ledger-1/rotate")
    make(stack, f"{mount}/keys/ledger-3")
    delete(stack, f"{mount}/keys/ledger-2")
    code, out, err = export(step, stack, "--key", template, "--update")
    one, one_again, two, three = exported(config_file)
    assert (code, err) == (0, "")
    assert out == (
        "stepcreds-trust.json: 3 changed\n"
        f"  {mount}/keys/ledger-1 version 1: ends at {one_again.not_before}\n"
        f"  {mount}/keys/ledger-1 version 2: new, for checkpoints of repository 1, from {one_again.not_before}\n"
        f"  {mount}/keys/ledger-3 version 1: new, for checkpoints of repository 3, from {three.not_before}\n"
        f"  kept: {mount}/keys/ledger-2 version 1: Vault no longer has it; what it signed can still be verified\n"
    )
    assert (one, two) == (replace(before[0], not_after=one_again.not_before), before[1])


def test_versions_that_vault_has_trimmed_are_kept(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    name = f"{mount}/keys/ledger-1"
    make(stack, name)
    assert export(step, stack, "--key", name)[0] == 0
    for _ in range(2):
        act(stack, f"{name}/rotate")
    act(stack, f"{name}/config", min_decryption_version=3, min_encryption_version=3)
    act(stack, f"{name}/trim", min_available_version=3)
    code, out, _ = export(step, stack, "--key", name, "--update")
    first, third = exported(config_file)
    assert (code, first.version, third.version) == (0, 1, 3)
    # When version 2 was made nobody can say any longer; version 1 ended then, or before version 3.
    assert first.not_after == third.not_before
    assert f"  {name} version 1: ends at {third.not_before}\n" in out
    assert f"  kept: {name} version 1: Vault no longer has it; what it signed can still be verified\n" in out


def test_a_window_that_somebody_narrowed_stays_narrow(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    name = f"{mount}/keys/ledger-1"
    make(stack, name)
    assert export(step, stack, "--key", name)[0] == 0
    (key,) = exported(config_file)
    narrowed = replace(key, not_after=key.not_before)
    (config_file.parent / "stepcreds-trust.json").write_text(dumps(Trust("", (narrowed,))))
    code, out, _ = export(step, stack, "--key", name, "--update")
    assert (code, exported(config_file)) == (0, [narrowed])
    assert out.startswith(
        "stepcreds-trust.json: no change\n"
        f"  kept: {name} version 1: its window in the file is narrower than Vault's, and stays so\n"
    )


def test_another_key_under_a_known_version_is_refused(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    name = f"{mount}/keys/ledger-1"
    make(stack, name)
    assert export(step, stack, "--key", name)[0] == 0
    (old,) = exported(config_file)
    delete(stack, name)
    make(stack, name)
    code, out, err = export(step, stack, "--key", name, "--update")
    assert (code, out, exported(config_file)) == (2, "", [old])
    match = re.search(r'"not_after": "(\S+)"', err)
    assert match is not None
    assert err == (
        f"stepcreds: error: {name} version 1 has another public key at {stack.address} than in the trust file\n"
        "  cause: Somebody deleted the key and made it anew, or another Vault answers at this address.\n"
        "  fix: Find out which. If it was made anew, write into the file when the old one ended, and run this again:\n"
        f'      "not_after": "{match[1]}"\n' + SEE
    )
    # As it says.
    ended = replace(old, not_after=match[1])
    (config_file.parent / "stepcreds-trust.json").write_text(dumps(Trust("", (ended,))))
    assert export(step, stack, "--key", name, "--update")[0] == 0
    kept, new = exported(config_file)
    assert (kept, new.version, new.not_before) == (ended, 1, match[1])
    assert export(step, stack, "--key", name, "--update")[1].startswith("stepcreds-trust.json: no change\n")


def test_what_is_pinned_is_shown_with_its_fingerprint(stack: Stack, mount: str, config_file: Path, step: Step) -> None:
    make(stack, f"{mount}/keys/ledger-1")
    assert export(step, stack, "--key", f"{mount}/keys/ledger-{{repository_id}}")[0] == 0
    (key,) = exported(config_file)
    digest = hashlib.sha256(base64.b64decode(key.public_key)).hexdigest()
    shown = step("ledger", "trust", "show", GITHUB_ACTIONS=None)
    title, header, row = shown.stdout.splitlines()
    assert (shown.returncode, shown.stderr) == (0, "")
    assert title == f"{config_file.parent}/stepcreds-trust.json: 1 key"
    assert header.split() == ["FOR", "REPOSITORY", "KEY", "FROM", "UNTIL", "SHA-256", "VAULT"]
    assert row.split() == ["checkpoint", "1", key.keyid, key.not_before, "-", digest[:16], stack.address]
    told: dict[str, Any] = json.loads(step("ledger", "trust", "show", "--json").stdout)
    assert told == {
        "file": f"{config_file.parent}/stepcreds-trust.json",
        "keys": [{**vars(key), "sha256": digest}],
    }
    assert epoch_of(key.not_before) is not None


def test_nothing_is_pinned(step: Step) -> None:
    shown = step("ledger", "trust", "show", GITHUB_ACTIONS=None)
    assert (shown.returncode, shown.stdout, shown.stderr) == (
        2,
        "",
        "stepcreds: error: No key is pinned: there is no trust file here\n"
        "  fix: Write one from Vault: stepcreds ledger trust export\n"
        "    Or name it: --trust FILE, or STEPCREDS_TRUST\n" + SEE,
    )
