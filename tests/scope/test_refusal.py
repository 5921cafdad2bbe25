"""What is said of a credential that can do more than it declares."""

from __future__ import annotations

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.measurement import Finding, Measured
from stepcreds.scope import held_against, merged, places
from stepcreds.scope.interface import Examination
from stepcreds.scope.report import refusal, verdict, warning, worst

URL = DatabaseURL("postgresql", "postgresql", "db", 5432, "shop", "require", None)
PROFILE = Profile("verify", "verify", "database/creds/verify", URL, "read-only", schemas=("app",))
OWNS = Finding(
    "PG.TABLE.OWN",
    "ddl",
    "alter, drop, empty, and open to others 214 tables of app",
    "app",
    ("app.a", "app.b", "app.c"),
    214,
    "SET ROLE app_owner",
    "REVOKE app_owner FROM …",
    "shop",
    "app",
)
READS = Finding(
    "PG.TABLE.READ", "read", "SELECT from 1 table of audit", "audit", ("audit.log",), 1, "PUBLIC", "", "shop", "audit"
)
WITHIN = Finding("PG.TABLE.READ", "read", "SELECT from 214 tables of app", "app", database="shop", schema="app")


def measured(*findings: Finding, profile: Profile = PROFILE) -> Measured:
    return held_against(profile, Examination(findings, (), "PostgreSQL 16.14", 1), 0.02, 0.0)


def test_a_refusal_says_the_worst_and_the_rest_with_its_fixes() -> None:
    error = refusal(PROFILE, measured(WITHIN, READS, OWNS))
    assert error.what == (
        "The credential of profile verify is declared read-only in app, and can do more (ddl): it can alter, drop, "
        "empty, and open to others 214 tables of app, via SET ROLE app_owner"
    )
    assert error.cause == (
        "PG.TABLE.OWN app: alter, drop, empty, and open to others 214 tables of app (app.a, app.b, app.c, …), via SET "
        "ROLE app_owner [ddl, and the profile declares read-only]\n"
        "PG.TABLE.READ audit: SELECT from 1 table of audit (audit.log), via PUBLIC [the profile does not declare the "
        "schema audit]"
    )
    assert error.fix == (
        "REVOKE app_owner FROM …\n"
        "Or accept one of them for a while, under profiles.verify:\n"
        "  allow:\n"
        '    - {what: "PG.TABLE.OWN app", reason: "…", expires: YYYY-MM-DD}\n'
        "Or have a warning of it: on_excess: warn"
    )
    assert error.docs == "excess"


def test_a_long_list_is_cut_and_says_where_the_rest_is() -> None:
    many = [OWNS._replace(subject=f"s{n}", schema=f"s{n}", fix=f"fix {n}") for n in range(11)]
    error = refusal(PROFILE, measured(*many))
    lines = error.cause.splitlines()
    assert (len(lines), lines[-1]) == (9, "and 3 more: stepcreds scope verify")
    assert error.fix.count("fix ") == 8


def test_a_warning_says_the_same_and_that_it_passes() -> None:
    found = measured(OWNS)
    first, second = warning(PROFILE, found).splitlines()
    assert first == (
        "the credential of profile verify is declared read-only in app, and can do more (ddl): it can alter, drop, "
        "empty, and open to others 214 tables of app, via SET ROLE app_owner. on_excess: warn lets it pass"
    )
    assert second == refusal(PROFILE, found).cause


def test_without_excess_the_verdict_says_so() -> None:
    found = measured(WITHIN)
    assert verdict(PROFILE, found) == "declared read-only in app, and can do no more (read)"
    assert worst(found) == "it can SELECT from 214 tables of app"
    assert worst(measured()) == "it can do nothing"


def test_names_of_a_hostile_server_stay_in_their_line() -> None:
    evil = OWNS._replace(what="own a\n::error::table", objects=("\x1b[2Jx",), number=1, fix="DROP\nTABLE x")
    error = refusal(PROFILE, measured(evil))
    assert "\x1b" not in error.what + error.cause + error.fix
    assert (len(error.what.splitlines()), len(error.cause.splitlines())) == (1, 1)
    assert error.fix.splitlines()[0] == "DROP TABLE x"


def test_each_declared_database_is_looked_at_once_where_one_connection_sees_one() -> None:
    of = PROFILE._replace(databases=("orders", "shop"))
    assert [place.database for place in places(URL, of)] == ["shop", "orders"]
    mysql = URL._replace(engine="mysql", scheme="mysql")
    assert [place.database for place in places(mysql, of._replace(database=mysql))] == ["shop"]


def test_what_two_looks_saw_is_said_once() -> None:
    server = Finding("PG.ROLE.CREATEDB", "ddl", "make databases")
    here = Examination((server, OWNS), ("pg_hba.conf", "a"), "PostgreSQL 16.14", 1, ("standby",))
    there = Examination(
        (OWNS._replace(database="orders"), server), ("pg_hba.conf",), "PostgreSQL 16.14", 2, ("standby",)
    )
    both = merged({"shop": here, "orders": there})
    assert both == Examination(
        (server, OWNS, OWNS._replace(database="orders")), ("pg_hba.conf", "a"), "PostgreSQL 16.14", 3, ("standby",)
    )
    assert merged({"shop": here}) is here
    # The same power in another database is another power.
    assert measured(OWNS).digest != measured(OWNS._replace(database="orders")).digest
    assert measured(OWNS, WITHIN).digest == measured(WITHIN, OWNS._replace(number=3, objects=())).digest
