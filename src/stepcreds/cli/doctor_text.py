"""What `stepcreds doctor` prints: a line for each link, and under it what to change, if anything; or all as JSON."""

from __future__ import annotations

from typing import TextIO

from stepcreds.cli.messages import render_error
from stepcreds.doctor.link import Link
from stepcreds.errors import ConfigError, StepcredsError
from stepcreds.printable import json_text, printable
from stepcreds.vault.jwt_role import Row

_GREEN, _RED, _YELLOW, _DIM, _BOLD, _PLAIN = "\x1b[32m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_MARKS = {
    "ok": ("✓", "ok", _GREEN),
    "warning": ("!", "warn", _YELLOW),
    "failed": ("✗", "FAILED", _RED),
    "skipped": ("\u2013", "-", _DIM),
}
_HEAD = Row("setting", "the role wants", "this job has", "ok")


class TextReport:
    """`doctor.link.Report` for people."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._plain = not _can_write(stream, "✓✗\u2013")
        self._broken = self._warnings = 0
        self._skipped: list[str] = []  # names of links

    def profile(self, name: str) -> None:
        self._write(self._coloured(f"\nprofile {name}", _BOLD))

    def link(self, link: Link) -> None:
        self._broken += link.status == "failed"
        self._warnings += link.status == "warning"
        if link.status == "skipped":
            self._skipped.append(link.name)
        mark, word, colour = _MARKS[link.status]
        shown = self._coloured(f"{word:<6}" if self._plain else mark, colour)
        self._write(f"{shown} {link.name:<10}  {printable(link.found)}")
        if link.rows:
            self._table(link.rows)
        if link.error is not None:
            # The first line is the link's own.
            self._write("\n".join(render_error(link.error, self._colour).split("\n")[1:]))

    def cut_short(self, error: StepcredsError) -> None:
        self._broken += 1  # what it says stands on stderr

    def finish(self) -> bool:
        warnings = f"{self._warnings} warning{'' if self._warnings == 1 else 's'}" if self._warnings else ""
        found = ", ".join(filter(None, (f"{self._broken} broken" if self._broken else "", warnings)))
        self._write("\n" + (f"{found}: see above." if found else self._sound()))
        return True

    def _sound(self) -> str:
        if not self._skipped:
            return "Every link holds."
        count = f"{len(self._skipped)} {'was' if len(self._skipped) == 1 else 'were'} not"
        return f"Every link that was looked at holds; {count} ({', '.join(dict.fromkeys(self._skipped))})."

    def _table(self, rows: tuple[Row, ...]) -> None:
        widths = [max(len(printable(row[column])) for row in (_HEAD, *rows)) for column in range(3)]
        for row in (_HEAD, *rows):
            cells = "  ".join(printable(cell).ljust(width) for cell, width in zip(row[:3], widths, strict=True))
            verdict = "" if row is _HEAD else row.verdict
            colour = {"differs": _RED, "missing": _RED}.get(row.verdict, _DIM)
            self._write(f"    {cells}  {self._coloured(verdict, colour) if verdict else ''}".rstrip())

    def _coloured(self, text: str, code: str) -> str:
        return f"{code}{text}{_PLAIN}" if self._colour else text

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text + "\n")
            self._stream.flush()  # the process that writes does not end as others do


class JsonReport:
    """`doctor.link.Report` for programs: one object, at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._links: list[dict[str, object]] = []
        self._profile: str | None = None
        self._cut_short = ""  # why not every link was looked at

    def profile(self, name: str) -> None:
        self._profile = name

    def link(self, link: Link) -> None:
        error = link.error
        self._links.append(
            {
                "profile": self._profile,
                "link": link.name,
                "status": link.status,
                "found": link.found,
                "cause": error.cause if error is not None else "",
                "fix": error.fix if error is not None else "",
                "docs": error.docs if error is not None else "",
                "rows": [row._asdict() for row in link.rows],
                **({"problems": _problems(error)} if isinstance(error, ConfigError) else {}),
            }
        )

    def cut_short(self, error: StepcredsError) -> None:
        self._cut_short = error.what

    def finish(self) -> bool:
        self._stream.write(json_text(self.document()) + "\n")
        self._stream.flush()
        return True

    def document(self) -> dict[str, object]:
        """All of it; `findings` counts what is broken and what is warned of."""
        failed, warnings, skipped = (
            sum(link["status"] == status for link in self._links) for status in ("failed", "warning", "skipped")
        )
        broken = failed + bool(self._cut_short)
        told = {"findings": broken + warnings, "broken": broken, "warnings": warnings, "skipped": skipped}
        return {**told, "cut_short": self._cut_short, "links": self._links}


def _problems(error: ConfigError) -> list[dict[str, str]]:
    return [{"where": p.where, "key": p.key, "what": p.what, "fix": p.fix} for p in error.problems]


def _can_write(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
