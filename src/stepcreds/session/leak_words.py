"""What is said about a credential that was found where its command must not have left it; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepcreds.errors import LeakedError
from stepcreds.model import Leak

if TYPE_CHECKING:
    from stepcreds.leaks.changed_files import Seen
    from stepcreds.leaks.runner_files import Misplaced

MOST = 10  # places that a message names
STATE_CHANGED = (
    "the command changed what the CI's runner is told of this step for the end of the job (GITHUB_STATE); it is put "
    "right. A script has no use for that file: look at what this one runs"
)


def handed_on(leaks: Sequence[Leak]) -> LeakedError:
    """The failure of a step whose command wrote a credential into a file that the runner reads after it."""
    profiles = dict.fromkeys(leak.profile for leak in leaks)
    one = len(profiles) == 1
    removed = all(leak.removed for leak in leaks)
    return LeakedError(
        f"The command left the credential{'' if one else 's'} of {', '.join(profiles)} where the CI hands "
        f"{'it' if one else 'them'} on: {places(leaks)}",
        cause="The runner reads such a file when the step has ended, for later steps, for whoever uses the step's "
        "outputs, or for the page of the run.",
        fix=("*** stands there now, and nothing of it is handed on. " if removed else "It could not all be taken out. ")
        + "Give each step that needs a credential one of its own:\n"
        + "\n".join(f"  stepcreds exec {profile} -- COMMAND" for profile in profiles),
        docs="leaked-credential",
    )


def misplaced(file: Misplaced) -> LeakedError:
    """The failure of a step after whose command one of the runner's files cannot be looked through."""
    return LeakedError(
        f"The file of {file.name} cannot be looked through after the command: it {file.what}",
        cause="The command put something else in its place. It may lead to a credential, and the runner would read it.",
        fix="Only append lines to it. It is empty now, with whatever was in it."
        if not file.failure
        else f"It could not be replaced by an empty file ({file.failure}), and the runner may read what is there. Only "
        "append lines to it.",
        docs="runner-file-replaced",
    )


def left_behind(leaks: Sequence[Leak]) -> str:
    """One line about files that hold a credential, which a cache, an artifact or an image may carry on."""
    profiles = ", ".join(dict.fromkeys(leak.profile for leak in leaks))
    return (
        f"files that the command changed hold the credential of {profiles}, and outlive the step: {places(leaks)}. "
        "Remove them before anything caches or uploads them; a file for a client belongs in files: of the profile"
    )


def incomplete(seen: Seen) -> str:
    """One line where not everything was looked at, "" where it was."""
    parts = [f"it ended early: {seen.cut}"] if seen.cut else []
    if seen.partly:
        parts.append(f"of {_files(seen.partly)} only the beginning was looked at")
    if seen.unread:
        parts.append(f"{_files(seen.unread)} or folders could not be read")
    return f"the search for leaked credentials is not complete: {'; '.join(parts)}" if parts else ""


def places(leaks: Sequence[Leak]) -> str:
    """Where, for people: `GITHUB_ENV, line 3 (DATABASE_URL); /home/runner/.pgpass, line 1`."""
    texts = list(dict.fromkeys(map(_place, leaks)))
    more = len(texts) - MOST
    return "; ".join(texts[:MOST]) + (f"; and {more} more" if more > 0 else "")


def _place(leak: Leak) -> str:
    where = f"{leak.file}, line {leak.line}" if leak.line else f"{leak.file}, in its name"
    return where + (f" ({leak.name})" if leak.name else "")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
