"""A TCP connection, plain or TLS, on which every byte is waited for until one deadline; it knows no protocol."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from stepcreds.clock import Clock
from stepcreds.dial import dial
from stepcreds.errors import DatabaseError
from stepcreds.printable import one_line

_CHUNK = 65_536  # bytes


class UnreachableError(DatabaseError):
    """No answer that can be understood came from the server: nothing is known of the credential."""


class TLSError(UnreachableError):
    """The server was reached, and TLS with it came to nothing."""


class Deadline:
    """Until when one call may wait for its server."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._at = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(0.0, self._at - self._clock.monotonic())

    def within(self, seconds: float) -> Deadline:
        """One that comes after `seconds`, or with this one if that is sooner."""
        return Deadline(self._clock, min(seconds, self.left()))

    def pause(self, seconds: float) -> bool:
        """Wait for `seconds`; False, without waiting, if the deadline comes first."""
        if self.left() <= seconds:
            return False
        self._clock.sleep(seconds)
        return True


class Stream:
    """An open connection to the server at `where`. Everything raises `UnreachableError`; `close` raises nothing."""

    def __init__(self, sock: socket.socket, where: str, deadline: Deadline) -> None:
        self._sock = sock
        self._received = bytearray()
        self.where = where
        self.deadline = deadline
        self.tls = False  # True as soon as TLS was begun, also if it failed
        self.verified = False  # whether the server has shown a certificate that was checked

    @property
    def socket(self) -> socket.socket:
        """For whoever wants to see the certificate; an `ssl.SSLSocket` under TLS."""
        return self._sock

    @classmethod
    def open(cls, host: str, port: int, deadline: Deadline) -> Stream:
        return cls(connect_tcp(host, port, deadline), place(host, port), deadline)

    def send(self, data: bytes) -> None:
        try:
            self._sock.settimeout(_timeout(self.deadline, self.where))
            self._sock.sendall(data)
        except OSError as error:
            raise _unreachable(self.where, error, self.deadline) from None

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self._received) < count:
            self._received += self._receive(_CHUNK)
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def read_unbuffered_byte(self) -> bytes:
        """One byte, and not one more taken from the socket.

        What comes in clear before TLS starts must not be read as if it had come after (CVE-2021-23222).
        """
        return self._receive(1)

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Raises `TLSError` as well."""
        self.tls = True
        self.verified = context.verify_mode != ssl.CERT_NONE  # the handshake raises where it is not fulfilled
        try:
            self._sock.settimeout(_timeout(self.deadline, self.where))
            self._sock = context.wrap_socket(self._sock, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise TLSError(
                f"the certificate of {self.where} was not accepted: {one_line(error.verify_message)}",
                cause="It is signed by another CA than sslrootcert holds (the system's, where there is none), is made"
                " for another name, or has expired; or somebody else answers.",
                fix="Give the CA's certificate with sslrootcert=, and use the host name that the certificate is for.",
                docs="database-tls",
            ) from None
        except TimeoutError as error:
            raise _unreachable(self.where, error, self.deadline) from None
        except (OSError, ValueError) as error:
            reason = one_line(getattr(error, "reason", "") or "") or _reason(error)
            raise TLSError(f"no TLS with {self.where}: {reason}", docs="database-tls") from None

    def read_to_end(self, seconds: float) -> None:
        """Wait until the server has hung up, `seconds` at most; what it still sends is for nobody. Raises nothing."""
        self.deadline = self.deadline.within(seconds)
        with suppress(UnreachableError):
            while True:
                self._receive(_CHUNK)

    def close(self) -> None:
        self._sock.close()

    def _receive(self, count: int) -> bytes:
        try:
            self._sock.settimeout(_timeout(self.deadline, self.where))
            data = self._sock.recv(count)
        except OSError as error:
            raise _unreachable(self.where, error, self.deadline) from None
        if not data:
            raise UnreachableError(f"{self.where} closed the connection", docs="database")
        return data


def connect_tcp(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address of `host` that takes one; each gets its share of what time is left.

    Looking the name up has the resolver's own time-outs. Raises `UnreachableError`.
    """
    where = place(host, port)
    try:
        return dial(host, port, deadline.left)
    except (socket.gaierror, UnicodeError):
        raise UnreachableError(
            f"the name of {where} cannot be resolved",
            fix="Look at the host in `database` of the profile.",
            docs="database",
        ) from None
    except OSError as error:
        raise _unreachable(where, error, deadline) from None


def place(host: str, port: int) -> str:
    """`host:port` for a sentence."""
    return one_line(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _timeout(deadline: Deadline, where: str) -> float:
    left = deadline.left()
    if left <= 0:
        raise _unreachable(where, TimeoutError(), deadline)
    return left


def _unreachable(where: str, error: OSError, deadline: Deadline) -> UnreachableError:
    cause = ""
    if isinstance(error, TimeoutError):
        what = f"{where} did not answer within {deadline.seconds:g} s"
        cause = "The server is down or busy, a firewall drops what is sent to it, or the address is not its own."
    elif isinstance(error, ConnectionRefusedError):
        what = f"{where} refused the connection"
        cause = "Nothing listens there: the server is down, or host or port is wrong."
    elif isinstance(error, ConnectionError):
        what = f"{where} closed the connection"
    else:
        what = f"{where} cannot be reached: {_reason(error)}"
    from shlex import quote

    host, _, port = where.rpartition(":")
    return UnreachableError(
        what,
        cause=cause,
        fix="Look at `database` of the profile, and at the network. From this machine:\n"
        f"  nc -vz {quote(host.strip('[]'))} {port}",
        docs="database",
    )


def _reason(error: Exception) -> str:
    return one_line(getattr(error, "strerror", None) or type(error).__name__)
