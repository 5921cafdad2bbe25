"""`stepcreds doctor --bundle`: where the support file goes, and that it is written whatever was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TextIO

from stepcreds.cli.doctor_text import JsonReport
from stepcreds.cli.messages import coloured, render_error
from stepcreds.clock import Clock, rfc3339
from stepcreds.doctor.bundle import CONTENTS
from stepcreds.doctor.link import Link, Report
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.printable import one_line

ENDINGS = (".tar.gz", ".tgz")


def bundle_path(given: Path, clock: Clock) -> Path:
    """The file that `--bundle GIVEN` means: itself, or a new one in that folder. Raises `UsageError`."""
    if os.path.isdir(given):  # noqa: PTH112 - False also for a name that no file can have
        time = rfc3339(clock.now())[:19].replace("-", "").replace(":", "")
        given = given / f"stepcreds-doctor-{time}Z.tar.gz"
    shown = one_line(str(given))
    if not given.name.endswith(ENDINGS):
        raise UsageError(
            f"--bundle {shown}: that is neither a folder nor the name of a .tar.gz",
            cause="Without a value --bundle has to stand last; else it takes the next word for its own.",
            fix="For example: stepcreds doctor PROFILE --bundle, or --bundle support.tar.gz",
            docs="bundle",
        )
    if os.path.lexists(given):
        raise UsageError(
            f"--bundle {shown}: it is there already, and nothing is overwritten",
            fix="Name another file, or a folder: a file in it gets the time in its name.",
            docs="bundle",
        )
    folder = one_line(str(given.parent))
    if not os.path.isdir(given.parent):  # noqa: PTH112 - as above
        fix = f"Make it, or name a file elsewhere:\n  mkdir -p {quote(folder)}"
        raise UsageError(f"--bundle {shown}: there is no folder {folder}", fix=fix, docs="bundle")
    if not os.access(given.parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"--bundle {shown}: no file can be made in that folder",
            cause="This user may not write there, or its file system is mounted read-only.",
            fix="Name a file in another folder: --bundle FILE.tar.gz",
            docs="bundle",
        )
    return given


class BundlingReport:
    """Another `Report`, and a support file when there are no more links."""

    def __init__(self, shown: Report, path: Path, make: Callable[[str, object], bytes], says: TextIO) -> None:
        """`make` makes the archive of its name and what was found; `says` is where the file is told of."""
        self._shown = shown
        self._path = path
        self._make = make
        self._says = says
        self._kept = shown if isinstance(shown, JsonReport) else JsonReport(says)

    def profile(self, name: str) -> None:
        for report in self._reports():
            report.profile(name)

    def link(self, link: Link) -> None:
        for report in self._reports():
            report.link(link)

    def cut_short(self, error: StepcredsError) -> None:
        for report in self._reports():
            report.cut_short(error)

    def finish(self) -> bool:
        told = self._shown.finish()
        name = self._path.name.removesuffix(ENDINGS[0]).removesuffix(ENDINGS[1])
        try:
            _write(self._path, self._make(name, self._kept.document()))
        except OSError as error:
            failure = StepcredsError(
                f"The bundle {one_line(str(self._path))} was not written: {error.strerror}",
                fix="Name a file in another folder: --bundle FILE.tar.gz",
                docs="bundle",
            )
            sys.stderr.write(render_error(failure, coloured(sys.stderr)) + "\n")
            sys.stderr.flush()
            return False
        self._says.write(f"\nBundle: {one_line(str(self._path))}\n")
        self._says.writelines(f"  {file:<19} {text}\n" for file, text in CONTENTS.items())
        self._says.write(
            "Known secrets, and what looks like one, were replaced by ***. It does tell who and where: look through it "
            "before you pass it on.\n"
        )
        self._says.flush()
        return told

    def _reports(self) -> tuple[Report, ...]:
        return (self._shown,) if self._shown is self._kept else (self._shown, self._kept)


def _write(path: Path, content: bytes) -> None:
    """A new file, 0600. Raises OSError; there is no file then."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123
            file.write(content)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
