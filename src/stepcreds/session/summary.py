"""The step's summary on the page of the run: a table of its credentials in Markdown, with no secret in it."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from stepcreds.clock import rfc3339
from stepcreds.ledger.credential import verdict
from stepcreds.measurement import Measured
from stepcreds.model import Leak
from stepcreds.printable import one_line
from stepcreds.session import words
from stepcreds.session.leak_words import places
from stepcreds.session.remains import Left
from stepcreds.session.step import Ended, Surroundings

# The runner refuses a larger one altogether: AttachmentSizeLimit in its FileCommandManager.cs.
LARGEST = 1024 * 1024  # bytes
CELL = 200  # characters
MOST = 20  # findings of one credential

_HEAD = (
    "| profile | declared access | measured access | TTL | alive | proven dead | ledger entry |\n"
    "|---|---|---|---|---|---|---|\n"
)
_BEYOND = "| finding | level | | via | beyond, because | fix |\n|---|---|---|---|---|---|\n"
# What GitHub's Markdown gives a meaning to: https://github.github.com/gfm/#backslash-escapes
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#!|~&@$:]")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def summarise(
    around: Surroundings,
    credentials: Sequence[Ended],
    leaks: Sequence[Leak] = (),
    left: Sequence[Left] = (),
    *,
    whose: str = "this step",
) -> None:
    """Append the table to the step's summary, where the CI has one. What fails is a warning, and nothing else."""
    path = around.ci.summary_file(around.environment)
    if not path or not credentials:
        return
    try:
        _append(path, markdown(credentials, leaks, whose, left).encode())
    except OSError as error:
        around.voice.warn(f"the table of credentials is not in the step's summary: {error.strerror or error}")


def markdown(
    credentials: Sequence[Ended], leaks: Sequence[Leak], whose: str = "this step", left: Sequence[Left] = ()
) -> str:
    """The table, what goes beyond a profile, what a command left in its database, and a line about leaks."""
    text = f"### Credentials of {whose}\n\n{_HEAD}{''.join(_line(_row(each)) for each in credentials)}"
    text += "".join(map(_beyond, credentials)) + "".join(map(_left, left))
    return text + f"\n**Leaked:** {_cell(places(leaks), 2000)}\n" if leaks else text


def _beyond(ended: Ended) -> str:
    """What the credential can do that its profile does not declare, the worst first; "" where there is nothing."""
    measured = ended.holding.measurement
    excess = measured.excess if isinstance(measured, Measured) else ()
    if not excess:
        return ""
    rows = [(each.name, each.level, f"it can {each.what}", each.via, each.because, each.fix) for each in excess[:MOST]]
    more = f"\nAnd {len(excess) - MOST} more: `stepcreds scope {ended.profile.name}`\n" if len(excess) > MOST else ""
    title = f"\n**Beyond the profile {_cell(ended.profile.name)}:**\n\n"
    return title + _BEYOND + "".join(map(_line, rows)) + more


def _left(left: Left) -> str:
    if not left.changes:
        return ""
    shown = "".join(f"- {_cell(each.what)}\n" for each in left.changes[:MOST])
    more = f"- and {len(left.changes) - MOST} more\n" if len(left.changes) > MOST else ""
    return f"\n**Left in the database of {_cell(left.profile)}, and outliving the credential:**\n\n{shown}{more}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |\n"


def _row(ended: Ended) -> tuple[str, ...]:
    profile, holding, ending, ledger = ended
    declared = f"{profile.access} in {', '.join(profile.schemas)}" if profile.schemas else profile.access
    proof = ending.proof
    until = proof.time if proof.time is not None else holding.expire_time
    alive = until - holding.issue_time
    how_long = "no end" if alive == math.inf else f"{'' if proof.proven else 'at most '}{alive:.1f} s"
    return (
        profile.name,
        declared or "none declared",
        words.measured(holding.measurement),
        f"{profile.ttl:.0f} s",
        how_long if holding.issue_time and alive >= 0 else "unknown",  # the clock may have been set back
        rfc3339(proof.time) if proof.time is not None else f"no: {verdict(ending, holding.expire_time or None)}",
        f"{ledger.name}, seq {ending.seq}, {_signed(ledger, ending.seq)}"
        if ending.seq is not None
        else "not on record",
    )


def _signed(ledger: Path, seq: int) -> str:
    """Whether Vault has signed the chain up to this record. Whether that can be believed, `ledger verify` says."""
    from stepcreds.ledger.checkpoint import reach

    return "signed" if reach(ledger) > seq else "unsigned"


def _cell(text: str, limit: int = CELL) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text, limit))


def _append(path: str, text: bytes) -> None:
    fd = os.open(path, _APPEND, 0o644)
    with open(fd, "ab", buffering=0) as stream:  # noqa: PTH123 - pathlib has no O_NOFOLLOW
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("its file is no regular file")
        if status.st_nlink != 1:
            raise OSError("its file is one with a file elsewhere (a hard link)")
        if status.st_size:
            text = b"\n\n" + text
        if status.st_size + len(text) > LARGEST:
            raise OSError(f"it holds {status.st_size} bytes, and {LARGEST} are the most that are shown")
        left = memoryview(text)
        while left:
            left = left[stream.write(left) :]
