"""Which records of a chain ask for a signature, and until when; whether there is one is for others to find out.

A step has Vault sign the chain when its credential is issued, before its command runs, and when it is closed, before
anything else does. A checkpoint that was taken away lets a later one, of a chain that was changed meanwhile, pass for
the truth: so each of these records needs one that was signed before somebody else's turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import takewhile

from stepcreds.ledger.record import Record
from stepcreds.ledger.view import text_of

MOST = 1_024  # records that are kept after their time, for a checkpoint that stands late in its file


class Demand:
    """What asks for a signature. Memory holds what is open, and `MOST` of what was not met."""

    def __init__(self) -> None:
        self.count = 0  # records that asked
        self._waiting: OrderedDict[int, str] = OrderedDict()  # size at the record -> its kind; any later one will do
        self._late: OrderedDict[int, tuple[int, str]] = OrderedDict()  # size -> the last size that would do, and kind
        self._given_up: list[tuple[int, str]] = []
        self._requested: set[object] = set()  # credential_uid, while it is not closed
        self._issued: dict[object, int] = {}  # credential_uid -> size, while it is not closed
        self._loose: deque[tuple[int, str]] = deque(maxlen=MOST)  # size and kind of those that do not ask
        self._closed: dict[int, object] = {}  # size -> step_uid, while no other step has asked for anything

    def see(self, record: Record, size: int) -> None:
        """`record` is the chain's last, of `size` records."""
        kind, uid = record.get("kind"), record.get("credential_uid")
        if not isinstance(uid, str):
            return
        if kind == "credential.issued":
            self._issued[uid] = size
            self._ask(size, kind)
        elif kind == "credential.closed":
            asks = _asks(record, is_requested=uid in self._requested) or uid in self._issued
            self._requested.discard(uid)
            # Its own command ran by now, if it ran.
            self._expire(self._issued.pop(uid, 0), size - 1)
            if asks:
                self._ask(size, kind)
                self._closed[size] = record.get("step_uid")
                if len(self._closed) > MOST:
                    self._expire(first := next(iter(self._closed)), size)
                    del self._closed[first]
            else:
                self._loose.append((size, kind))
        elif kind == "credential.requested":
            self._requested.add(uid)
            for before in [each for each, step in self._closed.items() if step != record.get("step_uid")]:
                del self._closed[before]
                self._expire(before, size - 1)
        elif kind in ("credential.measured", "credential.left"):  # stand before an end, or an issue that is handed out
            self._ask(size, kind)
        elif isinstance(kind, str):
            self._loose.append((size, kind))

    def meet(self, size: int, *, on_time: bool) -> None:
        """There is a checkpoint of `size` records that counts; `on_time`: the chain has no more by now."""
        for before in list(takewhile(size.__ge__, self._waiting)):
            del self._waiting[before]
            self._closed.pop(before, None)
        if not on_time:
            for before in [each for each, (until, _) in self._late.items() if each <= size <= until]:
                del self._late[before]

    def missed(self, last: int) -> Iterator[tuple[int, str]]:
        """Those that a later checkpoint covers, and none in time; `last` is the size of the last checkpoint."""
        yield from ((size, kind) for size, kind in self._given_up if size <= last)
        yield from ((size, kind) for size, (_, kind) in self._late.items() if size <= last)

    def after(self, last: int) -> Mapping[int, str]:
        """Those after the last checkpoint."""
        left = {size: kind for size, (_, kind) in self._late.items() if size > last}
        return {**left, **self._waiting}

    def loose(self, last: int) -> Mapping[int, str]:
        """Those after the last checkpoint that say something of a credential, and could not be signed in time."""
        return {size: kind for size, kind in self._loose if size > last}

    def _ask(self, size: int, kind: str) -> None:
        self.count += 1
        self._waiting[size] = kind

    def _expire(self, size: int, until: int) -> None:
        kind = self._waiting.pop(size, "")
        if not kind:
            return
        self._late[size] = (until, kind)
        if len(self._late) > MOST:
            first, (_, its_kind) = self._late.popitem(last=False)
            if len(self._given_up) < MOST:
                self._given_up.append((first, its_kind))


def _asks(record: Record, *, is_requested: bool) -> bool:
    """Not where the login was refused, or its token, with which it ended, was all there was to sign with. Not believed
    of a credential that is on record as issued; and one that is on record as requested had a login."""
    if text_of(record, "verified", "time"):
        return True
    if text_of(record, "revoke", "status") == "not_issued":
        return is_requested
    return text_of(record, "revoke", "method") != "token"
