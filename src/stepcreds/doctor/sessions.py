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
from stepcreds.secret import Secret

OPENING = 5.0  # seconds: the revocation waits for it
LIFE = 100.0  # seconds: a revocation may take 60, and its proof some more
LOOKS, PAUSE = 10, 0.1  # the server ends a session a moment after it was told to


class OpenSession:
    """A session of the issued user, opened when the lock is over and nobody but Vault will end it.

    It asks who it is and does nothing else.
    """

    def __init__(self, profile: Profile, username: str, clock: Clock) -> None:
        self.profile = profile
        self.username = username
        self.clock = clock
        self.session: Any = None
        self.failure = "nothing was revoked"
        self.works_as = ""  # the role that statements of this user run as, where that is another

    def open(self, password: Secret) -> None:
        """Raises nothing: it is called in the middle of an ending, which goes before."""
        url = self.profile.database
        if url is None or not password:
            return
        try:
            deadline = _Longer(self.clock, OPENING if url.engine == "postgresql" else LIFE)
            self.session = _connect(url, self.username, password, deadline)
            if url.engine == "postgresql":
                ((working, own),) = self.session.query("SELECT current_user, session_user")
                self.works_as = working if working != own else ""
            deadline.prolong(LIFE)
        except StepcredsError as error:
            self.failure = error.what

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
    """A deadline that is put off. PyMySQL's is a timer that was set at the start, and cannot be."""

    def prolong(self, seconds: float) -> None:
        self._at = self._clock.monotonic() + seconds


def _connect(url: DatabaseURL, username: str, password: Secret, deadline: Deadline) -> Any:
    if url.engine == "postgresql":
        from stepcreds.databases.wire import connect

        return connect(url, username, password, deadline)
    from stepcreds.databases.mysql_session import open_session

    return open_session(url, username, password, deadline)
