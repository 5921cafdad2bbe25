"""Whatever the bytes: a configuration or a `ConfigError`, and no other traceback; what is taken the schema takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_examples import CONTRACT, INVALID_SHAPE, VALID, folder
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from stepcreds.cli.messages import render_error
from stepcreds.clock import SystemClock
from stepcreds.config.document import read_document
from stepcreds.config.json_schema import json_schema
from stepcreds.config.load import load_config
from stepcreds.config.model import Config
from stepcreds.config.problems import Problems
from stepcreds.config.schema import sections
from stepcreds.errors import ConfigError

EXAMPLES = [text.encode() for text in (*VALID.values(), *INVALID_SHAPE.values())]
# What YAML, or the reading of a key, may trip over.
PIECES = (
    *(b"*a", b"&a ", b"<<: ", b"!!str ", b"{", b"}", b"[", b"]", b": ", b"\n", b"\t", b"'", b'"', b"\\", b"#", b"- "),
    *(b"|\n", b"? ", b"---\n", b"...\n", b"%YAML 1.1\n", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80", b"\r"),
    *(b"\xc2\x85", b'"\\uD800"', b'"\\UFFFFFFFF"', b"~", b"on", b"1e999", b"0x", b"9" * 5000, b"a" * 300, b"{url"),
    *(b"https://[", b"%zz"),
)

quickly = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """An example with pieces of it cut out, doubled, or replaced."""
    data = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(st.sampled_from([b"", data[start:end] * 2, *PIECES])) + data[end:]
    return data


KEYS = sorted({name for _, names in sections() for name in names})
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-10, 90_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
SCALARS |= st.sampled_from(["2m", "ddl", "fail", "on", "{url}", "{dir}/x", "database/creds/a", "postgresql://db/app"])
SCALARS |= st.sampled_from(["https://vault.example.com", "2027-01-31", "jwt", "mysql://db", "none", "kv/a", "A"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "a", "A"]), inner, max_size=4),
    max_leaves=12,
)
SECTION = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)
DOCUMENTS = st.fixed_dictionaries(
    {
        "version": st.just(1) | VALUES,
        "profiles": st.dictionaries(st.sampled_from(["a", "b", "A"]), SECTION, max_size=2) | VALUES,
    },
    optional={"vault": SECTION, "ledger": SECTION},
)


def loaded(path: Path, data: bytes) -> Config | None:
    """The configuration, None where it has problems; each of them can be shown, and names the file."""
    try:
        return load_config(None, {"VAULT_ADDR": "https://v"}, folder(path, data), SystemClock())
    except ConfigError as error:
        shown = render_error(error, colour=False)
        assert all(problem.where.startswith(("stepcreds.yml", "VAULT_")) for problem in error.problems)
        assert all(character.isprintable() or character == "\n" for character in shown.replace("�", ""))
        return None


@quickly
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b'"\\UFFFFFFFF": 1')
@example(b"%YAML 1.1\n%YAML 1.1\n---\na")
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    loaded(tmp_path, data)


@quickly
@given(data=mutations())
def test_an_example_that_was_damaged(tmp_path: Path, data: bytes) -> None:
    loaded(tmp_path, data)


@quickly
@given(data=mutations() | st.binary(max_size=80))
def test_the_parser_in_python_lets_nothing_through_either(data: bytes) -> None:
    try:
        read_document(data, problems := Problems("f.yml"), yaml.SafeLoader)
        problems.raise_all()
    except ConfigError as error:
        assert error.problems


@quickly
@given(document=DOCUMENTS)
def test_any_values_under_the_right_keys(tmp_path: Path, document: dict[str, Any]) -> None:
    config = loaded(tmp_path, json.dumps(document).encode())
    if config is not None:
        assert [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)] == []


@st.composite
def valid_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Configurations without a fault, with every optional key now there, now not."""
    duration = st.integers(10, 60) | st.integers(10, 60).map(lambda n: f"{n}s") | st.just("1m")
    names = st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), max_size=3, unique=True)
    other = st.fixed_dictionaries(
        {"creds": st.sampled_from(["aws/creds/a", "rabbitmq/creds/b"]), "env": st.just({"A": "{a:url}{{"})},
        optional={"role": st.just("a.b-c"), "ttl": duration, "keep": names, "files": st.just({"{dir}/a/b": "{x.y}"})},
    )
    fields: dict[str, st.SearchStrategy[Any]] = {
        "creds": st.just("team/database/creds/a"),
        "access": st.sampled_from(["read-only", "read-write", "ddl"]),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "schemas": names,
        "max_ttl": st.sampled_from(["2m", 86_400, "1h1m1s"]),
        "env": st.just({"URL": "{url}"}),
    }
    measure = st.sampled_from(["on", "off"])
    measured = st.fixed_dictionaries(
        {**fields, "database": st.just("postgresql://[::1]/a?sslmode=require")},
        optional={**optional, "measure": measure},
    )
    unmeasured = st.fixed_dictionaries(
        {**fields, "database": st.just("redshift://db:1/b"), "measure": st.just("off")}, optional=optional
    )
    database = measured | unmeasured
    profiles = st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), other | database, min_size=1)
    return {"version": 1, "profiles": draw(profiles)}


@quickly
@given(document=valid_documents())
def test_a_configuration_without_a_fault_is_taken_by_both(tmp_path: Path, document: dict[str, Any]) -> None:
    assert loaded(tmp_path, json.dumps(document).encode()) is not None
    assert [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)] == []


@pytest.mark.parametrize("cut", range(0, len(CONTRACT), 7))
def test_a_file_that_was_cut_short(cut: int, tmp_path: Path) -> None:
    loaded(tmp_path, CONTRACT[:cut].encode())
