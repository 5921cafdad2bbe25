"""A look at a whole server: what it costs, what it says of itself, and what is not shown of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mariadb_case import Lab, lab_of
from mariadb_server import Account, running, url_of

from stepcreds import scope
from stepcreds.clock import SystemClock
from stepcreds.config.model import Allowance, Profile
from stepcreds.databases.mysql_session import RefusedError, open_session
from stepcreds.databases.stream import Deadline, UnreachableError
from stepcreds.errors import UnmeasuredError
from stepcreds.measurement import Finding
from stepcreds.scope.mysql import MySQL
from stepcreds.secret import Secret

FOR_EVERYBODY = (
    "as everybody, it may change its own password, end its own sessions, take named locks (GET_LOCK), and keep writers"
    " waiting with SELECT … FOR UPDATE where it may read"
)
READ = "GRANT SELECT ON shop.* TO {user}"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of() as lab:
        yield lab


@pytest.fixture
def reader(lab: Lab) -> Iterator[Account]:
    with lab.account((), ()) as account:
        lab.do(READ, account)
        yield account


def test_all_of_a_clean_reader(lab: Lab, reader: Account) -> None:
    measured = lab.measure(reader)
    assert measured.findings == (
        Finding(
            "MY.DATABASE.READ",
            "read",
            "SELECT in the database shop",
            "shop",
            fix="Do not grant it SELECT ON `shop`.*",
            database="shop",
        ),
    )
    assert (measured.server, measured.round_trips, measured.notes) == ("MariaDB 10.11.19", 2, (FOR_EVERYBODY,))
    assert measured.not_examined == (
        "rights of the anonymous user in the databases above, which SHOW GRANTS does not show",
        "where tables of the engines FEDERATED, CONNECT and SPIDER reach",
        "loadable functions (CREATE FUNCTION … SONAME), which everybody may call",
    )


def test_two_users_who_can_do_the_same_have_one_digest(lab: Lab, reader: Account) -> None:
    another = Account(lab.server)
    lab.do(READ, another)
    assert lab.measure(another).digest == lab.measure(reader).digest
    lab.do("GRANT INSERT ON shop.* TO {user}", another)
    assert lab.measure(another).digest != lab.measure(reader).digest


def test_roles_cost_one_round_trip_whatever_their_number(lab: Lab, reader: Account) -> None:
    for number in range(8):
        lab.do(
            (f"CREATE ROLE r{number}", f"GRANT EXECUTE ON shop.* TO r{number}", f"GRANT r{number} TO {{user}}"), reader
        )
    measured = lab.measure(reader)
    assert measured.round_trips == 3
    assert [(each.code, each.via) for each in measured.findings if each.code == "MY.DATABASE.INFO"] == [
        ("MY.DATABASE.INFO", "SET ROLE r0")
    ]


def test_what_init_connect_and_sql_mode_do_changes_nothing(lab: Lab, reader: Account) -> None:
    """Other quotes, other escapes, and a role that is active from the start."""
    lab.do(("CREATE ROLE writers", "GRANT INSERT ON `sh``op`.* TO writers", "GRANT writers TO {user}"), reader)
    expected = lab.measure(reader).findings
    assert [each.database for each in expected] == ["sh`op", "shop"]
    lab.do("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT', GLOBAL sql_quote_show_create = 0")
    lab.do("SET GLOBAL init_connect = 'SET ROLE writers'")
    try:
        assert lab.measure(reader).findings == expected
    finally:
        lab.do("SET GLOBAL sql_mode = DEFAULT, GLOBAL sql_quote_show_create = DEFAULT, GLOBAL init_connect = ''")


def test_a_read_only_server_is_a_note(lab: Lab, reader: Account) -> None:
    lab.do("SET GLOBAL read_only = 1")
    try:
        assert lab.measure(reader).notes == (
            FOR_EVERYBODY,
            "the server is read-only, for all but holders of READ_ONLY ADMIN",
        )
    finally:
        lab.do("SET GLOBAL read_only = 0")


def test_tables_are_counted_and_those_that_the_profile_names_are_told(lab: Lab, reader: Account) -> None:
    lab.do("REVOKE SELECT ON shop.* FROM {user}", reader)
    for number in range(5):
        lab.do((f"CREATE TABLE shop.t{number} (id INT)", f"GRANT SELECT ON shop.t{number} TO {{user}}"), reader)
    found = [(each.subject, each.what, each.objects, each.number, each.table) for each in lab.measure(reader).findings]
    assert found == [("shop", "SELECT on 5 tables of shop", ("shop.t0", "shop.t1", "shop.t2"), 5, "")]
    named = lab.measure(reader, tables=("shop.t1", "shop.t2"))
    assert [(each.subject, each.number, each.standing) for each in named.findings] == [
        ("shop", 3, "excess"),
        ("shop.t1", 1, "within"),
        ("shop.t2", 1, "within"),
    ]


def test_rights_of_the_server_are_told_even_where_they_cannot_be_used_here(lab: Lab, reader: Account) -> None:
    lab.do(
        (
            "GRANT SHUTDOWN, READ_ONLY ADMIN, REPLICATION MASTER ADMIN, SLAVE MONITOR, CREATE TABLESPACE ON *.* TO {user}",
            "GRANT PROXY ON root@localhost TO {user}",
        ),
        reader,
    )
    assert [(each.code, each.level) for each in lab.measure(reader).excess] == [
        ("MY.PROXY.USER", "admin"),
        ("MY.SERVER.REPLICATION_MASTER_ADMIN", "admin"),
        ("MY.SERVER.SHUTDOWN", "admin"),
        ("MY.SERVER.CREATE_TABLESPACE", "ddl"),
        ("MY.SERVER.READ_ONLY_ADMIN", "write"),
        ("MY.SERVER.SLAVE_MONITOR", "read"),
    ]


class TestSeveralInOneMessage:
    """What a look at a server stands on."""

    def test_after_the_first_that_fails_nothing_is_run(self, lab: Lab, reader: Account) -> None:
        url = url_of(lab.server)
        with open_session(url, reader.name, reader.password, Deadline(SystemClock(), 10), several=True) as session:
            assert session.query_all(["SELECT 1", "SET @a = 'x;y'", "SELECT @a, 2"]) == [[(1,)], [], [("x;y", 2)]]
            with pytest.raises(RefusedError) as refused:
                session.query_all(["SELECT 1", "SELECT * FROM hr.salaries", "SET @a = 'z'"])
            assert refused.value.number == 1142
            assert session.query("SELECT @a") == [("x;y",)]

    def test_other_sessions_do_not_take_them(self, lab: Lab, reader: Account) -> None:
        with open_session(url_of(lab.server), reader.name, reader.password, Deadline(SystemClock(), 10)) as session:
            with pytest.raises(RefusedError) as refused:
                session.query_all(["SELECT 1", "SELECT 2"])
            assert refused.value.number == 1064

    def test_a_server_that_answers_too_late_is_unmeasured(self, lab: Lab, reader: Account) -> None:
        url = url_of(lab.server, database="shop")
        lab.do("SET GLOBAL init_connect = 'DO SLEEP(5)'")
        try:
            with pytest.raises(UnreachableError) as late:
                MySQL(SystemClock()).examine(url, reader.name, reader.password, named=frozenset(), timeout=0.3)
        finally:
            lab.do("SET GLOBAL init_connect = ''")
        assert late.value.what == f"127.0.0.1:{lab.server.port} did not answer within 0.3 s"


class TestAllowing:
    """Code of a definer is allowed as it is, not for what somebody makes of it."""

    CREATE = "CREATE OR REPLACE PROCEDURE shop.cut() SQL SECURITY DEFINER {}"

    def allowed(self, lab: Lab, reader: Account, what: str) -> list[tuple[str, str]]:
        allow = (Allowance(what, "agreed", "2099-01-01"),)
        return [
            (each.standing, each.name) for each in lab.measure(reader, allow=allow).findings if "ROUTINE" in each.code
        ]

    def test_a_changed_body_is_asked_about_again(self, lab: Lab, reader: Account) -> None:
        lab.do((self.CREATE.format("SELECT 1"), "GRANT EXECUTE ON PROCEDURE shop.cut TO {user}"), reader)
        lab.do("GRANT SELECT ON mysql.proc TO {user}", reader)  # so that it sees the body
        (routine,) = [each for each in lab.measure(reader).excess if each.code == "MY.ROUTINE.DEFINER"]
        assert routine.what == "call the procedure shop.cut, which runs with the rights of root@localhost"
        assert routine.subject.startswith("shop.cut procedure root@localhost sha256:")
        assert ("allowed", routine.name) in self.allowed(lab, reader, routine.name)
        lab.do(self.CREATE.format("DELETE FROM hr.salaries"))
        assert "allowed" not in {standing for standing, _ in self.allowed(lab, reader, routine.name)}

    def test_where_the_body_is_not_to_be_seen_its_time_tells(self, lab: Lab, reader: Account) -> None:
        lab.do(("SET timestamp = 1700000000", self.CREATE.format("SELECT 1"), "SET timestamp = DEFAULT"))
        lab.do("GRANT EXECUTE ON PROCEDURE shop.cut TO {user}", reader)
        name = "MY.ROUTINE.DEFINER shop.cut procedure root@localhost altered:2023-11-14T22:13:20"
        assert ("allowed", name) in self.allowed(lab, reader, name)
        assert (
            "the code of 1 definer routine, which it may call and not see: a change is noticed by its time, which whoever"
            " changes the code can set"
        ) in lab.measure(reader).not_examined
        lab.do(self.CREATE.format("SELECT 1"))
        assert "allowed" not in {standing for standing, _ in self.allowed(lab, reader, name)}

    def test_many_are_told_together_but_for_those_that_are_named(self, lab: Lab, reader: Account) -> None:
        for number in range(25):
            lab.do(f"CREATE PROCEDURE shop.p{number:02}() SELECT {number}")
        lab.do(("GRANT EXECUTE ON shop.* TO {user}", "GRANT SELECT ON mysql.proc TO {user}"), reader)
        (together,) = [each for each in lab.measure(reader).findings if each.code == "MY.ROUTINE.DEFINER"]
        assert (together.subject[:12], together.number, len(together.objects)) == ("shop sha256:", 25, 3)
        assert self.allowed(lab, reader, together.name)[0] == ("allowed", together.name)
        name = f"MY.ROUTINE.DEFINER {together.objects[1]}"
        definers = [each for each in self.allowed(lab, reader, name) if "DEFINER" in each[1]]
        assert [(standing, each == name) for standing, each in definers] == [("excess", False), ("allowed", True)]
        lab.do("CREATE OR REPLACE PROCEDURE shop.p08() SELECT 'changed'")
        assert "allowed" not in {standing for standing, _ in self.allowed(lab, reader, together.name)}

    def test_who_may_do_everything_is_asked_no_more(self, lab: Lab, reader: Account) -> None:
        lab.do(("GRANT ALL ON *.* TO {user} WITH GRANT OPTION", self.CREATE.format("SELECT 1")), reader)
        measured = lab.measure(reader)
        assert ([each.code for each in measured.findings], measured.round_trips) == (
            ["MY.GRANT.OPTION", "MY.SERVER.ALL", "MY.DATABASE.READ"],
            1,
        )

    def test_views_whose_text_is_not_to_be_seen_are_told_together(self, lab: Lab, reader: Account) -> None:
        lab.do(("CREATE VIEW shop.v AS SELECT * FROM hr.salaries", "CREATE DEFINER = boss VIEW shop.w AS SELECT 1"))
        measured = lab.measure(reader)
        (unseen,) = measured.excess
        assert (unseen.code, unseen.level, unseen.database, unseen.what, unseen.fix) == (
            "MY.VIEW.UNSEEN",
            "admin",
            "shop",
            "use 2 views of shop with the rights of boss@%, root@localhost: what that comes to cannot be said, for it may"
            " not see their text",
            "Grant it SHOW VIEW ON `shop`.* as well, so that the text can be judged",
        )
        assert (unseen.objects, unseen.number, unseen.subject[:18]) == (("shop.v", "shop.w"), 2, "shop views sha256:")
        assert (
            "what 2 definer views of shop read and call: it may not see their text (SHOW VIEW), so that a change of it"
            " goes unnoticed"
        ) in measured.not_examined
        assert self.standing(lab, reader, unseen.name) == [("allowed", unseen.name)]
        lab.do("CREATE VIEW shop.x AS SELECT 1")
        assert [standing for standing, _ in self.standing(lab, reader, unseen.name)] == ["excess"]
        lab.do("GRANT SHOW VIEW ON shop.* TO {user}", reader)
        assert [(each.code, each.level, each.database, each.what) for each in lab.measure(reader).excess] == [
            ("MY.VIEW.READ", "read", "hr", "read what the view shop.v shows of hr, with the rights of root@localhost")
        ]

    def test_an_unseen_view_is_allowed_by_its_name_and_its_definer(self, lab: Lab, reader: Account) -> None:
        lab.do(("CREATE VIEW shop.v AS SELECT * FROM hr.salaries", "CREATE VIEW shop.w AS SELECT 1"))
        name = "MY.VIEW.UNSEEN shop.v view root@localhost"
        others = "MY.VIEW.UNSEEN shop.w view root@localhost"
        assert self.standing(lab, reader, name) == [("excess", others), ("allowed", name)]
        lab.do("ALTER DEFINER = boss VIEW shop.v AS SELECT * FROM hr.salaries")
        assert [standing for standing, _ in self.standing(lab, reader, name)] == ["excess"]

    def test_a_view_is_allowed_as_it_is(self, lab: Lab, reader: Account) -> None:
        """A string in it is part of what it does: `run` may make a statement of it."""
        create = "CREATE OR REPLACE VIEW shop.v AS SELECT hr.run('{}') AS n"
        lab.do(("CREATE FUNCTION hr.run(what TEXT) RETURNS INT RETURN 1", create.format("SELECT 1")))
        lab.do("GRANT SHOW VIEW ON shop.* TO {user}", reader)
        (view,) = lab.measure(reader).excess
        assert (view.code, view.what, view.objects) == (
            "MY.VIEW.CALLS",
            "call hr.run by using the view shop.v, with the rights of root@localhost",
            ("hr.run",),
        )
        assert view.subject.startswith("shop.v view root@localhost sha256:")
        assert self.standing(lab, reader, view.name) == [("allowed", view.name)]
        lab.do(create.format("DELETE FROM hr.salaries"))
        assert [standing for standing, _ in self.standing(lab, reader, view.name)] == ["excess"]

    def test_a_text_that_is_not_understood_is_as_good_as_unseen(self, lab: Lab, reader: Account) -> None:
        """The server does not quote the names of common table expressions, and cannot run this view itself."""
        lab.do("CREATE VIEW shop.v AS WITH `a``b` AS (SELECT 1 AS n) SELECT n FROM `a``b`")
        lab.do("GRANT SHOW VIEW ON shop.* TO {user}", reader)
        (view,) = lab.measure(reader).excess
        assert (view.code, view.level, view.what) == (
            "MY.VIEW.UNSEEN",
            "admin",
            "use the view shop.v, whose text is not understood here, with the rights of root@localhost",
        )
        assert view.subject.startswith("shop.v view root@localhost sha256:")

    def test_what_a_view_reads_that_is_granted_alone_is_said_not_to_be_examined(
        self, lab: Lab, reader: Account
    ) -> None:
        lab.do(("REVOKE SELECT ON shop.* FROM {user}", "CREATE VIEW shop.v AS SELECT id FROM shop.orders"), reader)
        lab.do("GRANT SELECT, SHOW VIEW ON shop.v TO {user}", reader)
        behind = "what stands behind shop.orders, which definer views read and it may not see: a view there may call functions"
        assert behind in lab.measure(reader, tables=("shop.v",)).not_examined
        lab.do("GRANT SELECT (id) ON shop.orders TO {user}", reader)
        assert behind not in lab.measure(reader, tables=("shop.v",)).not_examined

    def standing(self, lab: Lab, reader: Account, what: str) -> list[tuple[str, str]]:
        allow = (Allowance(what, "agreed", "2099-01-01"),)
        return [(each.standing, each.name) for each in lab.measure(reader, allow=allow).findings if "VIEW" in each.code]


class TestServers:
    """Servers that call themselves otherwise: MariaDB's `--version` says what a client is told."""

    @pytest.mark.parametrize(
        ("version", "server", "why"),
        [
            ("8.0.36", "MySQL 8.0.36", "MySQL 8 has never been run against this"),
            ("10.6.21-MariaDB", "MariaDB 10.6.21", "MariaDB before 10.11 has never been run against this"),
        ],
    )
    def test_one_that_this_was_never_run_against_is_measured_only_where_the_profile_warns(
        self, version: str, server: str, why: str
    ) -> None:
        with running(f"--version={version}") as other:
            account = Account(other)
            other.administer("CREATE DATABASE shop", f"GRANT SELECT ON shop.* TO {account.name}@'%'")
            other.administer(
                "CREATE ROLE writers", "GRANT INSERT ON shop.* TO writers", f"GRANT writers TO {account.name}@'%'"
            )
            url = url_of(other, database="shop", engine="mysql")
            profile = Profile("verify", "r", "c", url, "read-only", on_excess="warn")
            measured = scope.measure(profile, account.name, account.password, SystemClock())
            assert (measured.server, measured.notes[0]) == (server, f"not to be relied on: {why}")
            assert [(each.code, each.via) for each in measured.excess] == [("MY.DATABASE.WRITE", "SET ROLE writers")]
            with pytest.raises(UnmeasuredError) as refused:
                scope.measure(profile._replace(on_excess="fail"), account.name, account.password, SystemClock())
            assert refused.value.what == f"The credential of profile verify could not be measured: {why}"
            assert refused.value.fix == (
                "Take the result for what it may be worth: profiles.verify.on_excess: warn\n"
                "Or accept that nobody looks at what it can do: profiles.verify.measure: off"
            )

    def test_one_that_is_too_old_is_refused(self) -> None:
        with running("--version=10.5.28-MariaDB") as other:
            account = Account(other)
            what = refusal(other, account)
            assert what == (
                "The credential of profile verify could not be measured: "
                f"127.0.0.1:{other.port} is MariaDB 10.5.28, and rights are read from MariaDB 10.6 on"
            )

    def test_a_login_that_is_refused(self, lab: Lab, reader: Account) -> None:
        reader.password = Secret("wrong")
        assert refusal(lab.server, reader) == (
            f"The credential of profile verify could not be measured: 127.0.0.1:{lab.server.port} said: Access denied for"
            f" user '{reader.name}'@'127.0.0.1' (using password: YES)"
        )


def refusal(server: Any, account: Account) -> str:
    profile = Profile("verify", "r", "c", url_of(server, database="shop"), "read-only", on_excess="warn")
    with pytest.raises(UnmeasuredError) as refused:
        scope.measure(profile, account.name, account.password, SystemClock())
    return refused.value.what
