"""Which database a repository talks to, by what its tools' files and its dependencies say; it looks at no server."""

from __future__ import annotations

import re
from typing import NamedTuple

from stepcreds.starter.repository import Repository

KNOWN = ("postgresql", "mysql", "mariadb")  # what a pipeline is written for

# A file that says it outright, and how.
_SAID: tuple[tuple[tuple[str, ...], str], ...] = (
    (("alembic.ini",), r"^sqlalchemy\.url\s*=\s*(\w+)"),
    (("schema.prisma",), r"^\s*provider\s*=\s*\"(postgresql|mysql)\""),
    (("flyway.conf", "flyway.toml", "liquibase.properties"), r"jdbc:(\w+)"),
    (("config/database.yml",), r"^\s*adapter:\s*\"?(\w+)"),
    (("knexfile.*",), r"client:\s*['\"](\w+)"),
    (("sqitch.conf",), r"^\s*engine\s*=\s*(\w+)"),
    (("settings.py", "*/settings/*.py"), r"django\.db\.backends\.(\w+)"),
    (("atlas.hcl",), r"\b(postgres|mysql|mariadb)://"),
)
# A dependency that is of use for one of them only.
_DEPENDENCIES = (
    ("requirements*.txt", "pyproject.toml", "Pipfile", "setup.cfg"),
    ("package.json",),
    ("Gemfile",),
    ("go.mod",),
    ("pom.xml", "build.gradle", "build.gradle.kts"),
)
_CLIENTS = (
    ("postgresql", r"\b(psycopg2-binary|psycopg2|psycopg|asyncpg|pg8000)\b"),
    ("mysql", r"(?i)\b(pymysql|mysqlclient|mysql-connector-python|aiomysql)\b"),
    ("postgresql", r"\"(pg|postgres|pg-promise)\"\s*:"),
    ("mysql", r"\"(mysql2|mysql)\"\s*:"),
    ("mariadb", r"\"(mariadb)\"\s*:"),
    ("postgresql", r"\bgem ['\"](pg)['\"]"),
    ("mysql", r"\bgem ['\"](mysql2|trilogy)['\"]"),
    ("postgresql", r"\b(jackc/pgx|lib/pq)\b"),
    ("mysql", r"\b(go-sql-driver/mysql)\b"),
    ("postgresql", r"\b(org\.postgresql)\b"),
    ("mysql", r"\b(mysql-connector-j|mysql-connector-java)\b"),
    ("mariadb", r"\b(mariadb-java-client)\b"),
)
_NAMES = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "postgresql_psycopg2": "postgresql",
    "pg": "postgresql",
    "postgis": "postgresql",
    "mysql": "mysql",
    "mysql2": "mysql",
    "trilogy": "mysql",
    "mariadb": "mariadb",
}


class Seen(NamedTuple):
    """An engine, what it was recognised by ("" where nothing said it), and the client library, as pip calls it."""

    engine: str
    by: str
    client: str = ""


def recognise(repository: Repository) -> Seen:
    """The engine; PostgreSQL where nothing says another."""
    said = next((seen for files, pattern in _SAID if (seen := _said(repository, files, pattern))), None)
    library = next((seen for files in _DEPENDENCIES if (seen := _client(repository, files))), None)
    if said is None:
        return library or Seen("postgresql", "")
    return said._replace(client=library.client) if library and library.engine == said.engine else said


def _said(repository: Repository, files: tuple[str, ...], pattern: str) -> Seen | None:
    file = repository.first(*files)
    match = re.search(pattern, repository.text(file), re.MULTILINE) if file else None
    engine = _NAMES.get(match[1].lower()) if match else None
    return Seen(engine, file) if engine else None


def _client(repository: Repository, files: tuple[str, ...]) -> Seen | None:
    file = repository.first(*files)
    text = repository.text(file) if file else ""
    for engine, pattern in _CLIENTS:
        if match := re.search(pattern, text):
            return Seen(engine, f"{match[1]} in {file}", match[1].lower())
    return None
