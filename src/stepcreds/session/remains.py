"""What the command of a DDL credential left in the database: looked for while the user lives, told when it is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stepcreds.errors import DatabaseError
from stepcreds.ledger import credential as record
from stepcreds.ledger.record import Event
from stepcreds.measurement import Change, Measured
from stepcreds.secret import Secret
from stepcreds.session.step import Credential, Surroundings
from stepcreds.session.usage import Usage

if TYPE_CHECKING:
    from stepcreds.scope.left_behind import State

TIMEOUT = 10.0  # seconds, for one look
# Of a step that was cancelled: what is left of its time is for the revocation and the proof.
TIMEOUT_CANCELLED = 1.0
SHOWN = 8  # notable changes in the log


class Left(NamedTuple):
    """What was found about one credential's command."""

    credential_uid: str
    profile: str
    changes: tuple[Change, ...]
    reason: str = ""  # why nobody knows; "" where both looks were taken


class Remains:
    """The two looks at the database of each DDL credential that a step holds."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._before: dict[str, State] = {}
        self._usages: dict[str, Usage] = {}
        self.found: list[Left] = []

    def remember(self, credential: Credential) -> None:
        """Before the command: what is there already."""
        profile, holding = credential.profile, credential.holding
        if profile.access != "ddl" or not isinstance(credential.grant.measurement, Measured):
            return
        usage = self.usage(credential)
        from stepcreds.scope.looks import first_look

        try:
            self._before[holding.credential_uid] = first_look(
                profile,
                holding.username,
                holding.password,
                self._around.clock,
                timeout=TIMEOUT,
                last=usage.begin if usage is not None else None,
            )
        except DatabaseError as error:
            self._unknown(credential, error.what)

    def usage(self, credential: Credential) -> Usage | None:
        """What is to be asked of its database about what it did with it; None where none is asked."""
        url = credential.profile.database
        if url is None or url.engine != "postgresql":
            return None
        return self._usages.setdefault(credential.holding.credential_uid, Usage(credential))

    def compare(self, credential: Credential, password: Secret, *, cancelled: bool) -> None:
        """When the command is over and its user locked, so that nothing can follow: what is there now."""
        profile, holding = credential.profile, credential.holding
        before = self._before.pop(holding.credential_uid, None)
        if before is None:
            return
        from stepcreds.scope.looks import second_look

        timeout = TIMEOUT_CANCELLED if cancelled else TIMEOUT
        try:
            changes = second_look(profile, holding.username, password, before, self._around.clock, timeout=timeout)
        except DatabaseError as error:
            self._unknown(credential, error.what)
        except Exception as error:  # noqa: BLE001 - a report that fails must not keep the revocation from coming
            self._unknown(credential, f"a defect of stepcreds ({type(error).__name__})")
        else:
            self.found.append(Left(holding.credential_uid, profile.name, changes))

    def missed(self, credential: Credential, reason: str) -> None:
        """After the end: where nothing was compared, though it was to be, that is to be on record too."""
        if self._before.pop(credential.holding.credential_uid, None) is not None:
            self._unknown(credential, reason)

    def events(self, credential_uid: str) -> list[Event]:
        """What the ledger is to say of it."""
        return [
            record.left(self._around.step_uid, left.credential_uid, left.profile, left.changes, left.reason)
            for left in self.found
            if left.credential_uid == credential_uid
        ]

    def tell(self) -> None:
        """Once the credentials are dead: in the log."""
        for left in self.found:
            self._say(left)

    def _unknown(self, credential: Credential, reason: str) -> None:
        self.found.append(Left(credential.holding.credential_uid, credential.profile.name, (), reason))

    def _say(self, left: Left) -> None:
        voice = self._around.voice
        if left.reason:
            voice.warn(f"{left.profile}: what the command left in the database is not known: {left.reason}")
        notable = [change for change in left.changes if change.notable]
        for change in notable[:SHOWN]:
            voice.say(f"{left.profile}: left in the database: {change.what}")
        further = len(left.changes) - min(len(notable), SHOWN)
        if further:
            voice.say(f"{left.profile}: left in the database: {further} kinds of other changes, in the ledger")
