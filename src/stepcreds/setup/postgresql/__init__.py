"""PostgreSQL's side of a profile as lists of statements: they are written here, and run by others.

`{{name}}`, `{{password}}` and `{{expiration}}` are filled in, as plain text, by Vault's database engine, which runs
each list in one transaction and cuts every element at `;` unless it holds the word END
(https://openbao.org/docs/secrets/databases/postgresql/, and `containsMultilineStatement` in the plugin). So each
element is one statement. All of them were run on PostgreSQL 14 to 18, with a management user that has CREATEROLE only.
What an administrator runs once, before any of it, is in `postgresql_once`.
"""

from __future__ import annotations

from stepcreds.config.model import Profile
from stepcreds.errors import UnsupportedError
from stepcreds.setup.answers import DEFAULT_CONNECTIONS, Answers
from stepcreds.setup.postgresql.guard import GUARDED
from stepcreds.setup.postgresql.names import identifier, literal
from stepcreds.setup.postgresql.once import database_plan, databases

__all__ = [
    "database_plan",
    "ddl_creation",
    "identifier",
    "read_only_creation",
    "read_write_creation",
    "revocation",
    "role_statements",
]

_NAME = '"{{name}}"'
_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# The management user becomes a member of exactly the users it issued, so it may end exactly their sessions and run DROP
# OWNED for them: what pg_signal_backend would give for everybody's sessions, and not at all for DROP OWNED.
_SELF_GRANT = 'GRANT "{{name}}" TO CURRENT_USER'
# A statement goes on after its client was killed, and counts against CONNECTION LIMIT, until it has something to send;
# with this the server looks (PostgreSQL 14 and newer, https://www.postgresql.org/docs/current/runtime-config-connection.html).
_NOTICE_DEAD_CLIENTS = "ALTER ROLE \"{{name}}\" SET client_connection_check_interval = '1s'"
_NO_IDLE_TRANSACTION = "ALTER ROLE \"{{name}}\" SET idle_in_transaction_session_timeout = '60s'"


def role_statements(profile: Profile, answers: Answers) -> tuple[list[str], list[str]]:
    """What issues a user for `profile`, and what ends it: the two lists of the engine's role, never empty.

    Raises `UnsupportedError` for a profile without a database or an access, and for names that cannot be written.
    """
    answer = answers.profiles[profile.name]
    limit = answer.connection_limit
    if profile.access == "ddl" and profile.database is not None:
        creation = ddl_creation(answer.role, *databases(profile), connections=limit, guard=answer.guard)
        return creation, revocation(answer.role)
    if profile.access == "read-write" and profile.database is not None:
        return read_write_creation(answer.role, connections=limit), revocation()
    if profile.access == "read-only" and profile.database is not None:
        return read_only_creation(answer.role, connections=limit), revocation()
    raise UnsupportedError(
        f"The profile {profile.name!a} names no database, or no access to it.",
        cause="Users of PostgreSQL are issued for a database, and may read, write or change its schema.",
        docs="configuration",
    )


def read_only_creation(group: str, *, connections: int = DEFAULT_CONNECTIONS) -> list[str]:
    """Statements that issue a user who may do what `group` may, and by default only in read-only transactions."""
    # A second line of defence only: the user itself can turn it off again.
    return [
        *read_write_creation(group, connections=connections),
        'ALTER ROLE "{{name}}" SET default_transaction_read_only = on',
    ]


def read_write_creation(group: str, *, connections: int = DEFAULT_CONNECTIONS) -> list[str]:
    """Statements that issue a user who may do what `group` may.

    Membership in one group, not GRANT ON ALL TABLES: 8 ms instead of up to 1.3 s on 10,000 tables, no dead catalogue
    rows, and new tables are covered by the group's default privileges.
    """
    return [
        f'CREATE ROLE "{{{{name}}}}" WITH {_ATTRIBUTES} INHERIT CONNECTION LIMIT {connections} '
        "PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        f'GRANT {identifier(group)} TO "{{{{name}}}}"',
        _SELF_GRANT,
        _NO_IDLE_TRANSACTION,
        _NOTICE_DEAD_CLIENTS,
    ]


def ddl_creation(owner: str, *databases: str, connections: int = DEFAULT_CONNECTIONS, guard: bool = False) -> list[str]:
    """Statements that issue a user who works as `owner` in `databases`.

    NOINHERIT and SET role: what a migration makes belongs to `owner` from the start, and the short-lived user cannot
    take the application's tables for itself (`ALTER TABLE … OWNER TO CURRENT_USER`), which DROP OWNED would then drop.
    """
    return [
        f'CREATE ROLE "{{{{name}}}}" WITH {_ATTRIBUTES} NOINHERIT CONNECTION LIMIT {connections} '
        "PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        # NOINHERIT: CONNECT does not come from the owner either.
        *(
            f"DO $sc$ BEGIN {_patiently(f'GRANT CONNECT ON DATABASE {identifier(database)} TO {_NAME}')} END $sc$"
            for database in databases
        ),
        f'GRANT {identifier(owner)} TO "{{{{name}}}}"',
        *([f'GRANT {identifier(GUARDED)} TO "{{{{name}}}}"'] if guard else []),
        f'ALTER ROLE "{{{{name}}}}" SET role = {literal(owner)}',
        "ALTER ROLE \"{{name}}\" SET lock_timeout = '10s'",
        _NOTICE_DEAD_CLIENTS,
        _SELF_GRANT,
    ]


def revocation(reassign_to: str | None = None) -> list[str]:
    """Statements that end a user for good: no login, no session, no role. What it owns goes to `reassign_to`, if given.

    The engine's default (REVOKE, DROP ROLE) leaves open sessions at work, and fails when the user so much as called
    `lo_create(0)` or ALTER DEFAULT PRIVILEGES, which anybody may. Idempotent: a user who is gone already is no error.
    """
    reassign = f'REASSIGN OWNED BY "{{{{name}}}}" TO {identifier(reassign_to)}; ' if reassign_to is not None else ""
    exists = "IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{{name}}') THEN"
    sessions = (
        "FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid"
        " WHERE r.rolname = '{{name}}' AND a.pid <> pg_catalog.pg_backend_pid()"
    )
    return [
        # 1. Shut the door. The user may have its own row locked, by ALTER ROLE CURRENT_USER in a transaction that stays
        #    open: without a time-out this would wait for as long, and behind it all that Vault does here. So the
        #    sessions are ended, and it tries again.
        f"DO $sc$ BEGIN {exists} SET LOCAL lock_timeout = '100ms'; FOR i IN 1..100 LOOP"
        f" BEGIN ALTER ROLE {_NAME} WITH NOLOGIN PASSWORD NULL CONNECTION LIMIT 0; EXIT;"
        " EXCEPTION WHEN lock_not_available OR internal_error THEN IF i = 100 THEN RAISE; END IF; END;"
        f" PERFORM pg_catalog.pg_stat_clear_snapshot(); PERFORM pg_catalog.pg_terminate_backend(a.pid) {sessions};"
        " END LOOP; END IF; END $sc$",
        # 2. Let everybody see it shut. In one transaction, NOLOGIN is seen by nobody before the end: sessions that
        #    reconnect survive (25 of 25 trials; 0 of 70 with these two), and a later failure would open the door again.
        "COMMIT",
        "BEGIN",
        # 3. End the sessions, until three looks in a row find none; pg_stat_activity is frozen within a transaction
        #    until pg_stat_clear_snapshot. Every function by its full name: who may make one in a schema of the search
        #    path (public, up to 14) makes a count(boolean) that fits better, and Vault's user would call that.
        "DO $sc$ DECLARE n int; quiet int := 0; BEGIN"
        " FOR i IN 1..250 LOOP PERFORM pg_catalog.pg_stat_clear_snapshot();"
        f" SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) INTO n {sessions};"
        " IF n = 0 THEN quiet := quiet + 1; ELSE quiet := 0; END IF;"
        " EXIT WHEN quiet >= 3; PERFORM pg_catalog.pg_sleep(0.02); END LOOP;"
        " IF n > 0 THEN RAISE EXCEPTION 'stepcreds: % session(s) of {{name}} still alive', n; END IF; END $sc$",
        # 4. What it owns, what it was granted, and the role.
        f"DO $sc$ BEGIN {exists} SET LOCAL lock_timeout = '10s';"
        f" {_patiently(f'{reassign}DROP OWNED BY {_NAME}; DROP ROLE {_NAME}')} END IF; END $sc$",
    ]


def _patiently(statements: str) -> str:
    """A loop that runs `statements` again when somebody else changed the same row of a catalogue at the same time.

    CONNECT is in the one row of its database. PostgreSQL refuses to wait there ("tuple concurrently updated", XX000),
    and two connections of Vault's, each with a user of its own, do come at the same time.
    """
    return (
        f"FOR i IN 1..100 LOOP BEGIN {statements}; EXIT; EXCEPTION WHEN internal_error THEN"
        " IF i = 100 THEN RAISE; END IF; PERFORM pg_catalog.pg_sleep(0.01); END; END LOOP;"
    )
