"""How the database answers: whether it can be reached, and what the issued user finds there; it changes nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from stepcreds.clock import Clock
from stepcreds.config.duration import in_words
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.stream import Deadline, Stream, place
from stepcreds.doctor.certificate import end_of, soon
from stepcreds.doctor.link import Link, Remark, remarked
from stepcreds.doctor.servers import SKEW
from stepcreds.errors import DatabaseError, StepcredsError
from stepcreds.printable import one_line
from stepcreds.secret import Secret

TIMEOUT = 10.0  # seconds
NOBODY = "stepcreds-doctor"


def reach(url: DatabaseURL, clock: Clock) -> str:
    """Go as far as a login, under the TLS that the profile asks for, as a user that nobody has.

    So what would keep the step out is found before a credential exists. The database logs a refused login. Raises
    `DatabaseError` where nobody answers or TLS fails.
    """
    deadline = Deadline(clock, TIMEOUT)
    where = place(url.host, url.port)
    if url.engine == "postgresql":
        from stepcreds.databases.messages import ServerError
        from stepcreds.databases.wire import connect

        with suppress(ServerError):  # it refused the user, as it should
            connect(url, NOBODY, Secret(NOBODY), deadline).close()
        return f"{where} answers as PostgreSQL does (sslmode={url.sslmode})"
    if url.engine in ("mysql", "mariadb"):
        from stepcreds.databases.mysql_session import RefusedError, open_session

        with suppress(RefusedError):
            open_session(url, NOBODY, Secret(NOBODY), deadline).close()
        return f"{where} answers as MySQL and MariaDB do (sslmode={url.sslmode})"
    Stream.open(url.host, url.port, deadline).close()
    return f"{where} takes connections"


# Vault's own user is not known here: some role that may end users has the setting, and it is taken to be that.
# https://www.postgresql.org/docs/current/wal-async-commit.html
_IS_FORGETFUL = """current_setting('synchronous_commit') = 'off' AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole AND (r.rolcreaterole OR r.rolsuper) AND r.rolcanlogin
  JOIN pg_catalog.pg_database d ON d.datname = current_database() AND s.setdatabase IN (0, d.oid)
  WHERE EXISTS (SELECT FROM unnest(s.setconfig) AS c
    WHERE c LIKE 'synchronous_commit=%' AND lower(split_part(c, '=', 2)) NOT IN ('off', 'false', 'no', '0')))"""
_FORGETFUL = Remark(
    "synchronous_commit is off at this database: it says that a user is gone before that is on disk. If it crashes "
    "within a second, a user that Vault has revoked is there again, and Vault no longer knows it; also one that the "
    "ledger calls proven dead. Its password works until VALID UNTIL, if the lock did not change it.",
    "Have Vault's user wait for the disk; its sessions take that over when Vault connects anew:\n"
    "  ALTER ROLE <Vault's user> SET synchronous_commit = on;\n"
    "  bao write -f database/reset/<connection>",
    "synchronous-commit",
)


class _Seen(NamedTuple):
    version: str
    tls: str  # "" without
    ahead: float  # seconds that the server's clock is ahead of this machine's
    certificate_end: float | None  # epoch seconds
    forgetful: bool = False  # a crash of the server undoes what it has just committed for Vault


def log_in(url: DatabaseURL, username: str, password: Secret, clock: Clock, vault_ahead: float | None) -> Link:
    """Log in as the issued user; version, TLS, and whether its clock and Vault's agree.

    `vault_ahead`: seconds that Vault's clock is ahead of this machine's. Raises `DatabaseError` with what the server
    said.
    """
    deadline = Deadline(clock, TIMEOUT)
    where = place(url.host, url.port)
    try:
        seen = (_postgresql if url.engine == "postgresql" else _mysql)(url, username, password, deadline, clock)
    except DatabaseError as error:
        raise (_unknown_there(error, where) if getattr(error, "refuses_login", False) else error) from None
    secured = one_line(seen.tls, 40) if seen.tls else f"without TLS (sslmode={url.sslmode})"
    ahead = seen.ahead - (vault_ahead or 0.0)
    remarks = [_skewed(where, ahead, vault_ahead is not None)] if abs(ahead) > SKEW else []
    if (expiring := soon(where, seen.certificate_end, clock)) is not None:
        remarks.append(expiring)
    if seen.forgetful:
        remarks.append(_FORGETFUL)
    return remarked("database", f"{username} logs in at {where}: {one_line(seen.version, 80)}, {secured}", remarks)


def _unknown_there(error: DatabaseError, where: str) -> DatabaseError:
    """Vault has just made the user, and the server does not let it in."""
    error.cause = (
        f"Vault made this user a moment ago. So its connection leads to another server than {where}, or to a replica "
        "that is behind; or pg_hba.conf lets nobody in this way. The proof of death would ask the wrong server."
    )
    error.fix = (
        "Compare `database` of the profile with the host in the connection_url that Vault has:\n"
        "  bao list database/config\n  bao read database/config/<connection>"
    )
    error.docs = "other-database"
    return error


def _skewed(where: str, ahead: float, by_vault: bool) -> Remark:
    other = "Vault's" if by_vault else "this machine's"
    which = "ahead of" if ahead > 0 else "behind"
    effect = (
        "It refuses new logins of a credential for so long before its lease ends (VALID UNTIL)."
        if ahead > 0
        else "It goes on taking logins for so long after VALID UNTIL, should Vault fail to revoke."
    )
    return Remark(
        f"The clock of {where} is {in_words(round(abs(ahead)))} {which} {other}. {effect}",
        "Have NTP keep the clocks of both servers.",
        "clock",
    )


def _postgresql(url: DatabaseURL, username: str, password: Secret, deadline: Deadline, clock: Clock) -> _Seen:
    from stepcreds.databases.wire import connect

    with connect(url, username, password, deadline) as session:
        # https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-SSL-VIEW
        ((version, tls, time, forgetful),) = session.query(
            "SELECT current_setting('server_version'),"  # noqa: S608 - a constant
            " (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl),"
            f" extract(epoch FROM pg_catalog.clock_timestamp()), {_IS_FORGETFUL}"
        )
        ahead, end = _ahead(time, clock), end_of(session.socket)
        return _Seen(f"PostgreSQL {version}", tls or "", ahead, end, forgetful == "t")


def _mysql(url: DatabaseURL, username: str, password: Secret, deadline: Deadline, clock: Clock) -> _Seen:
    from stepcreds.databases.mysql_session import open_session

    with open_session(url, username, password, deadline) as session:
        rows = session.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
        ((time,),) = session.query("SELECT UNIX_TIMESTAMP(SYSDATE(6))")
        return _Seen(session.version, str(rows[0][1]) if rows else "", _ahead(time, clock), end_of(session.socket))


def _ahead(time: object, clock: Clock) -> float:
    """`time`, epoch seconds that a server has just answered, against this machine's; 0 for what is no time."""
    now = clock.now()
    try:
        return float(str(time)) - now
    except ValueError:
        return 0.0


def with_a_fix(error: StepcredsError) -> StepcredsError:
    """`error`, which must not leave the reader without anything to look at."""
    error.fix = (
        error.fix or "Look at `database` of the profile, and at the network between this machine and the database."
    )
    return error
