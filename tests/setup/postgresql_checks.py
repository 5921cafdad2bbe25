"""What issued users can do and cannot, how they end, and what the guard stops: the same at every major of PostgreSQL."""

from __future__ import annotations

# ruff: noqa: S608 - the names are ours
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from pg8000.exceptions import DatabaseError, InterfaceError
from postgresql_site import PASSWORD, Session, Site, answers, message, run_plan, sqlstate

from stepcreds.secret import Secret
from stepcreds.setup import postgresql

DENIED = "42501"
EVERYTHING_ELSE = (
    "DROP TABLE app.orders",
    "TRUNCATE app.orders",
    "ALTER TABLE app.orders ADD COLUMN mine int",
    "CREATE TABLE app.mine (id int)",
    "CREATE TABLE public.mine (id int)",
    "CREATE TEMP TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "SELECT * FROM hr.salaries",
    "SET ROLE app_owner",
    "CREATE ROLE mine",
)


def refused(session: Session, *statements: str) -> None:
    seen = {statement: sqlstate(lambda: session.run(statement)) for statement in statements}  # noqa: B023 - called at once
    assert seen == dict.fromkeys(statements, DENIED)


class Credentials:
    """What users of each kind of profile can do."""

    def test_a_reader_reads_and_does_nothing_else(self, site: Site) -> None:
        issued = site.issue("verify")
        with issued.connect() as session:
            assert session.run("SELECT count(*) FROM app.orders, app.total()") == [[100]]
            assert session.run("SELECT count(*) FROM app.recent") == [[10]]
            assert sqlstate(lambda: session.run("DELETE FROM app.orders")) == "25006"
            # The user may turn that setting off; the grants are what stands.
            session.run("SET default_transaction_read_only = off")
            refused(session, "DELETE FROM app.orders", "SELECT nextval('app.orders_id_seq')", *EVERYTHING_ELSE)
        issued.assert_revoked()

    def test_a_writer_changes_rows_and_nothing_else(self, site: Site) -> None:
        issued = site.issue("write")
        with issued.connect() as session:
            made = session.run("INSERT INTO app.orders (note) VALUES ('mine') RETURNING id")[0][0]
            session.run("INSERT INTO app.customers (email) VALUES ('me@example.com')")
            session.run(f"UPDATE app.orders SET note = 'changed' WHERE id = {made}")
            assert session.run(f"DELETE FROM app.orders WHERE id = {made} RETURNING note") == [["changed"]]
            session.run("DELETE FROM app.customers WHERE email = 'me@example.com'")
            refused(session, "SELECT setval('app.orders_id_seq', 1)", *EVERYTHING_ELSE)
        issued.assert_revoked()

    def test_a_migration_works_as_the_owner_and_leaves_what_it_made_to_it(self, site: Site) -> None:
        issued, reader, writer = site.issue("migrate"), site.issue("verify"), site.issue("write")
        with issued.connect() as session, reader.connect() as reading, writer.connect() as writing:
            session.run("CREATE TEMP TABLE staging AS SELECT 1 AS id")
            session.run("CREATE TABLE app.fresh (id serial, note text)")
            assert session.run("SELECT tableowner FROM pg_tables WHERE tablename = 'fresh'") == [["app_owner"]]
            # Sessions that are open already may use it, too.
            writing.run("INSERT INTO app.fresh (note) VALUES ('one')")
            assert reading.run("SELECT note FROM app.fresh") == [["one"]]
            refused(
                session,
                "CREATE SCHEMA mine",
                "CREATE TABLE public.mine (id int)",
                "CREATE ROLE mine",
                "CREATE EXTENSION dblink",
                "COPY app.orders TO PROGRAM 'cat'",
                "SELECT * FROM hr.salaries",
                "SET ROLE vault_mgr",
                f'ALTER TABLE app.orders OWNER TO "{issued.user}"',
                "GRANT app_owner TO monitor",
            )
            session.run("DROP TABLE app.fresh")
        for each in (issued, reader, writer):
            each.assert_revoked()

    def test_other_databases_are_closed_to_them_and_open_to_whoever_was_there(self, site: Site) -> None:
        issued = [site.issue(name) for name in ("verify", "write", "migrate")]
        for database in ("postgres", "template1"):
            for each in issued:
                assert sqlstate(lambda: site.login(each.user, each.password, database)) == DENIED  # noqa: B023
            site.login("monitor", PASSWORD, database).close()
        with closing(site.login("shop_web", PASSWORD)) as application:
            application.run("CREATE TEMP TABLE cart (id int)", "SELECT count(*) FROM app.orders")
        for each in issued:
            each.assert_revoked()

    def test_a_statement_whose_client_is_gone_ends(self, site: Site) -> None:
        issued = site.issue("write")
        connection = site.server.connect(issued.user, issued.password, "shop")
        try:
            # Sent, and nobody waits for the answer: the client is killed.
            text = b"SELECT pg_sleep(60)\0"
            connection._usock.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
            until = time.monotonic() + 30
            active = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{issued.user}' AND state = 'active'"
            while site.run(active) != [[1]]:
                assert time.monotonic() < until
            connection._usock.shutdown(socket.SHUT_RDWR)
            while site.sessions(issued.user):
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            connection._usock.close()
        issued.assert_revoked()

    def test_there_are_no_more_connections_than_were_answered(self, site: Site) -> None:
        given = site.answers.profiles["verify"]._replace(connection_limit=1)
        answers = site.answers._replace(profiles={"verify": given})
        site.add_role("one-connection", f"pg{site.major}", site.profiles["verify"], answers)
        issued = site.issue_role("one-connection")
        with issued.connect():
            assert sqlstate(lambda: site.login(issued.user, issued.password)) == "53300"
        issued.assert_revoked()


class Endings:
    """Whatever a user did: its revocation succeeds, and nothing is left of it."""

    @pytest.mark.parametrize("profile", ["verify", "write", "migrate"])
    def test_it_cannot_veto_its_own_revocation(self, site: Site, profile: str) -> None:
        issued = site.issue(profile)
        with issued.connect() as session:
            session.run("SET ROLE NONE", "SET default_transaction_read_only = off")
            session.run("SELECT lo_create(0)")
            session.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
            session.run(f"ALTER ROLE CURRENT_USER PASSWORD '{PASSWORD.reveal()}'")
            issued.assert_revoked()
            with pytest.raises((DatabaseError, InterfaceError)):
                session.run("SELECT 1")
        assert sqlstate(lambda: site.login(issued.user, PASSWORD)) == "28P01"

    def test_it_takes_no_table_along(self, site: Site) -> None:
        issued = site.issue("migrate")
        with issued.connect() as session:
            # As the owner it may give itself the right to make tables, and then own one.
            session.run(f'GRANT USAGE, CREATE ON SCHEMA app TO "{issued.user}"')
            session.run("SET ROLE NONE", "CREATE TABLE app.hoard AS SELECT 1 AS one")
            issued.assert_revoked()
        assert site.run("SELECT tableowner FROM pg_tables WHERE tablename = 'hoard'") == [["app_owner"]]
        site.run("DROP TABLE app.hoard")
        left = "SELECT count(*) FROM aclexplode((SELECT nspacl FROM pg_namespace WHERE nspname = 'app')) x"
        assert site.run(f"{left} WHERE pg_get_userbyid(x.grantee) LIKE 'v-%'") == [[0]]

    def test_sessions_that_hold_locks_end_with_it(self, site: Site) -> None:
        issued = site.issue("migrate")
        with issued.connect() as session, issued.connect() as idle:
            session.run("BEGIN", "LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE")
            idle.run("BEGIN", "ALTER TABLE app.customers ADD COLUMN half int")
            issued.assert_revoked()
        site.run("BEGIN", "SET LOCAL lock_timeout = '1ms'", "LOCK TABLE app.orders, app.customers", "COMMIT")

    def test_no_transaction_can_be_prepared_by_default(self, site: Site) -> None:
        issued = site.issue("verify")
        with issued.connect() as session:
            session.run("BEGIN", "SELECT 1")
            assert sqlstate(lambda: session.run("PREPARE TRANSACTION 'kept'")) == "55000"
        issued.assert_revoked()

    @pytest.mark.parametrize("profile", ["verify", "migrate"])
    def test_sessions_that_hold_the_users_own_row_end_with_it(self, site: Site, profile: str) -> None:
        """NOLOGIN has to change that row: whoever could lock it could keep Vault waiting, for other users too."""
        issued = site.issue(profile)
        with issued.connect() as session:
            session.run("SET ROLE NONE", "SET default_transaction_read_only = off")
            session.run(
                "SET idle_in_transaction_session_timeout = 0", "BEGIN", "ALTER ROLE CURRENT_USER PASSWORD 'mine'"
            )
            issued.assert_revoked()
        assert sqlstate(lambda: site.login(issued.user, Secret("mine"))) == "28P01"

    def test_a_user_that_somebody_dropped_already_is_no_error(self, site: Site) -> None:
        for profile in ("verify", "migrate"):
            issued = site.issue(profile)
            site.run(f'DROP OWNED BY "{issued.user}"', f'SET ROLE vault_mgr; DROP OWNED BY "{issued.user}"; RESET ROLE')
            site.run(f'DROP ROLE "{issued.user}"')
            issued.assert_revoked()

    def test_what_it_left_for_others_to_call_is_not_called(self, site: Site) -> None:
        """A function that fits better than the server's own would run as Vault's user, which may make roles."""
        # As somebody whose search_path is the default: that of Vault's user is set, and the text is to be safe alone.
        site.configure(site.url(), "postgres", site.server.password, "trapped")
        site.add_role("trapped", "trapped", site.profiles["migrate"], site.answers)
        site.run("GRANT CREATE ON SCHEMA public TO app_owner")
        issued = site.issue_role("trapped")
        with issued.connect() as session:
            trap = "LANGUAGE plpgsql AS 'BEGIN CREATE ROLE trapped; RETURN 0; END'"
            session.run(f"CREATE FUNCTION public.trap(bigint, boolean) RETURNS bigint {trap}")
            session.run("CREATE AGGREGATE public.count(boolean) (sfunc = public.trap, stype = bigint, initcond = '0')")
            assert sqlstate(lambda: session.run("SELECT count(true)")) == DENIED  # it does fit better
            issued.assert_revoked()
        assert site.run("SELECT count(*) FROM pg_roles WHERE rolname = 'trapped'") == [[0]]
        site.run("DROP FUNCTION public.trap(bigint, boolean) CASCADE", "REVOKE CREATE ON SCHEMA public FROM app_owner")

    def test_vaults_user_calls_nothing_of_others(self, site: Site) -> None:
        with closing(site.login("vault_mgr", PASSWORD)) as session:
            assert session.run("SHOW search_path") == [["pg_catalog, pg_temp"]]

    def test_a_revocation_that_fails_leaves_the_door_shut_and_may_be_asked_for_again(self, site: Site) -> None:
        """An object in another database, where somebody opened it again: out of reach for Vault's connection."""
        issued = site.issue("verify")
        site.run(f'GRANT CONNECT ON DATABASE template1 TO "{issued.user}"')
        with issued.connect("template1") as session, issued.connect() as other:
            session.run("SET default_transaction_read_only = off", "SELECT lo_create(0)")
            status, text = issued.revoke()
            assert (status, site.sessions(issued.user)) == (400, 0)
            assert f'role \\"{issued.user}\\" cannot be dropped because some objects depend on it' in text
            with pytest.raises((DatabaseError, InterfaceError)):
                other.run("SELECT 1")
        assert sqlstate(lambda: site.login(issued.user, issued.password)) == "28P01"
        with closing(site.login(database="template1")) as admin:
            admin.run(f'DROP OWNED BY "{issued.user}"')
        issued.assert_revoked()


class Guard:
    """What the event triggers refuse, to whom, and what they do not."""

    def test_it_refuses_what_cannot_be_undone_and_what_opens_the_database(self, site: Site) -> None:
        with closing(site.login()) as admin:
            admin.run("SET ROLE app_owner", "CREATE TABLE app.old (id int PRIMARY KEY, note text)")
            admin.run("CREATE VIEW app.old_view AS SELECT 1 AS one", "CREATE SEQUENCE app.old_numbers")
            admin.run("CREATE MATERIALIZED VIEW app.old_copy AS SELECT 1 AS one", "CREATE TYPE app.mood AS ENUM ('ok')")
            admin.run("CREATE FUNCTION app.old_function() RETURNS int LANGUAGE sql AS 'SELECT 1'")
            admin.run("CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
            admin.run("CREATE TRIGGER old_trigger BEFORE INSERT ON app.old FOR EACH ROW EXECUTE FUNCTION app.touch()")
            admin.run(
                "CREATE POLICY old_policy ON app.old", "CREATE RULE old_rule AS ON DELETE TO app.old DO INSTEAD NOTHING"
            )
        issued = site.issue("guarded")
        with issued.connect() as session:
            assert session.run("SELECT current_user") == [["app_owner"]]
            said = {
                statement: message(lambda: session.run(statement))  # noqa: B023 - called at once
                for statement in (
                    "DROP TABLE app.old",
                    "DROP TABLE app.old CASCADE",
                    "ALTER TABLE app.old DROP COLUMN note",
                    "DROP SCHEMA app CASCADE",
                    "DROP VIEW app.old_view",
                    "DROP MATERIALIZED VIEW app.old_copy",
                    "DROP SEQUENCE app.old_numbers",
                    "DROP FUNCTION app.old_function()",
                    "DROP TYPE app.mood",
                    "DROP TRIGGER old_trigger ON app.old",
                    "DROP POLICY old_policy ON app.old",
                    "DROP RULE old_rule ON app.old",
                )
            }
            may_not = f"stepcreds guard: {issued.user} may not"
            assert {statement: text.removeprefix(f"{may_not} drop the ") for statement, text in said.items()} == {
                "DROP TABLE app.old": "table app.old",
                "DROP TABLE app.old CASCADE": "table app.old",
                "ALTER TABLE app.old DROP COLUMN note": "table column app.old.note",
                "DROP SCHEMA app CASCADE": "schema app",
                "DROP VIEW app.old_view": "view app.old_view",
                "DROP MATERIALIZED VIEW app.old_copy": "materialized view app.old_copy",
                "DROP SEQUENCE app.old_numbers": "sequence app.old_numbers",
                "DROP FUNCTION app.old_function()": "function app.old_function()",
                "DROP TYPE app.mood": "type app.mood",
                "DROP TRIGGER old_trigger ON app.old": "trigger old_trigger on app.old",
                "DROP POLICY old_policy ON app.old": "policy old_policy on app.old",
                "DROP RULE old_rule ON app.old": "rule old_rule on app.old",
            }
            for command, statement in (
                ("GRANT", "GRANT SELECT ON app.old TO PUBLIC"),
                ("REVOKE", "REVOKE SELECT ON app.orders FROM app_ro"),
                ("ALTER DEFAULT PRIVILEGES", "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES TO PUBLIC"),
                ("DROP OWNED", "DROP OWNED BY app_owner"),
            ):
                assert message(lambda: session.run(statement)) == f"{may_not} run {command}"  # noqa: B023
            # What stands in CREATE SCHEMA has no start of its own.
            site.run("GRANT CREATE ON DATABASE shop TO app_owner")
            for statement in (
                "CREATE SCHEMA s GRANT ALL ON app.old TO PUBLIC",
                "CREATE SCHEMA s CREATE TABLE t (id int) GRANT USAGE ON SCHEMA app TO PUBLIC",
            ):
                assert message(lambda: session.run(statement)) == f"{may_not} run GRANT"  # noqa: B023
            site.run("REVOKE CREATE ON DATABASE shop FROM app_owner")
            definer = "RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
            for name, statement in (
                ("app.back_door()", f"CREATE FUNCTION app.back_door() {definer}"),
                ("app.old_function()", "ALTER FUNCTION app.old_function() SECURITY DEFINER"),
                ("app.old_function()", f"CREATE OR REPLACE FUNCTION app.old_function() {definer}"),
            ):
                told = message(lambda: session.run(statement))  # noqa: B023
                assert told == f"{may_not} make the SECURITY DEFINER function {name}"
            refused(session, "DROP TABLE app.old")
        issued.assert_revoked()
        site.run("DROP TABLE app.old", "DROP VIEW app.old_view", "DROP MATERIALIZED VIEW app.old_copy")
        site.run("DROP SEQUENCE app.old_numbers", "DROP FUNCTION app.old_function(), app.touch()", "DROP TYPE app.mood")

    def test_it_lets_a_migration_that_adds_and_changes_go_on(self, site: Site) -> None:
        issued = site.issue("guarded")
        with issued.connect() as session:
            for statement in (
                "CREATE TABLE app.made (id int GENERATED ALWAYS AS IDENTITY, note varchar(10) NOT NULL DEFAULT '', n int)",
                "ALTER TABLE app.made ADD CONSTRAINT positive CHECK (n > 0), ADD CONSTRAINT one UNIQUE (note)",
                "CREATE INDEX made_n ON app.made (n)",
                "CREATE STATISTICS app.made_statistics ON note, n FROM app.made",
                # Rewrites the table, and makes its index, constraint and default anew.
                "ALTER TABLE app.made ALTER COLUMN note TYPE text, ALTER COLUMN n TYPE bigint",
                "ALTER TABLE app.made ALTER COLUMN note DROP DEFAULT, ALTER COLUMN note DROP NOT NULL",
                "ALTER TABLE app.made DROP CONSTRAINT positive, DROP CONSTRAINT one",
                "ALTER TABLE app.made ALTER COLUMN id DROP IDENTITY",
                "DROP INDEX app.made_n",
                "DROP STATISTICS app.made_statistics",
                "CREATE TABLE app.whole (id int NOT NULL, n int) PARTITION BY RANGE (id)",
                "CREATE TABLE app.part PARTITION OF app.whole FOR VALUES FROM (0) TO (10)",
                "ALTER TABLE app.whole DETACH PARTITION app.part",
                "CREATE VIEW app.seen AS SELECT id FROM app.made",
                "CREATE OR REPLACE VIEW app.seen AS SELECT id, note FROM app.made",
                "CREATE MATERIALIZED VIEW app.copy AS SELECT id FROM app.made",
                "REFRESH MATERIALIZED VIEW app.copy",
                "CREATE FUNCTION app.plain() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "CREATE TEMP TABLE staging AS SELECT 1 AS id",
                "DROP TABLE staging",
                "COMMENT ON TABLE app.made IS 'made under guard'",
            ):
                session.run(statement)
        issued.assert_revoked()
        with closing(site.login()) as admin:
            admin.run("DROP TABLE app.made CASCADE", "DROP TABLE app.whole, app.part", "DROP FUNCTION app.plain()")

    def test_nobody_else_is_caught(self, site: Site) -> None:
        """The owner without the guard, the application, a superuser, and Vault's own user with its DROP OWNED."""
        owner = site.issue("migrate")
        with owner.connect() as session:
            session.run("CREATE TABLE app.mine (id int, note text)", "ALTER TABLE app.mine DROP COLUMN note")
            session.run("GRANT SELECT ON app.mine TO PUBLIC", "REVOKE SELECT ON app.mine FROM PUBLIC")
            session.run("CREATE FUNCTION app.helper() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
            session.run("DROP FUNCTION app.helper()", "DROP TABLE app.mine")
        owner.assert_revoked()
        with closing(site.login("shop_web", PASSWORD)) as application:
            # It may not so much as see the guard's schema: the function needs nothing that its caller has to have.
            application.run("CREATE TEMP TABLE cart (id int, note text)", "ALTER TABLE cart DROP COLUMN note")
            application.run("DROP TABLE cart")
        guarded = site.issue("guarded")
        with guarded.connect() as session:
            # Something for DROP OWNED to do, in which the triggers fire.
            session.run("SET ROLE NONE", "SELECT lo_create(0)")
        guarded.assert_revoked()

    def test_the_user_cannot_switch_it_off(self, site: Site) -> None:
        issued = site.issue("guarded")
        with issued.connect() as session:
            for role in ("app_owner", "NONE"):
                session.run(f"SET ROLE {role}")
                refused(
                    session,
                    "SET session_replication_role = replica",
                    "ALTER EVENT TRIGGER stepcreds_guard_drop DISABLE",
                    "DROP EVENT TRIGGER stepcreds_guard_drop",
                    "DROP FUNCTION stepcreds.guard() CASCADE",
                    "CREATE OR REPLACE FUNCTION stepcreds.guard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
                    "DROP SCHEMA stepcreds CASCADE",
                    f'REVOKE stepcreds_guarded FROM "{issued.user}"',
                    "DROP ROLE stepcreds_guarded",
                    "SET SESSION AUTHORIZATION app_owner",
                )
                if site.major >= 17:
                    refused(session, "SET event_triggers = off")
        issued.assert_revoked()

    def test_what_it_does_not_stop(self, site: Site) -> None:
        """docs/databases.md says so: these are an owner's, and no event trigger sees them, or sees a harm in them."""
        issued = site.issue("guarded")
        with closing(site.login()) as admin:
            admin.run("SET ROLE app_owner", "CREATE TABLE app.rows AS SELECT 1 AS id, 'a' AS note")
            admin.run("ALTER TABLE app.rows ENABLE ROW LEVEL SECURITY")
        with issued.connect() as session:
            session.run("ALTER TABLE app.rows ALTER COLUMN note TYPE text USING NULL")
            session.run("ALTER TABLE app.rows DISABLE ROW LEVEL SECURITY")
            session.run("DELETE FROM app.rows", "TRUNCATE app.rows")
            session.run("ALTER TABLE app.rows RENAME TO gone")
        issued.assert_revoked()
        site.run("DROP TABLE app.gone")

    def test_a_trigger_that_was_switched_off_or_changed_is_found_missing(self, site: Site) -> None:
        with site.database("guarded_db") as admin:
            profile = site.profile("guarded", "ddl", database="guarded_db")
            given = answers({"guarded": "app_owner"}, guard=["guarded"])
            plan = postgresql.database_plan(site.url("guarded_db"), [profile], given).statements
            assert len(run_plan(admin, plan)) > 0
            assert run_plan(admin, plan) == []
            for change in (
                "ALTER EVENT TRIGGER stepcreds_guard_drop DISABLE",
                "DROP EVENT TRIGGER stepcreds_guard_end",
                "CREATE OR REPLACE FUNCTION stepcreds.guard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
                "DROP SCHEMA stepcreds CASCADE",
            ):
                admin.run(change)
                assert run_plan(admin, plan) != []
                assert run_plan(admin, plan) == []


class Crowd:
    """Several connections of Vault's to one database, each with a user of its own, as several repositories have them."""

    CYCLES = 12

    def test_what_comes_at_the_same_time_does_not_fail(self, site: Site) -> None:
        """CONNECT is in the one row of its database, which PostgreSQL does not wait for: XX000, in one cycle of five."""
        roles, managers = [f"pg{site.major}-migrate"], ("crowd_one", "crowd_two")
        for manager in managers:
            given = answers({"migrate": "app_owner"}, manager=manager)
            profile = site.profiles["migrate"]
            run_plan(site.session, postgresql.database_plan(site.url(), [profile], given).statements)
            site.configure(site.url(), manager, PASSWORD, manager)
            site.add_role(manager, manager, profile, given)
            roles.append(manager)
        ended: list[tuple[int, str]] = []

        def work(role: str) -> None:
            with site.stack.client() as client:
                for _ in range(self.CYCLES):
                    issued = site.issue_role(role, client)
                    ended.append(issued.revoke())

        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(work, role) for role in roles]:
                done.result()
        assert ended == [(204, "")] * self.CYCLES * len(roles)
        for manager in managers:
            site.run(f"DROP OWNED BY {manager}", f"DROP ROLE {manager}")
