"""What `stepcreds scope` prints: the verdict first, then the worst of it, then each finding; or a table, or JSON."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from tabulate import tabulate

from stepcreds.cli.messages import coloured, render_error
from stepcreds.databases.stream import place
from stepcreds.measurement import LEVELS, Finding
from stepcreds.printable import one_line, printable
from stepcreds.scope.judgement import DECLARED, declared
from stepcreds.survey.comparison import Changes
from stepcreds.survey.result import Survey

MOST = 40  # findings of one standing; --json has all
LONGEST = 2000  # characters of one line
CELL = 100  # of the worst thing, in a table that is not on a terminal
NARROWEST = 40  # columns
_INDENT = " " * 8

_GREEN, _YELLOW, _RED, _BOLD, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"excess": _RED, "allowed": _YELLOW, "within": _GREEN, "unmeasurable": _RED}


class Page:
    """Text for a stream: wrapped and coloured where that is a terminal. Every text is made printable here."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = coloured(stream)
        self._width = _columns(stream)

    def report(self, survey: Survey) -> None:
        """All that was found about one credential."""
        self.verdict(survey)
        if survey.measured is not None:
            self._wrapped(f"The worst this credential can do: {one_line(survey.worst_words, LONGEST)}.", colour=_BOLD)
            self._findings("", survey.measured.findings)
        if survey.token is not None:
            policies = ", ".join(map(one_line, survey.token.policies)) or "none"
            title = f"Its Vault token (policies: {policies}):"
            self._findings(title, survey.token.findings, is_whole=not survey.token.not_examined)
        self._listed("Not examined:", _unseen(survey))
        self._listed("Notes:", survey.measured.notes if survey.measured is not None else ())
        self.end(survey)

    def changes(self, survey: Survey, changes: Changes, file: str) -> None:
        """What changed since the report in `file`."""
        self.verdict(survey)
        if changes.since is None:
            self._wrapped(f"{one_line(file)} has no measurement of {survey.profile.name}: all of it is new.")
        else:
            self._wrapped(f"Compared with {one_line(file)} of {one_line(changes.since)}:")
        for finding in changes.new[:MOST]:
            self._finding(finding, f"+ {finding.level}")
        self._more(len(changes.new))
        for change in changes.changed[:MOST]:
            self._finding(change.finding, f"~ {change.finding.level}", was=_was(change.was, change.finding))
        self._more(len(changes.changed))
        for gone in changes.gone[:MOST]:
            name, what = one_line(str(gone["name"])), one_line(str(gone["what"]), LONGEST)
            self._wrapped(f"  - {gone['level']}  {name}", len(_INDENT), _DIM)
            self._wrapped(f"{_INDENT}it can no longer {what}", len(_INDENT))
        self._more(len(changes.gone))
        if survey.measured is not None and not (changes.new or changes.changed or changes.gone):
            self._line("  nothing changed")
        self.end(survey)

    def table(self, surveys: Sequence[Survey]) -> None:
        """A line for each credential."""
        head = ("PROFILE", "DECLARED", "MEASURED", "VERDICT", "DIGEST", "WORST")
        rows = [_row(survey) for survey in surveys]
        widest = [max(len(row[column]) for row in (head, *rows)) for column in range(5)]
        room = max(NARROWEST, self._width - sum(widest) - 2 * 5) if self._width else CELL
        cells = [(*row[:5], row[5] if len(row[5]) <= room else row[5][: room - 1] + "…") for row in rows]
        lines = tabulate([head, *cells], tablefmt="plain", disable_numparse=True).splitlines()
        for survey, line in zip((None, *surveys), lines, strict=True):
            colour = _DIM if survey is None else "" if survey.clean else _RED
            self._line(line, colour)
        for survey in surveys:
            if survey.error is not None:
                self._write(render_error(survey.error, self._colour))

    def verdict(self, survey: Survey) -> None:
        profile, measured = survey.profile, survey.measured
        about = [verdict_words(survey)]
        if measured is not None and profile.database is not None:
            url = profile.database
            about.append(f"{one_line(measured.server)} at {place(url.host, url.port)}/{one_line(url.database)}")
            about.append(f"user {one_line(survey.user)}")
            about.append(f"{measured.seconds * 1000:.0f} ms")
        said = printable(f"stepcreds scope: {one_line(profile.name)}: {about[0]}", LONGEST)
        more = "".join(f", {each}" for each in about[1:])
        self._write(f"{_COLOURS[survey.verdict]}{said}{_PLAIN}{more}" if self._colour else f"{said}{more}")
        if survey.error is not None:
            self._write("\n".join(render_error(survey.error, self._colour).split("\n")[1:]))

    def end(self, survey: Survey) -> None:
        """The digest, and how the credential ended."""
        if survey.measured is not None:
            self._line(f"Digest: {survey.measured.digest}", _DIM)
        if survey.ended is not None:
            ended = survey.ended
            how = f" ({ended.method})" if ended.proven else f" ({one_line(ended.detail)})" if ended.detail else ""
            self._line(f"The credential is {ended.verdict}{how}.", _GREEN if ended.proven else _RED)
        elif survey.measured is not None:
            self._line("The credential is as it was: nothing was revoked.", _DIM)

    def blank(self) -> None:
        self._write("")

    def _findings(self, title: str, findings: Sequence[Finding], *, is_whole: bool = True) -> None:
        if title:
            self._wrapped(title)
            if not findings:
                self._line("  nothing beside its job" if is_whole else "  nothing that could be seen: see below")
        for standing in ("excess", "allowed", "within"):
            of_it = [finding for finding in findings if finding.standing == standing]
            for finding in of_it[:MOST]:
                self._finding(finding, finding.level)
            self._more(len(of_it), f" {standing}")

    def _finding(self, finding: Finding, mark: str, was: str = "") -> None:
        colour = _COLOURS[finding.standing] if finding.level != "info" else _DIM
        standing = "" if finding.standing == "within" else f"  {finding.standing.upper()}"
        self._wrapped(f"  {mark}  {one_line(finding.name)}{standing}", len(_INDENT), colour)
        where = f" (database {one_line(finding.database)})" if finding.database else ""
        self._wrapped(f"{_INDENT}it can {one_line(finding.what, LONGEST)}{_examples(finding)}{where}", len(_INDENT))
        if finding.via:
            self._wrapped(f"{_INDENT}via {one_line(finding.via, LONGEST)}", len(_INDENT))
        if finding.because and finding.standing != "within":
            self._wrapped(f"{_INDENT}because: {one_line(finding.because, LONGEST)}", len(_INDENT))
        if was:
            self._wrapped(f"{_INDENT}was: {was}", len(_INDENT))
        if finding.standing == "excess" and finding.fix:
            for number, line in enumerate(finding.fix.splitlines()):
                self._wrapped(f"{_INDENT}{'     ' if number else 'fix: '}{one_line(line, LONGEST)}", len(_INDENT) + 5)

    def _more(self, count: int, what: str = "") -> None:
        if count > MOST:
            self._line(f"  … and {count - MOST:,} more{what}: --json has all")

    def _listed(self, title: str, texts: Iterable[str]) -> None:
        lines = list(texts)
        if not lines:
            return
        self._line(title)
        for text in lines[:MOST]:
            self._wrapped(f"  - {one_line(text, LONGEST)}", 4)
        self._more(len(lines))

    def _wrapped(self, text: str, indent: int = 2, colour: str = "") -> None:
        """`text`, whose further lines are indented, on a terminal; elsewhere one line, for grep."""
        lines = [text]
        if self._width and len(text) > self._width:
            lines = textwrap.wrap(
                text,
                self._width,
                subsequent_indent=" " * indent,
                break_long_words=False,
                break_on_hyphens=False,
                drop_whitespace=True,
                replace_whitespace=False,
            )
        for line in lines:
            self._line(line, colour)

    def _line(self, text: str, colour: str = "") -> None:
        safe = printable(text, LONGEST * 2)
        self._write(f"{colour}{safe}{_PLAIN}" if self._colour and colour else safe)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()  # the process that writes does not end as others do


def verdict_words(survey: Survey) -> str:
    """The verdict in one line: what was declared, and what it really is."""
    profile = survey.profile
    if survey.verdict == "unmeasurable":
        reason = getattr(survey.error, "reason", "") or (survey.error.what if survey.error is not None else "")
        return f"UNMEASURABLE: {one_line(reason)}"
    if survey.verdict == "within":
        return f"WITHIN {one_line(declared(profile))}"
    level = survey.level or "unknown"
    higher = profile.access is None or level not in LEVELS or _over(level, DECLARED[profile.access])
    return f"EXCESS: declared {one_line(declared(profile))}, effective {level}" + ("" if higher else " beyond that")


def print_json(stream: TextIO, value: object) -> None:
    """`value` in a form that no terminal and no CI's log takes for anything but text."""
    # GitHub's runner looks for "##[" anywhere in a line; a '#' only ever stands inside of a JSON string.
    stream.write(json.dumps(value, indent=2).replace("##", "#\\u0023") + "\n")
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


def _over(level: str, declared_level: str) -> bool:
    levels: list[str] = list(LEVELS)
    return levels.index(level) > levels.index(declared_level)


def _row(survey: Survey) -> tuple[str, ...]:
    measured = survey.measured
    verdict: str = survey.verdict
    if survey.ended is not None and not survey.ended.proven:
        verdict += ", not proven dead"
    return (
        one_line(survey.profile.name),
        one_line(declared(survey.profile), 60) if survey.profile.access else "-",
        survey.level or "-",
        verdict,
        measured.digest[:12] if measured is not None else "-",
        one_line(survey.worst_words, LONGEST) or "-",
    )


def _unseen(survey: Survey) -> tuple[str, ...]:
    measured = survey.measured.not_examined if survey.measured is not None else ()
    return (*measured, *(f"Vault: {text}" for text in (survey.token.not_examined if survey.token is not None else ())))


def _examples(finding: Finding) -> str:
    if not finding.objects:
        return ""
    shown = ", ".join(one_line(name, 80) for name in finding.objects[:3])
    more = finding.number - min(3, len(finding.objects))
    return f": {shown}" + (f" and {more:,} more" if more > 0 else "")


def _was(was: Mapping[str, object], finding: Finding) -> str:
    pairs = (("level", finding.level), ("standing", finding.standing), ("via", finding.via), ("count", finding.number))
    return ", ".join(f"{key} {one_line(str(was[key])) or 'nothing'}" for key, now in pairs if was[key] != now)


def _columns(stream: TextIO) -> int:
    """The width of the terminal that `stream` is; 0 where it is none."""
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns) if stream.isatty() else 0
    except (OSError, ValueError):
        return 0
