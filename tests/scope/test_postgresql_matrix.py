"""Whether the matrix is honest: large enough on every major, complete, and able to fail; and what `allow` accepts of it."""

from __future__ import annotations

from typing import Any

import pytest
from postgresql_case import Case, role
from postgresql_majors import Lab, lab
from postgresql_matrix import CASES, CLEAN, on, test_power_beyond_the_profile

from postgresql_programs import MAJORS
from stepcreds.config.model import Allowance
from stepcreds.measurement import Measured
from stepcreds.scope.postgresql.codes import CODES

__all__ = ["lab"]

MAJOR = 18
UNTIL = "2100-01-01"
power_beyond_the_profile = test_power_beyond_the_profile
del test_power_beyond_the_profile  # it is not to be collected here

# A case that holds: the others of this file are made of it.
TRUE = Case(
    name="honest",
    level="write",
    code="PG.TABLE.WRITE",
    about="app",
    objects="CREATE TABLE app.{case} (id int); GRANT SELECT ON app.{case} TO app_ro",
    grant="GRANT INSERT ON app.{case} TO {user}",
    attack="INSERT INTO app.{case} VALUES (1)",
    watch="SELECT count(*) FROM app.{case}",
    undo="DROP TABLE IF EXISTS app.{case}",
)
FALSE: dict[str, dict[str, Any]] = {
    "found without the grant": {"objects": (TRUE.objects, TRUE.grant)},
    "no power": {"grant": ""},
    "another kind": {"code": "PG.TABLE.OWN"},
    "not as bad": {"level": "ddl"},
    "about something else": {"about": "hr"},
    "no effect": {"attack": "SELECT * FROM app.{case}", "refused": ""},
    "refused": {"grant": "GRANT DELETE ON app.{case} TO {user}"},
    "refused for another reason": {"attack": "INSERT INTO app.misspelt VALUES (1)"},
    "works anyway": {"objects": (TRUE.objects, TRUE.grant), "harmless": False},
    "reads something else": {"attack": "SELECT count(*) FROM app.orders", "watch": "", "reads": 21, "refused": ""},
    "reads it anyway": {"attack": "SELECT count(*) FROM app.orders", "watch": "", "reads": 20, "refused": ""},
}


def test_large_enough_on_every_major() -> None:
    sizes = {major: (len(on(major, CASES)), len(on(major, CLEAN))) for major in MAJORS}
    assert all(cases >= 140 and clean >= 30 for cases, clean in sizes.values()), sizes


def test_every_name_is_of_one_case() -> None:
    names = [case.name for case in CASES] + [case.name for case in CLEAN]
    assert sorted(names) == sorted(set(names))


def test_every_attack_has_an_effect_that_is_looked_at() -> None:
    assert [case.name for case in CASES if bool(case.watch) == (case.reads is not None)] == []


def test_every_kind_of_power_is_in_the_matrix() -> None:
    expected = {code for case in CASES for code in case.code.split("|")}
    assert expected - set(CODES) == set()
    assert {code for code, (level, _) in CODES.items() if level != "info"} - expected == set()


@pytest.mark.parametrize("changes", FALSE.values(), ids=FALSE)
def test_a_case_that_is_not_true_fails(lab: Lab, changes: dict[str, Any], request: pytest.FixtureRequest) -> None:
    number = list(FALSE.values()).index(changes)
    with pytest.raises(AssertionError):
        power_beyond_the_profile(lab, TRUE._replace(name=f"honest_{number}", **changes))


def test_a_case_that_is_true_passes(lab: Lab) -> None:
    power_beyond_the_profile(lab, TRUE)


@pytest.fixture(scope="module")
def allowed(lab: Lab) -> str:
    """A credential that may run code of another owner; the name of the finding."""
    lab.issue(role("allowed"))
    lab.do(
        "CREATE FUNCTION app.allowed() RETURNS int LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_catalog AS 'SELECT 1'",
        "ALTER FUNCTION app.allowed() OWNER TO app_owner",
    )
    (finding,) = lab.measure(role("allowed")).excess
    return finding.name


def measured(lab: Lab, *names: str) -> Measured:
    entries = tuple(Allowance(name, "reviewed", UNTIL) for name in names)
    return lab.measure(role("allowed"), allow=entries)


def test_what_is_allowed_is_no_excess(lab: Lab, allowed: str) -> None:
    accepted = measured(lab, allowed)
    assert accepted.excess == ()
    assert [(each.name, each.because) for each in accepted.findings if each.standing == "allowed"] == [
        (allowed, f"allowed until {UNTIL}: reviewed")
    ]


def test_what_is_allowed_under_another_name_is_excess(lab: Lab, allowed: str) -> None:
    assert [each.name for each in measured(lab, "PG.DEFINER.CALL app.allowed()", "PG.DEFINER.CALL").excess] == [allowed]


@pytest.mark.parametrize(
    ("change", "back"),
    [
        (
            "CREATE OR REPLACE FUNCTION app.allowed() RETURNS int LANGUAGE sql SECURITY DEFINER"
            " SET search_path = pg_catalog AS 'SELECT 2'",
            "CREATE OR REPLACE FUNCTION app.allowed() RETURNS int LANGUAGE sql SECURITY DEFINER"
            " SET search_path = pg_catalog AS 'SELECT 1'",
        ),
        ("ALTER FUNCTION app.allowed() OWNER TO hr_owner", "ALTER FUNCTION app.allowed() OWNER TO app_owner"),
        (
            "ALTER FUNCTION app.allowed() RENAME TO allowed_before; CREATE FUNCTION app.allowed() RETURNS int"
            " LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END'; ALTER FUNCTION app.allowed() OWNER TO app_owner",
            "DROP FUNCTION app.allowed(); ALTER FUNCTION app.allowed_before() RENAME TO allowed",
        ),
        ("ALTER FUNCTION app.allowed() RESET search_path", "ALTER FUNCTION app.allowed() SET search_path = pg_catalog"),
    ],
    ids=["another body", "another owner", "another function", "another search_path"],
)
def test_what_is_allowed_has_to_stay_as_it_was(lab: Lab, allowed: str, change: str, back: str) -> None:
    lab.do(change)
    try:
        assert allowed not in [each.name for each in measured(lab, allowed).excess]
        assert measured(lab, allowed).excess != ()
    finally:
        lab.do(back)
    assert measured(lab, allowed).excess == ()


def test_what_was_allowed_until_some_day_is_excess_again(lab: Lab, allowed: str) -> None:
    over = (Allowance(allowed, "reviewed", "2001-01-01"),)
    (finding,) = lab.measure(role("allowed"), allow=over).excess
    assert (finding.name, finding.because) == (
        allowed,
        f"admin, and the profile declares read-only; the allowance for {allowed} expired on 2001-01-01",
    )
