"""stepcreds-trust.json is read strictly: each thing that is wrong with it, named with its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcreds.cli.messages import render_error
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.trust.file import LONGEST, create, dumps, load_trust, replace
from stepcreds.trust.keys import Trust, TrustedKey

FIRST = TrustedKey(
    "checkpoint",
    "https://vault.example.com:8200",
    "transit/keys/stepcreds-123456",
    1,
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",  # RFC 8032, 7.1, test 1
    "2026-11-01T08:00:00.000Z",
    "2026-11-20T08:00:00.000Z",
    "123456",
)
SECOND = TrustedKey(
    "checkpoint",
    FIRST.vault_addr,
    FIRST.name,
    2,
    "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
    "2026-11-20T08:00:00.000Z",
    None,
    "123456",
)
SEAL = TrustedKey(
    "seal",
    FIRST.vault_addr,
    "transit/keys/stepcreds-seal",
    1,
    "/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=",
    "2026-11-01T08:00:00.000Z",
    None,
)
TRUST = Trust("x", (FIRST, SECOND, SEAL))
TIMES = "is no time as 2026-11-22T07:50:00.000Z is"

Change = Callable[[dict[str, Any]], object]
WRONG: dict[str, tuple[Change, str]] = {
    "another schema": (lambda file: file.update(schema="stepcreds.trust/2"), "schema is not stepcreds.trust/1"),
    "a field of the file": (lambda file: file.update(more=1), "more is no field of it"),
    "no keys": (lambda file: file.pop("keys"), "keys is no list"),
    "keys by name": (lambda file: file.update(keys={}), "keys is no list"),
    "a key that is a text": (lambda file: file["keys"].append("x"), "keys[3] is no object"),
    "a misspelt field": (
        lambda file: file["keys"][1].update(not_afer="2026-11-21T08:00:00.000Z"),
        "keys[1].not_afer is no field of a key",
    ),
    "a field that is missing": (lambda file: file["keys"][1].pop("not_after"), "keys[1].not_after is missing"),
    "an unknown purpose": (
        lambda file: file["keys"][0].update(purpose="all"),
        "keys[0].purpose is none of checkpoint, seal",
    ),
    "a purpose that is a list": (
        lambda file: file["keys"][0].update(purpose=["seal"]),
        "keys[0].purpose is none of checkpoint, seal",
    ),
    "no address": (lambda file: file["keys"][0].update(vault_addr=""), "keys[0].vault_addr is no address"),
    "an address that is a number": (
        lambda file: file["keys"][0].update(vault_addr=1),
        "keys[0].vault_addr is no address",
    ),
    "a name without a mount": (
        lambda file: file["keys"][0].update(name="stepcreds"),
        "keys[0].name is not <mount>/keys/<name>",
    ),
    "a name with a line in it": (
        lambda file: file["keys"][0].update(name="a/keys/b\nc"),
        "keys[0].name is not <mount>/keys/<name>",
    ),
    "version 0": (lambda file: file["keys"][0].update(version=0), "keys[0].version is no version: 1, 2, 3…"),
    "version true": (lambda file: file["keys"][0].update(version=True), "keys[0].version is no version: 1, 2, 3…"),
    "version 1.0": (lambda file: file["keys"][0].update(version=1.0), "keys[0].version is no version: 1, 2, 3…"),
    "a key of 31 bytes": (
        lambda file: file["keys"][0].update(public_key="11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ=="),
        "keys[0].public_key is not the base64 of 32 bytes",
    ),
    "base64 with white space": (
        lambda file: file["keys"][0].update(public_key=FIRST.public_key + "\n"),
        "keys[0].public_key is not the base64 of 32 bytes",
    ),
    "base64 that is not canonical": (
        lambda file: file["keys"][0].update(public_key=FIRST.public_key.replace("Ro=", "Rp=")),
        "keys[0].public_key is not the base64 of 32 bytes",
    ),
    "a time without milliseconds": (
        lambda file: file["keys"][0].update(not_before="2026-11-01T08:00:00Z"),
        f"keys[0].not_before {TIMES}",
    ),
    "a month 13": (
        lambda file: file["keys"][0].update(not_before="2026-13-01T08:00:00.000Z"),
        f"keys[0].not_before {TIMES}",
    ),
    "no beginning": (lambda file: file["keys"][0].update(not_before=None), f"keys[0].not_before {TIMES}"),
    "an end that is a number": (lambda file: file["keys"][0].update(not_after=0), f"keys[0].not_after {TIMES}"),
    "a window the wrong way round": (
        lambda file: file["keys"][0].update(not_after="2026-10-31T08:00:00.000Z"),
        "keys[0].not_after is before its not_before",
    ),
    "a repository without a name": (
        lambda file: file["keys"][0].update(repository_id=""),
        "keys[0].repository_id is neither the id of a repository nor null",
    ),
    "a repository that is a number": (
        lambda file: file["keys"][0].update(repository_id=123456),
        "keys[0].repository_id is neither the id of a repository nor null",
    ),
    "a seal of one repository": (
        lambda file: file["keys"][2].update(repository_id="123456"),
        "keys[2].repository_id must be null: a seal is for all repositories",
    ),
    "a key that is there twice": (
        lambda file: file["keys"].append(copy.deepcopy(file["keys"][0])),
        "keys[3] is the same version of the same key as keys[0]",
    ),
    "another key for a version, at the same time": (
        lambda file: file["keys"].append({**file["keys"][1], "public_key": FIRST.public_key}),
        "keys[3] is the same version of the same key as keys[1]",
    ),
    "another key for a version, after it, while it is open": (
        lambda file: file["keys"].append({**file["keys"][1], "not_before": "2026-11-21T08:00:00.000Z"}),
        "keys[3] is the same version of the same key as keys[1]",
    ),
}


def document() -> dict[str, Any]:
    value = json.loads(dumps(TRUST))
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    change, meaning = WRONG[name]
    file = document()
    change(file)
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(file))
    with pytest.raises(UsageError) as error:
        load_trust(path)
    assert render_error(error.value, colour=False) == (
        f"stepcreds: error: {path} is not a trust file of stepcreds: {meaning}\n"
        "  cause: It was cut short, edited by hand, or is something else.\n"
        f"  fix: Mend it, or write another from Vault: stepcreds ledger trust export --output {path}.new\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-trust"
    )


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"schema":"stepcreds.trust/1","keys":[],"keys":[]}', "a field is there twice in one object"),
        (b'{"schema":"stepcreds.trust/1","keys":[NaN]}', "a number that JSON does not have"),
        (b'{"schema":"stepcreds.trust/1","keys":[' + b"9" * 10_000 + b"]}", "a number that is too large"),
        (b" " * (LONGEST + 1), "it is larger than 4 MiB"),
        (b"[]", "schema is not stepcreds.trust/1"),
    ],
)
def test_what_is_no_such_file_at_all(text: bytes, meaning: str, tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(text)
    with pytest.raises(UsageError) as error:
        load_trust(path)
    assert error.value.what == f"{path} is not a trust file of stepcreds: {meaning}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_trust(tmp_path / "none.json")
    assert error.value.what == f"The trust file {tmp_path}/none.json cannot be read: No such file or directory"
    with pytest.raises(UsageError) as error:
        load_trust(tmp_path)
    assert error.value.what == f"The trust file {tmp_path} cannot be read: Is a directory"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    create(path, TRUST)
    trust = load_trust(path)
    assert (trust.source, set(trust.keys)) == (str(path), {FIRST, SECOND, SEAL})
    assert path.stat().st_mode & 0o777 & ~0o644 == 0
    with pytest.raises(UsageError) as error:
        create(path, TRUST)
    assert render_error(error.value, colour=False) == (
        f"stepcreds: error: {path} is there already, and what a reviewer has pinned is not overwritten\n"
        f"  fix: Bring it up to date, and read what changes: stepcreds ledger trust export --update --output {path}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-trust"
    )
    replace(path, Trust("", (SEAL,)))
    assert load_trust(path).keys == (SEAL,)
    assert [file.name for file in tmp_path.iterdir()] == ["trust.json"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "none" / "trust.json"
    for write in (create, replace):
        with pytest.raises(StepcredsError) as error:
            write(path, TRUST)
        assert error.value.what == f"The trust file {path} cannot be written: No such file or directory"


def test_one_key_may_sign_for_two_repositories_and_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    other = {**vars(FIRST), "repository_id": "99"}
    anew = {**vars(FIRST), "public_key": SECOND.public_key, "not_before": FIRST.not_after, "not_after": None}
    path.write_text(json.dumps({"schema": "stepcreds.trust/1", "keys": [vars(FIRST), other, anew]}))
    assert len(load_trust(path).keys) == 3


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(sorted(vars(FIRST)))


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 2), names, anything), min_size=1, max_size=4))
def test_no_field_whatever_it_holds_is_a_fault(
    changes: list[tuple[int, str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = document()
    for index, name, value in changes:
        file["keys"][index][name] = value
    path = tmp_path_factory.mktemp("fuzz") / "trust.json"
    path.write_text(json.dumps(file))
    try:
        for key in load_trust(path).keys:
            assert all(type(value) in (str, int, type(None)) for value in vars(key).values())
    except UsageError as error:
        assert render_error(error, colour=False).isprintable() is False  # its lines; nothing else
        assert "\x1b" not in render_error(error, colour=False)
