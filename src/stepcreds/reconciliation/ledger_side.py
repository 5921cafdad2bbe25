"""What the ledgers say, arranged by what Vault knows as well: leases, requests, accessors, runs; it judges nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.checkpoint import Checkpoint
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.reading import first_record, read_chain, stored_lines
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.reconciliation.finding import Reference
from stepcreds.reconciliation.scope import Scope, Wanted
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust, signers


class Shown(NamedTuple):
    """A checkpoint that stands beside a chain; whether its signature counts is `verify`'s to say."""

    keys: tuple[str, ...]  # "<mount>/keys/<name>", as its signatures name them
    checkpoint: Checkpoint


@dataclass(frozen=True)
class LedgerChain:
    """One chain."""

    name: str  # as the reviewer knows its file
    path: Path
    uid: str
    claims: Mapping[str, object]
    key: str  # "" where it was not to be signed

    @cached_property
    def hashes(self) -> list[str]:
        """Of its lines, in order."""
        return [line_hash(line[:-1]) for line in stored_lines(self.path) if line.endswith(b"\n")]

    @cached_property
    def checkpoints(self) -> frozenset[Checkpoint]:
        """What is shown, whichever key signed it."""
        return frozenset(each.checkpoint for each in self.shown)

    @cached_property
    def shown(self) -> list[Shown]:
        """The checkpoints beside it that can be read."""
        return [_shown(envelope, made) for envelope, made in self._envelopes()]

    def signed_by(self, key: str, trust: Trust | None) -> Iterator[tuple[bytes, Checkpoint]]:
        """What is shown as signed by `key`, as it was signed, and what it says; a copy of a line is there again.

        Where `trust` has versions of that key, one of them has to have signed it.
        """
        pinned = [each for each in (trust.keys if trust is not None else ()) if each.name == key]
        for envelope, made in self._envelopes():
            is_signed = signers(envelope, checkpoint.PAYLOAD_TYPE, pinned) if pinned else True
            if is_signed and key in _keys(envelope):
                yield envelope.payload, made

    def lines_beside(self) -> Iterator[bytes]:
        """Of its checkpoints, as they stand there. Raises `LedgerError` where they cannot be read."""
        beside = checkpoint.beside(self.path)
        if os.path.lexists(beside):
            yield from stored_lines(beside)

    def _envelopes(self) -> Iterator[tuple[dsse.Envelope, Checkpoint]]:
        with suppress(LedgerError):  # which `ledger_side` tells
            for line in self.lines_beside():
                with suppress(LedgerError):
                    envelope = dsse.loads(line.rstrip(b"\n"))
                    if envelope.payload_type == checkpoint.PAYLOAD_TYPE:
                        yield envelope, checkpoint.loads(envelope.payload)


class Held(NamedTuple):
    """One credential on record."""

    view: CredentialView
    chain: LedgerChain

    def reference(self, record: Record) -> Reference:
        seq = record.get("seq")
        line = seq + 1 if type(seq) is int else 0
        return Reference("ledger", self.chain.name, line, text_of(record, "time"), text_of(record, "kind"))

    @property
    def references(self) -> tuple[Reference, ...]:
        """Its request, its issue and the end that counts, as far as they are on record."""
        records = (self.view.requested, self.view.issued, self.view.closed)
        return tuple(self.reference(record) for record in records if record)

    @property
    def request_id(self) -> str:
        """Of the request that issued it."""
        return text_of(self.view.issued, "request_id", "creds")

    @property
    def time(self) -> float | None:
        """When it was issued, or was to be."""
        return self.view.issue_time if self.view.issued else self.view.time


@dataclass
class LedgerSide:
    """All ledgers. What two files hold alike counts once; what only has the same ids is another: anybody can repeat
    those."""

    held: list[Held] = field(default_factory=list)
    others: list[Held] = field(default_factory=list)  # of another time than was asked for; they say what to look for
    chains: dict[str, list[LedgerChain]] = field(default_factory=dict)  # by what they say is their chain_uid
    errors: list[LedgerError] = field(default_factory=list)
    openings: list[Record] = field(default_factory=list)  # the first record of each chain
    steps: dict[str, str] = field(default_factory=dict)  # step_uid -> the name of a chain that has such a step
    # What the ledgers say is of another time, role or mount than was asked for. Vault's own word decides what is looked
    # for, so that what Vault issued is held against these as well: a line of a ledger excuses nothing.
    left_out: list[Held] = field(default_factory=list)

    @property
    def files(self) -> Iterator[LedgerChain]:
        """The chain of each file."""
        return (chain for chains in self.chains.values() for chain in chains)

    @cached_property
    def _last_first(self) -> list[Held]:
        """All of them, so that in a mapping what was asked for goes before the rest, and the first before others."""
        return [*reversed(self.left_out), *reversed(self.held)]

    @cached_property
    def by_lease(self) -> dict[str, Held]:
        return {each.view.lease_id: each for each in self._last_first if each.view.lease_id}

    @cached_property
    def by_request(self) -> dict[str, Held]:
        return {each.request_id: each for each in self._last_first if each.request_id}

    @cached_property
    def by_accessor(self) -> dict[str, Held]:
        return {each.view.token_accessor: each for each in self._last_first if each.view.token_accessor}

    @cached_property
    def unanswered(self) -> dict[tuple[str, str], Held]:
        """By step and path those that were requested, and whose issue is on no record."""
        return {
            (each.view.step_uid, each.view.creds): each
            for each in self._last_first
            if each.view.requested and not each.view.issued
        }

    def scope(self, wanted: Wanted) -> Scope:
        """What has to be looked for in an audit log."""
        views = [each.view for each in (*self.held, *self.others)]
        roles = {view.role.lower() for view in views if view.role}
        return Scope(
            wanted,
            frozenset(view.creds for view in views if view.creds),
            frozenset(roles | set(wanted.roles)),
            frozenset(f"{view.mount_point}/login" for view in views if view.mount_point.startswith("auth/")),
            frozenset(key for chain in self.files for key in self._keys(chain)),
            frozenset(view.creds for view in views if view.issued and not view.lease_id),
        )

    def _keys(self, chain: LedgerChain) -> Iterator[str]:
        yield from (key for shown in chain.shown for key in shown.keys)
        if chain.key:
            yield chain.key


def ledger_side(sources: Iterable[Source], wanted: Wanted) -> LedgerSide:
    """What the chains in `sources` say of what is wanted."""
    side = LedgerSide()
    known: dict[tuple[str, str], list[CredentialView]] = {}
    for source in sources:
        try:
            view, first = read_chain(source.path), first_record(source.path)
        except LedgerError as error:
            side.errors.append(error)
            continue
        side.openings.append(first)
        claims, uid = first.get("claims"), text_of(first, "chain_uid")
        chain = LedgerChain(source.name, source.path, uid, claims if isinstance(claims, dict) else {}, _key(first))
        side.chains.setdefault(uid, []).append(chain)
        try:
            next(chain.lines_beside(), None)
        except LedgerError as error:
            side.errors.append(error)
        for step_uid in (text_of(first, "step_uid"), *(each.step_uid for each in view.credentials)):
            if step_uid:
                side.steps.setdefault(step_uid, source.name)
        for credential in view.credentials:
            others = known.setdefault((uid, credential.credential_uid), [])
            if any(replace(other, file=credential.file) == credential for other in others):
                continue
            others.append(credential)
            if not (credential.requested or credential.issued):  # a login or a request that was refused
                continue
            held = Held(credential, chain)
            is_wanted = wanted.has_creds(credential.creds) and wanted.has_role(credential.role)
            if is_wanted and wanted.window.has(held.time):
                side.held.append(held)
                continue
            side.left_out.append(held)
            if is_wanted:
                side.others.append(held)
    return side


def _key(first: Record) -> str:
    """The key by which a chain was to be signed; "" where there is none."""
    template = text_of(first, "trust", "key")
    try:
        return checkpoint.key_of(template, text_of(first, "job", "repository_id")) if template else ""
    except LedgerError:
        return ""


def _shown(envelope: dsse.Envelope, made: Checkpoint) -> Shown:
    return Shown(_keys(envelope), made)


def _keys(envelope: dsse.Envelope) -> tuple[str, ...]:
    return tuple(each.keyid.rpartition(":")[0] for each in envelope.signatures)
