"""Names that mean something to SQL, to format(), to Vault's engine or to nobody: every one in every statement."""

from __future__ import annotations

# ruff: noqa: S608 - the names are ours
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from pg8000.exceptions import DatabaseError
from postgresql_site import PASSWORD, Site, run_plan

from stepcreds.setup import postgresql
from stepcreds.setup.answers import Answers, ProfileAnswers
from stepcreds.setup.postgresql.names import literal, quoted

HOSTILE = {
    "quotes": """"'" `'""",
    "comments": "-- /* #",
    "format": "%_%I%%s%1$s",
    "dollars": "$$ $do$ $guard$ $do_$",
    "END": "END; IF"[:3] + " BEGIN",
    "backslashes": "\\' \\\" \\n",
    "lines": "a\n-- b\r\tc",
    "unicode": "Straße ☃ \u202e\u0301",
    "placeholders": "@:name $1 ? #{name} {} <password>",
    "longest": "x" * 60,
}


class Names:
    """A whole life with each of them: the plan, OpenBao's connection and roles, users, their work and their end."""

    @pytest.fixture
    def named(self, site: Site, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
        """A name for each thing; it begins with a letter or two of its own, so that no two are the same."""
        things = ("db", "ow", "ro", "rw", "mg", "sc", "tb", "co")
        names = {thing: (thing + HOSTILE[request.param]).encode()[:63].decode(errors="ignore") for thing in things}
        names["mg"] = names["mg"].replace(":", "")  # Vault could not log in as it, see test_setup_postgresql.py
        yield names
        for thing in ("ro", "rw", "mg", "ow"):
            with suppress(DatabaseError):
                site.run(f"DROP OWNED BY {quoted(names[thing])}")
            site.run(f"DROP ROLE IF EXISTS {quoted(names[thing])}")

    @pytest.mark.parametrize("named", HOSTILE, indirect=True)
    def test_a_life_with_names_that_mean_something(self, site: Site, named: dict[str, str]) -> None:
        database, schema, table, column = (named[thing] for thing in ("db", "sc", "tb", "co"))
        relation = f"{quoted(schema)}.{quoted(table)}"
        profiles = [
            site.profile("ddl", "ddl", database=database, schemas=(schema, "app")),
            site.profile("read", "read-only", database=database, schemas=(schema,)),
            site.profile("write", "read-write", database=database, schemas=(), columns=(f"{schema}.{table}.{column}",)),
        ]
        given = Answers(
            "github",
            "",
            "",
            {},
            {
                "ddl": ProfileAnswers({}, named["ow"], guard=True),
                "read": ProfileAnswers({}, named["ro"]),
                "write": ProfileAnswers({}, named["rw"]),
            },
            manager=named["mg"],
        )
        with site.database(database, f"CREATE SCHEMA {quoted(schema)}") as admin:
            owner = quoted(named["ow"])
            admin.run(f"CREATE ROLE {owner}; CREATE TABLE {relation} ({quoted(column)} int, other int)")
            admin.run(f"ALTER TABLE {relation} OWNER TO {owner}")
            plan = postgresql.database_plan(site.url(database), profiles, given).statements
            run_plan(admin, plan)
            assert run_plan(admin, plan) == []
            assert all("\n" not in statement.why for statement in plan)
            site.configure(site.url(database), named["mg"], PASSWORD, "hostile")
            for profile in profiles:
                site.add_role(f"hostile-{profile.name}", "hostile", profile, given)
            users = {profile.name: site.issue_role(f"hostile-{profile.name}") for profile in profiles}
            with users["ddl"].connect(database) as session:
                assert session.run("SELECT current_user::text") == [[named["ow"]]]
                session.run(f"ALTER TABLE {relation} ADD COLUMN made int", "CREATE TABLE app.made AS SELECT 1 AS id")
                session.run("SET ROLE NONE", "SELECT lo_create(0)")
            with users["write"].connect(database) as session:
                session.run(f"INSERT INTO {relation} ({quoted(column)}) VALUES (7)")
            with users["read"].connect(database) as session:
                assert session.run(f"SELECT {quoted(column)} FROM {relation}") == [[7]]
            for user in users.values():
                user.assert_revoked()
            made = f"SELECT tableowner::text FROM pg_tables WHERE tablename = 'made' AND tableowner = {literal(named['ow'])}"
            assert admin.run(made) == [[named["ow"]]]

    def test_semicolons_and_braces_stay_out_of_the_engine(self, site: Site) -> None:
        """In a schema or a table they do no harm: no statement of the engine names those."""
        with site.database(
            "pl", 'CREATE SCHEMA "a;b{{name}}"; CREATE TABLE "a;b{{name}}"."t;$sc$" AS SELECT 1 AS id'
        ) as admin:
            profile = site.profile("r", "read-only", database="pl", schemas=(), tables=("a;b{{name}}.t;$sc$",))
            given = Answers("github", "", "", {}, {"r": ProfileAnswers({}, "semi_ro")}, manager="semi_mgr")
            run_plan(admin, postgresql.database_plan(site.url("pl"), [profile], given).statements)
            site.configure(site.url("pl"), "semi_mgr", PASSWORD, "semi")
            site.add_role("semi", "semi", profile, given)
            issued = site.issue_role("semi")
            with issued.connect("pl") as session:
                assert session.run('SELECT id FROM "a;b{{name}}"."t;$sc$"') == [[1]]
            issued.assert_revoked()
        for role in ("semi_ro", "semi_mgr"):
            with closing(site.login(database="postgres")) as admin:
                admin.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
