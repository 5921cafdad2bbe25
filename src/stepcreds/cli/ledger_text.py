"""How credentials and findings of the ledger look as text and as JSON; it decides nothing about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tabulate import tabulate

from stepcreds.clock import rfc3339
from stepcreds.ledger.chain import Finding
from stepcreds.ledger.reading import CredentialView
from stepcreds.printable import one_line
from stepcreds.review.verification import Verified

HEADERS = ("TIME", "JOB", "STEP", "PROFILE", "DECLARED", "MEASURED", "ALIVE", "VERDICT", "DB USER")
CELL = 80  # characters of a foreign text in a cell

_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


def table(credentials: Sequence[CredentialView], colour: bool) -> str:
    """One line for each credential, under `HEADERS`."""
    rows = [_row(credential, colour) for credential in credentials]
    return tabulate(rows, headers=HEADERS, tablefmt="plain", disable_numparse=True)


def credential_json(credential: CredentialView) -> dict[str, object]:
    """One credential with its records as they stand in the file; a record that is not there is null."""
    seconds = credential.seconds_alive
    return {
        "file": str(credential.file),
        "job": dict(credential.job),
        "credential_uid": credential.credential_uid,
        "step_uid": credential.step_uid,
        "profile": credential.profile,
        "verdict": credential.verdict,
        "proven": credential.proven,
        "seconds_alive": None if seconds in (None, math.inf) else seconds,  # at most, unless proven
        "requested": credential.requested or None,
        "issued": credential.issued or None,
        "measured": credential.measured or None,
        "closed": list(credential.closings),
        "leaked": list(credential.leaks),
        "left": credential.left or None,
    }


def summary_line(result: Verified, colour: bool) -> str:
    """What was checked in one file, and how it came out."""
    count = len(result.findings)
    found = "ok" if not count else "1 finding" if count == 1 else f"{count} findings"
    if colour:
        found = f"{_RED if count else _GREEN}{found}{_PLAIN}"
    records = "1 record" if result.entries == 1 else f"{result.entries} records"
    return f"{one_line(result.file)}: {found}, {records}, {'closed' if result.closed else 'open'}"


def finding_line(finding: Finding) -> str:
    """One finding, indented: where, which check, how sure, and what it means."""
    where = f"line {finding.line}: " if finding.line else ""
    return f"  {where}{finding.layer}/{finding.code} ({finding.certainty}): {one_line(finding.meaning)}"


def _row(credential: CredentialView, colour: bool) -> list[str]:
    cells = (
        _time(credential.time),
        credential.job.get("job") or credential.job.get("run_id") or "",
        credential.step_name or credential.step_uid[:8],
        credential.profile,
        credential.access,
        _measured(credential),
        _alive(credential),
        _verdict(credential) + ("; leaked" if credential.leaks else ""),
        credential.db_user,
    )
    row = [one_line(cell, CELL) or "-" for cell in cells]
    code = _colour(credential) if colour else ""
    row[-2] = f"{code}{row[-2]}{_PLAIN}" if code else row[-2]
    return row


def _colour(credential: CredentialView) -> str:
    if credential.proven:
        return _YELLOW if credential.leaks else _GREEN
    return {"not issued": "", "revoked, not proven": _YELLOW}.get(credential.verdict, _RED)


def _measured(credential: CredentialView) -> str:
    """The level, and how much of it nobody declared."""
    beyond = f", {len(credential.excess)} beyond" if credential.excess else ""
    return credential.level + beyond if credential.level else "not measured" if credential.measured_by else ""


def _alive(credential: CredentialView) -> str:
    seconds = credential.seconds_alive
    if seconds is None:
        return ""
    if credential.proven:
        return f"{seconds:.1f} s"
    return "no end" if seconds == math.inf else f"at most {seconds:.0f} s"


def _verdict(credential: CredentialView) -> str:
    if credential.proven:
        return f"{credential.verdict} at {_time(credential.proven_time)}"
    if credential.closed:
        # Nobody is to read a proof into a record that has none; `verify` says what is wrong with it.
        return credential.verdict if credential.verdict != "proven dead" else "no proof on record"
    if not credential.issued:
        return "not closed, may exist"
    expiry = credential.expire_time
    return "not closed, never expires" if expiry == math.inf else f"not closed, expires at {_time(expiry) or '?'}"


def _time(epoch: float | None) -> str:
    # To the second: the table is for people, and `--json` has the rest.
    return "" if epoch is None else f"{rfc3339(epoch)[:19]}Z"
