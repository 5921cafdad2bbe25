"""What a command leaves in a PostgreSQL database: done for real as a DDL user, and found by comparing two looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from stepcreds.clock import SystemClock
from stepcreds.config.model import DatabaseURL
from stepcreds.devstack.postgresql import SUPERUSER, PostgreSQL
from stepcreds.errors import DatabaseError
from stepcreds.measurement import Change
from stepcreds.scope.left_behind import State, left_behind
from stepcreds.scope.postgresql.state import look
from stepcreds.secret import Secret

PASSWORD = Secret("c4n4ry-left")
SHOP = """
CREATE ROLE app_owner; CREATE ROLE "odd ""role={x}"; CREATE ROLE app_ro; CREATE ROLE manager;
CREATE SCHEMA app AUTHORIZATION app_owner;
SET ROLE app_owner;
CREATE TABLE app.orders (id int, note text); CREATE TABLE app.customers (id int); CREATE TABLE app.old (id int);
CREATE FUNCTION app.total() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.close() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = app AS 'SELECT 1';
CREATE VIEW app.seen AS SELECT id FROM app.orders;
CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE POLICY own ON app.customers USING (id = 1);
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO app_ro;
RESET ROLE;
CREATE ROLE step LOGIN NOINHERIT PASSWORD '%s'; GRANT app_owner TO step; ALTER ROLE step SET role = 'app_owner';
GRANT step TO manager;
GRANT CREATE ON DATABASE %s TO app_owner;
"""
Leaves = Callable[..., list[Change]]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as postgresql:
        yield postgresql


def url(server: PostgreSQL, database: str) -> DatabaseURL:
    return DatabaseURL("postgresql", "postgresql", server.host, server.port, database, "disable", None)


@pytest.fixture
def leaves(server: PostgreSQL) -> Iterator[Leaves]:
    """`leaves("GRANT …", …)`: what is found after the user `step` has run these; `administrator=` runs others first."""
    database = "shop_left"
    with closing(server.connect()) as admin:
        admin.run(f"CREATE DATABASE {database}")
    with closing(server.connect(SUPERUSER, server.password, database)) as admin:
        admin.run(SHOP % (PASSWORD.reveal(), database))

    def run(*statements: str, administrator: tuple[str, ...] = ()) -> list[Change]:
        before = seen(server, database)
        with closing(server.connect("step", PASSWORD, database)) as session:
            for statement in statements:
                session.run(statement)
        with closing(server.connect(SUPERUSER, server.password, database)) as session:
            for statement in administrator:
                session.run(statement)
        return list(left_behind(before, seen(server, database)))

    yield run
    with closing(server.connect()) as admin:
        admin.run(f"DROP DATABASE {database}")
        for role in (r[0] for r in admin.run("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND NOT rolsuper")):
            admin.run("DROP ROLE " + '"' + role.replace('"', '""') + '"')


def seen(server: PostgreSQL, database: str) -> State:
    return look(url(server, database), "step", PASSWORD, SystemClock(), timeout=20)


def test_a_quiet_step_leaves_nothing(leaves: Leaves) -> None:
    assert leaves("SELECT 1", "INSERT INTO app.orders VALUES (1)") == []


@pytest.mark.parametrize(
    ("statements", "code", "what", "subject"),
    [
        (
            ["GRANT SELECT ON app.orders TO PUBLIC"],
            "LEFT.GRANT",
            "PUBLIC has SELECT on the table app.orders",
            "app.orders",
        ),
        (
            ['GRANT UPDATE ON app.orders TO "odd ""role={x}" WITH GRANT OPTION'],
            "LEFT.GRANT",
            'odd "role={x} has UPDATE WITH GRANT OPTION on the table app.orders',
            "app.orders",
        ),
        (
            ["GRANT UPDATE (note) ON app.orders TO app_ro"],
            "LEFT.GRANT",
            "app_ro has UPDATE on the column app.orders.note",
            "app.orders.note",
        ),
        (
            ["ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC"],
            "LEFT.DEFAULT",
            "PUBLIC will have SELECT, UPDATE, USAGE on what app_owner makes (sequences)",
            "what app_owner makes (sequences)",
        ),
        (["GRANT CREATE ON SCHEMA app TO PUBLIC"], "LEFT.GRANT", "PUBLIC has CREATE on the schema app", "app"),
        (
            ["ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC"],
            "LEFT.DEFAULT",
            "PUBLIC will have INSERT on what app_owner makes (tables)",
            "what app_owner makes (tables)",
        ),
        (
            ["CREATE FUNCTION app.door() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 2'"],
            "LEFT.DEFINER",
            "a new SECURITY DEFINER function app.door(), owned by app_owner, for everybody to call",
            "app.door()",
        ),
        (
            ["ALTER FUNCTION app.total() SECURITY DEFINER"],
            "LEFT.DEFINER",
            "the function app.total() is a SECURITY DEFINER function now",
            "app.total()",
        ),
        (
            ["CREATE OR REPLACE FUNCTION app.close() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 3'"],
            "LEFT.DEFINER",
            "the SECURITY DEFINER function app.close() was changed",
            "app.close()",
        ),
        (
            ["CREATE TRIGGER noted BEFORE INSERT ON app.orders EXECUTE FUNCTION app.note()"],
            "LEFT.TRIGGER",
            "a new trigger app.orders.noted, owned by app_owner",
            "app.orders.noted",
        ),
        (
            ["CREATE RULE none AS ON DELETE TO app.orders DO INSTEAD NOTHING"],
            "LEFT.TRIGGER",
            "a new rule app.orders.none, owned by app_owner",
            "app.orders.none",
        ),
        (
            ["DROP POLICY own ON app.customers"],
            "LEFT.GONE",
            "the policy app.customers.own is gone",
            "app.customers.own",
        ),
        (
            ["ALTER POLICY own ON app.customers USING (true)"],
            "LEFT.ALTERED",
            "the policy app.customers.own was changed",
            "app.customers.own",
        ),
        (
            ["ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY"],
            "LEFT.ALTERED",
            "row security is on for the table app.customers",
            "app.customers",
        ),
        (
            [
                "CREATE OR REPLACE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN DELETE FROM app.orders; RETURN NULL; END'"
            ],
            "LEFT.TRIGGER",
            "the trigger function app.note() was changed",
            "app.note()",
        ),
        (
            ["ALTER FUNCTION app.close() RESET search_path"],
            "LEFT.DEFINER",
            "the SECURITY DEFINER function app.close() was changed",
            "app.close()",
        ),
        (
            ["CREATE OR REPLACE VIEW app.seen AS SELECT id FROM app.customers"],
            "LEFT.ALTERED",
            "the view app.seen was changed",
            "app.seen",
        ),
        (
            ["ALTER VIEW app.seen SET (security_barrier)"],
            "LEFT.ALTERED",
            "the view app.seen was changed",
            "app.seen",
        ),
        (
            ["SELECT lo_create(71)", "GRANT SELECT ON LARGE OBJECT 71 TO PUBLIC"],
            "LEFT.GRANT",
            "PUBLIC has SELECT on the large object 71",
            "71",
        ),
        (
            ["CREATE PUBLICATION out FOR TABLE app.orders"],
            "LEFT.PUBLICATION",
            "a new publication out, owned by app_owner",
            "out",
        ),
        (["DROP TABLE app.old"], "LEFT.GONE", "the table app.old is gone", "app.old"),
        (
            ["ALTER TABLE app.old RENAME TO older"],
            "LEFT.RENAMED",
            "the table app.older, which was app.old, has a new name",
            "app.older",
        ),
    ],
)
def test_what_a_step_leaves_is_found(leaves: Leaves, statements: list[str], code: str, what: str, subject: str) -> None:
    usual = code == "LEFT.RENAMED"
    assert leaves(*statements) == [Change(code, what, subject, notable=not usual)]


def test_the_usual_work_of_a_migration_comes_after_what_widens_power(leaves: Leaves) -> None:
    found = leaves(
        *(f"CREATE TABLE app.new{number} (id int)" for number in range(5)),
        "DROP TABLE app.old",
        "DROP TABLE app.customers",
        "GRANT SELECT ON app.new0 TO PUBLIC",
    )
    assert found == [
        Change("LEFT.GRANT", "PUBLIC has SELECT on the new table app.new0", "app.new0"),
        Change("LEFT.GONE", "the policy app.customers.own is gone", "app.customers.own"),
        Change("LEFT.GONE", "the tables app.customers, app.old are gone", "app.customers"),
        Change(
            "LEFT.GRANT",
            "app_ro has SELECT on the new tables app.new0, app.new1, app.new2 and 2 more",
            "app.new0",
            notable=False,
        ),
        Change("LEFT.NEW", "new tables app.new0, app.new1, app.new2 and 2 more, owned by app_owner", "app.new0", False),
    ]


def test_what_others_do_meanwhile_is_found_too(leaves: Leaves) -> None:
    found = leaves(
        administrator=(
            "CREATE ROLE mighty LOGIN CREATEROLE",
            "ALTER ROLE app_ro LOGIN",
            "GRANT app_owner TO app_ro WITH ADMIN OPTION",
            "ALTER TABLE app.orders OWNER TO app_ro",
            "CREATE EXTENSION pg_trgm SCHEMA app",
            "CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER watching ON ddl_command_start EXECUTE FUNCTION app.watch()",
        )
    )
    told = [change for change in found if change.code not in ("LEFT.NEW", "LEFT.GRANT")]
    assert told == [
        Change("LEFT.ROLE", "a new role mighty: CREATEROLE LOGIN", "mighty"),
        Change("LEFT.ROLE", "the role app_ro is LOGIN now, and was without", "app_ro"),
        Change("LEFT.MEMBER", "a new membership app_ro in app_owner", "app_ro in app_owner"),
        Change("LEFT.OWNER", "app_ro owns the table app.orders, formerly app_owner's", "app.orders"),
        Change("LEFT.EVENT_TRIGGER", "a new event trigger watching, owned by postgres", "watching"),
    ]
    assert Change("LEFT.NEW", "a new extension pg_trgm, owned by postgres", "pg_trgm", notable=False) in found


def test_a_role_behind_a_profile_is_not_taken_for_an_issued_user(leaves: Leaves) -> None:
    """Vault's user is a member of both."""
    found = leaves(
        administrator=(
            "GRANT app_owner TO manager",
            "ALTER ROLE app_owner CREATEDB LOGIN",
            "GRANT app_owner TO app_ro",
            "CREATE FOREIGN DATA WRAPPER elsewhere",
            "CREATE SERVER there FOREIGN DATA WRAPPER elsewhere",
            "CREATE USER MAPPING FOR PUBLIC SERVER there",
            "GRANT USAGE ON FOREIGN SERVER there TO PUBLIC",
        )
    )
    assert [change for change in found if change.notable] == [
        Change("LEFT.ROLE", "the role app_owner is CREATEDB LOGIN now, and was without", "app_owner"),
        Change("LEFT.MEMBER", "new memberships app_ro in app_owner, manager in app_owner", "app_ro in app_owner"),
        Change("LEFT.GRANT", "PUBLIC has USAGE on the new foreign server there", "there"),
        Change("LEFT.FOREIGN", "a new foreign server there, owned by postgres", "there"),
        Change("LEFT.FOREIGN", "a new user mapping public at there", "public at there"),
    ]


def test_users_that_vault_issues_meanwhile_are_not_news(leaves: Leaves) -> None:
    assert (
        leaves(
            administrator=(
                "CREATE ROLE other LOGIN VALID UNTIL 'tomorrow'",
                "GRANT app_ro TO other",
                "GRANT other TO manager",
            )
        )
        == []
    )


def test_what_the_user_grants_itself_goes_with_it(leaves: Leaves) -> None:
    assert leaves("GRANT SELECT ON app.orders TO step") == []


def test_the_settings_of_a_hostile_step_do_not_hide_anything(leaves: Leaves) -> None:
    found = leaves(
        "GRANT SELECT ON app.orders TO PUBLIC",
        "CREATE TABLE app.pg_class AS SELECT * FROM pg_class LIMIT 0",
        "SET ROLE NONE",
        "ALTER ROLE SESSION_USER SET search_path = app, pg_catalog",
        "ALTER ROLE SESSION_USER SET statement_timeout = 1",
        "ALTER ROLE SESSION_USER SET default_transaction_isolation = 'serializable'",
    )
    assert Change("LEFT.GRANT", "PUBLIC has SELECT on the table app.orders", "app.orders") in found


def test_a_refused_login_is_an_error_and_no_empty_look(server: PostgreSQL) -> None:
    with pytest.raises(DatabaseError, match="password authentication failed"):
        look(url(server, "postgres"), "nobody", PASSWORD, SystemClock(), timeout=20)
