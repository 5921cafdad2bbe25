"""MariaDB's side of a profile as lists of statements: they are written here, and run by others.

`{{name}}` and `{{password}}` are filled in, as plain text, by Vault's database engine, which cuts every element at `;`
(https://openbao.org/docs/secrets/databases/mysql-maria/). Every statement commits by itself. All of them were run on
MariaDB 10.11; those for the scheme `mysql://`, where a server may have no KILL USER, on MariaDB alone.
"""

from __future__ import annotations

from stepcreds.config.model import Profile
from stepcreds.setup.answers import Answers
from stepcreds.setup.mysql.once import ENDING, database_plan
from stepcreds.setup.mysql.rights import grants

__all__ = ["USERNAME_TEMPLATE", "creation", "database_plan", "revocation", "role_statements"]

# 30 characters: MySQL takes 32. No DisplayName in clear, for it comes from a claim; see `vault.USERNAME_TEMPLATE`.
USERNAME_TEMPLATE = (
    '{{ printf "v-%s-%s-%s" (.DisplayName | sha256 | truncate 8) (.RoleName | truncate 8) (random 10) }}'
)
_USER = "'{{name}}'@'%'"


def role_statements(profile: Profile, answers: Answers) -> tuple[list[str], list[str]]:
    """What issues a user for `profile`, and what ends it: the two lists of the engine's role, never empty.

    Raises `UnsupportedError` for a profile without a database or an access, and for names that cannot be written.
    """
    answer = answers.profiles[profile.name]
    mariadb = profile.database is not None and profile.database.engine == "mariadb"
    # A statement of a reader or writer lasts no longer than its step; a change of a large table is ended with it.
    longest = int(profile.max_ttl) if profile.access != "ddl" and mariadb else None
    issued = [_account(answer.connection_limit, longest), *creation(profile, guard=answer.guard)]
    return issued, revocation(mariadb=mariadb)


def creation(profile: Profile, *, guard: bool = False) -> list[str]:
    """The grants of a user for `profile`: direct ones, because MariaDB's default roles need rights on `mysql`."""
    return [f"GRANT {', '.join(each.rights)} ON {each.place} TO {_USER}" for each in grants(profile, guard=guard)]


def revocation(*, mariadb: bool = True) -> list[str]:
    """Statements that end a user for good: no login, no session, no user. A user who is gone already is no error.

    The engine's default (REVOKE, DROP USER) leaves open sessions at work, as the server keeps their rights for them
    (https://mariadb.com/kb/en/drop-user/). The second time catches who logged in between the first and DROP USER.
    """
    end = "KILL USER '{{name}}'" if mariadb else f"CALL {ENDING}('{{{{name}}}}')"
    lock = f"ALTER USER IF EXISTS {_USER} ACCOUNT LOCK"
    return [lock, end, f"DROP USER IF EXISTS {_USER}", end]


def _account(connections: int, longest: int | None) -> str:
    limit = f" MAX_STATEMENT_TIME {longest}" if longest is not None else ""
    return f"CREATE USER {_USER} IDENTIFIED BY '{{{{password}}}}' WITH MAX_USER_CONNECTIONS {connections}{limit}"
