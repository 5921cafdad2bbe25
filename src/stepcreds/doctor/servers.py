"""The links "vault" and "clock": each address of Vault, its certificate, what time it is there; it sends no token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from stepcreds import __version__
from stepcreds.clock import Clock, rfc3339
from stepcreds.config.duration import in_words
from stepcreds.config.model import VaultSettings
from stepcreds.connection import Connection
from stepcreds.doctor.certificate import end_of, soon
from stepcreds.doctor.link import Link, NotLookedAtError, Remark, remarked
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.request_error import RequestError
from stepcreds.vault.client import Vault
from stepcreds.vault.failure import without_password
from stepcreds.vault.tls import client_context
from stepcreds.vault.transport import BODY_LIMIT

PATIENCE = 10.0  # seconds for one call: somebody waits for the answer
# Seconds between two clocks that are no finding: answers take time, and a Date has whole seconds.
SKEW = 5.0


class Seen(NamedTuple):
    """One server that answered."""

    address: str
    text: str
    ahead: float | None  # seconds that its clock is ahead of this machine's; None: it does not say what time it is
    remark: Remark | None  # of its certificate


def servers(settings: VaultSettings, clock: Clock) -> tuple[list[Seen], Link]:
    """One server that answers is enough; a member of the list that does not is remarked upon.

    Raises `VaultError` where none answers.
    """
    found: list[Seen] = []
    failures: list[VaultError] = []
    for address in settings.addresses:
        try:
            found.append(_server(settings._replace(addresses=(address,)), address, clock))
        except VaultError as error:  # noqa: PERF203 - each server is asked
            failures.append(error)
    if not found:
        raise failures[0]
    remarks = [seen.remark for seen in found if seen.remark is not None]
    remarks += [
        Remark(
            f"{error.what}. A step goes on to the next address; when that fails too, nothing can be revoked.",
            error.fix or "Bring it up again, or take it out of vault.address.",
            error.docs,
        )
        for error in failures
    ]
    text = "; ".join([*(seen.text for seen in found), *(error.what for error in failures)])
    return found, remarked("vault", text, remarks)


def _server(settings: VaultSettings, address: str, clock: Clock) -> Seen:
    vault = Vault(settings, clock, patience=min(settings.timeout or PATIENCE, PATIENCE))
    try:
        status = vault.status()
    finally:
        vault.close()
    if status.sealed or not status.initialized:
        raise VaultError(
            f"Vault at {address} is sealed" if status.initialized else f"Vault at {address} was never set up",
            cause="The server was started and not unsealed, or somebody sealed it." if status.initialized else "",
            fix=f"An operator must do it:\n  bao operator {'unseal' if status.initialized else 'init'}",
            docs="vault-sealed",
        )
    ahead, end = _clock_and_certificate(settings, address, clock)
    if not address.startswith("https://"):
        secured = "without TLS"
    elif settings.skip_verify:
        secured = "TLS, its certificate not verified (VAULT_SKIP_VERIFY)"
    else:
        secured = f"TLS, its certificate signed by {settings.ca_cert or 'a CA of the system'}"
    proxy = settings.proxies.get(address)
    through = f", through the proxy {without_password(proxy)}" if proxy else ""
    text = f"{address}: version {one_line(status.version, 40)}, {secured}{through}"
    return Seen(address, text, ahead, soon(f"Vault at {address}", end, clock))


def _clock_and_certificate(settings: VaultSettings, address: str, clock: Clock) -> tuple[float | None, float | None]:
    """How far its clock is ahead of ours, and when its certificate ends (epoch seconds); None: it does not say.

    On a connection of its own, as a step's client shows neither.
    """
    ahead = end = None
    with (
        closing(Connection(clock, lambda: client_context(settings))) as connection,
        suppress(RequestError, ValueError, TypeError),
    ):
        answer = connection.ask(
            "GET",
            f"{address}/v1/sys/seal-status",
            {"User-Agent": f"stepcreds/{__version__}"},
            None,
            connect_timeout=PATIENCE / 2,
            until=clock.monotonic() + PATIENCE / 2,
            limit=BODY_LIMIT,
            proxy=settings.proxies.get(address, ""),
        )
        now = clock.now()
        end = end_of(connection.peer)
        if date := answer.header("Date"):
            # It was cut to a whole second: half of one is what is lost on average.
            ahead = parsedate_to_datetime(date).timestamp() + 0.5 - now
    return ahead, end


def clocks(found: Sequence[Seen], claims: Mapping[str, object] | None, clock: Clock) -> Link:
    """This machine's clock beside Vault's, and the times of the ID token (None: there is none) by Vault's."""
    told = [(seen.address, seen.ahead) for seen in found if seen.ahead is not None]
    if not told:
        raise NotLookedAtError("Vault does not say what time it is there")
    remarks = [
        Remark(
            f"This machine's clock is {_apart(-ahead)} that of Vault at {address}. Vault ends leases and judges the "
            "times of ID tokens by its own; `max_ttl`, and the times in the ledger, are by this machine's.",
            "Have NTP keep both. What time it is here: date -u",
            "clock",
        )
        for address, ahead in told
        if abs(ahead) > SKEW
    ]
    address, ahead = told[0]
    remarks += _token_times(claims or {}, clock.now() + ahead, address)
    return remarked("clock", f"{max((_between(each) for _, each in told), key=len)}", remarks)


def _between(ahead: float) -> str:
    if abs(ahead) <= SKEW:
        return f"this machine and Vault agree within {SKEW:.0f} s"
    return f"this machine's clock is {_apart(-ahead)} Vault's"


def _apart(ahead: float) -> str:
    return f"{in_words(round(abs(ahead)))} {'ahead of' if ahead > 0 else 'behind'}"


def _token_times(claims: Mapping[str, object], there: float, address: str) -> list[Remark]:
    times = {name: value for name, value in claims.items() if isinstance(value, (int, float))}
    early = next((name for name in ("iat", "nbf") if times.get(name, there) > there + SKEW), "")
    fix = f"Compare the clock of Vault's server with the issuer's: there it is {rfc3339(there)} now."
    if early:
        cause = f"The ID token is of {rfc3339(times[early])} ({early}): in the future for Vault at {address}."
        return [Remark(f"{cause} A login fails where its leeway does not cover that.", fix, "clock")]
    if times.get("exp", there) < there:
        cause = f"The ID token expired at {rfc3339(times['exp'])} (exp) by the clock of Vault at {address}."
        return [Remark(f"{cause} A login fails where its leeway does not cover that.", fix, "clock")]
    return []
