"""How credentials and findings of the ledger look as text and as JSON; it decides nothing about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tabulate import tabulate

from stepcreds.clock import rfc3339
from stepcreds.ledger.view import CredentialView
from stepcreds.printable import one_line
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import lifetime
from stepcreds.review.selection import are_signed, is_signed, is_tampered
from stepcreds.trust.keys import Trust

HEADERS = ("TIME", "JOB", "STEP", "PROFILE", "DECLARED", "MEASURED", "ALIVE", "VERDICT", "SIGNED", "DB USER")
CELL = 80  # characters of a foreign text in a cell
_SIGNED = {True: "yes", False: "no", None: "not checked"}

_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


def table(chosen: Sequence[tuple[Chapter, CredentialView]], colour: bool) -> str:
    """One line for each credential, under `HEADERS`; repository and run where there is more than one of them."""
    wide = {
        name: [_origin(chapter, name) for chapter, _ in chosen]
        for name in ("REPOSITORY", "RUN")
        if len({_origin(chapter, name) for chapter, _ in chosen}) > 1
    }
    headers = [HEADERS[0], *wide, *HEADERS[1:]]
    rows = []
    for number, (chapter, credential) in enumerate(chosen):
        first, *rest = _row(chapter, credential, colour)
        rows.append([first, *(one_line(cells[number], CELL) or "-" for cells in wide.values()), *rest])
    return tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)


def signed_footer(chosen: Sequence[tuple[Chapter, CredentialView]], trust: Trust | None) -> str:
    """How far what is shown is signed, and what that means where it is not."""
    files = {chapter.source.name for chapter, _ in chosen if is_tampered(chapter)}
    if files:
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        return f"TAMPERED: {count}. What is wrong: stepcreds ledger verify"
    states = [is_signed(chapter, credential) for chapter, credential in chosen]
    every, signed = len(states), states.count(True)
    if signed == every:
        return f"Signed by keys of {one_line(trust.source) if trust else '?'}: all of these."
    if None in states:
        return f"Signatures were not checked for {states.count(None)} of {every}: name a trust file with --trust."
    return (
        f"Unsigned: {every - signed} of {every}. Whoever could write to such a file could have written all of it anew."
    )


def _origin(chapter: Chapter, name: str) -> str:
    job = chapter.view.job
    return job.get("run_id", "") if name == "RUN" else chapter.view.repository or job.get("repository_id", "")


def credential_json(credential: CredentialView) -> dict[str, object]:
    """One credential with its records as they stand in the file; a record that is not there is null."""
    seconds = _seconds_alive(credential)
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
        "token_left": list(credential.tokens),
    }


def _row(chapter: Chapter, credential: CredentialView, colour: bool) -> list[str]:
    cells = (
        _time(credential.time),
        credential.job.get("job") or credential.job.get("run_id") or "",
        credential.step_name or credential.step_uid[:8],
        credential.profile,
        credential.access,
        _measured(credential),
        _alive(credential),
        _verdict(credential) + _leaked(chapter, credential),
        "TAMPERED" if is_tampered(chapter) else _SIGNED[is_signed(chapter, credential)],
        credential.db_user,
    )
    row = [one_line(cell, CELL) or "-" for cell in cells]
    code = _colour(credential) if colour else ""
    row[-3] = f"{code}{row[-3]}{_PLAIN}" if code else row[-3]
    return row


def _colour(credential: CredentialView) -> str:
    if credential.proven:
        return _YELLOW if credential.leaks else _GREEN
    return {"not issued": "", "revoked, not proven": _YELLOW}.get(credential.verdict, _RED)


def _measured(credential: CredentialView) -> str:
    """The level, and how much of it nobody declared."""
    beyond = f", {len(credential.excess)} beyond" if credential.excess else ""
    return credential.level + beyond if credential.level else "not measured" if credential.measured_by else ""


def _leaked(chapter: Chapter, credential: CredentialView) -> str:
    """A leak that is found once the credential is dead no step signs, and anybody can add one."""
    if not credential.leaks:
        return ""
    unsigned = is_signed(chapter, credential) is True and not are_signed(chapter, credential.leaks)
    return "; leaked (not signed)" if unsigned else "; leaked"


def _alive(credential: CredentialView) -> str:
    seconds = _seconds_alive(credential)
    if seconds is None:
        return ""
    if credential.proven:
        return f"{seconds:.1f} s"
    return "no end" if seconds == math.inf else f"at most {seconds:.0f} s"


def _seconds_alive(credential: CredentialView) -> float | None:
    """From issue to proof, else at most to expiry; None where nobody knows, also where a clock was set back."""
    lived = lifetime(credential)
    return None if lived is None or lived.end is None or lived.end < lived.start else lived.end - lived.start


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
