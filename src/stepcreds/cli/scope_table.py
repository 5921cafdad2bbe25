"""What `stepcreds scope` prints beside reports in words: a line for each profile, JSON, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from tabulate import tabulate

from stepcreds.cli.scope_text import LONGEST, NARROWEST, Page
from stepcreds.printable import json_text, one_line
from stepcreds.scope.judgement import declared
from stepcreds.survey.result import Survey

HEAD = ("PROFILE", "DECLARED", "MEASURED", "VERDICT", "DIGEST", "WORST")
CELL = 100  # characters of the worst thing, where no terminal says how wide it is
_GAP = 2  # columns between two of them


def table(page: Page, surveys: Sequence[Survey]) -> None:
    """A line for each credential; below it why one could not be measured."""
    rows = [_row(survey) for survey in surveys]
    before = len(HEAD) - 1
    widths = [max(len(row[column]) + _GAP for row in (HEAD, *rows)) for column in range(before)]
    room = max(NARROWEST, page.width - sum(widths)) if page.width else CELL
    cut = [(*row[:before], row[before] if len(row[before]) <= room else f"{row[before][: room - 1]}…") for row in rows]
    lines = tabulate([HEAD, *cut], tablefmt="plain", disable_numparse=True).splitlines()
    for survey, line in zip((None, *surveys), lines, strict=True):
        page.verdict_line(line.rstrip(), survey)
    for survey in surveys:
        page.error(survey)


def print_json(stream: TextIO, value: object) -> None:
    """`value` in a form that no terminal and no CI's log reader takes for anything but text."""
    stream.write(json_text(value) + "\n")
    stream.flush()


class Progress:
    """Which profile is being looked at, on a terminal only: each takes about half a second."""

    def __init__(self, stream: TextIO | None, count: int) -> None:
        self._stream = stream if stream is not None and stream.isatty() and count > 1 else None
        self._count = count
        self._number = 0

    def next(self, name: str) -> None:
        self._number += 1
        self._write(f"\r\x1b[K{self._number}/{self._count} {one_line(name, 60)}")

    def clear(self) -> None:
        self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


def _row(survey: Survey) -> tuple[str, ...]:
    measured = survey.measured
    verdict: str = survey.verdict
    if survey.ended is not None and not survey.ended.proven:
        verdict += ", not proven dead"
    return (
        one_line(survey.profile.name, 60),
        one_line(declared(survey.profile), 60) if survey.profile.access else "-",
        survey.level or "-",
        verdict,
        measured.digest[:12] if measured is not None else "-",
        one_line(survey.worst_words, LONGEST) or "-",
    )
