"""Only `scope` makes a grant, and every grant says whether anybody looked."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import stepcreds
from stepcreds import scope
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.measurement import NotMeasured
from stepcreds.model import Grant, Lease
from stepcreds.secret import Secret

DATABASE = DatabaseURL("postgresql", "postgresql", "db", 5432, "app", "require", None)
SOURCES = Path(stepcreds.__file__).parent


@pytest.mark.parametrize(
    ("database", "measure", "reason"),
    [
        (DATABASE, "off", "the profile says measure: off"),
        (None, "on", "there is no database to ask"),
        (None, "off", "the profile says measure: off"),
    ],
)
def test_a_grant_says_that_nobody_looked_and_why(database: DatabaseURL | None, measure: str, reason: str) -> None:
    profile = Profile("migrate", "migrate", "database/creds/x", database, "ddl", measure=measure)  # type: ignore[arg-type]
    lease = Lease("id", 60, True, {"password": Secret("c4n4ry")}, "request", 0.0)
    unmeasured = scope.not_measured(profile)
    assert unmeasured is not None
    grant = scope.grant(profile, lease, unmeasured)
    assert grant == Grant(profile, lease, NotMeasured(reason))
    assert "c4n4ry" not in repr(grant)


def test_a_database_is_measured_unless_the_profile_says_otherwise() -> None:
    assert scope.not_measured(Profile("migrate", "migrate", "database/creds/x", DATABASE, "ddl")) is None


def makers(source: str) -> list[int]:
    """The lines on which something is made by a name that ends in `Grant`, or `replace` might copy one."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func).split(".")[-1] == "Grant"]


def test_nothing_but_scope_makes_a_grant() -> None:
    found = {path.relative_to(SOURCES).parts[0] for path in SOURCES.rglob("*.py") if makers(path.read_text())}
    assert found == {"scope"}


@pytest.mark.parametrize("source", ["Grant(1)", "x = model.Grant(a, b)", "f(lambda: Grant())"])
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert makers(source) == [1]
