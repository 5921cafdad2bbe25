"""Looks after what a command left of its credential where it outlives the step; it decides no exit code.

What the CI's runner is about to read is cleaned as soon as the command has ended. What only lies there is looked for
once the credentials are dead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepcreds.errors import LedgerError, StepcredsError
from stepcreds.ledger import credential as record
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.record import Event
from stepcreds.model import Holding, Leak
from stepcreds.process.cancel import Cancellation
from stepcreds.session import leak_words as words
from stepcreds.session.step import Surroundings

if TYPE_CHECKING:
    from stepcreds.leaks.search import Search


class Guard:
    """Made before the command starts: it remembers where the files lie, which the command may replace.

    `late`: it could not be, and a file that is a link now counts as replaced.
    """

    def __init__(self, around: Surroundings, *, late: bool = False) -> None:
        self._around = around
        self._late = late
        ci, environment = around.ci, around.environment
        real = _without_its_link if late else os.path.realpath
        self._files = {name: (path, real(path)) for name, path in ci.runner_files(environment).items()}
        self._folders = tuple(os.path.realpath(path) for path in ci.folders(environment))
        self._home = environment.get("HOME", "")
        self._search: Search | None = None
        self.leaks: list[Leak] = []
        self._told: list[Leak] = []  # of these what the ledger has

    def clean(self, holdings: Sequence[Holding]) -> bool:
        """Take the credentials out of the files that the runner reads; whether there was nothing wrong with them."""
        restored = self._restore()
        if not self._files:
            return restored
        from stepcreds.leaks.runner_files import RunnerFile, clean

        files = [RunnerFile(name, path, real) for name, (path, real) in self._files.items()]
        cleaned = clean(files, self._search_for(holdings))
        self.leaks += cleaned.leaks
        if cleaned.leaks:
            self._around.voice.fail(words.handed_on(cleaned.leaks))
        for misplaced in cleaned.misplaced:
            self._around.voice.fail(words.misplaced(misplaced))
        return restored and not (cleaned.leaks or cleaned.misplaced)

    def _restore(self) -> bool:
        """Have the runner remember of this step what this step says; whether that can be done."""
        notebook = self._around.notebook
        try:
            if notebook is not None and notebook.restore() and not self._late:
                self._around.voice.warn(words.STATE_CHANGED)
        except StepcredsError as error:
            self._around.voice.fail(error)
            return False
        return True

    def look(self, holdings: Sequence[Holding], since: float, cancellation: Cancellation) -> None:
        """Warn of the files that changed after `since` and hold a credential; whoever cancels a step does not wait."""
        if cancellation.signal:
            return
        from stepcreds.leaks.changed_files import Places, look

        around = self._around
        spared = {os.path.realpath(around.config.ledger.path), *(real for _, real in self._files.values())}
        places = Places(self._folders, os.path.realpath(self._home) if self._home else "", frozenset(spared))
        search = self._search_for(holdings)
        seen = look(places, search, since, clock=around.clock, is_cancelled=lambda: cancellation.signal)
        self.leaks += seen.leaks
        if seen.leaks:
            around.voice.warn(words.left_behind(seen.leaks))
        if text := words.incomplete(seen):
            around.voice.say(text)

    def events(self, credential_uid: str | None = None) -> list[Event]:
        """Where each credential was found that was, for the ledger, each place once; `credential_uid`: that one's."""
        fresh = [leak for leak in self.leaks if credential_uid in (None, leak.credential_uid)]
        fresh = [leak for leak in fresh if leak not in self._told]
        self._told += fresh
        return [
            record.leaked(self._around.step_uid, uid, profile, [leak for leak in fresh if leak.credential_uid == uid])
            for uid, profile in dict.fromkeys((leak.credential_uid, leak.profile) for leak in fresh)
        ]

    def record(self, journal: Journal, credential_uid: str | None = None) -> None:
        """Put on record what is not yet: what was found when its credential had ended."""
        for event in self.events(credential_uid):
            try:
                journal.append(event)
            except LedgerError as error:  # noqa: PERF203 - each by itself
                self._around.voice.fail(error)

    def _search_for(self, holdings: Sequence[Holding]) -> Search:
        if self._search is None:
            from stepcreds.leaks.search import Search

            self._search = Search(holdings)
        return self._search


def _without_its_link(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
