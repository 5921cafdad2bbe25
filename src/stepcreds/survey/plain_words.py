"""Findings in the words of somebody who has neither Vault nor a profile, but a user of a database."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from stepcreds.errors import StepcredsError
from stepcreds.measurement import Finding, Measured
from stepcreds.scope.postgresql.ways import quoted

_STATEMENTS: Final = "out of the creation statements of Vault's role."
# What scope says of a credential that Vault made, and what is the same for a user that somebody else made.
_FIXES: Final = (
    (f"Take the grant of (?P<what>.+?) {_STATEMENTS}", "REVOKE {what} FROM {user};"),
    (f"Take the membership in (?P<role>.+?) {_STATEMENTS}", "REVOKE {role} FROM {user};"),
    (f"Take ADMIN OPTION on (?P<role>.+?) {_STATEMENTS}", "REVOKE ADMIN OPTION FOR {role} FROM {user};"),
    (f"Take it {_STATEMENTS}", "Take it from {user}."),
    (
        r"add VALID UNTIL '\{\{expiration\}\}' to the creation statements of Vault's role",
        "ALTER ROLE {user} VALID UNTIL '…';",
    ),
)


def of_user(measured: Measured, user: str) -> Measured:
    """`measured`, of the user of this name."""
    return measured._replace(findings=tuple(_finding(each, user) for each in measured.findings))


def of_error(error: StepcredsError, variable: str) -> StepcredsError:
    """`error`, which is about no step and no profile, but the URL in `variable`."""
    error.what = error.what.replace("The credential of profile", "The credential in", 1)
    fix = error.fix.replace("`database` of the profile", f"the URL in {variable}")
    fix = fix.replace("the profile's database", "the database")
    error.fix = fix or f"look at the URL in {variable}: user, password, host, port and database"
    return error


def _finding(finding: Finding, user: str) -> Finding:
    because = finding.because.replace("the profile declares", "you declare")
    return finding._replace(
        because=because.replace("the profile does not declare", "you do not declare"), fix=_fix(finding.fix, user)
    )


def _fix(fix: str, user: str) -> str:
    for pattern, statement in _FIXES:
        fix = re.sub(pattern, partial(_said, statement=statement, user=user), fix)
    return fix


def _said(found: re.Match[str], statement: str, user: str) -> str:
    parts = found.groupdict()
    return statement.format(user=quoted(user), what=parts.get("what"), role=quoted(parts.get("role") or ""))
