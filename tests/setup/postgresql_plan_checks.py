"""What the plan does to a database that is at work already: the same at every major of PostgreSQL."""

from __future__ import annotations

# ruff: noqa: S608 - the names are ours
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError
from postgresql_checks import DENIED, refused
from postgresql_site import PASSWORD, Session, Site, answers, message, run_plan, sqlstate

from stepcreds.clock import SystemClock
from stepcreds.config.model import Access, Profile
from stepcreds.scope import measure
from stepcreds.secret import Secret
from stepcreds.setup import postgresql
from stepcreds.setup.plan import Statement
from stepcreds.setup.postgresql.roles import MANAGER_PASSWORD

TABLES = ("app.orders", "app.orders_id_seq")
ROLE = {"ddl": "pl_owner", "read-only": "pl_ro", "read-write": "pl_rw"}


def plan(site: Site, database: str, *profiles: Profile, manager: str = "pl_mgr") -> Sequence[Statement]:
    """One of the roles above stands behind each profile, by its access."""
    roles = {profile.name: ROLE[str(profile.access)] for profile in profiles}
    return postgresql.database_plan(site.url(database), profiles, answers(roles, manager=manager)).statements


class PlanLab:
    """A database `pl` for each test, and a login role that is a member of one of the plan's."""

    @pytest.fixture(autouse=True)
    def clean(self, site: Site) -> object:
        yield
        for role in (
            "pl_member",
            "pl_mgr",
            "pl_other_mgr",
            *ROLE.values(),
            "pl_app",
            "pl_job",
            "pl_legacy",
            "pl_short",
            "pl_boss",
        ):
            with suppress(DatabaseError):
                site.run(f"DROP OWNED BY {role}")
            site.run(f"DROP ROLE IF EXISTS {role}")

    def member(self, site: Site, access: Access) -> Session:
        """A session of a user as the profile's statements make it."""
        profile = site.profile("pl", access, database="pl")
        creation, _ = postgresql.role_statements(profile, answers({"pl": ROLE[access]}))
        values = {"{{name}}": "pl_member", "{{password}}": PASSWORD.reveal(), "{{expiration}}": "2099-01-01"}
        for statement in creation:
            for placeholder, value in values.items():
                statement = statement.replace(placeholder, value)  # noqa: PLW2901 - one after another
            site.run(statement)
        return site.login("pl_member", PASSWORD, "pl")


SHOP = """
CREATE ROLE pl_legacy NOLOGIN;
CREATE SCHEMA app AUTHORIZATION pl_legacy;
CREATE SCHEMA "b%b";
SET ROLE pl_legacy;
CREATE TABLE app.orders (id serial, note text, secret text);
INSERT INTO app.orders (note) VALUES ('one');
CREATE TABLE app.customers (id int GENERATED ALWAYS AS IDENTITY, email text);
RESET ROLE;
CREATE TABLE "b%b".things AS SELECT 1 AS id;
"""


BEFORE_16 = [
    f"Vault's user may make others members of {group}; it cannot use the rights itself."
    for group in ("app_ro", "app_rw", "stepcreds_guarded")
]
FROM_15 = [
    "Up to PostgreSQL 14 everybody may make tables in the schema public, a reader too. Roles that own something there "
    "keep the right; any other that counts on it needs a GRANT of its own."
]


class Plan(PlanLab):
    """What each kind of declaration gives."""

    def test_what_was_missing_is_done_once(self, site: Site) -> None:
        there = [statement.why for statement in site.plan.statements if statement not in site.was_missing]
        assert there == [
            "Stops here if relations in app belong to another role than app_owner: only their owner can alter them, and "
            "to whom they belong is yours to decide. It changes nothing.",
            "The owner that users with ddl access work as: what they make belongs to app_owner, and stays.",
            "The schema app, where there is none yet.",
            "app_owner may see what is in app.",
            "app_owner may make tables and indexes in app.",
            "What others make later who own tables in app today is covered at once, for app_ro.",
            "What others make later who own tables in app today is covered at once, for app_rw.",
            # Up to 15 CREATEROLE is enough to hand groups on; from 15 on PUBLIC makes nothing in the schema public.
            *BEFORE_16 * (site.major < 16),
            *FROM_15 * (site.major > 14),
        ]
        assert run_plan(site.session, site.plan.statements) == []
        # Each may be run again all the same, as somebody does who pastes them.
        before = site.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
        for statement in site.plan.statements:
            site.run(statement.sql.replace(MANAGER_PASSWORD, "another"))
        assert site.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1") == before

    def test_what_is_needed_can_be_asked_where_nothing_is_there_yet(self, site: Site) -> None:
        profiles = [site.profile(access, access, database="pl") for access in ("ddl", "read-only", "read-write")]
        named = site.profile("named", "read-write", database="pl", tables=("app.t",), columns=("app.u.c",))
        with site.database("pl") as admin:
            missing = [
                statement.why
                for statement in plan(site, "pl", *profiles, named)
                if admin.run(statement.done) == [[False]]
            ]
            assert len(missing) > 20
            # And by whom: anybody may look.
            site.run("CREATE ROLE pl_app LOGIN PASSWORD '" + PASSWORD.reveal() + "'")
            with closing(site.login("pl_app", PASSWORD, "pl")) as anybody:
                statements = plan(site, "pl", *profiles, named)
                assert [s.why for s in statements if anybody.run(s.done) == [[False]]] == missing

    def test_an_empty_database_becomes_one_for_migrations(self, site: Site) -> None:
        with site.database("pl") as admin:
            profiles = [site.profile(access, access, database="pl") for access in ("read-only", "ddl")]
            run_plan(admin, plan(site, "pl", *profiles))
            with closing(self.member(site, "ddl")) as session:
                session.run("CREATE TABLE app.first (id int)")
            assert admin.run("SELECT has_table_privilege('pl_ro', 'app.first', 'SELECT')") == [[True]]
            owners = admin.run("SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'app'")
            assert owners == [["app", "pl_owner"]]

    def test_declared_tables_and_columns_are_all_there_is(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            declared = site.profile(
                "w", "read-write", database="pl", tables=TABLES, columns=("app.customers.email",), schemas=()
            )
            run_plan(admin, plan(site, "pl", declared))
            admin.run("SET ROLE pl_legacy", "CREATE TABLE app.later (id int)", "RESET ROLE")
            with closing(self.member(site, "read-write")) as session:
                session.run("INSERT INTO app.orders (note) VALUES ('two')", "DELETE FROM app.orders WHERE note = 'two'")
                session.run("INSERT INTO app.customers (email) VALUES ('a')", "UPDATE app.customers SET email = 'b'")
                assert session.run("SELECT email FROM app.customers") == [["b"]]
                refused(
                    session,
                    "SELECT id FROM app.customers",
                    "DELETE FROM app.customers",
                    "SELECT * FROM app.later",
                    'SELECT * FROM "b%b".things',
                )

    def test_a_reader_of_some_columns_reads_no_others(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            columns = ("app.orders.id", "app.orders.note")
            run_plan(admin, plan(site, "pl", site.profile("r", "read-only", database="pl", columns=columns)))
            with closing(self.member(site, "read-only")) as session:
                assert session.run("SELECT id, note FROM app.orders") == [[1, "one"]]
                refused(session, "SELECT secret FROM app.orders", "SELECT * FROM app.orders")

    def test_without_schemas_all_are_declared_and_those_to_come(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            admin.run("CREATE ROLE pl_owner; GRANT pl_legacy TO pl_owner", 'ALTER TABLE "b%b".things OWNER TO pl_owner')
            profiles = [site.profile(access, access, database="pl", schemas=()) for access in ("read-only", "ddl")]
            run_plan(admin, plan(site, "pl", *profiles))
            with closing(self.member(site, "ddl")) as session:
                session.run("CREATE SCHEMA new", "CREATE TABLE new.first AS SELECT 1 AS id")
                session.run("ALTER TABLE app.orders ADD COLUMN made int")
                session.run("SET ROLE NONE")
            site.run("DROP OWNED BY pl_member", "DROP ROLE pl_member")
            with closing(self.member(site, "read-only")) as session:
                assert session.run('SELECT f.id, o.id, t.id FROM new.first f, app.orders o, "b%b".things t') == [
                    [1, 1, 1]
                ]

    def test_tables_that_others_make_are_covered_too(self, site: Site) -> None:
        """No migrations by stepcreds: whoever owns tables today makes those of tomorrow."""
        with site.database("pl", SHOP) as admin:
            both = site.profile("w", "read-write", database="pl", schemas=("app", "b%b"))
            run_plan(admin, plan(site, "pl", both))
            admin.run("SET ROLE pl_legacy", "CREATE TABLE app.later (id serial, note text)", "RESET ROLE")
            with closing(self.member(site, "read-write")) as session:
                session.run("INSERT INTO app.later (note) VALUES ('one')", 'SELECT * FROM "b%b".things')

    def test_it_is_refused_where_tables_belong_to_somebody_else(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            admin.run("CREATE EXTENSION hstore; CREATE TABLE app.by_hand (id int)")
            first, *rest = plan(site, "pl", site.profile("m", "ddl", database="pl"))
            assert admin.run(first.done) == [[False]]
            assert message(lambda: admin.run(first.sql)) == (
                "stepcreds: 5 relation(s) do not belong to pl_owner: app.by_hand of postgres, app.customers of "
                "pl_legacy, app.customers_id_seq of pl_legacy"
            )
            assert admin.run(first.refused) == [
                [
                    "5 relation(s) do not belong to pl_owner: app.by_hand of postgres, app.customers of pl_legacy, "
                    "app.customers_id_seq of pl_legacy\n"
                    "A migration could not alter them. Where they belong to one role that cannot log in, name that one: "
                    "--owner m=NAME\n"
                    "Else give them to pl_owner, once, as a superuser, in this database, in a quiet moment (each is "
                    "locked). Who has them now goes on as before, as a member of the new owner; what it makes later is "
                    "its own again, unless it says SET ROLE:"
                ]
            ]
            assert first.why == (
                "Stops here if relations in app belong to another role than pl_owner: only their owner can alter them, "
                "and to whom they belong is yours to decide. It changes nothing."
            )
            # Either way out: membership with what the role may do, or another owner.
            admin.run("CREATE ROLE pl_owner; GRANT pl_legacy TO pl_owner", "ALTER TABLE app.by_hand OWNER TO pl_owner")
            assert admin.run(first.done) == [[True]]
            assert admin.run(first.refused) == [[None]]
            admin.run(first.sql)
            run_plan(admin, rest)
            with closing(self.member(site, "ddl")) as session:
                session.run("ALTER TABLE app.orders ADD COLUMN made int", "ALTER TABLE app.by_hand ADD COLUMN made int")

    def test_the_tables_of_who_logs_in_become_an_owners_by_the_statement_that_is_shown(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            admin.run(
                f"ALTER ROLE pl_legacy LOGIN PASSWORD '{PASSWORD.reveal()}'",
                "CREATE EXTENSION hstore",
                "CREATE TABLE app.by_hand (id int) PARTITION BY LIST (id)",
                "CREATE TABLE app.part PARTITION OF app.by_hand DEFAULT",
                "CREATE VIEW app.seen AS SELECT note FROM app.orders",
                "CREATE MATERIALIZED VIEW app.kept AS SELECT note FROM app.orders",
                "CREATE SEQUENCE app.alone",
                'ALTER SEQUENCE app.alone OWNER TO pl_legacy; ALTER TABLE app.orders RENAME TO "or\'d%ers"',
                'CREATE TABLE "b%b".others (id int)',
            )
            statements = plan(site, "pl", site.profile("m", "ddl", database="pl"))
            first = statements[0]
            assert admin.run(first.done) == [[False]]
            admin.run(first.remedy)
            assert admin.run(first.done) == [[True]]
            elsewhere = "SELECT tableowner FROM pg_tables WHERE schemaname = 'b%b'"
            assert admin.run(elsewhere) == [["postgres"], ["postgres"]]
            admin.run(first.remedy)  # and again
            run_plan(admin, statements)
            with closing(self.member(site, "ddl")) as session:
                session.run(
                    'ALTER TABLE app."or\'d%ers" ADD COLUMN made int',
                    "ALTER TABLE app.by_hand ADD COLUMN made int",
                    "DROP MATERIALIZED VIEW app.kept",
                    "ALTER SEQUENCE app.alone RESTART",
                )
            with closing(site.login("pl_legacy", PASSWORD, "pl")) as application:
                application.run(
                    "INSERT INTO app.\"or'd%ers\" (note) VALUES ('as before')",
                    "INSERT INTO app.customers (email) VALUES ('a@b')",
                    "SELECT * FROM app.seen",
                    "SELECT nextval('app.alone')",
                )
            profile = site.profile("m", "ddl", database="pl")
            assert measure(profile, "pl_member", PASSWORD, SystemClock()).excess == ()

    def test_a_role_that_is_more_than_a_group_is_refused(self, site: Site) -> None:
        with site.database("pl", SHOP) as admin:
            reader = site.profile("r", "read-only", database="pl")
            group = plan(site, "pl", reader)[0]
            admin.run("CREATE ROLE pl_ro", "CREATE TABLE app.mine (id int)", "ALTER TABLE app.mine OWNER TO pl_ro")
            assert admin.run(group.done) == [[False]]
            assert message(lambda: admin.run(group.sql)) == (
                "stepcreds: pl_ro owns objects, so it is no group of users who read or write rows"
            )
            assert admin.run(group.refused) == [
                [
                    "pl_ro owns objects, so it is no group of users who read or write rows\n"
                    "Name a role that owns nothing: --group r=NAME"
                ]
            ]
            admin.run("DROP TABLE app.mine")
            for power in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"):
                admin.run(f"ALTER ROLE pl_ro {power}")
                assert admin.run(group.done) == [[False]]
                assert message(lambda: admin.run(group.sql)) == (
                    "stepcreds: pl_ro is a superuser, or makes roles or databases, replicates or bypasses row security"
                )
                assert admin.run(group.refused) == [
                    [
                        "pl_ro is a superuser, or makes roles or databases, replicates or bypasses row security\n"
                        "So could every member of it: name another role for the profile: --group r=NAME"
                    ]
                ]
                admin.run(f"ALTER ROLE pl_ro NO{power}")
            assert admin.run(group.done) == [[True]]
            assert admin.run(group.refused) == [[None]]

    @pytest.mark.parametrize("power", ["LOGIN", "NOLOGIN CREATEDB"])
    def test_nor_one_that_is_a_member_of_what_is(self, site: Site, power: str) -> None:
        with site.database("pl", SHOP) as admin:
            admin.run(f"CREATE ROLE pl_app {power}", "CREATE ROLE pl_job", "CREATE ROLE pl_ro")
            admin.run("GRANT pl_app TO pl_job; GRANT pl_job TO pl_ro")
            group = plan(site, "pl", site.profile("r", "read-only", database="pl"))[0]
            told = "pl_ro is a member of what can log in, or has power of its own: pl_app"
            assert admin.run(group.done) == [[False]]
            assert message(lambda: admin.run(group.sql)) == f"stepcreds: {told}"
            assert admin.run(group.refused) == [
                [
                    f'{told}\nTake it out there, REVOKE … FROM "pl_ro"; or name another role for the profile: --group r=NAME'
                ]
            ]
            admin.run("REVOKE pl_app FROM pl_job")
            assert (admin.run(group.done), admin.run(group.refused)) == ([[True]], [[None]])

    def test_a_group_of_another_database_stands_behind_no_profile(self, site: Site) -> None:
        """Its members would have the rights of both: a server has one set of roles."""
        with site.database("pl", SHOP) as admin:
            admin.run("CREATE ROLE pl_ro")
            with site.database('pl "2"', "CREATE TABLE mine (id int); GRANT SELECT ON mine TO pl_ro"):
                group = plan(site, "pl", site.profile("r", "read-only", database="pl"))[0]
                told = 'pl_ro is another group already: it has rights in "pl ""2"""'
                assert admin.run(group.done) == [[False]]
                assert message(lambda: admin.run(group.sql)) == f"stepcreds: {told}"
                assert admin.run(group.refused) == [
                    [
                        f"{told}\n"
                        "A server has one set of roles for all its databases, so each's users would have the rights of "
                        "both. Name another: --group r=NAME"
                    ]
                ]
                profile = site.profile("r", "read-only", database="pl", databases=("pl", 'pl "2"'))
                declared = plan(site, "pl", profile)[0]
                assert (admin.run(declared.done), admin.run(declared.refused)) == ([[True]], [[None]])
            assert (admin.run(group.done), admin.run(group.refused)) == ([[True]], [[None]])

    def test_a_role_that_logs_in_stands_behind_no_profile(self, site: Site) -> None:
        """Its members could set its password, and go on when their own user is gone."""
        with site.database("pl", SHOP) as admin:
            admin.run(f"CREATE ROLE pl_owner LOGIN PASSWORD '{PASSWORD.reveal()}'; GRANT pl_owner TO pl_legacy")
            admin.run("REASSIGN OWNED BY pl_legacy TO pl_owner")
            _, owner, *rest = plan(site, "pl", site.profile("m", "ddl", database="pl"))
            assert admin.run(owner.done) == [[False]]
            assert message(lambda: admin.run(owner.sql)) == (
                "stepcreds: pl_owner can log in: its members could set its password, and go on as it"
            )
            assert admin.run(owner.refused) == [
                [
                    "pl_owner can log in: its members could set its password, and go on as it\n"
                    "Name a role that cannot, and that need not be there yet: --owner m=NAME\n"
                    "Where the tables belong to one that can, setup then shows the way to give them to the new one."
                ]
            ]
            # Its way out: the tables go to a role that cannot log in, and the application is a member of that.
            admin.run("ALTER ROLE pl_owner RENAME TO pl_app", "CREATE ROLE pl_owner", "GRANT pl_owner TO pl_app")
            admin.run(f"ALTER ROLE pl_app PASSWORD '{PASSWORD.reveal()}'", "REASSIGN OWNED BY pl_app TO pl_owner")
            run_plan(admin, [owner, *rest])
            with closing(self.member(site, "ddl")) as session:
                session.run("ALTER TABLE app.orders ADD COLUMN made int")
                session.run("ALTER ROLE CURRENT_USER PASSWORD 'nothing to log in with'")
                assert sqlstate(lambda: site.login("pl_owner", Secret("nothing to log in with"), "pl")) == "28000"
            with closing(site.login("pl_app", PASSWORD, "pl")) as application:
                application.run("INSERT INTO app.orders (note) VALUES ('as before')")

    def test_vaults_user_is_no_superuser_and_keeps_its_password(self, site: Site) -> None:
        with site.database("pl") as admin:
            statements = plan(site, "pl", site.profile("r", "read-only", database="pl"))
            (manager,) = [statement for statement in statements if statement.secret]
            admin.run("CREATE ROLE pl_mgr SUPERUSER")
            assert admin.run(manager.done) == [[False]]
            told = message(lambda: admin.run(manager.sql))
            assert told == "stepcreds: pl_mgr is a superuser, and Vault needs a user that is none"
            admin.run("ALTER ROLE pl_mgr NOSUPERUSER PASSWORD 'kept'")
            password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'pl_mgr'"
            before = admin.run(password)
            admin.run(manager.sql)
            assert (admin.run(manager.done), admin.run(password)) == ([[True]], before)


class Administrator(PlanLab):
    """One who is no superuser, as managed services have them: CREATEROLE, and the owner of the database."""

    def test_who_makes_roles_and_owns_the_database_can_run_the_plan(self, site: Site) -> None:
        profiles = [site.profile(access, access, database="pl") for access in ("ddl", "read-only", "read-write")]
        roles = {access: ROLE[access] for access in ("ddl", "read-only", "read-write")}
        given = answers(roles, manager="pl_mgr")
        with site.database("pl"):
            site.run(f"CREATE ROLE pl_boss LOGIN CREATEROLE PASSWORD '{PASSWORD.reveal()}'")
            site.run("ALTER DATABASE pl OWNER TO pl_boss")
            with closing(site.login("pl_boss", PASSWORD, "pl")) as boss:
                for statement in postgresql.database_plan(site.url("pl"), profiles, given).statements:
                    boss.run(statement.sql.replace(MANAGER_PASSWORD, PASSWORD.reveal()))
                    # Up to 14 the schema public is a superuser's.
                    left = site.major == 14 and "REVOKE CREATE ON SCHEMA public" in statement.sql
                    assert (statement.why, boss.run(statement.done)) == (statement.why, [[not left]])
            site.configure(site.url("pl"), "pl_mgr", PASSWORD, "boss")
            for profile in profiles:
                site.add_role(f"boss-{profile.name}", "boss", profile, given)
                issued = site.issue_role(f"boss-{profile.name}")
                with issued.connect("pl") as session:
                    if profile.access == "ddl":
                        session.run("CREATE TABLE app.made (id serial)")
                    session.run("SELECT * FROM app.made")
                issued.assert_revoked()

    def test_what_is_not_theirs_is_left_as_it_is(self, site: Site) -> None:
        with site.database("pl", Hardening.APPLICATION) as admin:
            statements = plan(site, "pl", site.profile("r", "read-only", database="pl"))
            hardening = [each for each in statements if " FROM PUBLIC" in each.sql]
            with closing(site.login("pl_app", PASSWORD, "pl")) as application:
                acl = "SELECT datacl::text FROM pg_database WHERE datname = 'pl'"
                before = admin.run(acl)
                for statement in hardening:
                    application.run(statement.sql)
                assert admin.run(acl) == before
                left = [application.run(statement.done) for statement in hardening]
            # Those of other databases, at this server, are done already.
            assert left == [[[False]], [[True]], [[True]], [[False]], [[False]]]


class Hardening(PlanLab):
    """PUBLIC loses what issued users have no business with; nobody who works there is locked out."""

    APPLICATION = f"""
    CREATE ROLE pl_app LOGIN PASSWORD '{PASSWORD.reveal()}';
    CREATE ROLE pl_job NOLOGIN;
    GRANT pl_job TO pl_app;
    CREATE SCHEMA app;
    CREATE TABLE app.orders AS SELECT 1 AS id;
    GRANT SELECT ON app.orders TO pl_job;
    GRANT USAGE ON SCHEMA app TO pl_app;
    GRANT SELECT ON app.orders TO pl_app;
    GRANT CREATE ON SCHEMA public TO PUBLIC;
    CREATE TABLE public.carts (id int);
    ALTER TABLE public.carts OWNER TO pl_app;
    """

    def test_whoever_counts_on_public_can_go_on(self, site: Site) -> None:
        with site.database("pl", self.APPLICATION) as admin:
            ran = run_plan(admin, plan(site, "pl", site.profile("r", "read-only", database="pl")))
            assert sum("FROM PUBLIC" in statement.sql for statement in ran) == 3
            with closing(site.login("pl_app", PASSWORD, "pl")) as application:
                application.run("SELECT * FROM app.orders", "CREATE TEMP TABLE cart (id int)")
                application.run("CREATE TABLE public.more (id int)", "ALTER TABLE public.carts ADD COLUMN n int")
                application.run("SET ROLE pl_job", "CREATE TEMP TABLE staged (id int)")
            # A user of another database's, of the same server: not any more.
            issued = site.issue("verify")
            assert sqlstate(lambda: site.login(issued.user, issued.password, "pl")) == DENIED
            issued.assert_revoked()
            # Nor one that is made later; `why` says so.
            admin.run(f"CREATE ROLE pl_short LOGIN PASSWORD '{PASSWORD.reveal()}'")
            assert sqlstate(lambda: site.login("pl_short", PASSWORD, "pl")) == DENIED

    def test_a_reader_has_nothing_of_what_public_had(self, site: Site) -> None:
        with site.database("pl", self.APPLICATION) as admin:
            run_plan(admin, plan(site, "pl", site.profile("r", "read-only", database="pl")))
            with closing(self.member(site, "read-only")) as session:
                session.run("SET default_transaction_read_only = off", "SELECT * FROM app.orders")
                refused(session, "CREATE TEMP TABLE mine (id int)", "CREATE TABLE public.mine (id int)")
            acl = admin.run("SELECT datacl::text FROM pg_database WHERE datname = 'pl'")[0][0]
            # By name: whoever may log in to the server; and where temporary tables are made, also a role of that database.
            assert sorted(acl.strip("{}").split(",")) == [
                "monitor=Tc/postgres",
                "pl_app=Tc/postgres",
                "pl_job=T/postgres",
                "pl_mgr=c/postgres",
                "pl_ro=c/postgres",
                "postgres=CTc/postgres",
                "shop_web=Tc/postgres",
                "vault_mgr=Tc/postgres",
            ]

    def test_nothing_is_taken_while_users_that_expire_count_on_it(self, site: Site) -> None:
        """Issued by somebody else, who grants CONNECT to none of them."""
        with site.database("pl", self.APPLICATION) as admin:
            expires = f"LOGIN PASSWORD '{PASSWORD.reveal()}' VALID UNTIL '2099-01-01'"
            admin.run(f"CREATE ROLE pl_short {expires}", "GRANT SELECT ON app.orders TO pl_short")
            statements = plan(site, "pl", site.profile("r", "read-only", database="pl"))
            taken = [each for each in statements if '"pl" FROM PUBLIC' in each.sql]
            for statement in statements:
                admin.run(statement.sql.replace(MANAGER_PASSWORD, "x"))
            assert [admin.run(statement.done) for statement in taken] == [[[False]], [[False]]]
            site.login("pl_short", PASSWORD, "pl").close()
            # Once whatever issues them has seen to it, or there are none, the statements do what they say.
            admin.run("GRANT CONNECT, TEMPORARY ON DATABASE pl TO pl_short")
            assert run_plan(admin, taken) == taken
            site.login("pl_short", PASSWORD, "pl").close()

    def test_our_own_users_that_are_alive_are_no_obstacle(self, site: Site) -> None:
        with site.database("pl", self.APPLICATION) as admin:
            statements = plan(site, "pl", site.profile("r", "read-only", database="pl"))
            temporary = next(each for each in statements if "REVOKE TEMPORARY" in each.sql)
            run_plan(admin, [each for each in statements if each is not temporary])
            with closing(self.member(site, "read-only")):
                admin.run("GRANT pl_member TO pl_mgr")  # as the creation does, when Vault's user runs it
                assert run_plan(admin, [temporary]) == [temporary]
            assert "pl_member" not in admin.run("SELECT datacl::text FROM pg_database WHERE datname = 'pl'")[0][0]

    def test_a_second_database_with_a_user_of_its_own_for_vault(self, site: Site) -> None:
        with site.database("pl", "CREATE SCHEMA app"):
            profile = site.profile("r", "read-only", database="pl")
            given = answers({"r": "pl_ro"}, manager="pl_other_mgr")
            with closing(site.login(database="pl")) as admin:
                run_plan(admin, postgresql.database_plan(site.url("pl"), [profile], given).statements)
            site.configure(site.url("pl"), "pl_other_mgr", PASSWORD, f"pg{site.major}-second")
            site.add_role(f"pg{site.major}-second", f"pg{site.major}-second", profile, given)
            issued = site.issue_role(f"pg{site.major}-second")
            with issued.connect("pl") as session:
                assert session.run("SELECT current_database()") == [["pl"]]
            assert sqlstate(lambda: issued.site.login(issued.user, issued.password)) == DENIED
            issued.assert_revoked()


class Measured(PlanLab):
    """What the plan and the statements give is what the profile declares, as a measurement sees it."""

    def test_users_of_every_kind_are_within_what_is_declared(self, site: Site) -> None:
        for name, profile in site.profiles.items():
            issued = site.issue(name)
            assert excess(profile, issued.user, issued.password) == []
            issued.assert_revoked()

    @pytest.mark.parametrize(
        ("access", "declared"),
        [
            pytest.param("read-only", {"tables": ("app.orders",)}, id="reader-of-tables"),
            pytest.param("read-only", {"columns": ("app.orders.id", "app.customers.id")}, id="reader-of-columns"),
            pytest.param("read-write", {"tables": ("app.orders", "app.orders_id_seq")}, id="writer-of-tables"),
            pytest.param("read-write", {"columns": ("app.orders.note",)}, id="writer-of-columns"),
            pytest.param("ddl", {"tables": ("app.orders", "app.orders_id_seq")}, id="ddl-of-tables"),
            pytest.param("read-only", {"schemas": ()}, id="reader-of-all"),
            pytest.param("read-write", {"schemas": ()}, id="writer-of-all"),
            pytest.param("ddl", {"schemas": ()}, id="ddl-of-all"),
        ],
    )
    def test_so_are_users_of_tables_of_columns_and_of_everything(
        self, site: Site, access: Access, declared: dict[str, Any]
    ) -> None:
        with site.database("pl", SHOP) as admin:
            if access == "ddl":
                admin.run("CREATE ROLE pl_owner", "ALTER TABLE app.orders OWNER TO pl_owner")
                if "tables" not in declared:
                    admin.run("REASSIGN OWNED BY pl_legacy TO pl_owner", 'ALTER TABLE "b%b".things OWNER TO pl_owner')
            profile = site.profile("pl", access, database="pl", **declared)
            run_plan(admin, plan(site, "pl", profile))
            self.member(site, access).close()
            assert excess(profile, "pl_member", PASSWORD) == []


def excess(profile: Profile, user: str, password: Secret) -> list[str]:
    """What a user can do beyond the profile, in words."""
    return [f"{each.what}: {each.because}" for each in measure(profile, user, password, SystemClock()).excess]
