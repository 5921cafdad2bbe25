"""One credential or one token in two steps, by the ledgers and by the audit log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from stepcreds.reconciliation.finding import Code, Finding, Reference
from stepcreds.reconciliation.ledger_side import Held, LedgerSide
from stepcreds.reconciliation.vault_side import Issue, VaultSide
from stepcreds.review.sharing import shared


def shared_credentials(ledgers: LedgerSide, vault: VaultSide) -> Iterator[Finding]:
    """What two steps had in common. A header that names two steps is a hint, because anybody can set it."""
    yield from _on_record(ledgers)
    by_accessor: defaultdict[str, list[Issue]] = defaultdict(list)
    for issue in vault.issues.values():
        if issue.accessor and not issue.is_root and vault.scope.wanted.window.has(issue.time):
            by_accessor[issue.accessor].append(issue)
    for accessor, issues in by_accessor.items():
        yield from _at_vault(ledgers, vault, accessor, issues)


def _on_record(ledgers: LedgerSide) -> Iterator[Finding]:
    held = {(each.view.file, each.view.credential_uid): each for each in ledgers.held}
    codes: dict[str, tuple[Code, str]] = {
        "lease_id": ("shared-lease", "the lease"),
        "token_accessor": ("shared-token", "the token of the accessor"),
    }
    for each in shared(each.view for each in ledgers.held):
        if each.what in codes:
            code, what = codes[each.what]
            of = [held[view.file, view.credential_uid] for view in each.credentials]
            steps = len({view.step_uid for view in each.credentials})
            meaning = f"{steps} steps have {what} {each.value} on record, and stepcreds gives none to two"
            lease_id = each.value if code == "shared-lease" else ""
            yield Finding(code, "tampered", meaning, _first(of), lease_id, tuple(_entries(of)))


def _at_vault(ledgers: LedgerSide, vault: VaultSide, accessor: str, issues: list[Issue]) -> Iterator[Finding]:
    of = [ledgers.by_lease[issue.lease_id] for issue in issues if issue.lease_id in ledgers.by_lease]
    if len({each.view.step_uid for each in of}) > 1:
        meaning = "one token was issued the credentials that two steps have on record"
        evidence = (*_entries(of), *(issue.reference for issue in issues))
        yield Finding("shared-token", "tampered", meaning, issues[0].time, "", evidence)
        return
    named = vault.steps.get(accessor, {})
    if len(named) > 1:
        meaning = f"by their header, which anybody can set, {len(named)} steps used one token: " + ", ".join(named)
        evidence = (*_entries(of), *named.values())
        yield Finding("shared-token", "unknown", meaning, issues[0].time, issues[0].lease_id, evidence)


def _entries(of: list[Held]) -> Iterator[Reference]:
    return (each.reference(each.view.issued or each.view.requested) for each in of)


def _first(of: list[Held]) -> float | None:
    return min((each.time for each in of if each.time is not None), default=None)
