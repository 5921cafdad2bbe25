"""Which lines of an audit log are worth reading as JSON, told from their bytes; a line too many does no harm.

A Vault answers millions of requests that have nothing to do with steps. Finding the beginnings of paths in a piece of
several megabytes is some ten times as fast as reading each of its lines as JSON (docs/reconcile.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_PATH = b'"path":"'
_HEADER = b'"x-stepcreds-step":'  # Vault writes the names of headers in lower case
_LEASE = b'"secret":{"lease_id":"'
_RENEWAL = tuple(_PATH + path for path in (b"sys/leases/renew", b"sys/renew"))
_REQUEST, _BEGINNING = b'"type":"request"', 200  # bytes that it stands in, with a device's prefix before it


class Sieve:
    """Lets through the lines with a path that begins with one of `paths`, those that the header names a step in, every
    lease that went to one of `roles`, and with `leases` every lease."""

    def __init__(
        self, asking: Iterable[str], paths: Iterable[str], *, roles: Iterable[str] = (), leases: bool = False
    ) -> None:
        """Of `asking` the requests are let through as well, of `paths` only the answers: they repeat them. `roles` in
        lower case."""
        self._asking = tuple(_PATH + path.encode() for path in asking)
        self._paths = (*self._asking, *(_PATH + path.encode() for path in paths))
        self._leases = (_LEASE,) if leases else tuple(b'"lease_id":"' + path.encode() for path in asking)
        self._parts = (_HEADER, _LEASE) if leases else (_HEADER,)
        self._roles = () if leases else tuple(f'"role":"{role}"'.encode() for role in roles)

    def lines(self, piece: bytes, number: int) -> Iterator[tuple[int, bytes]]:
        """The lines of `piece` that pass, each with its number; `number` is that of the piece's first line."""
        if b'": ' in piece[:1000] and _PATH not in piece:  # another program has written them anew, with white space
            yield from enumerate(piece.split(b"\n"), number)
            return
        behind = 0
        marked = (start for part in self._parts for start in _with(piece, part))
        for start in sorted({*self._by_path(piece), *marked, *self._by_role(piece)}):
            number += piece.count(b"\n", behind, start)
            behind = start
            end = piece.find(b"\n", start)
            yield number, piece[start : end if end >= 0 else len(piece)]

    def _by_path(self, piece: bytes) -> Iterator[int]:
        place = piece.find(_PATH)
        while place >= 0:
            after = place + len(_PATH)
            if piece.startswith(self._paths, place):
                start = piece.rfind(b"\n", 0, place) + 1
                # Where it does not, the line may have another: of this name there may be metadata as well.
                if self._matters(piece, start, place):
                    yield start
                    after = max(after, piece.find(b"\n", place))
            place = piece.find(_PATH, after)

    def _by_role(self, piece: bytes) -> Iterator[int]:
        """A role may issue by any path that its policy has, also by one that no ledger names."""
        for start in _with(piece, _LEASE) if self._roles else ():
            end = piece.find(b"\n", start)
            line = piece[start : end if end >= 0 else len(piece)].lower()  # Vault has a role's name as it was asked for
            if any(role in line for role in self._roles):
                yield start

    def _matters(self, piece: bytes, start: int, place: int) -> bool:
        if piece.startswith(self._asking, place):
            return True
        if piece.find(_REQUEST, start, start + _BEGINNING) >= 0:
            return False
        if piece.startswith(_RENEWAL, place):  # there are more of others' than of anything else
            end = piece.find(b"\n", place)
            return any(piece.find(lease, place, end if end >= 0 else len(piece)) >= 0 for lease in self._leases)
        return True


def _with(piece: bytes, part: bytes) -> Iterator[int]:
    place = piece.find(part)
    while place >= 0:
        yield piece.rfind(b"\n", 0, place) + 1
        end = piece.find(b"\n", place)
        place = piece.find(part, end) if end >= 0 else -1
