"""Which variable of the environment holds the URL of which database's administrator; a URL is never an argument.

Arguments are in the process list, in the shell's history, and in the log of a CI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stepcreds.config.database_url import DatabaseURLError
from stepcreds.config.login_url import parse_login_url
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.setup.connections import server
from stepcreds.setup.live.administrator import Administrator
from stepcreds.setup.plan import DatabasePlan, Plan

DEFAULT_VARIABLE = "STEPCREDS_DATABASE_ADMIN_URL"
_FAMILY = {"mysql": "mariadb"}


def administrators(
    plan: Plan, named: Sequence[str], environment: Mapping[str, str], folder: Path
) -> tuple[Administrator | None, ...]:
    """The administrator of each database of `plan`, None where nobody said one.

    `named` are `VARIABLE`, for the servers that its URL names, and `SERVER=VARIABLE`, for one that is reached under
    another address than the profiles'. Raises `UsageError` for what fits no database: it might be another server's.
    """
    found: dict[int, Administrator] = {}
    given = list(named) or ([DEFAULT_VARIABLE] if environment.get(DEFAULT_VARIABLE) else [])
    for text in given:
        where, _, variable = text.rpartition("=")
        administrator = _read(variable, environment, folder)
        fits = [
            number
            for number, database in enumerate(plan.databases)
            if _is_at(database, where or server(administrator.login.url)) and _same_engine(database, administrator)
        ]
        if not fits:
            raise _fits_nothing(plan, where, administrator)
        found.update(dict.fromkeys(fits, administrator))
    return tuple(found.get(number) for number in range(len(plan.databases)))


def _read(variable: str, environment: Mapping[str, str], folder: Path) -> Administrator:
    if "://" in variable or "@" in variable:
        raise UsageError(
            "--database-admin takes the name of a variable, not a URL",
            cause="A URL with a password on the command line is in the process list and in the shell's history. This "
            "one may be there now: change the password.",
            fix="Put it into the environment, and name the variable: --database-admin ADMIN_URL",
            docs="setup-administrator",
        )
    if not environment.get(variable):
        raise UsageError(
            f"The variable {one_line(variable, 80)} of --database-admin is not set",
            fix=f"Put the administrator's URL there: export {one_line(variable, 80)}=postgresql://user:password@host:5432/",
            docs="setup-administrator",
        )
    try:
        # Each database of the plan is asked itself, whichever the URL names.
        return Administrator(parse_login_url(environment[variable], folder, database="any"), variable)
    except DatabaseURLError as error:
        raise UsageError(
            f"The URL in the variable {one_line(variable, 80)} cannot be used: {error}",
            fix="\n".join(fix for _, fix in error.problems if fix),
            docs="setup-administrator",
        ) from None


def _is_at(database: DatabasePlan, where: str) -> bool:
    return where.lower() in (server(database.url).lower(), server(database.url).rpartition(":")[0].lower())


def _same_engine(database: DatabasePlan, administrator: Administrator) -> bool:
    engines = (database.url.engine, administrator.login.url.engine)
    return len({_FAMILY.get(engine, engine) for engine in engines}) == 1


def _fits_nothing(plan: Plan, where: str, administrator: Administrator) -> UsageError:
    url = administrator.login.url
    at = one_line(where, 200) if where else server(url)
    servers = sorted({server(database.url) for database in plan.databases})
    return UsageError(
        f"The administrator's URL in {administrator.variable} is for {url.engine} at {at}: no profile has a database "
        "there",
        cause="Nothing is run at a server that the configuration does not name.",
        fix=(f"The databases are at: {', '.join(servers)}.\n" if servers else "")
        + f"Where the administrator reaches one under another address, say which: --database-admin "
        f"{servers[0] if servers else 'SERVER'}={administrator.variable}",
        docs="setup-administrator",
    )
