"""PostgreSQL's statements as text, what is refused before anything is sent, and what the engine's default leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from postgresql_site import Site, answers, sqlstate

from postgresql_programs import programs
from stepcreds.config.model import Access, DatabaseURL, Profile
from stepcreds.devstack.postgresql import PostgreSQL
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnsupportedError
from stepcreds.setup import postgresql
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.postgresql.names import quoted

ACCESSES: Final[tuple[Access, ...]] = ("read-only", "read-write", "ddl")
URL = DatabaseURL("postgresql", "postgresql", "db.example.com", 5432, "shop", "verify-full", None)


def profile(name: str = "p", access: Access | None = "read-only", **more: Any) -> Profile:
    fields: dict[str, Any] = {"schemas": ("app",), **more}
    return Profile(name, name, f"database/creds/{name}", URL, access, **fields)


def refusal(*profiles: Profile, manager: str = "mgr", **roles: str) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as refused:
        postgresql.database_plan(URL, profiles, answers(roles, manager=manager))
    return refused.value


class TestPlan:
    def test_it_goes_from_the_owner_to_the_hardening(self) -> None:
        profiles = [profile("verify"), profile("migrate", "ddl")]
        plan = postgresql.database_plan(URL, profiles, answers({"verify": "app_ro", "migrate": "app_owner"}))
        assert (plan.url, plan.manager) == (URL, "vault_mgr")
        in_words = [statement.sql for statement in plan.statements if not statement.sql.startswith("DO ")]
        assert in_words == [
            'GRANT USAGE ON SCHEMA "app" TO "app_owner"',
            'GRANT CREATE ON SCHEMA "app" TO "app_owner"',
            'GRANT TEMPORARY ON DATABASE "shop" TO "app_owner"',
            'GRANT CONNECT ON DATABASE "shop" TO "app_ro"',
            'GRANT USAGE ON SCHEMA "app" TO "app_ro"',
            'GRANT SELECT ON ALL TABLES IN SCHEMA "app" TO "app_ro"',
            'ALTER DEFAULT PRIVILEGES FOR ROLE "app_owner" IN SCHEMA "app" GRANT SELECT ON TABLES TO "app_ro"',
            'GRANT CONNECT ON DATABASE "shop" TO "vault_mgr" WITH GRANT OPTION',
        ]
        assert [statement.why.split(".")[0] for statement in plan.statements if statement.sql.startswith("DO ")] == [
            "Stops here if relations in app belong to another role than app_owner: only their owner can alter them, and "
            "to whom they belong is yours to decide",
            "The owner that users with ddl access work as: what they make belongs to app_owner, and stays",
            "The schema app, where there is none yet",
            "The group of users with read-only access: rights are given to it once, and users come and go as its members",
            "What others make later who own tables in app today is covered at once, for app_ro",
            "The user that Vault logs in as",
            "Vault's user may make others members of app_ro; it cannot use the rights itself",
            "Vault's user may make others members of app_owner, and give it what they leave behind",
            "Up to PostgreSQL 14 everybody may make tables in the schema public, a reader too",
            "An issued user who can log in to postgres can make a large object there, and then Vault, from its own "
            "database, cannot drop that user",
            "An issued user who can log in to template1 can make a large object there, and then Vault, from its own "
            "database, cannot drop that user",
            "Users issued for other databases cannot log in to shop: an object of theirs there would keep Vault from "
            "dropping them",
            "Who only reads shop fills no disk with temporary tables",
        ]
        assert [statement.secret for statement in plan.statements].count(True) == 1

    def test_profiles_that_share_a_role_need_each_statement_once(self) -> None:
        one = postgresql.database_plan(URL, [profile("a")], answers({"a": "app_ro"}))
        two = postgresql.database_plan(URL, [profile("a"), profile("b")], answers({"a": "app_ro", "b": "app_ro"}))
        assert one == two

    def test_without_ddl_vaults_user_hands_no_connect_on(self) -> None:
        plan = postgresql.database_plan(URL, [profile("a")], answers({"a": "app_ro"}))
        granted = [each.sql for each in plan.statements if '"vault_mgr"' in each.sql and each.sql.startswith("GRANT")]
        assert granted == ['GRANT CONNECT ON DATABASE "shop" TO "vault_mgr"']

    def test_declared_databases_can_be_connected_to_as_well(self) -> None:
        more = profile("m", "ddl", databases=("shop", "stock"))
        plan = postgresql.database_plan(URL, [more], answers({"m": "own"}))
        granted = [each.sql for each in plan.statements if "GRANT OPTION" in each.sql]
        assert granted == [
            f'GRANT CONNECT ON DATABASE "{database}" TO "vault_mgr" WITH GRANT OPTION' for database in ("shop", "stock")
        ]
        creation, _ = postgresql.role_statements(more, answers({"m": "own"}))
        granted = [each.split("BEGIN ")[2].split(";")[0] for each in creation if "GRANT CONNECT" in each]
        assert granted == [
            f'GRANT CONNECT ON DATABASE "{database}" TO "{{{{name}}}}"' for database in ("shop", "stock")
        ]

    @pytest.mark.parametrize("role", ["pg_read_all_data", "public", "none"])
    def test_a_role_of_postgresql_itself_is_refused(self, role: str) -> None:
        error = refusal(profile(), p=role)
        assert str(error) == f"The role '{role}' cannot stand behind the profile 'p': its name is PostgreSQL's own."
        assert error.cause == "Predefined roles reach into every schema and every database."
        assert error.fix == "Name a role for this profile: stepcreds makes it."

    def test_one_role_is_not_two_things(self) -> None:
        vaults = refusal(profile(), p="mgr")
        assert str(vaults) == "The role 'mgr' cannot stand behind the profile 'p': Vault logs in as it."
        assert vaults.cause == "Every user of the profile would be a member of the role that makes users."
        shared = refusal(profile("a"), profile("b", "read-write"), a="app", b="app")
        assert str(shared) == "The role 'app' cannot stand behind profiles with read-only and with read-write access."
        assert shared.fix == "Name a role for each kind of access."

    def test_vault_cannot_log_in_as_a_user_whose_name_ends_within_a_url(self) -> None:
        error = refusal(profile(), p="app_ro", manager="vault:mgr")
        assert str(error) == "Vault cannot log in as 'vault:mgr'."
        assert error.cause == ("The name stands in a URL, where ':' begins the password and '{{' what is filled in.")

    def test_tables_are_in_the_declared_schemas_and_of_one_form(self) -> None:
        assert str(refusal(profile(tables=("hr.salaries",)), p="app_ro")) == (
            "The profile 'p' names tables of the schema 'hr', which is not among its schemas."
        )
        assert str(refusal(profile(tables=("orders",)), p="app_ro")) == "'orders' is not of the form schema.table."
        assert str(refusal(profile(columns=("app.o.rders.id",)), p="app_ro")) == (
            "'app.o.rders.id' is not of the form schema.table.column."
        )


class TestNames:
    TOO_LONG = "n" * 64

    @pytest.mark.parametrize(
        "name",
        ["", "a;b", "{{name}}", "a}}", "$sc$", "a\0b", TOO_LONG, "é" * 32, "\ud800"],
        ids=lambda name: ascii(name)[:20],
    )
    def test_a_name_that_the_engine_would_misread_is_refused(self, name: str) -> None:
        given = Answers("github", "", "", {}, {"p": ProfileAnswers({}, name)})
        for access in ACCESSES:
            with pytest.raises(UnsupportedError) as refused:
                postgresql.role_statements(profile(access=access), given)
            assert str(refused.value) == f"{name!a} cannot stand in a statement for Vault's database engine."
            cause = "A name has 1 to 63 bytes, and none of ';', '{{', '}}', '$sc$' and the zero byte."
            assert refused.value.cause == cause

    def test_a_name_that_postgresql_would_cut_is_refused_wherever_it_stands(self) -> None:
        said = f"'{self.TOO_LONG}' cannot be a name in PostgreSQL."
        assert str(refusal(profile(), p=self.TOO_LONG)) == said
        assert str(refusal(profile(), p="app_ro", manager=self.TOO_LONG)) == said
        assert str(refusal(profile(schemas=(self.TOO_LONG,)), p="app_ro")) == said
        assert str(refusal(profile(access="ddl", schemas=("app", self.TOO_LONG)), p="app_owner")) == said
        assert str(refusal(profile(databases=(self.TOO_LONG,)), p="app_ro")) == said
        in_a_table = refusal(profile(tables=(f"app.{self.TOO_LONG}",)), p="app_ro")
        assert str(in_a_table) == f"'app.{self.TOO_LONG}' is not of the form schema.table."
        assert in_a_table.cause == "Each name has 1 to 63 bytes, and no dot."
        with pytest.raises(UnsupportedError) as refused:
            database = URL._replace(database=self.TOO_LONG)
            postgresql.database_plan(database, [profile()], answers({"p": "app_ro"}))
        assert (str(refused.value), refused.value.cause) == (
            said,
            "A name has 1 to 63 bytes of UTF-8, and no zero byte.",
        )

    def test_63_bytes_are_a_name(self) -> None:
        assert quoted("é" * 31 + 'a"'[:1]) == '"' + "é" * 31 + 'a"'

    def test_whatever_the_engine_cuts_at_a_semicolon_is_one_statement(self) -> None:
        """It leaves an element whole that holds END in capitals; the names do not bring one in."""
        for access in ACCESSES:
            given = answers({"p": "a$b END --"}, guard=["p"])
            for statements in postgresql.role_statements(profile(access=access), given):
                for statement in statements:
                    assert ";" not in statement or "END" in statement.replace("a$b END --", "")
                assert statements != []


class TestRoleStatements:
    def test_a_profile_without_an_access_has_none(self) -> None:
        with pytest.raises(UnsupportedError) as refused:
            postgresql.role_statements(profile(access=None), answers({"p": "app_ro"}))
        assert str(refused.value) == "The profile 'p' names no database, or no access to it."

    def test_the_number_of_connections_is_what_was_answered(self) -> None:
        for access in ACCESSES:
            given = Answers("github", "", "", {}, {"p": ProfileAnswers({}, "role", connection_limit=7)})
            creation, _ = postgresql.role_statements(profile(access=access), given)
            assert " CONNECTION LIMIT 7 " in creation[0]

    def test_only_ddl_is_guarded_and_only_its_leavings_have_an_owner(self) -> None:
        for access in ACCESSES:
            given = answers({"p": "role"}, guard=["p"])
            creation, revocation = postgresql.role_statements(profile(access=access), given)
            assert creation.count('GRANT "stepcreds_guarded" TO "{{name}}"') == (access == "ddl")
            assert sum('REASSIGN OWNED BY "{{name}}" TO "role"' in each for each in revocation) == (access == "ddl")


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    """One whose users may prepare transactions, which none may by default."""

    class Preparing(PostgreSQL):
        def _configure(self) -> Path:
            path = super()._configure()
            with path.open("a") as file:
                file.write("max_prepared_transactions = 5\n")
            return path

    with ExitStack() as exit_stack:
        server = exit_stack.enter_context(Preparing(programs=programs(18)))
        yield Site(stack, server, 18, exit_stack)


class TestWhatIsLeft:
    def test_a_prepared_transaction_keeps_the_role_and_nothing_else(self, site: Site) -> None:
        """It outlives its session and holds the role: the revocation fails, with the door shut, until somebody ends it."""
        profile = site.profiles["write"]
        creation, revocation = postgresql.role_statements(profile, site.answers)
        hurried = [each.replace("lock_timeout = '10s'", "lock_timeout = '100ms'") for each in revocation]
        site.write_role("preparing", "pg18", profile, creation, hurried)
        issued = site.issue_role("preparing")
        with issued.connect() as session:
            session.run("BEGIN", "SELECT lo_create(0)", "PREPARE TRANSACTION 'kept'")
            status, text = issued.revoke()
        assert (status, site.sessions(issued.user)) == (400, 0)
        assert "canceling statement due to lock timeout" in text
        assert sqlstate(lambda: site.login(issued.user, issued.password)) == "28P01"
        site.run("ROLLBACK PREPARED 'kept'")
        issued.assert_revoked()

    def test_control_the_engines_default_leaves_the_session_and_can_be_vetoed(self, site: Site) -> None:
        """What the statements are for: the same two acts against a role that has no revocation statements of its own."""
        profile = site.profiles["verify"]
        creation = [
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
            'GRANT app_ro TO "{{name}}"',
        ]
        site.configure(site.url(), "postgres", site.server.password, "control")
        site.write_role("control", "control", profile, creation, [])
        survivor = site.issue_role("control")
        with survivor.connect() as session:
            assert survivor.revoke() == (204, "")
            assert session.run("SELECT 1") == [[1]]
        veto = site.issue_role("control")
        with veto.connect() as session:
            session.run("SELECT lo_create(0)")
        status, text = veto.revoke()
        assert status == 400
        assert "cannot be dropped because some objects depend on it" in text
        veto.site.login(veto.user, veto.password).close()
        site.run(f'DROP OWNED BY "{veto.user}"')
        veto.assert_revoked()
