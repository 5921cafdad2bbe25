"""The handful of calls that a step makes to Vault, each with the one status that is success; it keeps no order among
them.

https://developer.hashicorp.com/vault/api-docs (auth/jwt, system/leases, auth/token); OpenBao's are the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stepcreds.clock import Clock
from stepcreds.config.model import VaultSettings
from stepcreds.errors import LostAnswerError
from stepcreds.model import Lease, Login
from stepcreds.secret import Secret
from stepcreds.vault import advice, lease_advice, refusals
from stepcreds.vault.answer import Answer
from stepcreds.vault.calls import Calls, full_jitter
from stepcreds.vault.transport import Transport

if TYPE_CHECKING:
    from typing import TypeGuard

PATIENCE = 30.0  # seconds for one call and its retries, where the settings do not say
READ_TIMEOUT = 15.0  # seconds
PROBE = "stepcreds-probe"  # the end of a lease id that no engine makes


@dataclass(frozen=True)
class LeaseState:
    """What Vault says of a lease: `gone` is proof that no lease of this id exists."""

    state: Literal["gone", "alive"]
    detail: str = ""  # why it is still there, where Vault tries to revoke it and fails
    ttl: float = 0.0  # seconds until it expires

    @property
    def alive(self) -> bool:
        return self.state == "alive"


@dataclass(frozen=True)
class ServerStatus:
    """What a server says of itself to anybody."""

    version: str
    initialized: bool
    sealed: bool


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
        self._transport = Transport(settings, clock)
        self._calls = Calls(settings.addresses, self._transport, clock, pause=pause)

    def use(self, token: Secret) -> None:
        """Make the calls that follow with `token`."""
        self._token = token

    def limit(self, seconds: float | None) -> None:
        """From now on all calls together may take `seconds`; None: each its own `patience` again."""
        self._until = math.inf if seconds is None else self._clock.monotonic() + seconds

    def fresh(self) -> Vault:
        """The same Vault with the same token and limits over a connection of its own."""
        other = Vault(self._settings, self._clock, patience=self.patience, pause=self._pause)
        other._token = self._token
        other._until = self._until
        other._transport.context = self._transport.context
        other._calls.current = self._calls.current
        return other

    def close(self) -> None:
        """Close the connection. The token stays what it is at Vault."""
        self._transport.close()

    def status(self) -> ServerStatus:
        """Ask `sys/seal-status`, which every server answers to everybody, sealed or not, in every namespace."""
        path = "sys/seal-status"
        answer = self._call("GET", path, None, token=None)
        body = _expect(answer, "GET", path, 200)
        if "sealed" not in body:
            raise refusals.not_understood(answer, "GET", path, "the state of the seal")
        return ServerStatus(
            version=str(body.get("version") or ""),
            initialized=body.get("initialized") is True,
            sealed=body["sealed"] is not False,
        )

    def login(self, role: str, jwt: Secret) -> Login:
        """Log in at `auth/<mount>/login`, and use the token from now on. A batch token is refused: nothing can
        revoke it.

        What Vault says to a login is explained by `advice.explain_login`, which needs the claims.
        """
        mount = self._settings.mount
        path = f"auth/{mount}/login"
        answer = self._call("POST", path, {"role": role, "jwt": jwt.reveal()}, token=None)
        auth = _expect(answer, "POST", path, 200).get("auth")
        if isinstance(auth, dict) and auth.get("mfa_requirement"):
            raise advice.mfa_required(role, mount)
        if isinstance(auth, dict) and auth.get("token_type") == "batch":
            raise advice.batch_token(role, mount)
        return self._logged_in(answer, path)

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
        _expect(answer, "POST", path, 204)

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
            lease = _lease(answer, self._clock)
            if lease is None:
                missing = "a credential that can be read"
                raise refusals.lost(refusals.not_understood(answer, "GET", creds, missing), creds)
            return lease
        failure = refusals.refused(answer, "GET", creds)
        if answer.status > 500:
            raise refusals.lost(failure, creds)
        raise lease_advice.explain_issue(failure, creds)

    def renew_lease(self, lease_id: str, increment: float) -> float:
        """Ask for `increment` seconds from now, which may also shorten the lease; the seconds that it got."""
        path = "sys/leases/renew"
        answer = self._post(path, {"lease_id": lease_id, "increment": math.ceil(increment)})
        return _seconds(_expect(answer, "POST", path, 200).get("lease_duration"), answer, "POST", path)

    def renew_token(self, increment: float) -> float:
        """Ask for `increment` more seconds for the token; the seconds that it got."""
        path = "auth/token/renew-self"
        answer = self._post(path, {"increment": math.ceil(increment)})
        auth = _expect(answer, "POST", path, 200).get("auth")
        duration = auth.get("lease_duration") if isinstance(auth, dict) else None
        return _seconds(duration, answer, "POST", path)

    def revoke_lease(self, lease_id: str, *, timeout: float = 60.0) -> None:
        """Revoke the lease and wait until it is done, `timeout` seconds at most, whatever the patience; less only where
        the settings say so.

        A 204 is no proof: it is also the answer for a lease that never existed. Ask `lookup_lease`.
        """
        path = "sys/leases/revoke"
        timeout = min(timeout, self._settings.timeout or timeout)
        answer = self._call(
            "POST",
            path,
            {"lease_id": lease_id, "sync": True},
            token=self._token,
            patience=timeout,
            read_timeout=timeout,
        )
        if answer.status != 204:
            raise lease_advice.explain_revoke(refusals.refused(answer, "POST", path))

    def queue_revocation(self, lease_id: str) -> None:
        """Have Vault revoke the lease by itself, and go on trying where that fails; it answers before it begins.

        Written out, because OpenBao 2.7 takes a missing `sync` for true, whatever the documentation says:
        https://openbao.org/api-docs/system/leases/#revoke-lease
        """
        path = "sys/leases/revoke"
        answer = self._post(path, {"lease_id": lease_id, "sync": False})
        if answer.status != 202:
            raise refusals.refused(answer, "POST", path)

    def lookup_lease(self, lease_id: str) -> LeaseState:
        """Whether the lease exists. Every answer but these two is an error, and proves nothing."""
        path = "sys/leases/lookup"
        answer = self._post(path, {"lease_id": lease_id})
        if answer.status == 400 and answer.errors == ("invalid lease",):
            return LeaseState("gone")
        data = _expect(answer, "POST", path, 200).get("data")
        if not isinstance(data, dict) or data.get("id") != lease_id:
            raise refusals.not_understood(answer, "POST", path, "the lease that was asked for")
        failed = refusals.said((str(data.get("revoke_error") or ""),))
        ttl = data.get("ttl")
        return LeaseState(
            "alive",
            f"Vault tried to revoke it and failed: {failed}" if failed else "Vault still has the lease",
            float(ttl) if isinstance(ttl, (int, float)) else 0.0,
        )

    def revoke_self(self) -> None:
        """Revoke the token of this client. Its leases end lazily: revoke them first."""
        path = "auth/token/revoke-self"
        answer = self._post(path, {})
        if answer.repeated and refusals.token_unknown(answer):
            return  # the request before this one did it, and its answer was lost
        _expect(answer, "POST", path, 204)

    def revoke_accessor(self, accessor: str) -> Literal["revoked", "gone"]:
        """Revoke another token, and with it its leases; "gone" where there is no such token (any longer)."""
        path = "auth/token/revoke-accessor"
        answer = self._post(path, {"accessor": accessor})
        warnings = (answer.body or {}).get("warnings") or ()
        if answer.status == 200 and "No token found with this accessor" in warnings:
            return "gone"
        if answer.status in (400, 403) and "invalid accessor" in refusals.plain_errors(answer.errors):
            return "gone"
        _expect(answer, "POST", path, 204)
        return "revoked"

    def _logged_in(self, answer: Answer, path: str) -> Login:
        """The token in `answer`, in use from now on."""
        body = _expect(answer, "POST", path, 200)
        auth = body.get("auth")
        if not isinstance(auth, dict):
            raise refusals.not_understood(answer, "POST", path, "a token")
        token, accessor = auth.get("client_token"), auth.get("accessor")
        # An accessor is what a later `stepcreds revoke` ends the token by: without one it could not be cleaned up.
        if not (_is_header(token) and _is_header(accessor)):
            raise refusals.not_understood(answer, "POST", path, "a token with its accessor")
        policies = auth.get("policies")
        self._token = Secret(token)
        return Login(
            token=self._token,
            accessor=accessor,
            policies=tuple(str(policy) for policy in policies) if isinstance(policies, list) else (),
            entity_id=str(auth.get("entity_id") or ""),
            ttl=_seconds(auth.get("lease_duration"), answer, "POST", path),
            renewable=auth.get("renewable") is True,
            request_id=str(body.get("request_id") or ""),
            time=self._clock.now(),
        )

    def _post(self, path: str, payload: Mapping[str, Any]) -> Answer:
        return self._call("POST", path, payload, token=self._token)

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
    ) -> Answer:
        patience = self.patience if patience is None else patience
        now = self._clock.monotonic()
        until = min(now + patience, self._until)
        if read_timeout is None:
            # Half of what there is, so that a server that hangs leaves time to ask again, or to ask another.
            read_timeout = min(READ_TIMEOUT, max(0.0, until - now) / 2)
        return self._calls.call(method, path, payload, token=token, until=until, read_timeout=read_timeout, once=once)


def _expect(answer: Answer, method: str, path: str, status: int) -> Mapping[str, Any]:
    if answer.status != status or (answer.body is None and status != 204):
        raise refusals.refused(answer, method, path)
    return answer.body or {}


def _seconds(value: object, answer: Answer, method: str, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise refusals.not_understood(answer, method, path, "a duration in seconds")
    return float(value)


def _is_header(value: object) -> TypeGuard[str]:
    """Whether `value` is a text that can stand in an HTTP header."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip() != ""


def _lease(answer: Answer, clock: Clock) -> Lease | None:
    body = answer.body or {}
    data, lease_id, duration = body.get("data"), body.get("lease_id"), body.get("lease_duration")
    if not isinstance(data, dict) or not isinstance(lease_id, str) or isinstance(duration, bool):
        return None
    if not isinstance(duration, (int, float)) or not 0 <= duration < math.inf:
        return None
    return Lease(
        lease_id=lease_id,
        # Engines without leases (kv) send a duration all the same: it is advice, nothing ends after it.
        duration=float(duration) if lease_id else 0.0,
        renewable=body.get("renewable") is True,
        fields=_flat(data),
        request_id=str(body.get("request_id") or ""),
        time=clock.now(),
    )


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Secret]:
    """The leaves of `data`, nested names joined by dots: strings as they are, everything else as compact JSON."""
    fields: dict[str, Secret] = {}
    for name, value in data.items():
        if isinstance(value, dict) and value:
            fields |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            fields[prefix + name] = Secret(value)
        else:
            fields[prefix + name] = Secret(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    return fields
