"""The tools that migrate databases: how each is recognised, what it is called with, and how it is told where to log in.

From their documentation: alembic.sqlalchemy.org, docs.djangoproject.com ("migrate"), prisma.io/docs/orm ("migrate
deploy"), documentation.red-gate.com/fd ("Environment variables"), docs.liquibase.com ("Environment variables"),
guides.rubyonrails.org ("Configuring a Database"), knexjs.org ("Migration CLI"), github.com/golang-migrate/migrate,
sqitch.org/docs/manual/sqitch-environment, atlasgo.io/versioned/apply, github.com/amacneil/dbmate.

Whether what verifies fails while a migration is pending, from the same: alembic.sqlalchemy.org/en/latest/cookbook.html
("Test current database revision is at head(s)": since 1.17.1), docs.djangoproject.com/en/stable/ref/django-admin
("--check"), prisma.io/docs/cli/migrate/status ("Exit codes"), Flyway's "Validate" (versions that were not applied),
dbmate's `status --exit-code`, Rails' `db:abort_if_pending_migrations`; Atlas reports a `Status`, OK or PENDING.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Literal, NamedTuple

from stepcreds.starter.repository import Repository

Language = Literal["", "python", "node", "ruby"]
NONE: Mapping[str, str] = {}


class Tool(NamedTuple):
    """One of them. `migrate` and `verify` are shell; `{jdbc}` in `env` is the name that JDBC has for the engine."""

    name: str  # for --tool
    title: str
    markers: tuple[str, ...]
    migrate: str
    verify: str  # asks, and changes nothing: whether every migration has been applied
    fails: bool = True  # `verify`, if one has not; else it only prints
    language: Language = ""
    env: Mapping[str, str] = NONE  # variable -> template of stepcreds.yml; empty: DATABASE_URL and the client's own
    mysql_env: Mapping[str, str] = NONE  # the same for MySQL and MariaDB, where that differs
    note: str = ""  # what its own configuration has to say
    since: str = ""  # the version that knows the flags of `verify`, where older ones are about


_MYSQL = "{username:url}:{password:url}@{host}:{port}/{database}"
_JDBC = "jdbc:{jdbc}://{host}:{port}/{database}"

TOOLS = (
    Tool(
        "alembic",
        "Alembic",
        ("alembic.ini",),
        "alembic upgrade head",
        "alembic current --check-heads",
        language="python",
        since="1.17.1",
        note='env.py has to read it: config.set_main_option("sqlalchemy.url", …) from os.environ, with %% for each %.',
    ),
    Tool(
        "django",
        "Django",
        ("manage.py",),
        "python manage.py migrate --no-input",
        "python manage.py migrate --check",
        language="python",
        mysql_env={"DATABASE_URL": f"mysql://{_MYSQL}"},
        note="settings.py has to read it, with dj-database-url for one.",
    ),
    Tool(
        "prisma",
        "Prisma",
        ("prisma/schema.prisma", "schema.prisma"),
        "npx prisma migrate deploy",
        "npx prisma migrate status",
        language="node",
        mysql_env={"DATABASE_URL": f"mysql://{_MYSQL}"},
        note='The datasource has to read it: url = env("DATABASE_URL")',
    ),
    Tool(
        "flyway",
        "Flyway",
        ("flyway.conf", "flyway.toml"),
        "flyway migrate",
        "flyway validate",
        env={"FLYWAY_URL": _JDBC, "FLYWAY_USER": "{username}", "FLYWAY_PASSWORD": "{password}"},
    ),
    Tool(
        "liquibase",
        "Liquibase",
        ("liquibase.properties", "db.changelog*", "changelog.xml"),
        "liquibase update",
        "liquibase status --verbose",
        fails=False,
        env={
            "LIQUIBASE_COMMAND_URL": _JDBC,
            "LIQUIBASE_COMMAND_USERNAME": "{username}",
            "LIQUIBASE_COMMAND_PASSWORD": "{password}",
        },
    ),
    Tool(
        "rails",
        "Rails",
        ("db/migrate/*.rb", "config/database.yml"),
        "bin/rails db:migrate",
        "bin/rails db:abort_if_pending_migrations",
        language="ruby",
        mysql_env={"DATABASE_URL": f"mysql2://{_MYSQL}"},
        note="Rails reads it before config/database.yml. RAILS_ENV belongs into the pipeline.",
    ),
    Tool(
        "knex",
        "Knex",
        ("knexfile.*",),
        "npx knex migrate:latest",
        "npx knex migrate:status",
        fails=False,
        language="node",
        note="The knexfile has to read it: connection: process.env.DATABASE_URL",
    ),
    Tool(
        "sqitch",
        "Sqitch",
        ("sqitch.plan", "sqitch.conf"),
        "sqitch deploy",
        "sqitch status",
        fails=False,
        env={
            "SQITCH_TARGET": "db:{sqitch}://{host}:{port}/{database}",
            "SQITCH_USERNAME": "{username}",
            "SQITCH_PASSWORD": "{password}",
        },
    ),
    Tool(
        "atlas",
        "Atlas",
        ("atlas.hcl",),
        'atlas migrate apply --url "$DATABASE_URL"',
        'test "$(atlas migrate status -u "$DATABASE_URL" --format "{{ .Status }}")" = OK',
    ),
    Tool(
        "golang-migrate",
        "golang-migrate",
        ("*.up.sql",),
        'migrate -path <folder> -database "$DATABASE_URL" up',
        'migrate -path <folder> -database "$DATABASE_URL" version',
        fails=False,
        mysql_env={"DATABASE_URL": "mysql://{username:url}:{password:url}@tcp({host}:{port})/{database}"},
    ),
    Tool(
        "dbmate",
        "dbmate",
        ("db/migrations/*.sql",),
        "dbmate --no-dump-schema migrate",
        "dbmate status --exit-code",
    ),
)
SCRIPT = Tool("script", "a script of your own", (), "./migrate.sh", "./verify.sh")
BY_NAME = {tool.name: tool for tool in (*TOOLS, SCRIPT)}


class Seen(NamedTuple):
    """A tool, the file it was recognised by ("" for none), the folder to call it in, and others where it is at home."""

    tool: Tool
    by: str
    folder: str = ""  # from the root; "" is the root
    others: tuple[str, ...] = ()
    guessed: bool = False  # what `migrate` names is not there


def recognise(repository: Repository) -> list[Seen]:
    """The tools in use, the likeliest first; at least a script of one's own."""
    found = [_at(tool, places) for tool in TOOLS if (places := repository.places(*tool.markers))]
    return found or [Seen(SCRIPT, "")]


def chosen(name: str) -> Seen:
    """The tool of that name, where nothing was found of it."""
    tool = BY_NAME[name]
    return Seen(_told(tool, "migrations"), "--tool", guessed=tool.migrate != _told(tool, "migrations").migrate)


def _at(tool: Tool, places: list[tuple[str, str]]) -> Seen:
    (folder, file), *others = places
    elsewhere = tuple(other or "the root" for other, _ in others)
    if tool.name == "liquibase" and not file.endswith(".properties"):
        # Nothing says where it is called; what is named so is looked for from there.
        named = f"--changelog-file={shlex.quote(file)}"
        return Seen(
            tool._replace(migrate=f"{tool.migrate} {named}", verify=f"{tool.verify} {named}"), file, "", elsewhere
        )
    told = _told(tool, folder or ".")
    return Seen(told, file, "" if told != tool else folder, elsewhere)


def _told(tool: Tool, folder: str) -> Tool:
    """With the folder in the commands of a tool that is told it, and called at the root."""
    name = shlex.quote(folder)
    return tool._replace(migrate=tool.migrate.replace("<folder>", name), verify=tool.verify.replace("<folder>", name))
