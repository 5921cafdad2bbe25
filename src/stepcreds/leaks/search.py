"""Which credential stands in which line of a text, in whatever form `redact` knows; it opens no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from stepcreds.model import Holding, Leak
from stepcreds.printable import printable
from stepcreds.redact import Redactor
from stepcreds.secret import Secret

# Shorter values are words such as `prod`, which stand in files for reasons of their own; a log may have holes there, a
# step must not fail for it.
SHORTEST = 8  # characters
MOST = 20  # lines of one file that are named, for each credential

# The frame of a PEM text is the same for everybody.
_FRAME = re.compile(rb"-----(BEGIN|END) [A-Z0-9 ]+-----")
_SETS = re.compile(rb"\s*(?:export\s+|declare -x\s+)?([A-Za-z_][A-Za-z0-9_.-]{0,63})(=|<<)(.*)", re.DOTALL)
_NAMED_UP_TO = 1 << 20  # bytes of a text whose variables are worth finding


class Search:
    """For the credentials of one step."""

    def __init__(self, holdings: Iterable[Holding]) -> None:
        self._wanted = [(holding, _redactor(holding.secrets)) for holding in holdings]
        self._any = (
            self._wanted[0][1]
            if len(self._wanted) == 1
            else _redactor(secret for holding, _ in self._wanted for secret in holding.secrets)
        )

    def occurs_in(self, text: bytes) -> bool:
        """Whether there is anything to find in `text`."""
        return self._any.suspicious(text)

    def without(self, text: bytes) -> bytes:
        """`text` with `***` for all that is to be found in it."""
        return self._any.redacted(text)

    def find(self, text: bytes, file: str, *, removed: bool) -> list[Leak]:
        """Each line of `text`, which stands in `file`, in which a credential begins."""
        found = [(holding, line) for holding, redactor in self._wanted for line in redactor.lines(text, MOST)]
        names = self._names(text, {line for _, line in found})
        return [
            Leak(holding.credential_uid, holding.profile, file, line, names.get(line, ""), removed)
            for holding, line in found
        ]

    def in_name(self, path: str) -> list[Leak]:
        """Whether the path of a file holds a credential itself."""
        text = os.fsencode(path)
        if not self.occurs_in(text):
            return []
        return [
            Leak(holding.credential_uid, holding.profile, self.shown(path), 0, "", removed=False)
            for holding, redactor in self._wanted
            if redactor.suspicious(text)
        ]

    def shown(self, path: str) -> str:
        """`path`, on one line, safe to print and without what is being looked for."""
        shown = os.fsdecode(self.without(os.fsencode(path)))
        return printable(shown.replace("\n", "\\n").replace("\t", "\\t"), 300)

    def _names(self, text: bytes, lines: set[int]) -> dict[int, str]:
        """The variables that `lines` of `text` set, as `NAME=value`, or as `NAME<<END` in a line before."""
        if not lines or len(text) > _NAMED_UP_TO:
            return {}
        names: dict[int, str] = {}
        inside, end = b"", b""  # the heredoc that the line belongs to, and the line that ends it
        for number, line in enumerate(text.split(b"\n")[: max(lines)], 1):
            name = inside
            if inside and line.rstrip(b"\r") == end:
                inside = b""
            elif not inside and (match := _SETS.match(line)):
                name = match[1]
                if match[2] == b"<<":
                    inside, end = name, match[3].rstrip(b"\r")
            if number in lines and name and not self.occurs_in(name):
                names[number] = name.decode("ascii")
        return names


def _redactor(secrets: Iterable[Secret]) -> Redactor:
    long = (secret for secret in secrets if len(secret.reveal().strip("\r\n")) >= SHORTEST)
    return Redactor(long, spared=_FRAME.fullmatch)
