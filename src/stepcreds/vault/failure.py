"""Why a request got no answer, in words that name the address and the proxy and nothing that was sent; pure."""

from __future__ import annotations

from stepcreds.config.model import VaultSettings
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.request_error import RequestError
from stepcreds.vault.answer import NoAnswerError
from stepcreds.vault.tls import explain_tls


def no_answer(error: RequestError, address: str, settings: VaultSettings) -> NoAnswerError:
    """What `error`, which asking `address` raised, comes down to: a sentence, and whether Vault may have acted."""
    proxy = settings.proxies.get(address)
    via = f" through the proxy {without_password(proxy)}" if proxy else ""
    # After the handshake, what is not TLS is somebody's on the way. A server that misses a client's certificate may say
    # so that late (RFC 8446, section 4.4.2.4).
    is_told = error.tls is not None and (not error.sent or "ALERT" in (error.tls.reason or ""))
    final = explain_tls(error.tls, address, settings) if error.tls is not None and is_told else None
    if error.kind == "unsendable":
        final = VaultError(
            f"Vault cannot be asked at {address}{via}",
            cause="The address, the proxy, the namespace or the token does not fit into a request.",
            fix="Look at vault.address and vault.namespace in stepcreds.yml, and at the proxy variables.",
            docs="vault-unreachable",
        )
    return NoAnswerError(address, error.reason + via, sent=error.sent, final=final)


def without_password(proxy: str) -> str:
    """The proxy's URL as it may be shown."""
    scheme, _, rest = proxy.partition("://")
    return one_line(f"{scheme}://{rest.rpartition('@')[2]}")
