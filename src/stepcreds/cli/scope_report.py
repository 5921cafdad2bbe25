"""Prints what `stepcreds scope` found, in the form that was asked for, and decides over its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stepcreds.cli.scope_table import Progress, print_json, table
from stepcreds.cli.scope_text import Page
from stepcreds.errors import StepcredsError
from stepcreds.printable import one_line
from stepcreds.survey.comparison import Changes, Earlier
from stepcreds.survey.document import document, failure
from stepcreds.survey.result import Survey


class Report:
    """Prints what was found, in the form that was asked for, and decides over the exit code."""

    def __init__(self, file: str, as_json: bool, several: bool) -> None:
        self.earlier: Earlier | None = None  # what `file` holds
        self.file = file
        self.as_json = as_json
        self.several = several
        self.progress: Progress | None = None

    def conclude(self, surveys: Sequence[Survey], complete: bool) -> int:
        if self.progress is not None:
            self.progress.clear()
        changes = [self.earlier.changes(survey) if self.earlier is not None else None for survey in surveys]
        try:
            self.write(surveys, changes)
        except OSError:  # what was issued is dead by now
            _give_up()
            return 1
        clean = all(survey.clean for survey in surveys) and all(each is None or each.is_clean for each in changes)
        return 0 if complete and clean else 1

    def refuse(self, error: StepcredsError) -> None:
        """Nobody could look at anything: whoever reads JSON is told so in JSON, beside the message."""
        if self.as_json:
            try:
                print_json(sys.stdout, failure(error))
            except OSError:
                _give_up()

    def write(self, surveys: Sequence[Survey], changes: Sequence[Changes | None]) -> None:
        if not self.as_json:
            self.print(surveys)
            return
        documents = [document(*pair) for pair in zip(surveys, changes, strict=True)]
        if self.several or documents:
            print_json(sys.stdout, documents if self.several else documents[0])

    def print(self, surveys: Sequence[Survey]) -> None:
        page = Page(sys.stdout)
        if self.several:
            table(page, surveys)
            for survey in surveys:
                page.remarks(survey, f"{one_line(survey.profile.name)}: ")
        for survey in surveys:
            if self.earlier is not None:
                self.compare(page, survey, self.earlier.changes(survey))
            elif not self.several:
                page.report(survey)

    def compare(self, page: Page, survey: Survey, changes: Changes) -> None:
        """Of several those alone of which there is something to tell."""
        if not self.several:
            page.changes(survey, changes, self.file)
        elif not changes.is_empty:
            page.line("")
            page.changes(survey, changes, self.file)
        elif survey.measured is not None:
            page.line(f"{one_line(survey.profile.name)}: nothing changed")


def _give_up() -> None:
    """Nobody reads it (any longer), or it cannot be written: let what is still in the buffer go nowhere."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
