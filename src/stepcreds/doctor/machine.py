"""The links "machine" and "ledger": what a step finds where it runs; it asks no server.

It leaves nothing behind but the folder of the ledger.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stepcreds.config.environment import own_environment
from stepcreds.config.model import LedgerSettings, Profile
from stepcreds.config.store_url import StoreURL
from stepcreds.deliver.files import make_folder as make_private_folder
from stepcreds.deliver.files import remove_folder
from stepcreds.doctor.link import Link, Remark, remarked
from stepcreds.doctor.mounts import mount_of
from stepcreds.ledger.faults import ledger_error
from stepcreds.ledger.folder import make_folder
from stepcreds.printable import one_line
from stepcreds.storage.store import installed, missing

# stepcreds has about 25 files open in a step with two credentials; its command gets the same limit.
FEWEST_FILES = 64
PROBE_SIZE = 65_536  # bytes: a step's records are some 5,000
# Of Python's own variables the program has rid itself before (cli/isolation.py); these act before any program does.
_INTO_PROGRAMS = ("LD_PRELOAD", "LD_AUDIT")


def machine(profiles: Sequence[Profile], environment: Mapping[str, str]) -> Link:
    """Whether this machine keeps what a step promises. Raises `DeliveryError` where there is no place for its files.

    That it is Linux, has /proc and lets processes adopt others' children has been seen: the examination runs on that.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    folder = make_private_folder(environment)
    remove_folder(folder)
    place = os.path.dirname(folder)  # noqa: PTH120
    python = ".".join(map(str, sys.version_info[:3]))
    limit = "any number of" if files == resource.RLIM_INFINITY else str(files)
    found = f"Linux, Python {python}, {limit} open files, private files in {one_line(place)}"
    remarks = []
    if files != resource.RLIM_INFINITY and files < FEWEST_FILES:
        remarks.append(
            Remark(
                f"A process may have {files} open files, and a step needs up to {FEWEST_FILES}: one that runs out of "
                "them can neither ask Vault nor the database.",
                "Raise the limit before the step: ulimit -n 1024",
                "machine",
            )
        )
    if any(profile.files for profile in profiles) and not in_memory(place):
        remarks.append(
            Remark(
                f"{one_line(place)} is on a disk, and a profile has `files`: after a SIGKILL of both halves they stay "
                "there, with a credential that ends by itself.",
                "Give the container a tmpfs: --tmpfs /dev/shm, or XDG_RUNTIME_DIR on one.",
                "machine",
            )
        )
    own = own_environment()  # what the Action withholds from us is not in it
    remarks += [
        Remark(
            f"{name} is set, so code that it names runs inside stepcreds, and can read every credential.",
            f"Unless you know who set it, start stepcreds without it: env -u {name} stepcreds …",
            "machine",
        )
        for name in _INTO_PROGRAMS
        if own.get(name)
    ]
    return remarked("machine", found, remarks)


def in_memory(place: str) -> bool:
    """Whether `place` is on a tmpfs; True where nobody can tell."""
    mount = mount_of(place)
    return mount is None or mount.kind in ("tmpfs", "ramfs")


def ledger(settings: LedgerSettings, environment: Mapping[str, str]) -> Link:
    """Whether a step can write down what it does. Raises `LedgerError`: no ledger, no credential."""
    folder = settings.path
    make_folder(folder)
    _write_and_remove(folder)
    found = f"{one_line(str(folder))} takes records"
    workspace = environment.get("GITHUB_WORKSPACE", "")
    remarks = []
    if workspace and folder.is_relative_to(workspace):
        remarks.append(
            Remark(
                "The ledger is in the workspace. A checkout with `clean: true`, which is the default, deletes it; and "
                "with it what `stepcreds revoke` would end after a step was killed.",
                "Leave ledger.path out of stepcreds.yml (then it is $RUNNER_TEMP/stepcreds), or name a folder outside.",
                "ledger-place",
            )
        )
    if isinstance(settings.push, StoreURL) and not installed(settings.push):
        error = missing(settings.push)
        remarks.append(Remark(f"{error.what}. {error.cause}", error.fix, error.docs))
    return remarked("ledger", found, remarks)


def _write_and_remove(folder: Path) -> None:
    """A file as large as the records of many steps: a disk that is full, a quota and `ulimit -f` refuse that."""
    file = folder / f".doctor-{os.urandom(8).hex()}"
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode) or os.write(fd, bytes(PROBE_SIZE)) < PROBE_SIZE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - the one way out
            os.fsync(fd)
        finally:
            os.close(fd)
            file.unlink()
    except OSError as error:
        raise ledger_error(error, folder) from None
