"""The link "sessions": whether Vault's revocation alone ends a session that is open, as it must after a SIGKILL."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from stepcreds.clock import Clock
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.databases.stream import Deadline
from stepcreds.doctor.link import Link, NotLookedAtError, remarked
from stepcreds.doctor.statements import sessions_stay
from stepcreds.errors import StepcredsError
from stepcreds.model import Holding
from stepcreds.secret import Secret

OPENING = 5.0  # seconds: the revocation waits for it
LIFE = 100.0  # seconds: a revocation may take 60, and its proof some more
LOOKS, PAUSE = 10, 0.1  # the server ends a session a moment after it was told to


class OpenSession:
    """A session of the issued user, opened when the lock is over and nobody but Vault will end it.

    It asks who it is and does nothing else.
    """

    def __init__(self, profile: Profile, holding: Holding, clock: Clock) -> None:
        self.profile = profile
        self.username = holding.username
        self.locked = holding.lock_password
        self.clock = clock
        self.session: Any = None
        self.failure = "the lock comes first, and did not hold"
        self.works_as = ""  # the role that statements of this user run as, where that is another

    def open(self, password: Secret) -> None:
        """Only where the lock held: the revocation waits for it. Raises nothing, in the middle of an ending."""
        url = self.profile.database
        if url is None or password != self.locked:
            return
        try:
            if url.engine == "postgresql":
                self._open_postgresql(url, password)
            else:
                self._open_mysql(url, password)
        except StepcredsError as error:
            self.failure = error.what
            # One that has ended by itself would look like one that the revocation ended.
            self.close()
            self.session = None

    def _open_postgresql(self, url: DatabaseURL, password: Secret) -> None:
        from stepcreds.databases.wire import connect

        deadline = _Longer(self.clock, OPENING)
        self.session = connect(url, self.username, password, deadline)
        ((working, own),) = self.session.query("SELECT current_user, session_user")
        self.works_as = working if working != own else ""
        deadline.prolong(LIFE)

    def _open_mysql(self, url: DatabaseURL, password: Secret) -> None:
        from stepcreds.databases.mysql_session import open_session

        self.session = open_session(url, self.username, password, Deadline(self.clock, OPENING))
        self.session.prolong(Deadline(self.clock, LIFE))
        self.session.query("SELECT 1")

    def judge(self, said: str) -> Link:
        """After the revocation; `said` is the fix of the link "statements". Raises `NotLookedAtError` where there was
        no session.
        """
        if self.session is None:
            raise NotLookedAtError(f"no second session could be opened: {self.failure}")
        if not self.is_open():
            return Link("sessions", "ok", "revocation alone ended a session that was open")
        found = "a session that was open outlived the revocation"
        remark = sessions_stay(self.profile, self.works_as)
        if remark.fix in said:
            remark = remark._replace(fix="The command of `statements`, above.")
        return remarked("sessions", found, [remark])

    def is_open(self) -> bool:
        """Nothing is asked that needs the user to be there: a session of a role that is gone cannot say whose it is."""
        try:
            for _ in range(LOOKS):
                self.session.query("SELECT 1")
                self.clock.sleep(PAUSE)
        except StepcredsError:
            return False
        return True

    def close(self) -> None:
        if self.session is not None:
            with suppress(StepcredsError):
                self.session.close()


class _Longer(Deadline):
    """A deadline that is put off."""

    def prolong(self, seconds: float) -> None:
        self._at = self._clock.monotonic() + seconds
