"""What Vault did, by its audit log: what it issued, renewed, revoked and signed, and who logged in; it judges nothing.

Entries may come in any order, and twice: from rotated files, from the nodes of a cluster, from two devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stepcreds.reconciliation.audit_entry import HASHED, LONGEST, Entry
from stepcreds.reconciliation.finding import Reference
from stepcreds.reconciliation.scope import Scope

How = Literal["lease", "prefix", "hash", "token"]


class Issue(NamedTuple):
    """A credential that Vault gave somebody."""

    lease_id: str  # "" of one whose answer was wrapped: nobody has seen it yet
    creds: str
    reference: Reference
    time: float
    accessor: str  # of the token that asked, as logged
    token: str
    metadata: Mapping[str, str]
    is_root: bool
    step_uid: str  # by the header
    token_end: float | None

    @property
    def request_id(self) -> str:
        return self.reference.request_id


class Revoked(NamedTuple):
    """A revocation that Vault carried out, or took on."""

    how: How
    reference: Reference
    time: float
    accessor: str  # of the token that asked
    queued: bool = False  # Vault said that it would


class Renewed(NamedTuple):
    """The last renewal of a lease."""

    reference: Reference
    time: float
    until: float | None  # what was asked for; None: nothing was


class Signed(NamedTuple):
    """A signature that Vault made."""

    key: str  # "<mount>/keys/<name>"
    input: str  # base64; hashed unless the mount was told otherwise
    reference: Reference
    time: float


class Asked(NamedTuple):
    """A request that would issue."""

    creds: str
    reference: Reference
    time: float


class LoggedIn(NamedTuple):
    """A token that Vault gave to a job."""

    reference: Reference
    time: float
    accessor: str
    metadata: Mapping[str, str]
    step_uid: str
    entity_id: str


@dataclass
class VaultSide:
    """All that concerns `scope` in the audit log."""

    scope: Scope
    issues: dict[str, Issue] = field(default_factory=dict)  # by the request's id
    asked: dict[str, Asked] = field(default_factory=dict)  # by the request's id
    answered: set[str] = field(default_factory=set)  # the same ids, where there is an answer
    logins: dict[str, LoggedIn] = field(default_factory=dict)  # by the request's id
    # By lease id, prefix, or a lease id's hash; and there by the request's id.
    revoked: dict[str, dict[str, Revoked]] = field(default_factory=dict)
    revoked_tokens: dict[str, Revoked] = field(default_factory=dict)  # by accessor or token, as logged
    leases: dict[str, str] = field(default_factory=dict)  # the hash of a lease's id -> the id
    renewed: dict[str, Renewed] = field(default_factory=dict)  # by lease id
    signatures: dict[str, Signed] = field(default_factory=dict)  # by the request's id
    steps: dict[str, dict[str, Reference]] = field(default_factory=dict)  # accessor -> each step that the header named
    issuers: set[str] = field(default_factory=set)  # accessors of the tokens that were issued something
    strange: tuple[float, float] | None = None  # when others revoked what only they know the id of: first, last
    entities: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        """One more entry."""
        if entry.step_uid and entry.accessor:
            self.steps.setdefault(entry.accessor, {}).setdefault(entry.step_uid, entry.reference)
        if not entry.answers:
            if not entry.failed and entry.path in self.scope.creds:
                self.asked.setdefault(entry.request_id, Asked(entry.path, entry.reference, entry.time))
            return
        if entry.path in self.scope.creds:
            self.answered.add(entry.request_id)
        if entry.failed:
            return
        head, _, rest = entry.path.partition("/")
        if head == "sys" and rest.startswith(("leases/", "revoke", "renew")):
            self._lease(entry, rest.removeprefix("leases/"))
        elif entry.path.startswith("auth/token/revoke"):
            self._token(entry)
        elif entry.answer.get("auth"):  # of a renewal as well
            if entry.path.endswith("/login"):
                self._login(entry)
        elif "/sign/" in entry.path:
            self._signature(entry)
        else:
            self._issue(entry)

    def _lease(self, entry: Entry, call: str) -> None:
        name, _, inside = call.partition("/")
        given = entry.data.get("lease_id") or entry.data.get("url_lease_id")
        target = inside or (given if isinstance(given, str) else "")
        if name == "renew":
            self._renewal(entry, target)
        elif name in ("revoke-prefix", "revoke-force"):
            self._revocation(entry, f"{inside.rstrip('/')}/", "prefix")
        elif name == "revoke" and target:
            self._revocation(entry, target, "hash" if target.startswith(HASHED) else "lease")

    def _renewal(self, entry: Entry, target: str) -> None:
        lease_id, increment = entry.lease_id, entry.data.get("increment")  # which anybody may have made up
        if not self._concerns(entry, lease_id):
            return
        if target.startswith(HASHED):
            self.leases[target] = lease_id
        until = entry.time + increment if isinstance(increment, int) and 0 < increment < LONGEST else None
        known = self.renewed.get(lease_id)
        if known is None or known.time < entry.time:
            self.renewed[lease_id] = Renewed(entry.reference, entry.time, until)

    def _revocation(self, entry: Entry, target: str, how: How) -> None:
        if how == "hash" and entry.role not in self.scope.roles and not entry.step_uid:
            first, last = self.strange or (entry.time, entry.time)
            self.strange = (min(first, entry.time), max(last, entry.time))
        elif how != "lease" or self._concerns(entry, target):
            queued = entry.data.get("sync") is False
            revoked = Revoked(how, entry.reference, entry.time, entry.accessor, queued)
            self.revoked.setdefault(target, {}).setdefault(entry.request_id, revoked)

    def _token(self, entry: Entry) -> None:
        given = entry.data.get("accessor") or entry.data.get("token")
        target = given if isinstance(given, str) else entry.accessor
        # Other programs give their tokens back by the million.
        is_own = entry.role in self.scope.roles or bool(entry.step_uid) or entry.accessor in self.issuers
        if target and (given or is_own):
            revoked = Revoked("token", entry.reference, entry.time, entry.accessor)
            known = self.revoked_tokens.setdefault(target, revoked)
            if revoked.time < known.time:
                self.revoked_tokens[target] = revoked

    def _login(self, entry: Entry) -> None:
        if entry.role in self.scope.roles or entry.step_uid:
            login = LoggedIn(
                entry.reference, entry.time, entry.accessor, entry.metadata, entry.step_uid, entry.entity_id
            )
            self.logins.setdefault(entry.request_id, login)
            self.entities.add(entry.entity_id)

    def _signature(self, entry: Entry) -> None:
        mount, _, name = entry.path.partition("/sign/")
        key, given = f"{mount}/keys/{name.partition('/')[0]}", entry.data.get("input")
        if key in self.scope.keys and isinstance(given, str):
            self.signatures.setdefault(entry.request_id, Signed(key, given, entry.reference, entry.time))

    def _issue(self, entry: Entry) -> None:
        lease_id = entry.lease_id
        if not lease_id and not (entry.answer.get("wrap_info") and entry.path in self.scope.creds):
            return
        creds = lease_id.rpartition("/")[0] or entry.path
        if not self.scope.issues(creds, entry.role, entry.step_uid):
            return
        issue = Issue(
            lease_id,
            creds,
            entry.reference,
            entry.time,
            entry.accessor,
            entry.token,
            entry.metadata,
            entry.is_root,
            entry.step_uid,
            entry.token_end,
        )
        self.issues.setdefault(entry.request_id, issue)
        self.issuers.add(entry.accessor)
        self.entities.add(entry.entity_id)

    def _concerns(self, entry: Entry, lease_id: str) -> bool:
        return self.scope.issues(lease_id.rpartition("/")[0], entry.role, entry.step_uid)
