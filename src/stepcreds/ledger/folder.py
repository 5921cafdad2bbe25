"""The ledger's folder: made so that nobody else can write to it, and which file in it holds which chain."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.faults import Place, ledger_error
from stepcreds.ledger.record import job_identity
from stepcreds.model import Job


def make_folder(folder: Path, key: Place = "ledger.path") -> None:
    """Make the ledger's folder, 0700, where it is missing. Raises `LedgerError`, also where every user may write.

    `key` names it in stepcreds.yml.
    """
    try:
        with suppress(FileExistsError):
            _make_folder(folder, 0o700)
        mode = folder.stat().st_mode
    except FileNotFoundError:
        raise LedgerError(
            f"The ledger cannot use {folder}: a symbolic link in that path leads nowhere",
            cause="The folder that it names was removed, or is not mounted here.",
            fix=f"Make that folder, or set {key} in stepcreds.yml to another.",
            docs="ledger",
        ) from None
    except OSError as error:
        raise ledger_error(error, folder, key) from None
    if not stat.S_ISDIR(mode):
        raise ledger_error(NotADirectoryError(errno.ENOTDIR, ""), folder, key)
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise LedgerError(
            f"Every user of this machine can write to the ledger's folder {folder}",
            cause="Whoever can write to it can remove or replace what is on record.",
            fix=f"Run: chmod 700 {folder}",
            docs="ledger",
        )


def _make_folder(folder: Path, mode: int) -> None:
    """Make `folder`, and above it what is missing. Raises `OSError`.

    Whatever the umask is, nobody else may write to any of them: who can, puts another folder in the ledger's place.
    """
    try:
        folder.mkdir(mode)
    except FileNotFoundError:
        with suppress(FileExistsError):  # a link that leads nowhere; or another step of the job made it meanwhile
            _make_folder(folder.parent, 0o755)
        folder.mkdir(mode)
    if folder.stat().st_mode & 0o700 != 0o700:  # a umask that takes the owner's own rights
        folder.chmod(0o700)
    sync_folder(folder.parent)


def chain_name(job: Job, number: int) -> str:
    """The name of the file of a job attempt's chain: its hash tells job attempts apart, its words are for people.

    `number` is 1, but for a job attempt that went on after its chain was closed.
    """
    words = re.sub(r"[^A-Za-z0-9_]+", "-", f"{job.run_id}-{job.run_attempt}-{job.job}").strip("-")[:60]
    digest = hashlib.sha256(canonical(job_identity(job))).hexdigest()[:12]
    return f"{words or 'local'}-{digest}{f'.{number}' if number > 1 else ''}.jsonl"


def newest(folder: Path, job: Job) -> int:
    """The number of the newest chain of this job attempt, 1 where there is none yet. Raises `LedgerError`."""
    stem = chain_name(job, 1).removesuffix(".jsonl")
    pattern = re.compile(re.escape(stem) + r"(?:\.([1-9][0-9]{0,8}))?\.jsonl")
    try:
        numbers = [int(match[1] or 1) for entry in folder.iterdir() if (match := pattern.fullmatch(entry.name))]
    except OSError as error:
        raise ledger_error(error, folder) from None
    return max(numbers, default=1)


def chain_files(folder: Path) -> list[Path]:
    """Every chain in `folder`, by name; none where there is no such folder. Raises `LedgerError`."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ledger_error(error, folder) from None


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
