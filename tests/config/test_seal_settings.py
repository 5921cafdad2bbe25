"""`ledger.seal`: who seals, and where the seals are."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_examples import FixedClock, folder

from stepcreds.config.load import load_config
from stepcreds.config.model import SealSettings
from stepcreds.errors import ConfigError

HEAD = "version: 1\nvault: {address: 'https://vault.example.com:8200'}\n"
PROFILES = "profiles: {kv: {creds: kv/a, revocation: none, env: {TOKEN: '{value}'}}}\n"


def settings(cwd: Path, seal: str, ledger: str = "") -> SealSettings | None:
    text = f"{HEAD}ledger:\n{ledger}{f'  seal: {seal}' if seal else '  push: copies'}\n{PROFILES}"
    folder(cwd, text)
    return load_config(None, {}, cwd, FixedClock()).ledger.seal


def test_a_key_is_enough(tmp_path: Path) -> None:
    expected = SealSettings("transit/keys/seal", "stepcreds-seal", str(tmp_path / ".stepcreds/seals"))
    assert settings(tmp_path, "{key: transit/keys/seal}") == expected
    assert settings(tmp_path, "") is None
    moved = settings(tmp_path, "{key: transit/keys/seal}", "  path: deep/../ledgers\n")
    assert moved == expected._replace(to=str(tmp_path / "ledgers/seals"))


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("seals", "HERE/a/seals"),
        ("../else/seals/", "HERE/else/seals"),
        ("/mnt/seals", "/mnt/seals"),
        ("s3://audit-ledgers/seals/", "s3://audit-ledgers/seals"),
        ("az://audit/seals", "az://audit/seals"),
    ],
)
def test_a_place(tmp_path: Path, to: str, place: str) -> None:
    (tmp_path / "a").mkdir()
    found = settings(tmp_path / "a", f"{{key: transit/keys/seal, role: auditor, to: {to}}}")
    assert found == SealSettings("transit/keys/seal", "auditor", place.replace("HERE", str(tmp_path)))


@pytest.mark.parametrize(
    ("seal", "key", "what"),
    [
        ("{role: auditor}", "ledger.seal.key", "the key is missing"),
        ("{key: seal}", "ledger.seal.key", "must be the path of a Transit key: <mount>/keys/<name>"),
        # One key for all: a seal is over the chains of many repositories.
        (
            '{key: "transit/keys/seal-{repository_id}"}',
            "ledger.seal.key",
            "must be the path of a Transit key: <mount>/keys/<name>",
        ),
        (
            "{key: transit/keys/seal, role: a b}",
            "ledger.seal.role",
            "must be the name of a role: letters, digits, '_', and within it '-' and '.'",
        ),
        (
            "{key: transit/keys/seal, to: 'https://example.com/seals'}",
            "ledger.seal.to",
            "must be a folder, or an object store without keys in it: s3://bucket/prefix, gs://bucket/prefix or "
            "az://container/prefix",
        ),
    ],
)
def test_what_cannot_be(tmp_path: Path, seal: str, key: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, seal)
    assert [(problem.key, problem.what) for problem in caught.value.problems] == [(key, what)]
