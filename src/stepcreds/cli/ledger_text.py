"""How credentials and findings of the ledger look as text and as JSON; it decides nothing about them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from tabulate import tabulate

from stepcreds.clock import rfc3339
from stepcreds.ledger.view import ChainView, CredentialView
from stepcreds.printable import one_line
from stepcreds.review.dossier import Chapter
from stepcreds.review.lifetimes import lifetime
from stepcreds.review.selection import are_signed, is_signed, is_tampered
from stepcreds.trust.keys import Trust

HEADERS = (
    "TIME", "REPOSITORY", "RUN", "JOB", "STEP", "PROFILE", "DECLARED", "MEASURED", "ALIVE", "VERDICT", "SIGNED",
    "DB USER",
)  # fmt: skip
SIGNED = HEADERS.index("SIGNED")
TAMPERED = "TAMPERED"
CELL = 80  # characters of a foreign text in a cell
_SIGNED = {True: "yes", False: "no", None: "not checked"}

_GREEN, _YELLOW, _RED, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"


def table(rows: Iterable[Sequence[str]], hidden: Collection[str] = ()) -> str:
    """Rows of `cells` under `HEADERS`, without the columns `hidden`."""
    shown = [number for number, name in enumerate(HEADERS) if name not in hidden]
    lines = [[row[number] for number in shown] for row in rows]
    return tabulate(lines, headers=[HEADERS[number] for number in shown], tablefmt="plain", disable_numparse=True)


def origin(view: ChainView) -> tuple[str, str]:
    """What the columns REPOSITORY and RUN have of a chain."""
    return view.repository or view.job.get("repository_id", ""), view.job.get("run_id", "")


def signed_footer(states: Sequence[bool | None], tampered: Collection[str], trust: Trust | None) -> str:
    """How far what is shown is signed, and what that means where it is not; `tampered` are files."""
    if tampered:
        count = "1 file" if len(tampered) == 1 else f"{len(tampered)} files"
        return f"TAMPERED: {count}. What is wrong: stepcreds ledger verify"
    every, signed = len(states), states.count(True)
    if signed == every:
        return f"Signed by keys of {one_line(trust.source) if trust else '?'}: all of these."
    if None in states:
        return f"Signatures were not checked for {states.count(None)} of {every}: name a trust file with --trust."
    return (
        f"Unsigned: {every - signed} of {every}. Whoever could write to such a file could have written all of it anew."
    )


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


def cells(chapter: Chapter, credential: CredentialView, colour: bool) -> list[str]:
    """What the table has of one credential, by `HEADERS`."""
    texts = (
        _time(credential.time),
        *origin(chapter.view),
        credential.job.get("job") or credential.job.get("run_id") or "",
        credential.step_name or credential.step_uid[:8],
        credential.profile,
        credential.access,
        _measured(credential),
        _alive(credential),
        _verdict(credential) + _leaked(chapter, credential),
        TAMPERED if is_tampered(chapter) else _SIGNED[is_signed(chapter, credential)],
        credential.db_user,
    )
    row = [one_line(text, CELL) or "-" for text in texts]
    code = _colour(credential) if colour else ""
    row[SIGNED - 1] = f"{code}{row[SIGNED - 1]}{_PLAIN}" if code else row[SIGNED - 1]
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
