"""The handful of calls that a step makes to Vault, each with the one status that is success; it keeps no order among
them.

https://developer.hashicorp.com/vault/api-docs (auth/jwt, system/leases, auth/token); OpenBao's are the same.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.model import Lease, Login
from stepcreds.secret import Secret
from stepcreds.vault import advice, lease_advice, refusals, values
from stepcreds.vault.answer import Answer
from stepcreds.vault.calls import Calls, full_jitter
from stepcreds.vault.signature import Signed, signed
from stepcreds.vault.transport import Transport
from stepcreds.vault.values import LeaseState, ServerStatus

PATIENCE = 30.0  # seconds for one call and its retries, where the settings do not say
READ_TIMEOUT = 15.0  # seconds
PROBE = "stepcreds-probe"  # the end of a lease id that no engine makes


class Vault:
    """One Vault or OpenBao, over one kept-alive connection, with one token.

    Safe to use from one thread of one process at a time: another thread, and a forked process, takes `fresh()`.
    Every call raises `VaultError` for what is not success, and takes at most `patience` seconds, retries included:
    by default what the settings say (VAULT_CLIENT_TIMEOUT).
    """

    def __init__(
        self,
        settings: VaultSettings,
        clock: Clock,
        *,
        step_uid: str = "",
        patience: float | None = None,
        pause: Callable[[int], float] = full_jitter,
    ) -> None:
        # Seconds that one call may take.
        self.patience = patience if patience is not None else settings.timeout or PATIENCE
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._token: Secret | None = None
        self._until = math.inf  # monotonic second
        self._step_uid = step_uid  # Vault's audit log then says which step asked; nothing is decided by it
        self._transport = Transport(settings, clock, step_uid=step_uid)
        self._calls = Calls(settings.addresses, self._transport, clock, pause=pause)

    def use(self, token: Secret) -> None:
        """Make the calls that follow with `token`."""
        self._token = token

    @property
    def has_token(self) -> bool:
        """Whether there is a token to make calls with, and to give back."""
        return self._token is not None

    def limit(self, seconds: float | None) -> None:
        """From now on all calls together may take `seconds`; None: each its own `patience` again."""
        self._until = math.inf if seconds is None else self._clock.monotonic() + seconds

    def fresh(self) -> Vault:
        """The same Vault with the same token and limits over a connection of its own."""
        other = Vault(self._settings, self._clock, step_uid=self._step_uid, patience=self.patience, pause=self._pause)
        other._token = self._token
        other._until = self._until
        other._transport.context = self._transport.context
        other._transport.index = self._transport.index
        other._calls.current = self._calls.current
        return other

    def close(self) -> None:
        """Close the connection. The token stays what it is at Vault."""
        self._transport.close()

    def status(self) -> ServerStatus:
        """Ask `sys/seal-status`, which every server answers to everybody, sealed or not, in every namespace."""
        path = "sys/seal-status"
        answer = self._call("GET", path, None, token=None)
        return values.server_status(answer, path)

    def login(self, role: str, jwt: Secret) -> Login:
        """Log in at `auth/<mount>/login`, and use the token from now on. A batch token is refused, because nothing can
        revoke it, and one of which the uses are counted: it may come to its last before it has revoked.

        What Vault says to a login is explained by `advice.explain_login`, which needs the claims.
        """
        mount = self._settings.mount
        path = f"auth/{mount}/login"
        answer = self._call("POST", path, {"role": role, "jwt": jwt.reveal()}, token=None)
        auth = values.expect(answer, "POST", path, 200).get("auth")
        if isinstance(auth, dict) and auth.get("mfa_requirement"):
            raise advice.mfa_required(role, mount)
        if isinstance(auth, dict) and auth.get("token_type") == "batch":
            raise advice.batch_token(role, mount)
        login = self._logged_in(answer, path)
        if isinstance(auth, dict) and auth.get("num_uses"):
            with suppress(VaultError):
                self.revoke_self()
            raise advice.counted_token(role, mount)
        return login

    def child_token(self, ttl: float) -> Login:
        """A token of our own below the one in use, which stays as it is; `ttl` in seconds. It is used from now on.

        https://developer.hashicorp.com/vault/api-docs/auth/token#create-token
        """
        path = "auth/token/create"
        answer = self._post(path, {"ttl": f"{math.ceil(ttl)}s", "display_name": "stepcreds", "type": "service"})
        if answer.status == 403 and not refusals.token_unknown(answer):
            raise lease_advice.cannot_create_child(refusals.refused(answer, "POST", path))
        return self._logged_in(answer, path)

    def probe_revocation(self, creds: str) -> None:
        """Make sure that this token may revoke what `creds` will issue, before it does.

        Vault answers 204 also for a lease that does not exist, and `capabilities-self` does not see the limits of
        `allowed_parameters`: only the attempt tells.
        """
        path = "sys/leases/revoke"
        answer = self._post(path, {"lease_id": f"{creds}/{PROBE}", "sync": True})
        if answer.status == 403 and not refusals.token_unknown(answer):
            raise lease_advice.cannot_revoke(refusals.refused(answer, "POST", path), creds)
        values.expect(answer, "POST", path, 204)

    def issue(self, creds: str) -> Lease:
        """Read `creds`, which makes a credential. `lease_id` is "" where the engine gives no lease.

        Raises `LostAnswerError` where a credential may exist whose answer did not arrive: the request is then never
        repeated on this token.
        """
        try:
            answer = self._call("GET", creds, None, token=self._token, read_timeout=self.patience, once=True)
        except LostAnswerError as error:
            raise lease_advice.explain_issue(error, creds) from None
        if 200 <= answer.status < 300:
            lease = values.lease(answer, self._clock.now())
            if lease is None:
                missing = "a credential that can be read"
                raise refusals.lost(refusals.not_understood(answer, "GET", creds, missing), creds)
            return lease
        failure = refusals.refused(answer, "GET", creds)
        # A proxy may answer with a page of its own after Vault has issued.
        if answer.status > 500 or (answer.status >= 400 and answer.body is None):
            raise refusals.lost(failure, creds)
        raise lease_advice.explain_issue(failure, creds)

    def renew_lease(self, lease_id: str, increment: float) -> float:
        """Ask for `increment` seconds from now, which may also shorten the lease; the seconds that it got."""
        path = "sys/leases/renew"
        answer = self._post(path, {"lease_id": lease_id, "increment": math.ceil(increment)})
        return values.seconds(values.expect(answer, "POST", path, 200).get("lease_duration"), answer, "POST", path)

    def renew_token(self, increment: float) -> float:
        """Ask for `increment` more seconds for the token; the seconds that it got."""
        path = "auth/token/renew-self"
        answer = self._post(path, {"increment": math.ceil(increment)})
        auth = values.expect(answer, "POST", path, 200).get("auth")
        duration = auth.get("lease_duration") if isinstance(auth, dict) else None
        return values.seconds(duration, answer, "POST", path)

    def revoke_lease(self, lease_id: str, *, timeout: float = 60.0) -> None:
        """Revoke the lease and wait until it is done, `timeout` seconds at most, whatever the patience; less only where
        the settings say so.

        A 204 is no proof: it is also the answer for a lease that never existed. Ask `lookup_lease`.
        """
        path = "sys/leases/revoke"
        timeout = min(timeout, self._settings.timeout or timeout)
        # A revocation may wait for its turn, and one that is asked for again waits from the start. But a server that
        # hangs is not to have all of the time where there are others.
        read_timeout = timeout / min(2, len(self._settings.addresses))
        answer = self._call(
            "POST",
            path,
            {"lease_id": lease_id, "sync": True},
            token=self._token,
            patience=timeout,
            read_timeout=read_timeout,
            ends=True,
        )
        if answer.status != 204:
            raise lease_advice.explain_revoke(refusals.refused(answer, "POST", path))

    def queue_revocation(self, lease_id: str) -> None:
        """Have Vault revoke the lease by itself, and go on trying where that fails; it answers before it begins.

        Written out, because OpenBao 2.7 takes a missing `sync` for true, whatever the documentation says:
        https://openbao.org/api-docs/system/leases/#revoke-lease
        """
        path = "sys/leases/revoke"
        answer = self._post(path, {"lease_id": lease_id, "sync": False}, ends=True)
        if answer.status != 202:
            raise refusals.refused(answer, "POST", path)

    def lookup_lease(self, lease_id: str) -> LeaseState:
        """Whether the lease exists, by a server that has what came before (see `Transport.exchange`).

        Every answer but these two is an error, and proves nothing.
        """
        path = "sys/leases/lookup"
        answer = self._call("POST", path, {"lease_id": lease_id}, token=self._token, consistent=True, ends=True)
        if answer.status == 400 and answer.errors == ("invalid lease",):
            return LeaseState("gone")
        return values.lease_state(answer, path, lease_id)

    def revoke_self(self) -> None:
        """Revoke the token of this client. Its leases end lazily: revoke them first."""
        path = "auth/token/revoke-self"
        answer = self._post(path, {}, ends=True)
        if answer.repeated and refusals.token_unknown(answer):
            return  # the request before this one did it, and its answer was lost
        values.expect(answer, "POST", path, 204)

    def revoke_accessor(self, accessor: str) -> Literal["revoked", "gone"]:
        """Revoke another token, and with it its leases; "gone" where there is no such token (any longer)."""
        path = "auth/token/revoke-accessor"
        answer = self._post(path, {"accessor": accessor}, ends=True)
        warnings = (answer.body or {}).get("warnings") or ()
        if answer.status == 200 and "No token found with this accessor" in warnings:
            return "gone"
        if answer.status in (400, 403) and "invalid accessor" in refusals.plain_errors(answer.errors):
            return "gone"
        values.expect(answer, "POST", path, 204)
        return "revoked"

    def sign(self, key: str, data: bytes) -> Signed:
        """Sign `data` with the newest version of the Transit key `key` ("<mount>/keys/<name>"), which is Ed25519.

        After `revoke_self` Vault signs nothing any more.
        """
        mount, _, name = key.rpartition("/keys/")
        path = f"{mount}/sign/{name}"
        answer = self._post(path, {"input": binascii.b2a_base64(data, newline=False).decode("ascii")}, ends=True)
        return signed(answer, path, key)

    def _logged_in(self, answer: Answer, path: str) -> Login:
        """The token in `answer`, in use from now on."""
        login = values.login(answer, path, self._clock.now())
        self._token = login.token
        return login

    def _post(self, path: str, payload: Mapping[str, Any], *, ends: bool = False) -> Answer:
        return self._call("POST", path, payload, token=self._token, ends=ends)

    def _call(
        self,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None,
        *,
        token: Secret | None,
        patience: float | None = None,
        read_timeout: float | None = None,
        once: bool = False,
        consistent: bool = False,
        ends: bool = False,
    ) -> Answer:
        patience = self.patience if patience is None else patience
        now = self._clock.monotonic()
        until = min(now + patience, self._until)
        if read_timeout is None:
            # Half of what there is, so that a server that hangs leaves time to ask again, or to ask another; but where
            # the settings say that answers take long, no sooner: a login that is repeated leaves a token to nobody.
            usual = max(READ_TIMEOUT, (self._settings.timeout or 0.0) / 2)
            read_timeout = min(usual, max(0.0, until - now) / 2)
        return self._calls.call(
            method,
            path,
            payload,
            token=token,
            until=until,
            read_timeout=read_timeout,
            once=once,
            consistent=consistent,
            ends=ends,
        )
