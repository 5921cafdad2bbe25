"""How what Vault issued ended there, beside what the ledgers say of it. An expiry is no revocation, on either side."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stepcreds.ledger.chain import Certainty
from stepcreds.ledger.view import epoch_of, text_of
from stepcreds.reconciliation.coverage import SLACK, Coverage
from stepcreds.reconciliation.finding import Code, Finding, Reference, at
from stepcreds.reconciliation.ledger_side import Held, LedgerSide
from stepcreds.reconciliation.revocations import Revocations
from stepcreds.reconciliation.vault_side import Issue, VaultSide
from stepcreds.review.lifetimes import command_times


def endings(ledgers: LedgerSide, vault: VaultSide, coverage: Coverage, late: float) -> Iterator[Finding]:
    """What was not revoked, or otherwise than a ledger says. `late` is how many seconds after a step's command its
    credential may be revoked."""
    revocations = Revocations(vault)
    for issue in vault.issues.values():
        if not issue.lease_id or not vault.scope.wanted.window.has(issue.time):
            continue
        held = ledgers.by_lease.get(issue.lease_id)
        yield from _Ending(issue, held, revocations, vault, coverage).findings(late)


class _Ending:
    """The end of one credential. Times of the ledger are moved by what its clock differed from Vault's at the issue."""

    def __init__(
        self, issue: Issue, held: Held | None, revocations: Revocations, vault: VaultSide, coverage: Coverage
    ) -> None:
        self.issue = issue
        self.held = held
        self.revocations = revocations
        self.coverage = coverage
        self.revoked = revocations.of(issue)
        self.renewed = vault.renewed.get(issue.lease_id)
        recorded = held.view.issue_time if held is not None else None
        self.ahead = recorded - issue.time if recorded is not None else 0.0

    def findings(self, late: float) -> Iterator[Finding]:
        said = self.said()
        if said is not None:
            yield from self.disputed(*said)
        elif not self.revoked:
            yield self.never()
        end = self.vaults(command_times(self.held.view)[1]) if self.held is not None else None
        if self.revoked and end is not None and self.revoked[0].time - end > late:
            first = self.revoked[0]
            meaning = f"{self.issue.lease_id} was revoked {first.time - end:.0f} s after its step's command ended"
            yield self.find("revoked-late", "incomplete", meaning, first.time, first.reference)

    def said(self) -> tuple[float, str] | None:
        """When a ledger says that it was first revoked, by Vault's clock, and how: "lease", "accessor", "token"."""
        found = []
        for record in self.held.view.closings if self.held is not None else ():
            time = self.vaults(epoch_of(text_of(record, "revoke", "time")))
            if text_of(record, "revoke", "status") == "revoked" and time is not None:
                found.append((time, text_of(record, "revoke", "method")))
        return min(found, default=None)

    def disputed(self, said: float, method: str) -> Iterator[Finding]:
        """What the log has against a revocation that a ledger says there was."""
        lease_id = self.issue.lease_id
        # What stepcreds calls revoked is done, and not only asked for.
        fitting = [each for each in self.revoked if not each.queued and (each.how != "token" or method != "lease")]
        if not fitting:
            hidden = self.revocations.is_hidden(self.issue.time, said + SLACK)
            is_certain = self.coverage.covers(self.issue.time, said) and not hidden
            why = (
                "the audit log, which covers that time, has no such revocation"
                if is_certain
                else "the audit log has none that can be told to be of it"
            )
            meaning = f"the ledger says that {lease_id} was revoked at {at(said)}, and {why}{self.otherwise()}"
            certainty: Certainty = "tampered" if is_certain else "unknown"
            yield self.find("no-revocation", certainty, meaning, said, *(each.reference for each in self.revoked[:1]))
        elif fitting[0].time > said + SLACK:
            meaning = (
                f"the ledger says that {lease_id} was revoked at {at(said)}, and Vault was asked for that at "
                f"{at(fitting[0].time)} for the first time"
            )
            yield self.find("revoked-late", "tampered", meaning, fitting[0].time, fitting[0].reference)
        if self.renewed is not None and self.renewed.time > said + SLACK:
            meaning = (
                f"{lease_id} was renewed at {at(self.renewed.time)}; the ledger says that it was revoked at {at(said)}"
            )
            yield self.find("renewed-late", "tampered", meaning, self.renewed.time, self.renewed.reference)

    def never(self) -> Finding:
        """Nobody revoked it, as far as the log goes."""
        lease_id, issue, expiry = self.issue.lease_id, self.issue, self.expiry()
        if expiry is not None and self.coverage.covers(issue.time, expiry):
            hidden = self.revocations.is_hidden(issue.time, expiry)
            then = "whether somebody revoked it before that cannot be told" if hidden else "nobody revoked it"
            meaning = f"{lease_id} expired at {at(expiry)}{self.at_most()} by its TTL, {then}"
            certainty: Certainty = "unknown" if hidden else "incomplete"
        else:
            until = self.coverage.end_after(issue.time)
            meaning = f"nobody revoked {lease_id} by {at(until)}, where this part of the audit log ends; {self.later()}"
            certainty = "unknown"
        return self.find("never-revoked", certainty, meaning, issue.time)

    def later(self) -> str:
        """What becomes of it where the log has ended."""
        expiry, token_end = self.expiry(), self.issue.token_end
        if expiry == math.inf:
            return "it never ends by itself"
        if expiry is not None:
            return f"by its TTL it ends at {at(expiry)}{self.at_most()}"
        if token_end is not None:
            return f"it ends with its token, which unless it is renewed is at {at(token_end)}"
        return "when it ends by itself is not known here"

    def expiry(self) -> float | None:
        """When it ended by itself, by Vault's clock; `math.inf` for never, None where nobody knows."""
        on_record = self.on_record()
        renewed = self.renewed.until if self.renewed is not None else None
        return max((each for each in (on_record, renewed) if each is not None), default=None)

    def on_record(self) -> float | None:
        """What the ledger says of that; not where it would have ended before Vault issued it."""
        said = self.vaults(self.held.view.expire_time) if self.held is not None else None
        return said if said is not None and said > self.issue.time else None

    def at_most(self) -> str:
        """The log says for how long a renewal was asked, and not what it got."""
        on_record = self.on_record()
        renewed = self.renewed.until if self.renewed is not None else None
        is_longer = renewed is not None and (on_record is None or renewed > on_record + SLACK)
        return " at the latest" if is_longer else ""

    def otherwise(self) -> str:
        """What the log has instead."""
        queued = next((each for each in self.revoked if each.queued), None)
        if queued is not None:
            return f"; at {at(queued.time)} it was asked to do so some time (sync=false)"
        token = next((each for each in self.revoked if each.how == "token"), None)
        return f"; its token was revoked at {at(token.time)}, with which Vault ends it" if token is not None else ""

    def vaults(self, moment: float | None) -> float | None:
        """A time of the ledger, by Vault's clock."""
        return None if moment is None else moment - self.ahead

    def find(self, code: Code, certainty: Certainty, meaning: str, time: float, *audit: Reference) -> Finding:
        recorded = self.held.references if self.held is not None else ()
        return Finding(code, certainty, meaning, time, self.issue.lease_id, (*recorded, self.issue.reference, *audit))
