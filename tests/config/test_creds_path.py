"""What a creds path reads, by the path alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.config.creds_path import kind_of, path_problem


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("database/creds/app", "database"),
        ("team/a/database/creds/app", "database"),
        ("database/static-creds/app", "static database"),
        ("team/database/static-creds/app", "static database"),
        ("database/roles/app", "database configuration"),
        ("database/static-roles/app", "database configuration"),
        ("database/config/app", "database configuration"),
        ("secret/data/app", "unleased"),
        ("secret/app", "unleased"),
        ("kv/app", "unleased"),
        ("kv-v2/data/app/db", "unleased"),
        ("team/kv/data/app", "unleased"),
        ("ldap/static-cred/app", "unleased"),
        ("aws/static-creds/app", "unleased"),
        ("cubbyhole/app", "unleased"),
        ("aws/creds/deploy", "other"),
        ("aws/sts/deploy", "other"),
        ("postgres/creds/app", "other"),
        ("aws/creds/data", "other"),
        ("databases/creds/app", "other"),
    ],
)
def test_the_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind
    assert path_problem(path) == ""


@given(st.text("ab/.*+ v1é%", max_size=12))
def test_a_path_without_a_problem_is_one(path: str) -> None:
    if path_problem(path) == "":
        segments = path.split("/")
        assert all(segment not in ("", ".", "..", "+") for segment in segments)
        assert not set("*?#% é") & set(path)
        assert segments[0] != "v1" or len(segments) == 1
