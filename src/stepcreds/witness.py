"""Witnesses: fresh, narrow credentials that can say of a server whether a dead user is still there.

The proof for a credential whose password is lost. A witness is a credential like any other: on record, held by both
halves of the pair, ended and proven dead.
"""

from __future__ import annotations

from collections.abc import Callable

from stepcreds.config.engines import ENGINES_BY_NAME
from stepcreds.databases import engine_for
from stepcreds.databases.interface import Sighting
from stepcreds.errors import StepcredsError
from stepcreds.ledger.credential import server_of
from stepcreds.measurement import NotMeasured
from stepcreds.session import words
from stepcreds.session.acquire import acquire
from stepcreds.session.finish import finish
from stepcreds.session.step import Credential, Step

TIMEOUT = 10.0  # seconds
NEVER_HANDED_OVER = NotMeasured("it is a witness, and handed to nobody")
# The witness is to see, not to do: the narrowest profile on the same server is asked first.
NARROWEST_FIRST = ("read-only", "read-write", "ddl")


def can_testify(server: str) -> bool:
    """Whether a user of `server` (`postgresql://host:port`) can see that another is gone."""
    engine = ENGINES_BY_NAME.get(server.partition(":")[0])
    return engine is not None and engine.proves_death_by_login


class Witnesses:
    """One for each server, made when it is first asked."""

    def __init__(self, step: Callable[[], Step]) -> None:
        self._step = step
        self._witnesses: dict[str, Credential] = {}

    def look_for(self, dead_user: str, server: str) -> Sighting:
        """Whether anything of `dead_user` is left on `server`."""
        try:
            witness = self._on(server)
        except StepcredsError as error:
            return Sighting("unknown", f"no witness could be had: {error.what}")
        holding, url = witness.holding, witness.profile.database
        engine = engine_for(url, self._step().around.clock)
        assert engine is not None and url is not None  # noqa: S101, PT018 - such a server was chosen
        return engine.absent(url, holding.username, holding.password, dead_user=dead_user, timeout=TIMEOUT)

    def dismiss(self) -> bool:
        """End them all; whether each is proven dead and on record."""
        ended = True
        for witness in self._witnesses.values():
            ending = finish(self._step(), witness.profile, witness.vault, witness.holding, None)
            ended &= ending.recorded and ending.proof.proven
            if not ending.proof.proven:
                self._step().around.voice.fail(words.unproven(witness.holding, ending))
        return ended

    def _on(self, server: str) -> Credential:
        if server not in self._witnesses:
            self._witnesses[server] = self._acquire(server)
        return self._witnesses[server]

    def _acquire(self, server: str) -> Credential:
        """Of the profiles that this job may log in as: its identity may not be good for the narrowest one."""
        profiles = self._step().around.config.profiles.values()
        there = [each for each in profiles if each.database is not None and server_of(each.database) == server]
        failure = StepcredsError(f"no profile of this configuration is on {server}")
        for profile in sorted(there, key=lambda each: NARROWEST_FIRST.index(each.access or "ddl")):
            try:
                return acquire(self._step(), profile, unmeasured=NEVER_HANDED_OVER)
            except StepcredsError as error:
                failure = error  # the next one may do
        raise failure
