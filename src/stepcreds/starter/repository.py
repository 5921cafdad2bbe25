"""What there is to see in a repository: names of files, and the text of small ones; it runs nothing, not even git."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

_DEPTH = 5  # folders deep; a monorepo's services/api/db/migrations is in there
_FILES = 20_000
_BYTES = 256 * 1024
# What others wrote, and what was built.
_ELSEWHERE = frozenset(
    {
        ".git",
        ".venv",
        "venv",
        "node_modules",
        "vendor",
        "target",
        "dist",
        "build",
        "__pycache__",
        ".tox",
        "site-packages",
    }
)


# A folder that a line of a pipeline can name, whatever reads it; others are passed over.
_NAMED = re.compile(r"(?![-~])[\w ._/+@=,-]*(?<! )")


class Repository(NamedTuple):
    """A folder and the regular files in it, by path from there with slashes, nearest to the root first."""

    root: Path
    files: tuple[str, ...]
    branch: str  # the default one, as far as the clone says; else "main"
    host: str  # of the remote "origin", in lower case; "" if there is none
    here: str = ""  # the folder that was asked for, by path from `root`

    def first(self, *patterns: str) -> str:
        """The first file that one of `patterns` fits, "" if none does. A pattern without a slash fits in any folder."""
        for pattern in patterns:
            for file in self.files:
                if fnmatchcase(file, pattern) or ("/" not in pattern and fnmatchcase(file.rpartition("/")[2], pattern)):
                    return file
        return ""

    def places(self, *patterns: str) -> list[tuple[str, str]]:
        """Where files are that end like one of `patterns`: the folder above what the pattern names, and the first file.

        One place for each folder: those in and below `here` first, then by pattern, then nearest to the root.
        """
        found: list[tuple[bool, int, str, str]] = []
        for file in self.files:
            fit = next((rank for rank, pattern in enumerate(patterns) if _ends_like(file, pattern)), None)
            if fit is not None:
                folder = "/".join(file.split("/")[: -1 - patterns[fit].count("/")])
                away = bool(self.here) and not f"{folder}/".startswith(f"{self.here}/")
                found.append((away, fit, folder, file))
        places: dict[str, str] = {}
        for _, _, folder, file in sorted(found, key=lambda one: one[:2]):
            if _NAMED.fullmatch(folder):
                places.setdefault(folder, file)
        return list(places.items())

    def text(self, file: str) -> str:
        """The first 256 KiB of `file`; "" where it cannot be read."""
        try:
            with (self.root / file).open("rb") as opened:
                return opened.read(_BYTES).decode(errors="replace")
        except OSError:
            return ""


def _ends_like(file: str, pattern: str) -> bool:
    count = pattern.count("/")
    tail = file.split("/")[-1 - count :]
    return len(tail) == count + 1 and fnmatchcase("/".join(tail), pattern)


def survey(folder: Path) -> Repository:
    """The repository that `folder` (absolute) is in: the nearest folder with a `.git`, or else `folder` itself."""
    root = next((above for above in (folder, *folder.parents) if os.path.lexists(above / ".git")), folder)
    git = _git_folder(root)
    branch = re.fullmatch(r"ref: refs/remotes/origin/(\S+)\s*", _text(git / "refs/remotes/origin/HEAD"))
    remote = re.search(r'^\[remote "origin"\]\n(?:[ \t].*\n)*?[ \t]*url = (.*)$', _text(git / "config"), re.MULTILINE)
    named = branch[1] if branch and re.fullmatch(r"[A-Za-z0-9._/-]+", branch[1]) else "main"
    here = folder.relative_to(root).as_posix()
    return Repository(root, tuple(_files(root)), named, _host(remote[1]) if remote else "", "" if here == "." else here)


def _files(root: Path) -> list[str]:
    found: list[str] = []
    level = [""]
    for _ in range(_DEPTH):
        below: list[str] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    below += [path] if entry.name not in _ELSEWHERE else []
                elif entry.is_file(follow_symlinks=False):
                    found.append(path)
        if len(found) > _FILES:
            break
        level = below
    return found[:_FILES]


def _git_folder(root: Path) -> Path:
    """Where git keeps what all work trees share: gitrepository-layout(5), "gitfile" and "commondir".

    `.git` is a file in a work tree of `git worktree` and in a submodule.
    """
    link = re.fullmatch(r"gitdir: (.+)\n?", _text(root / ".git"))
    if link is None:
        return root / ".git"
    own = root / link[1]
    return own / (_text(own / "commondir").rstrip("\n") or ".")


def _text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_BYTES)
    except (OSError, ValueError):
        return ""


def _host(url: str) -> str:
    """`url` is git's: https://host/…, ssh://user@host:port/…, or user@host:path (git-clone(1), "GIT URLS")."""
    match = re.match(r"(?:[a-z+]+://)?(?:[^@/\s]*@)?([A-Za-z0-9.-]+)", url)
    return match[1].lower() if match else ""
