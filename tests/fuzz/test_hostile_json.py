"""JSON of somebody else: depth, numbers, fields and names have bounds, and what is beyond them is no answer."""

from __future__ import annotations

from typing import Any

import pytest

from stepcreds import foreign_json
from stepcreds.ci import jwt
from stepcreds.foreign_json import DEEPEST
from stepcreds.model import Lease
from stepcreds.vault import values
from stepcreds.vault.answer import Answer
from stepcreds.vault.values import DEEPEST as DEEPEST_FIELD
from stepcreds.vault.values import LONGEST_ID, LONGEST_NAME, MOST_FIELDS


def lease(data: object, lease_id: object = "database/creds/app/a", duration: object = 60) -> Lease | None:
    return values.lease(
        Answer("https://v", 200, {"data": data, "lease_id": lease_id, "lease_duration": duration}), 1.8e9
    )


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"a": "leaf"}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_as_many_fields_as_an_engine_may_have() -> None:
    fields = {str(number): "x" for number in range(MOST_FIELDS)}
    assert lease(fields) is not None
    assert lease({**fields, "one": "more"}) is None
    assert lease({"a": fields}) is not None
    assert lease({"a" * LONGEST_NAME: 1}) is not None
    assert lease({"a" * LONGEST_NAME: {"": 1}}) is None


def test_what_is_nested_deeper_than_names_go_is_json() -> None:
    found = lease(nested(DEEPEST_FIELD + 1))
    assert found is not None
    assert {name: value.reveal() for name, value in found.fields.items()} == {
        ".".join("a" * (DEEPEST_FIELD + 1)): '{"a":"leaf"}'
    }


@pytest.mark.parametrize("lease_id", [None, 7, [], "a\n", "\ud800", "a" * (LONGEST_ID + 1), " a"])
def test_an_id_that_is_none_of_vaults_is_no_lease(lease_id: object) -> None:
    assert lease({"username": "u"}, lease_id) is None


@pytest.mark.parametrize("duration", [10**400, 1e300, float("nan"), float("inf"), -1, True, "60", None])
def test_a_duration_that_no_vault_sends_is_no_lease(duration: object) -> None:
    assert lease({"username": "u"}, "a", duration) is None


def test_a_time_that_no_clock_shows_is_no_time() -> None:
    for time in (10**400, float("nan"), float("inf"), -1, True, "1"):
        assert jwt.seconds({"exp": time}, "exp") is None
    assert jwt.seconds({"exp": 7}, "exp") == 7.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":1,"a":[2]}', {"a": [2]}),
        (b"[" * DEEPEST + b"]" * DEEPEST, "something"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), None),
        (b"[" * 100_000 + b"]" * 100_000, None),
        (b"[" * 100_000, None),
        (b"9" * 10**6, None),
        (b"\xff", None),
        ("{}".encode("utf-16"), None),
        (b"", None),
    ],
    ids=range(9),
)
def test_what_is_read(text: bytes, value: object) -> None:
    read = foreign_json.read(text)
    assert (read is not None) if value == "something" else (read == value)
