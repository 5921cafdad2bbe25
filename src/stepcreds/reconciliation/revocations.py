"""Which revocations in the audit log were of which lease, and where nobody can tell; its own expiry is none."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict

from stepcreds.reconciliation.audit_entry import HASHED
from stepcreds.reconciliation.vault_side import Issue, Revoked, VaultSide


class Revocations:
    """Those of one audit log, when all of it has been read."""

    def __init__(self, vault: VaultSide) -> None:
        self._vault = vault
        self._prefixes = {
            name: list(found.values())
            for name, found in vault.revoked.items()
            if any(each.how == "prefix" for each in found.values())
        }
        self._hashes: defaultdict[str, list[str]] = defaultdict(list)  # lease id -> its hashes, one for each device
        for hashed, lease_id in vault.leases.items():
            self._hashes[lease_id].append(hashed)
        self._unplaced: defaultdict[str, list[tuple[Revoked, str]]] = defaultdict(list)  # accessor -> hashes it revoked
        for hashed in vault.revoked.keys() - vault.leases.keys():
            for each in vault.revoked[hashed].values():
                if each.how == "hash":
                    self._unplaced[each.accessor].append((each, hashed))
        self._issued: defaultdict[str, int] = defaultdict(int)
        for issue in vault.issues.values():
            self._issued[issue.accessor] += 1
        self._unclear = [each.time for found in self._unplaced.values() for each, _ in found]
        hashed_accessors = {issue.accessor.startswith(HASHED) for issue in vault.issues.values()}
        mixed = [
            each.time
            for name, each in vault.revoked_tokens.items()
            if "revoke-accessor" in each.reference.what and name.startswith(HASHED) not in hashed_accessors
        ]
        # Whether the log has accessors in both forms, so that a token that was revoked cannot be found.
        self.is_mixed = bool(mixed)
        self._unclear = sorted(self._unclear + mixed)

    @property
    def is_hashed(self) -> bool:
        """Whether the log has revocations by a hash alone."""
        return bool(self._unplaced) or self._vault.strange is not None

    def of(self, issue: Issue) -> list[Revoked]:
        """Those of the lease of `issue`, in order; also of its token, with which Vault ends it a little later."""
        vault = self._vault
        found: list[Revoked] = []
        if issue.lease_id:
            for name in (issue.lease_id, *self._hashes.get(issue.lease_id, ())):
                found += vault.revoked.get(name, {}).values()
            for prefix, revoked in self._prefixes.items():
                found += revoked if issue.lease_id.startswith(prefix) else ()
        found += self._by_hash(issue)
        found += [vault.revoked_tokens[name] for name in (issue.accessor, issue.token) if name in vault.revoked_tokens]
        return sorted({each for each in found if each.time >= issue.time}, key=lambda each: each.time)

    def is_hidden(self, start: float, end: float) -> bool:
        """Whether anything was revoked in that time by a hash that nobody can place."""
        strange = self._vault.strange
        if strange is not None and strange[0] <= end and start <= strange[1]:
            return True
        return bisect_left(self._unclear, start) < bisect_right(self._unclear, end)

    def _by_hash(self, issue: Issue) -> list[Revoked]:
        """What the token of `issue` revoked after it, where that is one lease only, and the token got no other.

        Before it asks, stepcreds revokes a lease that does not exist, to see whether it may; so what was revoked before
        as well is that one.
        """
        mine = self._unplaced.get(issue.accessor, []) if issue.accessor else []
        before = {hashed for each, hashed in mine if each.time < issue.time}
        after = {hashed for _, hashed in mine} - before
        if len(after) != 1 or self._issued[issue.accessor] != 1:
            return []
        return [each for each, hashed in mine if hashed in after]
