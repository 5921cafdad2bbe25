"""How PostgreSQL is asked what a credential can do: in one round trip, misled by nothing, and all or nothing."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from measured_servers import examine, found, relay
from pg8000.exceptions import InterfaceError
from postgresql_majors import Lab, Session, running

from stepcreds import scope
from stepcreds.errors import DatabaseError
from stepcreds.scope.postgresql import codes as postgresql_codes
from stepcreds.secret import Secret
from stepcreds.setup import postgresql

SOURCES = Path(postgresql_codes.__file__).parent
CLEAN = ["PG.FUTURE.READ app tables by app_owner", "PG.LARGEOBJECT.CREATE", "PG.TABLE.READ app"]


@pytest.fixture(scope="module", params=[14, 18])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with running(request.param) as made:
        made.issue("reader")
        made.issue("migration", postgresql.ddl_creation("app_owner", "shop"))
        yield made


@pytest.fixture
def other(lab: Lab) -> Iterator[str]:
    """A login role without a group that the test may change, gone afterwards with what it was granted."""
    lab.issue("other", ["CREATE ROLE other LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"])
    lab.do("GRANT CONNECT ON DATABASE shop TO other")
    yield "other"
    lab.do("REASSIGN OWNED BY other TO postgres", "DROP OWNED BY other", "DROP ROLE other")


def test_one_round_trip_is_all(lab: Lab) -> None:
    """The relay keeps every answer back until the last statement has come."""
    with relay(lab.url(), whole=True) as between:
        seen = examine(between.url, "reader")
    assert seen.round_trips == 1
    assert sorted(finding.name for finding in seen.findings) == CLEAN
    assert between.statements.count(b"BEGIN") == between.statements.count(b"COMMIT\0") == 1


def test_a_reader_may_read_and_nothing_else(lab: Lab) -> None:
    seen = examine(lab.url(), "reader")
    assert (seen.server.partition(".")[0], seen.notes) == (f"PostgreSQL {lab.major}", ())
    assert seen.not_examined == (
        "pg_hba.conf: who may log in from where, and without a password",
        "what functions, triggers and extensions do when they are called",
    )
    by_name = {finding.name: finding for finding in seen.findings}
    reading = by_name["PG.TABLE.READ app"]
    assert (reading.level, reading.what, reading.number) == ("read", "read 2 tables and 1 view of app", 3)
    assert reading.objects == ("app.customers", "app.orders", "app.recent")
    assert (reading.via, reading.database, reading.schema) == ("member of app_ro", "shop", "app")
    assert reading.fix == 'REVOKE SELECT ON ALL TABLES IN SCHEMA "app" FROM "app_ro";'
    assert by_name["PG.FUTURE.READ app tables by app_owner"].fix == (
        'ALTER DEFAULT PRIVILEGES FOR ROLE "app_owner" IN SCHEMA "app" REVOKE ALL ON TABLES FROM "app_ro";'
    )


def test_a_migration_owns_its_schema_by_becoming_the_owner(lab: Lab) -> None:
    by_name = found(lab, "migration")
    assert {finding.via for finding in by_name.values() if finding.level != "info"} == {"SET ROLE app_owner"}
    assert {finding.schema for finding in by_name.values() if finding.level != "info"} == {"app"}
    owning = by_name["PG.TABLE.OWN app"]
    assert owning.what == "alter, drop and open to others 2 tables and 1 view of app"
    assert owning.fix == ("Take the membership in app_owner out of the creation statements of Vault's role.")
    assert by_name["PG.OBJECT.OWN app function"].objects == ("app.total",)
    assert lab.measure("migration", access="ddl").excess == ()


def test_two_users_with_the_same_power_have_one_digest_and_no_name(lab: Lab) -> None:
    for creation in (postgresql.read_only_creation("app_ro"), postgresql.ddl_creation("app_owner", "shop")):
        digests = []
        for name in ("v-nine-1-Kq", "v-nine-2-Zw"):
            lab.issue(name, creation)
            lab.do(f'GRANT SELECT ON hr.salaries TO "{name}" WITH GRANT OPTION')
            lab.do(f'ALTER DEFAULT PRIVILEGES FOR ROLE "{name}" GRANT SELECT ON TABLES TO PUBLIC')
            lab.do(
                f'CREATE TYPE public."of {name[:6]}" AS (x int)', f'ALTER TYPE public."of {name[:6]}" OWNER TO "{name}"'
            )
            findings = examine(lab.url(), name).findings
            assert name not in repr(findings)
            assert "PG.FUTURE.GIVES * tables by its own role" in {finding.name for finding in findings}
            digests.append(scope.digest(findings))
            lab.do(f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')
        assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "settings",
    [
        ("SET statement_timeout = 1", "SET lock_timeout = 1", "SET idle_in_transaction_session_timeout = 1"),
        (
            "SET search_path = evil, pg_catalog",
            "SET standard_conforming_strings = off",
            "SET quote_all_identifiers = on",
        ),
        ("SET default_transaction_read_only = on", "SET default_transaction_isolation = 'serializable'"),
        ("SET default_transaction_deferrable = on", "SET row_security = off", "SET enable_hashagg = off"),
        ("SET \"stepcreds.probe\" = '{}'", "SET \"stepcreds.held\" = '{}'", "SET \"stepcreds.act\" = '{}'"),
        (
            "SET role = hr_reader",
            "SET DateStyle = 'German'",
            "SET bytea_output = 'escape'",
            "SET TimeZone = 'Asia/Tokyo'",
        ),
        ("SET client_encoding = 'LATIN1'", "SET work_mem = '64kB'", "SET array_nulls = off"),
    ],
)
def test_settings_of_the_role_mislead_nobody(lab: Lab, other: str, settings: tuple[str, ...]) -> None:
    lab.do(
        "DROP SCHEMA IF EXISTS evil CASCADE",
        "CREATE SCHEMA evil",
        "GRANT USAGE ON SCHEMA evil TO PUBLIC",
        "CREATE FUNCTION evil.has_table_privilege(oid, oid, text) RETURNS bool LANGUAGE sql AS 'SELECT false'",
        "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$SELECT '{}'$$",
        "CREATE FUNCTION evil.differ(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.differ)",
        "CREATE VIEW evil.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false",
        "GRANT SELECT ON evil.pg_class TO PUBLIC",
        "DROP ROLE IF EXISTS hr_reader",
        "CREATE ROLE hr_reader",
        f"GRANT hr_reader TO {other}",
        f"GRANT INSERT ON hr.salaries TO {other}",
        "GRANT USAGE ON SCHEMA hr TO hr_reader",
    )
    try:
        plain = examine(lab.url(), other)
        assert "PG.TABLE.WRITE hr" in {finding.name for finding in plain.findings}
        lab.do(*(f"ALTER ROLE {other} {setting}" for setting in settings))
        hostile = examine(lab.url(), other)
        assert (hostile.findings, hostile.not_examined) == (plain.findings, plain.not_examined)
    finally:
        lab.do("DROP SCHEMA evil CASCADE", "DROP OWNED BY hr_reader", "DROP ROLE hr_reader")


def test_a_question_that_nobody_answers_fails_the_whole(lab: Lab) -> None:
    lab.do("REVOKE SELECT ON pg_default_acl FROM PUBLIC")
    try:
        with pytest.raises(DatabaseError) as error:
            examine(lab.url(), "reader")
    finally:
        lab.do("GRANT SELECT ON pg_default_acl TO PUBLIC")
    assert error.value.what == (f"127.0.0.1:{lab.server.port} said: permission denied for table pg_default_acl")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ((b'"masks"', b'"masks!'), "an answer of another form came (JSONDecodeError)"),
        ((b'"masks"', b'"maske"'), "an answer of another form came (KeyError)"),
        ((b'"schema"', b""), "127.0.0.1:{port} closed the connection"),
        ((b'"expected":true', b'"expected":null'), (
            "the server took the login for another user's: what that one can do says nothing of the credential"
        )),
    ],
)  # fmt: skip
def test_an_answer_that_was_changed_is_no_answer(lab: Lab, change: tuple[bytes, bytes], what: str) -> None:
    with relay(lab.url(), change=change) as between, pytest.raises(DatabaseError) as error:
        examine(between.url, "reader")
    assert error.value.what == what.format(port=between.url.port)


def version(lab: Lab) -> bytes:
    return b"server_version\0" + str(lab.ask("SHOW server_version")[0][0]).encode()[:3]


def test_an_older_server_is_not_measured(lab: Lab) -> None:
    old = version(lab)[:-3] + b"13."
    with relay(lab.url(), change=(version(lab), old)) as between, pytest.raises(DatabaseError) as error:
        examine(between.url, "reader")
    assert (error.value.what, error.value.fix) == (
        "PostgreSQL 13 is not supported: privileges are measured on 14 and newer",
        "upgrade the server: there are no security fixes for PostgreSQL 13 any more",
    )


def test_a_server_that_does_not_say_which_it_is_is_not_measured(lab: Lab) -> None:
    with (
        relay(lab.url(), change=(version(lab), version(lab)[:-3] + b"\nx.")) as between,
        pytest.raises(DatabaseError) as error,
    ):
        examine(between.url, "reader")
    assert error.value.what.startswith("the server does not say which PostgreSQL it is: ")


def test_a_newer_server_is_asked_as_the_newest_known(lab: Lab) -> None:
    with relay(lab.url(), change=(version(lab), version(lab)[:-3] + b"19.")) as between:
        if lab.major == 18:
            seen = examine(between.url, "reader")
            assert seen.server.startswith("PostgreSQL 19.")
            assert seen.not_examined[0] == "what PostgreSQL 19 has and 18 has not: it was asked what 18 would be"
            assert sorted(finding.name for finding in seen.findings) == CLEAN
        else:  # it only says that it is
            with pytest.raises(DatabaseError, match='said: unrecognized privilege type: "SET"'):
                examine(between.url, "reader")


def test_a_wrong_password_is_no_measurement(lab: Lab) -> None:
    with pytest.raises(DatabaseError) as error:
        examine(lab.url(), "reader", password=Secret("c4n4ry"))
    assert error.value.what == (f'127.0.0.1:{lab.server.port} said: password authentication failed for user "reader"')


def test_a_server_out_of_reach_is_no_measurement(lab: Lab) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DatabaseError) as error:  # it lets everybody in, and never says a word
            examine(lab.url()._replace(port=port), "reader", timeout=0.2)
        assert error.value.what == f"127.0.0.1:{port} did not answer within 0.2 s"
    with pytest.raises(DatabaseError) as error:
        examine(lab.url()._replace(port=port), "reader")
    assert error.value.what == f"127.0.0.1:{port} refused the connection"


def test_what_a_profile_names_comes_alone(lab: Lab, other: str) -> None:
    lab.do(
        f"GRANT app_ro TO {other}",
        f"GRANT UPDATE ON app.orders TO {other}",
        f"GRANT USAGE ON SCHEMA hr TO {other}",
        f"GRANT SELECT (id, person), UPDATE (amount) ON hr.salaries TO {other}",
    )
    by_name = found(lab, other, "app.orders", "hr.salaries.id", "app.numbers", "hr.nothing")
    orders, rest = by_name["PG.TABLE.READ app.orders"], by_name["PG.TABLE.READ app"]
    assert (orders.what, orders.table, orders.schema) == ("read app.orders", "app.orders", "app")
    assert (rest.what, rest.table, rest.objects) == (
        "read 1 table and 1 view of app", "", ("app.customers", "app.recent")
    )  # fmt: skip
    assert by_name["PG.TABLE.WRITE app.orders"].what == "UPDATE app.orders"
    assert "PG.TABLE.WRITE app" not in by_name
    identity, others = by_name["PG.COLUMN.READ hr.salaries"], by_name["PG.COLUMN.READ hr"]
    assert (identity.columns, identity.table) == (("hr.salaries.id",), "")
    assert (others.columns, others.objects) == ((), ("hr.salaries.person",))
    assert by_name["PG.COLUMN.WRITE hr"].what == "UPDATE 1 column of hr"
    both = found(lab, other, "hr.salaries")["PG.COLUMN.READ hr.salaries"]
    assert (both.table, both.columns) == ("hr.salaries", ("hr.salaries.id", "hr.salaries.person"))


def test_a_profile_of_tables_and_columns_is_held_to_them(lab: Lab, other: str) -> None:
    lab.do(
        f"GRANT USAGE ON SCHEMA app, hr TO {other}",
        f"GRANT SELECT ON app.orders TO {other}",
        f"GRANT SELECT (id) ON hr.salaries TO {other}",
        "REVOKE EXECUTE ON FUNCTION hr.dismiss FROM PUBLIC",
    )
    declared: dict[str, Any] = {
        "schemas": ("app", "hr"), "tables": ("app.orders",), "columns": ("hr.salaries.id",)
    }  # fmt: skip
    assert lab.measure(other, **declared).excess == ()
    lab.do(f"GRANT SELECT (person) ON hr.salaries TO {other}", f"GRANT SELECT ON app.customers TO {other}")
    assert [finding.name for finding in lab.measure(other, **declared).excess] == [
        "PG.TABLE.READ app",
        "PG.COLUMN.READ hr",
    ]


def test_default_privileges_count_where_they_can_come_to_hold(lab: Lab, other: str) -> None:
    """Without a schema they hold in all, but hr_owner may create in its own alone, which `other` may not use yet."""
    lab.do(f"ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner GRANT SELECT, INSERT ON TABLES TO {other}")
    assert [name for name in found(lab, other) if "FUTURE" in name] == []
    lab.do(f"GRANT USAGE ON SCHEMA hr TO {other}")
    future = found(lab, other)["PG.FUTURE.WRITE hr tables by hr_owner"]
    assert (future.level, future.schema, future.via) == ("write", "hr", "")
    assert future.what == "INSERT, SELECT all tables of hr that hr_owner makes from now on"


def test_an_extension_is_owned_where_its_objects_are(lab: Lab) -> None:
    lab.do(
        "GRANT CREATE ON DATABASE shop TO app_owner",
        "SET ROLE app_owner",
        "CREATE EXTENSION citext SCHEMA app",
        "RESET ROLE",
    )
    lab.do("REVOKE CREATE ON DATABASE shop FROM app_owner")
    try:
        owning = found(lab, "migration")["PG.OBJECT.OWN app extension"]
        assert (owning.schema, owning.objects) == ("app", ("app.citext",))
        assert lab.measure("migration", access="ddl").excess == ()
    finally:
        lab.do("DROP EXTENSION citext")


HOSTILE = 'it\'s "100%" {{x}} ; -- ünï\n$1 %s'


def test_names_of_every_kind_come_out_whole(lab: Lab, other: str) -> None:
    schema = '"' + HOSTILE.replace('"', '""') + '"'
    lab.do(
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.{schema} ({schema} int)",
        f"GRANT USAGE, CREATE ON SCHEMA {schema} TO PUBLIC",
        f"GRANT SELECT ({schema}), INSERT ON {schema}.{schema} TO {other}",
        f"CREATE FUNCTION {schema}.{schema}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    )
    try:
        relation = f"{HOSTILE}.{HOSTILE}"
        by_name = found(lab, other, relation)
        assert by_name[f"PG.TABLE.WRITE {relation}"].table == relation
        assert by_name[f"PG.COLUMN.READ {relation}"].columns == (f"{relation}.{HOSTILE}",)
        creating = by_name[f"PG.SCHEMA.CREATE {HOSTILE}"]
        assert (creating.schema, creating.via) == (HOSTILE, "PUBLIC")
        lab.do(creating.fix)
        assert f"PG.SCHEMA.CREATE {HOSTILE}" not in found(lab, other)
        (calling,) = (each for each in by_name.values() if each.code == "PG.DEFINER.SUPERUSER")
        assert calling.subject.startswith(f"{schema}.{schema}() owner=postgres body=")
        lab.do(calling.fix)
        assert "PG.DEFINER.SUPERUSER" not in {each.code for each in found(lab, other).values()}
    finally:
        lab.do(f"DROP SCHEMA {schema} CASCADE")


def test_what_is_said_to_mend_it_mends_it(lab: Lab, other: str) -> None:
    """Every fix that is a statement is run, and nothing but what it can do with its own grants is left."""
    lab.do(
        "CREATE ROLE everybody",
        f"GRANT everybody TO {other}",
        "GRANT USAGE, CREATE ON SCHEMA hr TO PUBLIC",
        "GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA hr TO everybody",
        "GRANT DELETE ON ALL TABLES IN SCHEMA hr TO PUBLIC",
        "GRANT USAGE ON SEQUENCE hr.numbers TO everybody",
        "GRANT TEMPORARY, CREATE ON DATABASE shop TO PUBLIC",
        "GRANT CONNECT ON DATABASE billing TO everybody",
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO everybody",
        "GRANT SELECT ON pg_authid TO everybody",
        "ALTER DEFAULT PRIVILEGES FOR ROLE hr_owner GRANT INSERT ON TABLES TO everybody",
    )
    before = found(lab, other)
    assert {finding.via for finding in before.values()} == {
        "PUBLIC", "member of everybody", "PUBLIC; member of everybody"
    }  # fmt: skip
    for finding in before.values():
        lab.do(*(f"{each};" for each in finding.fix.split(";") if each.strip()))
    assert found(lab, other) == {}
    lab.do(
        "REVOKE USAGE ON SCHEMA hr FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION lo_create(oid), lo_creat(int), lo_from_bytea(oid, bytea) TO PUBLIC",
        "DROP OWNED BY everybody",
        "DROP ROLE everybody",
    )


def test_a_superuser_is_a_superuser_and_no_more_is_asked(lab: Lab, other: str) -> None:
    lab.do(
        "CREATE ROLE mighty SUPERUSER", "CREATE ROLE between", "GRANT mighty TO between", f"GRANT between TO {other}"
    )
    seen = examine(lab.url(), other)
    assert [(each.name, each.via) for each in seen.findings] == [
        ("PG.ROLE.SUPERUSER mighty", "SET ROLE mighty, as a member of between")
    ]
    assert seen.not_examined == ("anything but that it is a superuser's",)
    lab.do(f"ALTER ROLE {other} SUPERUSER")
    (finding, *_) = examine(lab.url(), other).findings
    assert (finding.name, finding.via) == ("PG.ROLE.SUPERUSER", "")
    lab.do(f"ALTER ROLE {other} NOSUPERUSER", "DROP ROLE between, mighty")


def test_a_chain_of_roles_is_followed_to_its_end(lab: Lab, other: str) -> None:
    """ADMIN OPTION on a role that may become the owner of the tables."""
    lab.do(
        "CREATE ROLE steward NOINHERIT",
        "GRANT hr_owner TO steward",
        f"GRANT steward TO {other} WITH ADMIN OPTION",
        *([f"GRANT steward TO {other} WITH INHERIT FALSE, SET FALSE"] if lab.major >= 16 else []),
    )
    by_name = found(lab, other)
    if lab.major >= 16:
        path = "ADMIN OPTION on steward, then SET ROLE hr_owner"
    else:
        path = "SET ROLE hr_owner, as a member of steward"
    owning, giving = by_name["PG.TABLE.OWN hr"], by_name["PG.ROLE.ADMIN_OPTION steward"]
    assert (owning.via, owning.fix) == (path, 'REVOKE "hr_owner" FROM "steward";')
    assert (giving.level, giving.via) == ("admin", "ADMIN OPTION on steward")
    assert giving.fix == "Take ADMIN OPTION on steward out of the creation statements of Vault's role."
    lab.do("DROP ROLE steward")


def test_the_whole_path_is_said_and_its_last_step_revoked(lab: Lab, other: str) -> None:
    lab.do(
        "CREATE ROLE team", "CREATE ROLE crew", "GRANT hr_owner TO crew", "GRANT crew TO team", f"GRANT team TO {other}"
    )
    lab.do("GRANT pg_monitor TO crew")
    by_name = found(lab, other)
    owning, monitoring = by_name["PG.TABLE.OWN hr"], by_name["PG.PREDEFINED.MONITOR pg_monitor"]
    assert owning.via == "member of team, which is a member of crew, which is a member of hr_owner"
    assert (owning.fix, monitoring.fix) == ('REVOKE "hr_owner" FROM "crew";', 'REVOKE "pg_monitor" FROM "crew";')
    lab.do(owning.fix, monitoring.fix)
    assert [name for name in found(lab, other) if name.startswith(("PG.TABLE", "PG.PRE"))] == []
    lab.do("DROP ROLE team, crew")


def test_what_everybody_may_is_not_laid_at_a_role_that_it_can_become(lab: Lab) -> None:
    """The migration may use the schema as app_owner alone, and call the function as everybody may."""
    lab.do("CREATE FUNCTION app.mend() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
    (calling,) = (each for each in found(lab, "migration").values() if each.code == "PG.DEFINER.SUPERUSER")
    assert (calling.via, calling.fix) == ("PUBLIC", "REVOKE EXECUTE ON FUNCTION app.mend() FROM PUBLIC;")
    lab.do("DROP FUNCTION app.mend")


def test_a_grant_on_one_relation_is_revoked_on_that_one(lab: Lab, other: str) -> None:
    lab.do("GRANT USAGE ON SCHEMA hr TO PUBLIC", "GRANT INSERT, DELETE, UPDATE ON hr.salaries TO PUBLIC")
    writing = found(lab, other)["PG.TABLE.WRITE hr"]
    assert writing.what == "INSERT into, UPDATE and DELETE from 1 table of hr"
    assert writing.fix == 'REVOKE INSERT, UPDATE, DELETE ON TABLE "hr"."salaries" FROM PUBLIC;'
    lab.do(writing.fix, "REVOKE USAGE ON SCHEMA hr FROM PUBLIC")


def test_a_change_of_what_is_run_is_another_subject(lab: Lab) -> None:
    lab.do(
        "CREATE FUNCTION app.close_month(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "ALTER FUNCTION app.close_month(int) OWNER TO hr_owner",
    )
    subjects = []
    for change in (
        "SELECT",
        "CREATE OR REPLACE FUNCTION app.close_month(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 2'",
        "ALTER FUNCTION app.close_month(int) OWNER TO postgres",
        "ALTER FUNCTION app.close_month(int) SET search_path = app",
        "ALTER FUNCTION app.close_month(int) SET search_path = pg_temp",
        "CREATE OR REPLACE FUNCTION app.close_month(n int DEFAULT app.total()) RETURNS int LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_temp AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION app.close_month(n int DEFAULT app.total()) RETURNS int LANGUAGE sql SECURITY DEFINER"
        " SET search_path = pg_temp RETURN 2",
    ):
        lab.do(change)
        (finding,) = (each for each in found(lab, "reader").values() if each.schema == "app" and "DEFINER" in each.code)
        subjects.append(finding.subject)
    lab.do("DROP FUNCTION app.close_month")
    first, second = (
        hashlib.sha256(f'["sql", "{body}", null, null, null]'.encode()).hexdigest()[:32]
        for body in ("SELECT 1", "SELECT 2")
    )
    assert subjects[:3] == [
        f"app.close_month(integer) owner=hr_owner body={first}",
        f"app.close_month(integer) owner=hr_owner body={second}",
        f"app.close_month(integer) owner=postgres body={second}",
    ]
    assert len(set(subjects)) == 7


def test_a_standby_says_that_it_is_one() -> None:
    with running(18) as lab:
        lab.issue("reader")
        primary = examine(lab.url(), "reader")
        data = lab.server.folder / "data"
        (data / "standby.signal").touch()
        os.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
        lab.do("CHECKPOINT")
        pid = int(lab.ask("SELECT pg_backend_pid()")[0][0])
        os.kill(pid, signal.SIGKILL)  # after which the server starts anew
        with suppress(InterfaceError):
            lab.close()
        lab.server.wait()
        lab.admin = Session(lab.server.connect(database="shop"))
        assert lab.ask("SELECT pg_is_in_recovery()") == [[True]]
        standby = examine(lab.url(), "reader")
    assert primary.notes == ()
    assert standby.notes == (
        "the server is a read-only standby: nothing can be written there, whatever the privileges say",
    )
    assert standby.findings == primary.findings


def test_every_code_is_listed_and_every_one_listed_can_be_found() -> None:
    used = {
        code
        for path in SOURCES.glob("findings_*.py")
        for code in re.findall(r'"(PG\.[A-Z_]+\.[A-Z_]+)"', path.read_text())
    }
    assert used == set(postgresql_codes.CODES)
