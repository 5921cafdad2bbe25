"""What is excess and what is not: each rule by example, and what must hold for any finding and any profile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcreds.config.model import Allowance, DatabaseURL, Profile
from stepcreds.measurement import LEVELS, Finding, Level
from stepcreds.scope import judgement
from stepcreds.scope.judgement import DECLARED, declared

URL = DatabaseURL("postgresql", "postgresql", "db", 5432, "shop", "require", None)


TODAY = "2026-11-22"


def judge(findings: Iterable[Finding], of: Profile) -> tuple[Finding, ...]:
    return judgement.judge(findings, of, TODAY)


def profile(access: Any = "read-only", **more: Any) -> Profile:
    return Profile("verify", "verify", "database/creds/verify", URL, access, **more)


def finding(level: Level = "read", **more: Any) -> Finding:
    """One about the relations of schema app, unless `more` says otherwise."""
    return Finding(
        **{"code": "X", "what": "look", "subject": "app", "database": "shop", "schema": "app", **more, "level": level}
    )


def because(found: Finding, of: Profile) -> str:
    """Why it is excess; "" where it is not."""
    (judged,) = judge([found], of)
    assert (judged.standing == "excess") is bool(judged.because)
    return judged.because


@pytest.mark.parametrize("access", ["read-only", "read-write", "ddl"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_over_the_declared_one_is_excess(access: Any, level: Level) -> None:
    over = {"read-only": ("write", "ddl", "admin"), "read-write": ("ddl", "admin"), "ddl": ("admin",)}[access]
    expected = f"{level}, and the profile declares {access}" if level in over else ""
    assert because(finding(level), profile(access)) == expected
    assert because(finding(level), profile(access, schemas=("app",))) == expected


SERVER: dict[str, Any] = {"database": "", "schema": ""}
DATABASE: dict[str, Any] = {"schema": ""}
ORDERS: dict[str, Any] = {"table": "app.orders"}
NAME: dict[str, Any] = {"table": "app.people", "columns": ("app.people.name",)}
BOTH: dict[str, Any] = {"table": "app.people", "columns": ("app.people.name", "app.people.email")}
NO_OTHERS = "the profile declares only app.orders"


@pytest.mark.parametrize(
    ("about", "declares", "expected"),
    [
        ({}, {}, ""),
        ({}, {"schemas": ("app",)}, ""),
        ({}, {"schemas": ("audit", "app")}, ""),
        ({}, {"schemas": ("audit",)}, "the profile does not declare the schema app"),
        ({}, {"schemas": ("App",)}, "the profile does not declare the schema app"),
        (DATABASE, {}, ""),
        (
            DATABASE,
            {"schemas": ("app", "audit")},
            "it holds for the whole database, and the profile declares the schemas app, audit",
        ),
        (
            DATABASE,
            {"schemas": ("a", "b", "c", "d", "e")},
            "it holds for the whole database, and the profile declares the schemas a, b, c and 2 more",
        ),
        (SERVER, {}, "it holds for the whole server"),
        (SERVER, {"databases": ("shop", "other")}, "it holds for the whole server"),
        ({"database": "other"}, {}, "the profile does not declare the database other"),
        ({"database": "other"}, {"databases": ("shop", "other")}, ""),
        ({"database": "other"}, {"databases": ("shop", "other"), "schemas": ("app",)}, ""),
        # `databases` stands in the place of the URL's.
        ({}, {"databases": ("other",)}, "the profile does not declare the database shop"),
        # A relation that is declared, and others of its schema.
        (ORDERS, {"tables": ("app.orders",)}, ""),
        (ORDERS, {"tables": ("app.orders",), "schemas": ("app",)}, ""),
        (ORDERS, {"tables": ("app.orders",), "schemas": ("audit",)}, "the profile does not declare the schema app"),
        ({"table": "app.people"}, {"tables": ("app.orders",)}, NO_OTHERS),
        ({}, {"tables": ("app.orders",)}, NO_OTHERS),
        (DATABASE, {"tables": ("app.orders",)}, NO_OTHERS),
        ({}, {"tables": ("a.b", "a.c", "a.d", "a.e")}, "the profile declares only a.b, a.c, a.d and 1 more"),
        # Columns of a relation that is declared whole, columns that are declared alone, and more than these.
        ({**ORDERS, "columns": ("app.orders.id",)}, {"tables": ("app.orders",)}, ""),
        ({"columns": ("app.orders.id",)}, {"tables": ("app.orders",)}, ""),
        ({"columns": ("app.orders.id", "app.people.id")}, {"tables": ("app.orders",)}, NO_OTHERS),
        (
            {"columns": ("app.orders.id", "app.people.id")},
            {"tables": ("app.orders",), "columns": ("app.people.id",)},
            "",
        ),
        ({"columns": ("app.orders.x.id",)}, {"tables": ("app.orders",)}, NO_OTHERS),
        (NAME, {"columns": ("app.people.name",)}, ""),
        (NAME, {"tables": ("app.orders",), "columns": ("app.people.name",)}, ""),
        (NAME, {"tables": ("app.orders",)}, NO_OTHERS),
        (BOTH, {"columns": ("app.people.name",)}, "the profile declares only app.people.name"),
        (BOTH, {"columns": ("app.people.email", "app.people.name")}, ""),
        ({"table": "app.people"}, {"columns": ("app.people.name",)}, "the profile declares only app.people.name"),
    ],
)
def test_what_is_outside_of_the_declared_places_is_excess(about: Any, declares: Any, expected: str) -> None:
    assert because(finding(**about), profile(**declares)) == expected


@pytest.mark.parametrize(
    ("level", "about"),
    [
        ("ddl", {"code": "PG.SCHEMA.CREATE"}),
        ("ddl", {"code": "PG.SCHEMA.OWN"}),
        ("write", {"code": "PG.SEQUENCE.WRITE"}),
    ],
)
def test_what_is_about_no_relation_goes_beyond_a_list_of_relations(level: Level, about: Any) -> None:
    """Whoever may create in the schema has more than one table of it; so has who owns it."""
    assert because(finding(level, **about), profile("ddl", tables=("app.orders",))) == NO_OTHERS
    assert because(finding(level, **about), profile("ddl", schemas=("app",))) == ""


def test_owning_a_declared_table_is_what_ddl_on_it_means() -> None:
    owns = finding("ddl", code="PG.TABLE.OWN", **ORDERS)
    assert because(owns, profile("ddl", tables=("app.orders",))) == ""
    assert because(owns, profile("read-write", tables=("app.orders",))) == "ddl, and the profile declares read-write"


@pytest.mark.parametrize("about", [SERVER, DATABASE, {"database": "other"}, {"schema": "audit"}, {}])
def test_what_is_worth_knowing_and_no_power_is_never_excess(about: Any) -> None:
    of = profile(schemas=("app",), tables=("app.orders",))
    assert because(finding("info", **about), of) == ""


def test_a_profile_of_no_access_declares_nothing() -> None:
    assert because(finding("read"), profile(None)) == "read, and the profile declares no access"


ALLOWED = Allowance("X app", "the vendor's migrations need it", "2027-01-31")


def test_what_somebody_decided_to_accept_is_allowed_by_its_exact_name() -> None:
    (judged,) = judge([finding("ddl")], profile(allow=(ALLOWED,)))
    assert (judged.standing, judged.because) == (
        "allowed",
        "allowed until 2027-01-31: the vendor's migrations need it",
    )
    for other in ("X", "X App", "x app", "X app.orders", "X  app", "X app "):
        (judged,) = judge([finding("ddl")], profile(allow=(ALLOWED._replace(what=other),)))
        assert judged.standing == "excess"
    (judged,) = judge([finding("admin", subject="", **SERVER)], profile(allow=(ALLOWED._replace(what="X"),)))
    assert judged.standing == "allowed"


def test_the_order_is_excess_first_and_the_worst_of_it() -> None:
    found = [
        finding("info", code="I"),
        finding("read", code="R"),
        finding("write", code="W"),
        finding("admin", code="B"),
        finding("admin", code="A"),
        finding("ddl", code="D"),
    ]
    judged = judge(found, profile(allow=(ALLOWED._replace(what="D app"),)))
    assert [each.code for each in judged] == ["A", "B", "W", "D", "R", "I"]
    assert [each.standing for each in judged] == ["excess"] * 3 + ["allowed"] + ["within"] * 2


def test_of_one_level_what_ends_whole_tables_comes_first() -> None:
    codes = ("PG.OBJECT.OWN", "PG.SCHEMA.CREATE", "PG.SEQUENCE.OWN", "PG.TABLE.OWN", "PG.SCHEMA.OWN")
    judged = judge([finding("ddl", code=code) for code in codes], profile())
    assert [each.code for each in judged] == ["PG.SCHEMA.OWN", "PG.TABLE.OWN", *codes[:3]]


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (profile(), "read-only"),
        (profile("ddl", schemas=("app", "audit")), "ddl in app, audit"),
        (profile("ddl", databases=("shop", "other")), "ddl in shop, other"),
        (profile("read-write", schemas=("app",), tables=("app.a", "app.b")), "read-write in app.a, app.b"),
        (profile(columns=("a.b.c", "a.b.d", "a.b.e", "a.b.f")), "read-only in a.b.c, a.b.d, a.b.e and 1 more"),
        (profile(None), "nothing"),
    ],
)
def test_what_is_declared_in_words(of: Profile, words: str) -> None:
    assert declared(of) == words


# Few names, so that findings and profiles often speak of the same.
NAMES = st.sampled_from(["", "shop", "app", "other"])
RELATIONS = st.sampled_from(["app.a", "app.b", "other.a"])
COLUMNS = st.sampled_from(["app.a.x", "app.a.y", "other.a.x"])
FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["X", "Y"]),
    level=st.sampled_from(LEVELS),
    what=st.just("look"),
    subject=st.sampled_from(["", "app", "app.a"]),
    database=NAMES,
    schema=NAMES,
    table=RELATIONS | st.just(""),
    columns=st.lists(COLUMNS, max_size=2).map(tuple),
    **dict.fromkeys(("via", "fix", "because"), st.just("")),
    objects=st.just(()),
    number=st.just(1),
    standing=st.just("within"),
)
PROFILES = st.builds(
    profile,
    st.sampled_from(["read-only", "read-write", "ddl"]),
    databases=st.lists(st.sampled_from(["shop", "other"]), max_size=2, unique=True).map(tuple),
    schemas=st.lists(st.sampled_from(["app", "other"]), max_size=2, unique=True).map(tuple),
    tables=st.lists(RELATIONS, max_size=2, unique=True).map(tuple),
    columns=st.lists(COLUMNS, max_size=2, unique=True).map(tuple),
    allow=st.lists(
        st.sampled_from(["X", "X app", "Y app.a"]).map(lambda what: ALLOWED._replace(what=what)), max_size=2
    ).map(tuple),
)


@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=6), PROFILES)
def test_judging_loses_adds_and_changes_nothing(found: list[Finding], of: Profile) -> None:
    judged = judge(found, of)
    assert sorted(each._replace(standing="within", because="") for each in judged) == sorted(found)
    assert set(judge(reversed(found), of)) == set(judged)
    assert judge(judged, of) == judged


@settings(deadline=None)
@given(FINDINGS, PROFILES)
def test_nothing_over_the_declared_level_is_ever_within(found: Finding, of: Profile) -> None:
    assert of.access is not None
    (judged,) = judge([found], of)
    if judged.standing == "within":
        assert LEVELS.index(found.level) <= LEVELS.index(DECLARED[of.access])
        inside = found.level == "info" or (
            found.database in (of.databases or ("shop",))
            and (not of.schemas or found.schema in of.schemas)
            and (
                not (of.tables or of.columns)
                or found.table in of.tables
                or (
                    bool(found.columns)
                    and all(each in of.columns or each.rpartition(".")[0] in of.tables for each in found.columns)
                )
            )
        )
        assert inside
    if judged.standing == "allowed":
        assert found.name in {entry.what for entry in of.allow}


@settings(deadline=None)
@given(FINDINGS, PROFILES)
def test_declaring_less_never_makes_excess_go_away(found: Finding, of: Profile) -> None:
    of = of._replace(allow=())
    (judged,) = judge([found], of)
    narrower = [of._replace(access="read-only"), of._replace(schemas=of.schemas[:1] or ("app",))]
    if of.tables and of.columns:
        narrower += [of._replace(tables=()), of._replace(columns=())]
    if judged.standing == "excess":
        assert {judge([found], less)[0].standing for less in narrower} == {"excess"}
