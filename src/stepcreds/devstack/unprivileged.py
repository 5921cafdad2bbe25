"""What a server that must not run as root runs as, and where that user finds its files. It starts nothing."""

from __future__ import annotations

import pwd
import shutil
import tempfile
from pathlib import Path

from stepcreds.errors import UnsupportedError


def nobody() -> tuple[int, int]:
    """The ids of the user and the group `nobody`. Raises `UnsupportedError` where there is no such user."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise UnsupportedError(
            "PostgreSQL refuses to run as root, and this machine has no user `nobody` to run it as.",
            fix="Run as another user than root.",
            docs="demo-servers",
        ) from None
    return entry.pw_uid, entry.pw_gid


def passable(path: Path) -> bool:
    """Whether a user who owns nothing here, and is in nobody's group, gets as far as `path`."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def reachable_temporary_folder(owner: tuple[int, int] | None) -> Path | None:
    """A temporary folder that `owner` can get into; None where the system's own will do."""
    system = Path(tempfile.gettempdir()).resolve()
    if owner is None or passable(system):
        return None
    return next((path for path in (Path("/tmp"), Path("/var/tmp")) if path.is_dir() and passable(path)), None)  # noqa: S108 - private_folder makes its own below


def copy_programs(programs: Path, folder: Path) -> Path:
    """The programs in `folder`, with the shared libraries beside their package that they look for by relative path."""
    package = programs.parent
    target = folder / "programs"
    shutil.copytree(programs, target / package.name / programs.name, ignore=shutil.ignore_patterns("include"))
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        mode = path.stat().st_mode  # installed with a umask of 077, not even the files are for others
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)
    return target / package.name / programs.name
