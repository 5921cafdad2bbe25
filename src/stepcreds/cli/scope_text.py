"""What `stepcreds scope` says of one credential: the verdict first, then the worst of it, then each finding."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from stepcreds.cli import scope_words as words
from stepcreds.cli.messages import coloured, render_error
from stepcreds.databases.stream import place
from stepcreds.measurement import Finding
from stepcreds.printable import one_line, printable
from stepcreds.scope.allowances import entry_of
from stepcreds.survey.comparison import Changes
from stepcreds.survey.result import Survey

MOST = 40  # findings of one standing; --json has all
LONGEST = 2000  # characters of one text
NARROWEST = 40  # columns
_DEEP = " " * 9

_GREEN, _YELLOW, _RED, _BOLD, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"excess": _RED, "allowed": _YELLOW, "within": "", "unmeasurable": _RED}


class Page:
    """Text for a stream: wrapped and coloured where that is a terminal. Every text is made printable here."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = coloured(stream)
        self.width = _columns(stream)

    def report(self, survey: Survey) -> None:
        """All that was found about one credential."""
        self._verdict(survey)
        if survey.measured is not None:
            self._wrapped(f"The worst this credential can do: {one_line(survey.worst_words, LONGEST)}.", colour=_BOLD)
            self.line("")
            self._findings(survey, survey.measured.findings)
        if survey.token is not None:
            policies = ", ".join(map(one_line, survey.token.policies)) or "none"
            self.line("")
            self._wrapped(f"Its Vault token (policies: {policies}):")
            if not survey.token.findings:
                seen = survey.token.examined
                self.line("  nothing beside its job" if seen else "  nothing could be seen of it: see below")
            self._findings(survey, survey.token.findings)
        self._accept(survey)
        self._listed("Not examined:", words.unseen(survey))
        self._listed("Notes:", survey.measured.notes if survey.measured is not None else ())
        self._end(survey)

    def changes(self, survey: Survey, changes: Changes, file: str) -> None:
        """What changed since the report in `file`."""
        self._verdict(survey)
        if changes.since is None:
            self._wrapped(f"{one_line(file)} has no measurement of {one_line(survey.profile.name)}: all of it is new.")
        else:
            self._wrapped(f"Compared with {one_line(file)} of {one_line(changes.since)}:")
        for finding in changes.new[:MOST]:
            self._finding(survey, finding, "+")
        self._more(len(changes.new))
        for change in changes.changed[:MOST]:
            self._finding(survey, change.finding, "~", was=words.before(change.was, change.finding))
        self._more(len(changes.changed))
        for gone in changes.gone[:MOST]:
            name, what = one_line(str(gone["name"]), LONGEST), one_line(str(gone["what"]), LONGEST)
            self._wrapped(f"- {one_line(str(gone['level'])):<5}  {name}  it can no longer {what}", 9, _DIM)
        self._more(len(changes.gone))
        if survey.measured is not None and changes.is_empty:
            self.line("  nothing changed")
        self.remarks(survey)
        self._end(survey)

    def remarks(self, survey: Survey, before: str = "") -> None:
        """What is to be done about the profile's `allow`."""
        for text in survey.remarks:
            self._wrapped(f"{before}{one_line(text, LONGEST)}", colour=_YELLOW)

    def line(self, text: str, colour: str = "") -> None:
        """One line, whatever is in it."""
        safe = printable(text, 2 * LONGEST)
        self._write(f"{colour}{safe}{_PLAIN}" if self._colour and colour else safe)

    def verdict_line(self, text: str, survey: Survey | None) -> None:
        """A line of a table, in the colour of the verdict."""
        self.line(text, _DIM if survey is None else "" if survey.clean else _RED)

    def error(self, survey: Survey) -> None:
        """Why it could not be measured, in full."""
        if survey.error is not None:
            self._write(render_error(survey.error, self._colour))

    def _verdict(self, survey: Survey) -> None:
        profile, measured, colour = survey.profile, survey.measured, _COLOURS[survey.verdict] or _GREEN
        said = printable(f"stepcreds scope: {one_line(profile.name)}: {words.verdict(survey)}", LONGEST)
        about = []
        if measured is not None and profile.database is not None:
            url = profile.database
            about.append(f"{one_line(measured.server)} at {place(url.host, url.port)}/{one_line(url.database)}")
            about.append(f"user {one_line(survey.user)}")
            about.append(f"{measured.seconds * 1000:.0f} ms")
        more = "".join(f", {each}" for each in about)
        self._write(f"{colour}{said}{_PLAIN}{more}" if self._colour else f"{said}{more}")
        if survey.error is not None:
            for line in render_error(survey.error, self._colour).split("\n")[1:]:
                self._write(line)

    def _end(self, survey: Survey) -> None:
        """The digest, and how the credential ended."""
        if survey.measured is not None or survey.ended is not None:
            self.line("")
        if survey.measured is not None:
            self.line(f"Digest: {survey.measured.digest}", _DIM)
        if survey.ended is not None:
            ended = survey.ended
            how = f" ({ended.method})" if ended.proven else f" ({one_line(ended.detail)})" if ended.detail else ""
            self._wrapped(f"The credential is {ended.verdict}{how}.", colour=_GREEN if ended.proven else _RED)
        elif survey.measured is not None:
            self.line("The credential is as it was: nothing was revoked.", _DIM)

    def _findings(self, survey: Survey, findings: Sequence[Finding]) -> None:
        for standing in ("excess", "allowed", "within"):
            of_it = [finding for finding in findings if finding.standing == standing]
            for finding in of_it[:MOST]:
                self._finding(survey, finding, " ")
            self._more(len(of_it), f" {standing}")

    def _finding(self, survey: Survey, finding: Finding, mark: str, was: str = "") -> None:
        """One line for what is as it should be; for the rest also why it is not, and what to change."""
        colour = _COLOURS[finding.standing] or (_DIM if finding.level == "info" else "")
        what = one_line(finding.what, LONGEST) + words.examples(finding)
        url = survey.profile.database
        if finding.database and (url is None or finding.database != url.database):
            what += f" (database {one_line(finding.database)})"
        if finding.via:
            what += f", via {one_line(finding.via, LONGEST)}"
        head = f"{mark} {finding.level:<5}  "
        if finding.standing == "within":
            self._wrapped(f"{head}{one_line(finding.name, LONGEST)}  it can {what}", len(_DEEP), colour)
        else:
            self._wrapped(f"{head}{one_line(finding.name, LONGEST)}  {finding.standing.upper()}", len(_DEEP), colour)
            self._wrapped(f"{_DEEP}it can {what}", len(_DEEP))
            self._wrapped(f"{_DEEP}because: {one_line(finding.because, LONGEST)}", len(_DEEP))
        if was:
            self._wrapped(f"{_DEEP}was: {was}", len(_DEEP))
        for number, line in enumerate(finding.fix.splitlines() if finding.standing == "excess" else ()):
            self._wrapped(f"{_DEEP}{'     ' if number else 'fix: '}{one_line(line, LONGEST)}", len(_DEEP) + 5)

    def _accept(self, survey: Survey) -> None:
        """How one of the findings could be accepted, and what is to be done about those that were."""
        excess = [finding for finding in survey.findings if finding.standing == "excess"]
        if excess and survey.profile.creds:
            self.line("")
            self._wrapped(f"To accept one of them for a while, under profiles.{one_line(survey.profile.name)}.allow:")
            self.line(f"  - {entry_of(excess[0])}")
        if survey.remarks:
            self.line("")
            self.remarks(survey)

    def _more(self, count: int, what: str = "") -> None:
        if count > MOST:
            self.line(f"  … and {count - MOST:,} more{what}: --json has all")

    def _listed(self, title: str, texts: Iterable[str]) -> None:
        lines = list(texts)
        if not lines:
            return
        self.line("")
        self.line(title)
        for text in lines[:MOST]:
            self._wrapped(f"  - {one_line(text, LONGEST)}", 4)
        self._more(len(lines))

    def _wrapped(self, text: str, indent: int = 2, colour: str = "") -> None:
        """`text`, on a terminal with its further lines indented; elsewhere as one line, for grep."""
        lines = [text]
        if self.width and len(text) > self.width:
            further = " " * indent
            lines = textwrap.wrap(
                text, self.width, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
            )
        for line in lines:
            self.line(line, colour)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()  # the process that writes does not end as others do


def _columns(stream: TextIO) -> int:
    """The width of the terminal that `stream` is; 0 where it is none."""
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns) if stream.isatty() else 0
    except (OSError, ValueError):
        return 0
