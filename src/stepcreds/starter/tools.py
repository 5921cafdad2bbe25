"""The tools that migrate databases: how each is recognised, what it is called with, and how it is told where to log in.

From their documentation: alembic.sqlalchemy.org, docs.djangoproject.com ("migrate"), prisma.io/docs/orm ("migrate
deploy"), documentation.red-gate.com/fd ("Environment variables"), docs.liquibase.com ("Environment variables"),
guides.rubyonrails.org ("Configuring a Database"), knexjs.org ("Migration CLI"), github.com/golang-migrate/migrate,
sqitch.org/docs/manual/sqitch-environment, atlasgo.io/versioned/apply, github.com/amacneil/dbmate.
"""

from __future__ import annotations

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
    language: Language = ""
    env: Mapping[str, str] = NONE  # variable -> template of stepcreds.yml; empty: DATABASE_URL and the client's own
    mysql_env: Mapping[str, str] = NONE  # the same for MySQL and MariaDB, where that differs
    note: str = ""  # what its own configuration has to say


_MYSQL = "{username:url}:{password:url}@{host}:{port}/{database}"
_JDBC = "jdbc:{jdbc}://{host}:{port}/{database}"

TOOLS = (
    Tool(
        "alembic",
        "Alembic",
        ("alembic.ini",),
        "alembic upgrade head",
        "alembic current --verbose",
        "python",
        note='env.py has to read it: config.set_main_option("sqlalchemy.url", …) from os.environ, with %% for each %.',
    ),
    Tool(
        "django",
        "Django",
        ("manage.py",),
        "python manage.py migrate --no-input",
        "python manage.py migrate --check",
        "python",
        mysql_env={"DATABASE_URL": f"mysql://{_MYSQL}"},
        note="settings.py has to read it, with dj-database-url for one.",
    ),
    Tool(
        "prisma",
        "Prisma",
        ("prisma/schema.prisma", "schema.prisma"),
        "npx prisma migrate deploy",
        "npx prisma migrate status",
        "node",
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
        "ruby",
        mysql_env={"DATABASE_URL": f"mysql2://{_MYSQL}"},
        note="Rails reads it before config/database.yml. RAILS_ENV belongs into the pipeline.",
    ),
    Tool(
        "knex",
        "Knex",
        ("knexfile.*",),
        "npx knex migrate:latest",
        "npx knex migrate:status",
        "node",
        note="The knexfile has to read it: connection: process.env.DATABASE_URL",
    ),
    Tool(
        "sqitch",
        "Sqitch",
        ("sqitch.plan", "sqitch.conf"),
        "sqitch deploy",
        "sqitch status",
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
        'atlas migrate status --url "$DATABASE_URL"',
    ),
    Tool(
        "golang-migrate",
        "golang-migrate",
        ("*.up.sql",),
        'migrate -path <folder> -database "$DATABASE_URL" up',
        'migrate -path <folder> -database "$DATABASE_URL" version',
        mysql_env={"DATABASE_URL": "mysql://{username:url}:{password:url}@tcp({host}:{port})/{database}"},
    ),
    Tool(
        "dbmate",
        "dbmate",
        ("db/migrations/*.sql",),
        "dbmate --no-dump-schema migrate",
        "dbmate status",
    ),
)
SCRIPT = Tool("script", "a script of your own", (), "./migrate.sh", "./verify.sh")
BY_NAME = {tool.name: tool for tool in (*TOOLS, SCRIPT)}


class Seen(NamedTuple):
    """A tool, and the file it was recognised by; "" for a script of one's own."""

    tool: Tool
    by: str


def recognise(repository: Repository) -> list[Seen]:
    """The tools in use, the likeliest first; at least a script of one's own."""
    found = [Seen(_at(tool, file), file) for tool in TOOLS if (file := repository.first(*tool.markers))]
    return found or [Seen(SCRIPT, "")]


def _at(tool: Tool, file: str) -> Tool:
    folder = file.rpartition("/")[0] or "."
    return tool._replace(
        migrate=tool.migrate.replace("<folder>", folder), verify=tool.verify.replace("<folder>", folder)
    )
