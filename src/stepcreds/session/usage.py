"""What of its power a command used, where its database counts that: asked while the user lives, told when dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcreds.measurement import Used
from stepcreds.session.step import Credential

if TYPE_CHECKING:
    from stepcreds.databases.interface import Session
    from stepcreds.scope.postgresql.statistics import Base, Counted


class Usage:
    """The two questions about one credential. Neither raises: what cannot be asked, or understood, is not measured."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._before: Base | None = None
        self._counted: Counted | None = None

    def begin(self, session: Session) -> None:
        """Before the command, where there is a session to ask in."""
        from stepcreds.scope.postgresql.statistics import base

        try:
            self._before = base(session)
        except Exception:  # noqa: BLE001 - it is worth no step
            self._before = None

    def end(self, session: Session) -> None:
        """After it, in the session that locked the user: the credential is alive, so nothing is worked out here."""
        from stepcreds.scope.postgresql.statistics import ask

        try:
            self._counted = ask(session, self._before, self._credential.holding.issue_time)
        except Exception:  # noqa: BLE001 - it must not keep the revocation from coming
            self._counted = None

    def told(self) -> Used | None:
        """What came of it; None: not measured."""
        if self._counted is None:
            return None
        from stepcreds import scope
        from stepcreds.scope.postgresql.used import told

        try:
            return told(self._counted, self._credential.holding.username, scope.named(self._credential.profile))
        except Exception:  # noqa: BLE001 - it must not keep the end from being recorded
            return None
