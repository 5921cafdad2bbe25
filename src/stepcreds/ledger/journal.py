"""Writes a job attempt's chain: gives each event its place, and returns when it is on the disk; it never reads it all.

Several processes may write to one chain at once: the steps of a job that run side by side, and both halves of a pair.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stepcreds.clock import Clock, rfc3339
from stepcreds.config.model import LedgerSettings
from stepcreds.errors import LedgerError
from stepcreds.ledger import record
from stepcreds.ledger.canonical import CanonicalError, canonical, loads, valid
from stepcreds.ledger.faults import damaged
from stepcreds.ledger.file import LedgerFile, Tail
from stepcreds.ledger.folder import chain_name, make_folder, newest
from stepcreds.ledger.link import MAX_LINE, SCHEMA, ZERO, chain_uid, line_hash
from stepcreds.ledger.record import JOB_IDENTITY, Event, Record, job_identity
from stepcreds.model import Job


class Journal:
    """A chain that can be written to. It holds no open file, so it may be handed over a fork."""

    def __init__(self, path: Path, chain_uid: str, clock: Clock, job: Mapping[str, object] | None = None) -> None:
        self.path = path
        self.chain_uid = chain_uid
        self._clock = clock
        self._job = job

    @classmethod
    def open(
        cls,
        settings: LedgerSettings,
        job: Job,
        *,
        step_uid: str,
        claims: Mapping[str, object],
        vault_addr: str,
        clock: Clock,
    ) -> Journal:
        """The chain of this job attempt, with its first record written where this step is the first to ask.

        A chain that was closed is not written to again: another is opened in a file beside it. Raises `LedgerError`.
        """
        make_folder(settings.path)
        number = newest(settings.path, job)
        while True:
            path = settings.path / chain_name(job, number)
            with LedgerFile(path, clock, create=True) as file:
                tail = file.tail()
                if tail.length == 0:
                    nonce = os.urandom(16).hex()
                    opened = record.chain_opened(
                        step_uid, job, nonce=nonce, claims=claims, vault_addr=vault_addr, key=_key(settings, job)
                    )
                    journal = cls(path, chain_uid(job_identity(job), nonce), clock, job_identity(job))
                    journal._extend(file, tail, 0, [opened, *_recovered(file, tail, step_uid)])
                    return journal
                last = _last_record(tail, path)
                if last.kind != "chain.closed":
                    journal = cls(path, last.chain_uid, clock, job_identity(job))
                    if tail.torn:
                        journal._extend(file, tail, last.seq + 1, _recovered(file, tail, step_uid))
                    return journal
            number += 1

    @classmethod
    def at(cls, path: Path, *, clock: Clock) -> Journal:
        """The chain that the file `path` holds. Raises `LedgerError` where it holds none."""
        with LedgerFile(path, clock) as file:
            return cls(path, _last_record(file.tail(), path).chain_uid, clock)

    def append(self, event: Event, before: Sequence[Event] = ()) -> Record:
        """Write `event`, and `before` in front of it: all of them, or none.

        Returns the record of `event` as it stands in the file, when that is on disk; raises `LedgerError`.
        """
        return self._append(event.step_uid, lambda _: event, before)

    def append_end(self, event: Event, before: Sequence[Event] = ()) -> Record:
        """`append` for a `credential.closed` that another process may have written, too: where the chain has a proof of
        that credential's death by now `before` alone is written, and what it has is returned."""
        return self._append(event.step_uid, lambda _: event, before, unless=lambda: self._proof_of(event))

    def _proof_of(self, event: Event) -> Record | None:
        from stepcreds.ledger.reading import read_chain

        uid = event.fields["credential_uid"]
        views = [view for view in read_chain(self.path).credentials if view.credential_uid == uid and view.proven]
        return views[0].closed if views else None

    def close(self, step_uid: str) -> Record:
        """Write `chain.closed`, which nothing may follow. Returns and raises like `append`."""
        return self._append(step_uid, lambda seq: record.chain_closed(step_uid, seq + 1))

    def job(self) -> Mapping[str, object]:
        """What `record.job_identity` says of the job that the chain was opened for. Raises `LedgerError`."""
        if self._job is None:
            with LedgerFile(self.path, self._clock) as file:
                line = file.first()
            try:
                opened = loads(line)
            except CanonicalError:
                opened = None
            told = opened.get("job") if isinstance(opened, dict) else None
            if not isinstance(opened, dict) or not isinstance(told, dict):
                raise damaged(self.path)
            job = {name: told.get(name) for name in JOB_IDENTITY}
            # Recomputed: other steps of the job can write to the file.
            if chain_uid(job, str(opened.get("nonce"))) != self.chain_uid:
                raise _replaced(self.path)
            self._job = job
        return self._job

    def _append(
        self,
        step_uid: str,
        event_at: Callable[[int], Event],
        before: Sequence[Event] = (),
        unless: Callable[[], Record | None] = lambda: None,
    ) -> Record:
        with LedgerFile(self.path, self._clock) as file:
            tail = file.tail()
            last = _last_record(tail, self.path)
            if last.chain_uid != self.chain_uid:
                raise _replaced(self.path)
            if last.kind == "chain.closed":
                raise LedgerError(
                    f"The chain in the ledger file {self.path} was closed while this step ran",
                    cause="`stepcreds revoke --all`, or the end of the job, did not wait for the step.",
                    fix="Run `stepcreds revoke --all` after every step that holds a credential.",
                    docs="ledger",
                )
            events = [*_recovered(file, tail, step_uid), *before]
            if (found := unless()) is not None:
                self._extend(file, tail, last.seq + 1, before and events)
                return found
            return self._extend(file, tail, last.seq + 1, [*events, event_at(last.seq + 1 + len(events))])

    def _extend(self, file: LedgerFile, tail: Tail, seq: int, events: Sequence[Event]) -> Record:
        prev = line_hash(tail.last) if tail.length else ZERO
        now = rfc3339(self._clock.now())
        data = b""
        entry: Record = {}
        for event in events:
            entry = {
                "schema": SCHEMA,
                "seq": seq,
                "prev": prev,
                "chain_uid": self.chain_uid,
                "kind": event.kind,
                "time": now,
                "event_uid": record.new_uid(),
                "step_uid": event.step_uid,
                **event.fields,
            }
            line = canonical(entry)
            if len(line) > MAX_LINE:
                raise LedgerError(
                    f"A record of {len(line)} bytes is more than the ledger takes ({MAX_LINE})", docs="ledger"
                )
            data += line + b"\n"
            seq, prev = seq + 1, line_hash(line)
        if events:
            file.append(data, tail)
        return entry


def _key(settings: LedgerSettings, job: Job) -> str | None:
    return settings.key and settings.key.replace("{repository_id}", valid(job.repository_id))


def _replaced(path: Path) -> LedgerError:
    return LedgerError(
        f"The ledger file {path} now holds another chain than when this step began",
        cause="Something replaced the file while the step ran.",
        fix="Keep the file as evidence; set ledger.path in stepcreds.yml to a folder nothing else uses.",
        docs="ledger",
    )


class _Last(NamedTuple):
    seq: int
    chain_uid: str
    kind: str


def _last_record(tail: Tail, path: Path) -> _Last:
    try:
        value = loads(tail.last)
    except CanonicalError:
        raise damaged(path) from None
    if not isinstance(value, dict):
        raise damaged(path)
    seq, uid, kind = value.get("seq"), value.get("chain_uid"), value.get("kind")
    if type(seq) is not int or not isinstance(uid, str) or not isinstance(kind, str):
        raise damaged(path)
    return _Last(seq, uid, kind)


def _recovered(file: LedgerFile, tail: Tail, step_uid: str) -> list[Event]:
    return [record.chain_recovered(step_uid, tail.torn, file.keep_aside(tail.torn))] if tail.torn else []
