"""The text of a first stepcreds.yml, with what to change and why in its comments."""

from __future__ import annotations

from typing import NamedTuple

from stepcreds.ci.wording import scalar
from stepcreds.config.engines import ENGINES_BY_NAME
from stepcreds.starter.repository import Repository
from stepcreds.starter.systems import System
from stepcreds.starter.text import fill, template
from stepcreds.starter.tools import Tool

ADDRESS = "https://vault.example.com:8200"
# SQLAlchemy's names for a client that is not its first choice: docs.sqlalchemy.org, "Database URLs".
_SQLALCHEMY = {"psycopg": "postgresql+psycopg", "pymysql": "mysql+pymysql"}


class Choice(NamedTuple):
    """What is to be written, chosen."""

    engine: str
    client: str  # the library that talks to it, as pip calls it; "" where none was found
    tool: Tool
    working: str  # the folder to call it in, from the root; "" is the root
    guessed: bool  # what its command names is not there
    system: System | None
    address: str  # "" where nobody said
    database: str  # a URL, "" where nobody said
    branch: str
    folder: Repository


_LEDGER = """\
# What each step held, for how long, and what proves its end: at the end of the job it becomes an artifact of the run,
# where everybody may read it who may read the repository. It holds no secret.
ledger:
  push: artifact

"""


def configuration(choice: Choice) -> str:
    """The whole file."""
    azure = choice.system is not None and choice.system.name == "azure"
    return fill(
        template("stepcreds.yml"),
        {
            "vault": _azure() if azure else _vault(choice.address),
            "ledger": _LEDGER if choice.system is not None and choice.system.name == "github" else "",
            "tool": choice.tool.title,
            "database": _database(choice),
            "database_again": _database(choice).rpartition("\n")[2],
            "schemas": _schemas(choice.engine),
            "env": _env(choice),
            "env_again": _env(choice, again=True),
        },
    )


def _vault(address: str) -> str:
    if address:
        return f"address: {scalar(address)}"
    return (
        "# change: where your Vault or OpenBao is. The pipeline asks for an ID token for this address, which is\n"
        f"# worthless at any other.\naddress: {ADDRESS}"
    )


def _azure() -> str:
    return (
        "# Azure gives every token this audience. It names no server, so the address may not stand beside it: the\n"
        "# pipeline sets STEPCREDS_VAULT_ADDR.\n"
        "auth:\n"
        "  audience: api://AzureADTokenExchange"
    )


def _database(choice: Choice) -> str:
    scheme = choice.engine
    if choice.tool.name == "alembic":
        scheme = _SQLALCHEMY.get(choice.client, scheme)
    if choice.database:
        given = choice.database
        written = given.partition("://")[0]
        plain = written in ("postgresql", "postgres", "mysql") and scheme.partition("+")[0] == choice.engine
        return f"database: {scalar(scheme + given[len(written) :] if plain else given)}"
    port = ENGINES_BY_NAME[choice.engine].port
    return (
        "# change: where the database is; never a user or a password. TLS is on (sslmode=verify-full) unless you say\n"
        "# otherwise; a CA of your own is ?sslrootcert=deploy/db-ca.pem, a path from here.\n"
        f"database: {scheme}://db.example.com:{port}/app"
    )


def _schemas(engine: str) -> str:
    if ENGINES_BY_NAME[engine].has_schemas:
        return "schemas: [public]    # change: what that may touch"
    if engine == "mysql":  # as MariaDB's URLs often say, too
        return "on_excess: warn      # MySQL 8 is measured on trial; for MariaDB remove this line"
    return ""


def _env(choice: Choice, *, again: bool = False) -> str:
    """The variables, where the engine's usual ones do not do; with what to know about them, but for `again`."""
    tool = choice.tool
    variables = tool.mysql_env if choice.engine != "postgresql" and tool.mysql_env else tool.env
    says = f"{tool.title} gets DATABASE_URL, and the variables of the database's own client."
    if variables:
        says = f"What {tool.title} reads."
    lines = [] if again else [f"# {line}" for line in (says, tool.note) if line]
    if variables:
        lines += ["env:", *(f'  {name}: "{_named(value, choice.engine)}"' for name, value in variables.items())]
    return "\n".join(lines)


def _named(value: str, engine: str) -> str:
    """`value` with the names that JDBC and Sqitch have for the engine."""
    named = value.replace("{jdbc}", engine).replace("{sqitch}", "pg" if engine == "postgresql" else "mysql")
    return named + "?sslmode={sslmode}" if named.startswith("jdbc:postgresql:") else named
