"""Keeps leases and tokens alive while the command runs, at half of what is left; it never ends anything.

When to renew is reckoned by the monotonic clock: the machine's own may jump, and Vault counts seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from stepcreds.clock import Clock, rfc3339
from stepcreds.errors import StepcredsError, VaultError
from stepcreds.model import TOKEN_MARGIN
from stepcreds.session.step import Credential, Keeper, Voice

PATIENCE = 10.0  # seconds, for one renewal
SHORTEST_PAUSE = 1.0  # seconds, while Vault does not answer
FINAL = (400, 403, 404)


class Renewal:
    """One thread for all credentials of the step, each on the connection it was issued on.

    A lease dies with the token that made it, so both are renewed: the TTL of a profile can be a minute or two, and a
    runner that vanishes takes its credential with it. Use as a context manager around the command.
    """

    def __init__(self, credentials: Sequence[Credential], *, keeper: Keeper, clock: Clock, voice: Voice) -> None:
        self._credentials = {c.holding.credential_uid: c for c in credentials}
        now, moment = clock.now(), clock.monotonic()
        # Credential -> monotonic second of its end, which is never further away than the profile says.
        self._ends = {
            uid: moment + min(c.profile.ttl, c.holding.expire_time - now)
            for uid, c in self._credentials.items()
            if c.holding.lease_id
        }
        self._due = set(self._ends)
        self._warned: set[str] = set()
        self._keeper = keeper
        self._clock = clock
        self._voice = voice
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def __enter__(self) -> Renewal:
        """Raises `StepcredsError` where the machine has no thread left to give."""
        try:
            if self._due:
                self._thread.start()
        except RuntimeError:
            raise StepcredsError(
                "the credential could not be renewed while the command runs: no thread can be started",
                cause="the user or the container may not have more processes, or has no memory left",
                fix="Look at `ulimit -u`, `ulimit -v` and the container's limits. What was issued is ended.",
                docs="worker-not-started",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def settled(self) -> list[Credential]:
        """The credentials with their last known ends; while a renewal hangs, with a connection of their own."""
        if self._thread.is_alive():
            self._thread.join(timeout=0.5)
        credentials = list(self._credentials.values())
        return [c._replace(vault=c.vault.fresh()) for c in credentials] if self._thread.is_alive() else credentials

    def _run(self) -> None:
        while self._due and not self._stop.wait(self._pause()):
            for uid in sorted(self._due):
                if not self._stop.is_set():
                    self._renew(uid)

    def _pause(self) -> float:
        soonest = min(self._ends[uid] for uid in self._due)
        return max(SHORTEST_PAUSE, (soonest - self._clock.monotonic()) / 2)

    def _renew(self, uid: str) -> None:
        credential = self._credentials[uid]
        vault, ttl = credential.vault, credential.profile.ttl
        vault.limit(PATIENCE)  # until the ending sets its own
        asked, moment = self._clock.now(), self._clock.monotonic()
        try:
            duration = vault.renew_lease(credential.holding.lease_id, ttl)
            duration = min(duration, vault.renew_token(ttl + TOKEN_MARGIN))
        except VaultError as error:
            if not self._stop.is_set():
                self._failed(uid, error)
            return
        if self._stop.is_set():  # it is being ended, and may be dead: nobody is to hold it again
            return
        self._warned.discard(uid)
        credential = credential.until(asked + duration)
        self._ends[uid] = moment + duration
        self._credentials[uid] = credential
        self._keeper.hold(credential.holding)
        if duration < ttl / 2:
            self._due.discard(uid)
            self._warn(credential, "Vault's max_ttl is reached: it cannot be renewed again")

    def _failed(self, uid: str, error: VaultError) -> None:
        credential = self._credentials[uid]
        final = error.status in FINAL
        if final or self._ends[uid] < self._clock.monotonic():
            self._due.discard(uid)
        if final or uid not in self._warned:
            self._warned.add(uid)
            self._warn(credential, f"not renewed: {error.what}" + ("" if final else "; trying on"))

    def _warn(self, credential: Credential, text: str) -> None:
        end = rfc3339(credential.holding.expire_time)
        self._voice.warn(f"{credential.profile.name}: {text}. The credential ends at {end}, the command may outlive it")
