"""OpenBao's audit log, entry by entry, and what an entry says. It does not judge."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from crash_stack import CLAIM

from stepcreds.devstack.stack import Stack

Entry = dict[str, Any]


class AuditLog:
    """Reads the log on from where it was read to before; by several threads."""

    def __init__(self, stack: Stack) -> None:
        self._path = stack.openbao.audit_log
        self._offset = self._path.stat().st_size
        self._rest = b""
        self._unread: dict[str, list[Entry]] = {}
        self._reading = threading.Lock()

    def skip(self) -> None:
        """What is there by now is nobody's."""
        with self._reading:
            self._offset, self._rest = self._path.stat().st_size, b""

    def of(self, names: Collection[str]) -> dict[str, list[Entry]]:
        """The entries of these kills, by step: a kill's recovery, and what was left for it, are other steps of it."""
        with self._reading:
            for entry in self._entries():
                if step := ((entry.get("auth") or {}).get("metadata") or {}).get(CLAIM):
                    self._unread.setdefault(step, []).append(entry)
            mine = [step for step in self._unread if step.removesuffix("-first").removesuffix("-recovery") in names]
            return {step: self._unread.pop(step) for step in mine}

    def _entries(self) -> Iterator[Entry]:
        """All complete ones since the last call that are of a step."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return (json.loads(line) for line in lines if CLAIM.encode() in line)


def is_issue(entry: Entry) -> bool:
    return str(entry["request"]["path"]).startswith("database/creds/")


def issues(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The answers that hold a credential."""
    return (
        entry
        for entry in entries
        if entry["type"] == "response" and is_issue(entry) and (entry.get("response") or {}).get("secret")
    )


def same(one: Entry, other: Entry) -> bool:
    return bool(one["request"]["id"] == other["request"]["id"])


def when(entry: Entry) -> float:
    """Epoch seconds; RFC 3339 with nanoseconds, which Python 3.10 does not read."""
    text = str(entry["time"])
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
