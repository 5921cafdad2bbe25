"""What the administrator of a database runs once, as a script for psql, or for the client of MariaDB."""

from __future__ import annotations

from itertools import count

from stepcreds.config.model import VaultSettings
from stepcreds.printable import one_line, printable
from stepcreds.setup.connections import server
from stepcreds.setup.forms import File, comment, names
from stepcreds.setup.plan import MANAGER_PASSWORD, DatabasePlan, Plan, Statement
from stepcreds.setup.postgresql.names import literal, quoted

_MARK = "--"
_TO_REPLACE = "<'password'>"  # no SQL: whoever forgets it gets an error, and no user with a password that all can read


def files(plan: Plan, vault: VaultSettings) -> tuple[File, ...]:  # noqa: ARG001 - one shape for all forms
    """One script for each connection of Vault's."""
    keys = [(each.url.database or each.url.engine, f"{server(each.url)} {each.manager}") for each in plan.databases]
    alone = [database for database, _ in keys]
    named = names(database if alone.count(database) == 1 else f"{database} {where}" for database, where in keys)
    return tuple(
        File(f"{name}.sql", script(database)) for name, database in zip(named.values(), plan.databases, strict=True)
    )


def script(database: DatabasePlan) -> str:
    """What is run in one database. The management user's password is asked for by the client, never in here."""
    return _psql(database) if database.url.engine == "postgresql" else _mysql(database)


def _head(database: DatabasePlan, client: str) -> str:
    where = f"{server(database.url)} {database.url.database}".rstrip()
    return comment(
        f"Written by `stepcreds setup --format sql`, for {where}\n"
        f"An administrator runs it once: {client}\n"
        "It may be run again: what is there already stays.",
        _MARK,
    )


def _psql(database: DatabasePlan) -> str:
    user = database.manager  # letters, digits, '_' and '-'
    fresh = f"NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal(user)})"
    statements = [
        comment(each.why, _MARK) + _remedy(each) + f"{each.sql.replace(literal(MANAGER_PASSWORD), 'NULL')};\n"
        for each in database.statements
    ]
    # \password hides what is typed, and sends the server what cannot be used to log in (a SCRAM verifier).
    password = (
        f"\\if :stepcreds_new\n\\echo A password for {user}: Vault asks for the same, and then changes it.\n"
        f"\\password {quoted(user)}\n\\endif\n"
    )
    parts = [
        _head(database, "psql --no-psqlrc --file=FILE, connected to this database"),
        f"\\set ON_ERROR_STOP on\nSET search_path = pg_catalog, pg_temp;\nBEGIN;\nSELECT {fresh} AS stepcreds_new "
        "\\gset\n",
        *statements,
        f"{password}COMMIT;\n",
    ]
    return "\n".join(parts)


def _remedy(statement: Statement) -> str:
    """What mends a refusal, as a comment: whoever wants it takes the marks away, and runs it before the rest."""
    if not statement.remedy:
        return ""
    head = "If it stops: this gives them to it, and lets who had them go on, as a member. Run it alone, by hand."
    return comment(head, _MARK) + "".join(
        f"{_MARK}   {printable(line, 4000)}\n" for line in statement.remedy.splitlines()
    )


def _mysql(database: DatabasePlan) -> str:
    statements = [
        comment(each.why, _MARK) + f"{_delimited(each.sql.replace(literal(MANAGER_PASSWORD), _TO_REPLACE))}\n"
        for each in database.statements
    ]
    asked = comment(
        f"Put a password for {one_line(database.manager)} in the place of {_TO_REPLACE}: Vault asks for the same, and\n"
        "then changes it.",
        _MARK,
    )
    return "\n".join([_head(database, "mariadb < FILE") + asked, *statements])


def _delimited(sql: str) -> str:
    """A statement with a `;` inside needs another end, for the client alone (mariadb(1), DELIMITER)."""
    if ";" not in sql:
        return f"{sql};"
    mark = next(f"${number}$" for number in count() if f"${number}$" not in sql)
    return f"DELIMITER {mark}\n{sql}{mark}\nDELIMITER ;"
