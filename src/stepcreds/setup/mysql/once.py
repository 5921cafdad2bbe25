"""What an administrator runs once at a MariaDB or MySQL, before Vault can issue users for it.

The user that Vault logs in as has CREATE USER, CONNECTION ADMIN, and what it hands on. CREATE USER can set anybody's
password, an administrator's too: the connection at Vault is worth as much as the server.
"""

# ruff: noqa: S608 - every name is quoted by mysql_names

from __future__ import annotations

from collections.abc import Sequence

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.printable import one_line
from stepcreds.setup.answers import Answers
from stepcreds.setup.mysql.names import escaped, literal, user
from stepcreds.setup.mysql.rights import Given, grants
from stepcreds.setup.plan import MANAGER_PASSWORD, DatabasePlan, Statement

_LONGEST_USER = {"mysql": 32}
# MySQL has no KILL USER. It runs as the administrator who makes it, and who has to stay.
_DATABASE = "stepcreds"
ENDING = f"{_DATABASE}.end_sessions"
_PROCEDURE = f"""\
CREATE PROCEDURE IF NOT EXISTS {ENDING}(IN who VARCHAR(128))
  SQL SECURITY DEFINER
BEGIN
  DECLARE quiet, looks INT DEFAULT 0;
  DECLARE thread BIGINT;
  DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;
  WHILE quiet < 3 AND looks < 500 DO
    SET looks = looks + 1;
    SET thread = (SELECT MIN(ID) FROM information_schema.PROCESSLIST
      WHERE USER = who AND who LIKE 'v-%' AND ID <> CONNECTION_ID() AND COMMAND <> 'Killed');
    IF thread IS NULL THEN
      SET quiet = quiet + 1;
      DO SLEEP(0.01);
    ELSE
      SET quiet = 0;
      KILL thread;
    END IF;
  END WHILE;
  IF quiet < 3 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'stepcreds: sessions of the user are still alive';
  END IF;
END"""


def database_plan(url: DatabaseURL, profiles: Sequence[Profile], answers: Answers) -> DatabasePlan:
    """All that the server of `url` needs for `profiles`, in the order in which it is run.

    In the statement of the user that Vault logs in as, `MANAGER_PASSWORD` stands where its password has to be.
    Raises `UnsupportedError` for names that cannot be written.
    """
    manager = user(answers.manager, _LONGEST_USER.get(url.engine, 80))
    handed = _together(
        [each for profile in profiles for each in grants(profile, guard=answers.profiles[profile.name].guard)]
    )
    statements = [_manager(answers.manager, manager), _server(url, answers.manager, manager)]
    if url.engine != "mariadb":
        statements += _ending(answers.manager, manager)
    statements += [_handed_on(each, answers.manager, manager) for each in handed]
    return DatabasePlan(url, tuple(statements), answers.manager)


def _together(several: Sequence[Given]) -> list[Given]:
    """One grant for each place, with all rights that any profile's users get there."""
    places: dict[tuple[str, str], Given] = {}
    for each in several:
        key = (each.place, each.column)
        before = places.get(key, each._replace(rights=()))
        places[key] = each._replace(rights=tuple(dict.fromkeys((*before.rights, *each.rights))))
    return list(places.values())


def _manager(name: str, account: str) -> Statement:
    return Statement(
        f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{MANAGER_PASSWORD}'",
        f"SELECT EXISTS (SELECT 1 FROM mysql.user WHERE User = {literal(name)} AND Host = '%')",
        "The user that Vault logs in as, and whose password Vault changes.",
        secret=True,
    )


def _server(url: DatabaseURL, name: str, account: str) -> Statement:
    if url.engine != "mariadb":
        return Statement(
            f"GRANT CREATE USER ON *.* TO {account}",
            _has_on_server(name, ["CREATE USER"]),
            "It makes and drops users. CREATE USER can set anybody's password, an administrator's too.",
        )
    return Statement(
        f"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO {account}",
        _has_on_server(name, ["CREATE USER", "CONNECTION ADMIN"]),
        "It makes and drops users and ends their sessions. CREATE USER can set anybody's password, an administrator's "
        "too.",
    )


def _ending(name: str, account: str) -> list[Statement]:
    return [
        Statement(
            f"CREATE DATABASE IF NOT EXISTS {_DATABASE}",
            f"SELECT EXISTS (SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{_DATABASE}')",
            "For the procedure below.",
        ),
        Statement(
            _PROCEDURE,
            f"SELECT EXISTS (SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{_DATABASE}'"
            " AND ROUTINE_NAME = 'end_sessions')",
            "Ends the sessions of a user that Vault issued: MySQL has no KILL USER. Never run on a MySQL so far.",
        ),
        Statement(
            f"GRANT EXECUTE ON PROCEDURE {ENDING} TO {account}",
            "SELECT EXISTS (SELECT 1 FROM mysql.procs_priv WHERE Routine_name = 'end_sessions'"
            f" AND BINARY Db = '{_DATABASE}' AND User = {literal(name)} AND Host = '%')",
            "Vault's user may call it.",
        ),
    ]


def _handed_on(grant: Given, name: str, account: str) -> Statement:
    where = one_line(f"{grant.database}.{grant.table}" if grant.table else grant.database, 100)
    return Statement(
        f"GRANT {', '.join(grant.rights)} ON {grant.place} TO {account} WITH GRANT OPTION",
        _has_at(grant, name),
        f"What it hands on to the users it makes: their rights on {where}.",
    )


def _has_on_server(name: str, rights: Sequence[str]) -> str:
    return _holds("USER", f"GRANTEE = {_grantee(name)}", rights)


def _has_at(grant: Given, name: str) -> str:
    kind, table = "SCHEMA", ""
    database = escaped(grant.database)
    if grant.table:
        kind, database = "TABLE", grant.database
        table = f" AND BINARY TABLE_NAME = {literal(grant.table)}"
    if grant.column:
        kind, table = "COLUMN", f"{table} AND COLUMN_NAME = {literal(grant.column)}"
    place = f"GRANTEE = {_grantee(name)} AND BINARY TABLE_SCHEMA = {literal(database)}{table}"
    rights = [right.partition(" (")[0] for right in grant.rights]
    return _holds(kind, f"{place} AND IS_GRANTABLE = 'YES'", rights)


def _holds(kind: str, where: str, rights: Sequence[str]) -> str:
    some = ", ".join(literal(right) for right in rights)
    source = f"information_schema.{kind}_PRIVILEGES"
    return f"SELECT COUNT(*) = {len(rights)} FROM {source} WHERE {where} AND PRIVILEGE_TYPE IN ({some})"


def _grantee(name: str) -> str:
    """As information_schema writes a user, with nothing escaped in it."""
    return literal(f"'{name}'@'%'")
