"""What a real PostgreSQL counted of a credential's use, on every major; and that what it does not count is not measured."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from postgresql_majors import PASSWORD, Lab, Session

from postgresql_programs import programs
from stepcreds.clock import SystemClock
from stepcreds.databases.messages import Row, ServerError
from stepcreds.databases.postgresql_lock import change_of_password, shut_out
from stepcreds.databases.stream import Deadline
from stepcreds.databases.wire import Connection, connect
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.measurement import Statements, Used
from stepcreds.scope.looks import first_look
from stepcreds.scope.postgresql.statistics import LONGEST, Base, Counted, Place, Text, ask, base
from stepcreds.scope.postgresql.used import told
from stepcreds.setup import postgresql

CLOCK = SystemClock()
ALWAYS = ("statements that failed", "what functions, triggers and DO blocks did")
MEMBER = "what it did as another role that it took (SET ROLE)"


class Counting:
    """A session that counts how often it is asked."""

    def __init__(self, session: Connection) -> None:
        self._session = session
        self.server_version = session.server_version
        self.asked = 0

    def query_all(self, statements: Sequence[str]) -> list[list[Row] | ServerError]:
        self.asked += 1
        return self._session.query_all(statements)


@pytest.fixture(scope="module", params=[14, 15, 16, 17, 18])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if platform.machine() != "x86_64":
        pytest.skip("npm has all majors of PostgreSQL for x86-64 alone")
    with (
        PostgreSQL(programs=programs(request.param), statistics=True) as server,
        closing(Lab(request.param, server)) as made,
    ):
        made.do("CREATE EXTENSION pg_stat_statements", "GRANT CONNECT ON DATABASE shop TO app_owner")
        yield made


@pytest.fixture
def name(lab: Lab) -> str:
    """Of a user that was not there before."""
    ((number,),) = lab.ask("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-used-%'")
    return f"v-used-{number}"


def life(lab: Lab, name: str, command: Callable[[Session], object], *, ddl: bool = False) -> Used | None:
    """All that stepcreds asks as the user, and `command` in the middle of it."""
    lab.issue(name, postgresql.ddl_creation("app_owner", "shop") if ddl else None)
    access = "ddl" if ddl else "read-only"
    measured = lab.measure(name, access=access, tables=("app.orders",))
    assert measured.level == ("ddl" if ddl else "read")
    before: list[Base | None] = [None]
    if ddl:
        from stepcreds.config.model import Profile

        profile = Profile("migrate", "r", "c", lab.url(), "ddl", ("app",))
        first_look(profile, name, PASSWORD, CLOCK, timeout=20, last=lambda session: before.append(base(session)))
    with lab.login(name) as session:
        command(session)
    with connect(lab.url(), name, PASSWORD, Deadline(CLOCK, 20)) as locking:
        assert shut_out(locking, change_of_password(PASSWORD), Deadline(CLOCK, 20), set()) == ""
        counted = ask(locking, before[-1], 0.0)
    return None if counted is None else told(counted, name, frozenset({"app.orders"}))


def nothing(session: Session) -> None:
    """A command that asks the database nothing."""


def test_what_stepcreds_asks_itself_is_not_the_commands(lab: Lab, name: str) -> None:
    used = life(lab, name, nothing)
    assert used is not None
    assert (used.level, used.statements, used.roles, used.by) == ("info", (), (), "pg_stat_statements")


def test_what_stepcreds_asks_itself_for_a_migration_is_not_the_commands(lab: Lab, name: str) -> None:
    used = life(lab, name, nothing, ddl=True)
    assert used is not None
    assert (used.level, used.statements, used.roles) == ("info", (), ("app_owner",))


def test_reading_is_counted_by_kind_and_what_nobody_can_tell_is_other(lab: Lab, name: str) -> None:
    def command(session: Session) -> None:
        for number in (1, 2):
            session.run(f"SELECT note FROM app.orders WHERE id < {number + 2}")
        session.run("SELECT count(*), now(), lower('X') FROM app.orders")
        session.run("SELECT app.total()")
        session.run("DO $$ BEGIN PERFORM 1; END $$")

    used = life(lab, name, command)
    assert used is not None
    assert (used.level, used.roles, used.other) == ("read", (), 2)
    assert used.statements == (Statements("select", 3, 6), Statements("other", 2, 1))
    assert used.gaps[:2] == ALWAYS
    assert MEMBER in used.gaps


def test_a_migration_is_counted_as_the_owner_and_not_what_the_owner_did_before(lab: Lab, name: str) -> None:
    def command(session: Session) -> None:
        session.run("CREATE TABLE app.fresh (id int)")
        session.run("INSERT INTO app.fresh SELECT generate_series(1, 5)")
        session.run("DROP TABLE app.fresh")

    used = life(lab, name, command, ddl=True)
    assert used is not None
    assert (used.level, used.roles) == ("ddl", ("app_owner",))
    assert sorted(used.statements) == [
        Statements("create table", 1, 0, "app_owner"),
        Statements("drop table", 1, 0, "app_owner"),
        Statements("insert", 1, 5, "app_owner"),
    ]
    assert "of app_owner everybody's statements of that time are counted" in used.gaps
    again = life(lab, f"{name}-2", command, ddl=True)  # the same statements once more, which the server adds up
    assert again is not None
    assert again.statements == used.statements


def test_a_session_that_began_as_another_role_is_not_measured_without_a_look_before(lab: Lab, name: str) -> None:
    lab.issue(name, postgresql.ddl_creation("app_owner", "shop"))
    with lab.login(name) as session:
        session.run("SELECT 1")
    with connect(lab.url(), name, PASSWORD, Deadline(CLOCK, 20)) as locking:
        assert shut_out(locking, change_of_password(PASSWORD), Deadline(CLOCK, 20), set()) == ""
        assert ask(locking, None, 0.0) is None
        assert ask(locking, Base("hr_owner", {}), 0.0) is None


def test_another_users_statements_are_nobody_elses(lab: Lab, name: str) -> None:
    with lab.login("outsider") as session:
        session.run("SELECT 'of an outsider'")
    used = life(lab, name, lambda session: session.run("SELECT 1"))
    assert used is not None
    assert used.statements == (Statements("select", 1, 1),)


def test_a_function_of_the_users_own_that_hides_behind_a_servers_name_is_other(lab: Lab, name: str) -> None:
    lab.do(
        "CREATE FUNCTION app.random() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT EXECUTE ON FUNCTION app.random() TO PUBLIC",
    )
    try:
        used = life(lab, name, lambda session: session.run("SELECT app.random()"))
    finally:
        lab.do("DROP FUNCTION app.random()")
    assert used is not None
    assert used.statements == (Statements("other", 1, 1),)


def test_counts_that_were_reset_are_told_of(lab: Lab, name: str) -> None:
    lab.issue(name)
    with lab.login(name) as session:
        session.run("SELECT 1")
    lab.do("SELECT pg_stat_statements_reset()")
    ((since,),) = lab.ask("SELECT extract(epoch FROM stats_reset) FROM pg_stat_statements_info")
    with connect(lab.url(), name, PASSWORD, Deadline(CLOCK, 20)) as locking:
        assert shut_out(locking, change_of_password(PASSWORD), Deadline(CLOCK, 20), set()) == ""
        early, late = ask(locking, None, float(since) - 1), ask(locking, None, float(since) + 1)
    assert early is not None and late is not None
    reset = "what was counted before the server's statistics were reset, during the step"
    assert (reset in early.gaps, reset in late.gaps) == (True, False)
    assert told(early, name, frozenset()).statements == ()


def test_without_the_extension_it_is_not_measured_and_costs_one_question(lab: Lab, name: str) -> None:
    lab.issue(name)
    lab.do("DROP EXTENSION pg_stat_statements")
    try:
        with connect(lab.url(), name, PASSWORD, Deadline(CLOCK, 20)) as locking:
            assert shut_out(locking, change_of_password(PASSWORD), Deadline(CLOCK, 20), set()) == ""
            session = Counting(locking)
            assert ask(session, None, 0.0) is None
            assert session.asked == 1
    finally:
        lab.do("CREATE EXTENSION pg_stat_statements")


def test_an_extension_in_a_schema_with_a_hostile_name_is_asked_all_the_same(lab: Lab, name: str) -> None:
    lab.do('CREATE SCHEMA "x"";DROP TABLE app.orders;--"')
    lab.do('ALTER EXTENSION pg_stat_statements SET SCHEMA "x"";DROP TABLE app.orders;--"')
    lab.do('GRANT USAGE ON SCHEMA "x"";DROP TABLE app.orders;--" TO PUBLIC')
    try:
        used = life(lab, name, lambda session: session.run("SELECT 1"))
    finally:
        lab.do("ALTER EXTENSION pg_stat_statements SET SCHEMA public")
    assert used is not None
    assert used.statements == (Statements("select", 1, 1),)
    assert lab.ask("SELECT count(*) FROM app.orders") == [[20]]


def counted(*texts: str | None) -> Used:
    place = Place('"public"."pg_stat_statements"', '"public"."pg_stat_statements_info"', "top", True, "", True)
    own = [Text(text, 1, 0) for text in texts]
    return told(Counted("18.6", place, own, [], frozenset(), ()), "v-x", frozenset())


def test_only_the_very_statements_of_stepcreds_are_left_out() -> None:
    lock = "ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256$4096:abc$def:ghi'"
    ended = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = session_user AND pid <> pg_backend_pid()"
    assert counted(lock, ended, "SET statement_timeout = $1") == Used("info", (), (), "pg_stat_statements", ())
    assert counted(f"{lock} SUPERUSER").statements == (Statements("alter role", 1, 0),)
    assert counted(f"{ended} OR true OR usename = 'x'").statements == (Statements("select", 1, 0),)


def test_a_text_that_the_server_lost_or_that_is_too_long_is_other() -> None:
    assert counted(None).statements == (Statements("other", 1, 0),)
    assert counted("SELECT 1".ljust(LONGEST)).statements == (Statements("other", 1, 0),)
    assert counted("DROP TABLE x".ljust(LONGEST)) == Used(
        "ddl", (Statements("drop table", 1, 0),), (), "pg_stat_statements", ()
    )
