"""Looks at a credential that exists already: no Vault, no configuration, and nothing is ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stepcreds.clock import Clock
from stepcreds.config.database_url import DatabaseURLError
from stepcreds.config.login_url import parse_login_url
from stepcreds.config.model import Access, Profile
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.survey import plain_words
from stepcreds.survey.measuring import measure, without_way_out
from stepcreds.survey.result import Survey

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def look(
    variable: str,
    environment: Mapping[str, str],
    folder: Path,
    clock: Clock,
    *,
    access: Access,
    schemas: tuple[str, ...] = (),
    databases: tuple[str, ...] = (),
    everywhere: bool = False,
) -> Survey:
    """What the credential in the variable of this name can do, held against what these say it should.

    Raises `UsageError` for what is no name of a variable with a URL in it; no message repeats what may be a password.
    """
    if not _NAME.match(variable):
        raise UsageError(
            "--as-user takes the name of an environment variable, and not a URL or a password",
            cause="What stands on a command line is seen by every process of the machine, and kept by the shell.",
            fix="Put the URL into a variable, and give its name: stepcreds scope --as-user DATABASE_URL\n"
            "If it was a password that stood there, change it.",
            docs="as-user",
        )
    text = environment.get(variable, "")
    if not text:
        raise UsageError(
            f"The variable {variable} is not set",
            cause="--as-user reads the URL of the credential from it.",
            fix=f"export {variable}=postgresql://user:password@db.example.com:5432/app",
            docs="as-user",
        )
    try:
        login = parse_login_url(text, folder)
    except DatabaseURLError as error:
        raise UsageError(
            f"The variable {variable} does not hold the URL of a database: {error}",
            fix="\n".join(fix for _, fix in error.problems if fix),
            docs="as-user",
        ) from None
    # "warn": what is not to be relied on (MySQL 8) is shown all the same, and says so.
    profile = Profile(variable, "", "", login.url, access, schemas, databases, on_excess="warn")
    survey = Survey(profile, None, clock.now(), user=login.user)
    try:
        measured = measure(profile, login.user, login.password, clock, everywhere=everywhere)
    except StepcredsError as error:
        return survey._replace(error=plain_words.of_error(without_way_out(error), variable))
    return survey._replace(measured=plain_words.of_user(measured, login.user))
