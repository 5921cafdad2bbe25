"""When the certificate that a server has just shown ends, and whether that is soon; it connects to nothing."""

from __future__ import annotations

import ssl

from stepcreds.clock import Clock, rfc3339
from stepcreds.config.duration import in_words
from stepcreds.doctor.link import Remark

SOON = 14 * 86_400.0  # seconds


def end_of(sock: object) -> float | None:
    """Epoch seconds; None where the connection has no TLS, or nobody verified the certificate: Python reads none then.

    https://docs.python.org/3/library/ssl.html#ssl.SSLSocket.getpeercert
    """
    certificate = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    end = certificate.get("notAfter") if certificate else None
    return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None


def soon(whose: str, end: float | None, clock: Clock) -> Remark | None:
    """A remark where the certificate ends within two weeks."""
    if end is None or (left := end - clock.now()) > SOON:
        return None
    return Remark(
        f"The certificate of {whose} ends at {rfc3339(end)}, in {in_words(round(left))}. From then on no step gets a "
        "credential, and what a step holds at that moment is not proven dead.",
        "Renew the certificate on the server.",
        "certificate",
    )
