"""How the database answers: whether it can be reached, and what the issued user finds there; it changes nothing."""

from __future__ import annotations

from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL
from stepcreds.databases.stream import Deadline, Stream, place
from stepcreds.errors import StepcredsError
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


def log_in(url: DatabaseURL, username: str, password: Secret, clock: Clock) -> str:
    """Log in as the issued user and tell version and TLS. Raises `DatabaseError` with what the server said."""
    deadline = Deadline(clock, TIMEOUT)
    if url.engine == "postgresql":
        version, tls = _postgresql(url, username, password, deadline)
    else:
        version, tls = _mysql(url, username, password, deadline)
    secured = one_line(tls, 40) if tls else f"without TLS (sslmode={url.sslmode})"
    return f"{username} logs in at {place(url.host, url.port)}: {one_line(version, 80)}, {secured}"


def _postgresql(url: DatabaseURL, username: str, password: Secret, deadline: Deadline) -> tuple[str, str]:
    from stepcreds.databases.wire import connect

    with connect(url, username, password, deadline) as session:
        # https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-SSL-VIEW
        ((version, tls),) = session.query(
            "SELECT current_setting('server_version'),"
            " (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl)"
        )
    return f"PostgreSQL {version}", tls or ""


def _mysql(url: DatabaseURL, username: str, password: Secret, deadline: Deadline) -> tuple[str, str]:
    from stepcreds.databases.mysql_session import open_session

    with open_session(url, username, password, deadline) as session:
        rows = session.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
        return session.version, str(rows[0][1]) if rows else ""


def with_a_fix(error: StepcredsError) -> StepcredsError:
    """`error`, which must not leave the reader without anything to look at."""
    error.fix = (
        error.fix or "Look at `database` of the profile, and at the network between this machine and the database."
    )
    return error
