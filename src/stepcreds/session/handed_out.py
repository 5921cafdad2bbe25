"""A note for the later steps of a job: something was handed out, and this file of the runner still holds it.

One file for each such step, in the runner's temporary folder, with the path of the step's output file in
it. The ledger is what counts; this only spares a step of a job that handed out nothing the look at it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

FOLDER = "stepcreds-outputs"
LONGEST_PATH = 4096  # bytes; PATH_MAX
BLOCK = 65536  # bytes


def leave_note(environment: Mapping[str, str], step_uid: str, output_file: str) -> None:
    """Say that the step `step_uid` is about to hand something out by `output_file`. Raises OSError."""
    folder = _folder(environment)
    if folder is None:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(folder / step_uid, flags, 0o600)
    try:
        os.write(fd, os.fsencode(output_file))
    finally:
        os.close(fd)


def is_any(environment: Mapping[str, str]) -> bool:
    """Whether an earlier step of this job may have handed something out."""
    folder = _folder(environment)
    try:
        return folder is not None and any(folder.iterdir())
    except OSError:
        return False


def wipe(environment: Mapping[str, str], still_open: Collection[str]) -> list[str]:
    """Empty the output files of the steps whose credentials have ended, all but `still_open`, and forget the steps.

    Returns the files that could not be emptied. What an earlier step may have put in the place of a file is left alone.
    """
    folder = _folder(environment)
    temporary = environment.get("RUNNER_TEMP", "")
    left: list[str] = []
    try:
        notes = sorted(folder.iterdir()) if folder is not None and not folder.is_symlink() else []
    except OSError:
        return left
    for note in notes:
        if note.name in still_open:
            continue
        path = _noted(note)
        if not path:  # none of ours
            continue
        # The runner's own folder of such files, and no other: somebody else may have written the note.
        if os.path.realpath(os.path.dirname(path)).startswith(os.path.realpath(temporary) + os.sep):  # noqa: PTH120
            try:
                _empty(path)
            except OSError:
                left.append(path)
        with suppress(OSError):
            note.unlink()
    return left


def _folder(environment: Mapping[str, str]) -> Path | None:
    temporary = environment.get("RUNNER_TEMP", "")
    return Path(temporary) / FOLDER if temporary else None


def _noted(note: Path) -> str:
    try:
        fd = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.fsdecode(os.read(fd, LONGEST_PATH)) if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    finally:
        os.close(fd)


def _empty(path: str) -> None:
    """Overwrite the file and cut it to nothing, if it is still the one that the runner made. Raises OSError."""
    try:
        status = os.lstat(path)  # noqa: PTH116 - a text, as the note has it
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC) if _is_plain(status) else -1
    except FileNotFoundError:
        return
    if fd < 0:
        return
    try:
        status = os.fstat(fd)
        if not _is_plain(status):
            return
        left = status.st_size
        while left > 0:
            left -= os.write(fd, b"\n" * min(left, BLOCK))
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid()
