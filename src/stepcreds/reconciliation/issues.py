"""What Vault issued beside what the ledgers say was issued: in one of the two only, or told otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from stepcreds.reconciliation.coverage import APART, Coverage
from stepcreds.reconciliation.finding import Finding, Reference, at, many
from stepcreds.reconciliation.ledger_side import Held, LedgerSide
from stepcreds.reconciliation.scope import contradiction, whose
from stepcreds.reconciliation.vault_side import Issue, VaultSide


def unrecorded(ledgers: LedgerSide, vault: VaultSide) -> Iterator[Finding]:
    """What Vault issued and no ledger has, or has otherwise."""
    window = vault.scope.wanted.window
    issues = [each for each in vault.issues.values() if window.has(each.time)]
    known = {each.accessor for each in issues if each.accessor and each.lease_id in ledgers.by_lease}
    for issue in issues:
        held = ledgers.by_lease.get(issue.lease_id)
        if held is not None:
            yield from _contradicted(issue, held)
        elif issue.request_id in ledgers.by_request:
            yield _other_lease(issue, ledgers.by_request[issue.request_id])
        else:
            yield _unrecorded(issue, ledgers, issue.accessor in known)
    for request_id, entry in vault.asked.items():
        if request_id not in vault.answered and window.has(entry.time):
            meaning = (
                f"{entry.creds} was asked for at {at(entry.time)}, and the log has no answer: whether something was "
                "issued it does not say"
            )
            held = ledgers.by_request.get(request_id)
            evidence = (*(held.references if held else ()), entry.reference)
            yield Finding("unanswered", "unknown", meaning, entry.time, "", evidence)


def invented(ledgers: LedgerSide, vault: VaultSide, coverage: Coverage) -> Iterator[Finding]:
    """What the ledgers say was issued and Vault did not issue; and what nobody can tell, because no log covers it."""
    leases = {each.lease_id for each in vault.issues.values()}
    known = vault.answered | vault.asked.keys() | vault.issues.keys()
    uncovered: list[Held] = []
    for held in ledgers.held:
        view, time = held.view, held.time
        if view.lease_id and view.lease_id in leases:
            continue
        issue = vault.issues.get(held.request_id)
        if issue is not None and issue.lease_id in ledgers.by_lease:  # it has the request of another one on record
            yield _other_lease(issue, held)
            continue
        if view.issued and held.request_id in known:
            continue  # what differs there, or is missing, is found from the other side
        if time is None or not coverage.has(time):
            uncovered.append(held)
        elif view.issued:
            what = view.lease_id or f"what {view.creds} gave"
            meaning = (
                f"the ledger says that Vault issued {what} at {at(time)}; the audit log covers that time, and Vault "
                "did not"
            )
            yield Finding("invented", "tampered", meaning, time, view.lease_id, held.references)
    if uncovered:
        yield _not_covered(uncovered, coverage)


def _unrecorded(issue: Issue, ledgers: LedgerSide, is_known: bool) -> Finding:
    to = whose(issue.metadata) or ("a root token" if issue.is_root else "a token that says nothing of itself")
    what = issue.lease_id or f"a credential of {issue.creds}, wrapped,"
    said = f"Vault issued {what} at {at(issue.time)} to {to}, and no ledger here has it"
    asked = ledgers.by_accessor.get(issue.accessor)
    if asked is not None and not asked.view.issued:
        meaning = f"{said}; its token is the one of a request on record, whose step ended before it wrote down more"
        return Finding("unrecorded", "incomplete", meaning, issue.time, issue.lease_id, _both(asked, issue))
    if is_known:
        meaning = f"{said}; a ledger has another one of the same token, and stepcreds asks once with each"
        return Finding("unrecorded", "tampered", meaning, issue.time, issue.lease_id, (issue.reference,))
    asked = ledgers.unanswered.get((issue.step_uid, issue.creds)) if issue.step_uid else None
    if asked is not None:
        meaning = f"{said}; by its header it is the one that a step asked for which then wrote down nothing more"
        return Finding("unrecorded", "incomplete", meaning, issue.time, issue.lease_id, _both(asked, issue))
    if issue.step_uid in ledgers.steps:
        said += f"; its header names a step that {ledgers.steps[issue.step_uid]} has"
    return Finding("unrecorded", "unknown", said, issue.time, issue.lease_id, (issue.reference,))


def _contradicted(issue: Issue, held: Held) -> Iterator[Finding]:
    differing = contradiction(held.chain.claims, issue.metadata)
    role = issue.metadata.get("role", "")
    if role and held.view.role and role.lower() != held.view.role.lower():
        differing = f"{differing} and role {role}, not {held.view.role}".removeprefix(" and ")
    if differing:
        meaning = f"Vault issued {issue.lease_id} to another job than the one whose ledger has it: {differing}"
        yield Finding("other-job", "tampered", meaning, issue.time, issue.lease_id, _both(held, issue))
    elif held.request_id and held.request_id != issue.request_id:
        meaning = f"Vault issued {issue.lease_id} by another request than the ledger says ({held.request_id})"
        yield Finding("other-lease", "tampered", meaning, issue.time, issue.lease_id, _both(held, issue))
    elif held.time is not None and abs(held.time - issue.time) > APART:
        meaning = (
            f"Vault issued {issue.lease_id} at {at(issue.time)}, and the ledger says at {at(held.time)}: its other "
            "times are to be doubted as well"
        )
        yield Finding("other-time", "unknown", meaning, issue.time, issue.lease_id, _both(held, issue))


def _other_lease(issue: Issue, held: Held) -> Finding:
    meaning = (
        f"Vault answered the request on record with {issue.lease_id}, and the ledger has "
        f"{held.view.lease_id or 'no lease'} for it"
    )
    return Finding("other-lease", "tampered", meaning, issue.time, issue.lease_id, _both(held, issue))


def _not_covered(uncovered: list[Held], coverage: Coverage) -> Finding:
    times = [each.time for each in uncovered if each.time is not None]
    between = (
        f", from {at(min(times))} to {at(max(times))}" if len(times) > 1 else f", of {at(times[0])}" if times else ""
    )
    periods = " and ".join(f"{at(start)} to {at(end)}" for start, end in coverage.periods[:10])
    more = " and more" if len(coverage.periods) > 10 else ""
    count = many(len(uncovered), "credential")
    meaning = f"{count} on record{between}: the audit log covers {periods}{more}, and says nothing of them"
    evidence = tuple(each.reference(each.view.issued or each.view.requested) for each in uncovered)
    return Finding("not-covered", "unknown", meaning, min(times, default=None), "", evidence)


def _both(held: Held, issue: Issue) -> tuple[Reference, ...]:
    return (*held.references, issue.reference)
