"""The whole comparison, in order: what the ledgers say, what the audit log says, what one has that the other lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.chain import CERTAINTIES
from stepcreds.ledger.view import text_of
from stepcreds.reconciliation import issues
from stepcreds.reconciliation.audit_log import AuditLog, Progress, ReadFile, read_audit
from stepcreds.reconciliation.coverage import Period
from stepcreds.reconciliation.endings import endings
from stepcreds.reconciliation.finding import Finding, at, many
from stepcreds.reconciliation.ledger_side import LedgerSide, ledger_side
from stepcreds.reconciliation.limits import limits
from stepcreds.reconciliation.logins import silent_logins
from stepcreds.reconciliation.scope import Scope, Wanted
from stepcreds.reconciliation.sharing import shared_credentials
from stepcreds.reconciliation.signatures import unshown
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust

LATE = 60.0  # seconds that a revocation may take after a command's end, by default


@dataclass(frozen=True)
class Reconciled:
    """What came of it."""

    files: tuple[ReadFile, ...]
    periods: tuple[Period, ...]  # that the audit log covers
    chains: int
    credentials: int  # on record, as far as they were asked for
    confirmed: int  # of them those that Vault issued, by the log
    issued: int  # at Vault, as far as it was asked for
    findings: tuple[Finding, ...]  # the surest first
    limits: tuple[str, ...]  # what cannot be told from this log, and what would tell it
    errors: tuple[LedgerError, ...]  # why a ledger could not be read


def reconcile(
    sources: Iterable[Source],
    files: Sequence[str],
    wanted: Wanted,
    *,
    trust: Trust | None = None,
    late: float = LATE,
    progress: Progress = lambda _file, _read: None,
) -> Reconciled:
    """Compare the chains in `sources` with the audit log in `files`; `trust`: whose signatures count, None: all.

    Raises `UsageError` for a log that cannot be read, of another Vault, or of another time.
    """
    ledgers = ledger_side(sources, wanted)
    scope = ledgers.scope(wanted)
    _require_something(scope)
    log = read_audit(files, scope, progress)
    _require_a_log(log)
    _require_the_window(wanted, log)
    if ledgers.held:
        _require_what_fits(ledgers, log)
    known = {each.lease_id for each in log.vault.issues.values()} - {""}
    confirmed = [each for each in ledgers.held if each.view.lease_id in known or each.request_id in log.vault.answered]
    found = sorted(
        _findings(ledgers, log, trust, late),
        key=lambda each: (CERTAINTIES.index(each.certainty), each.time or 0.0, each.code),
    )
    return Reconciled(
        tuple(log.files),
        tuple(log.coverage.periods),
        len(ledgers.chains),
        len(ledgers.held),
        len(confirmed),
        sum(wanted.window.has(each.time) for each in log.vault.issues.values()),
        tuple(found),
        tuple(limits(ledgers, log.vault)),
        tuple(ledgers.errors),
    )


def _findings(ledgers: LedgerSide, log: AuditLog, trust: Trust | None, late: float) -> Iterator[Finding]:
    vault, coverage = log.vault, log.coverage
    yield from issues.unrecorded(ledgers, vault)
    yield from issues.invented(ledgers, vault, coverage)
    yield from endings(ledgers, vault, coverage, late)
    yield from shared_credentials(ledgers, vault)
    yield from silent_logins(ledgers, vault)
    yield from unshown(ledgers, vault, coverage, trust)


def _require_a_log(log: AuditLog) -> None:
    empty = [file.name for file in log.files if not file.periods]
    if not log.files or len(empty) == len(log.files):
        raise UsageError(
            f"There is no entry of an audit log in {', '.join(empty[:3]) or 'what was named'}",
            cause="It is empty, the log of another program, or written with format=jsonx.",
            fix="Name the file of a file audit device with its usual format, json.",
            docs="reconcile-audit",
        )


def _require_something(scope: Scope) -> None:
    if not (scope.creds or scope.roles or scope.wanted.mounts):
        raise UsageError(
            "There is nothing to compare the audit log with: no credential is on record",
            cause="No step has asked for one yet, or it was removed.",
            fix="Name the files or folders. Where there should be none, --role or --mount says what to look for.",
            docs="ledger",
        )


def _require_the_window(wanted: Wanted, log: AuditLog) -> None:
    if not log.coverage.meets(wanted.window.since, wanted.window.until):
        first, last = log.coverage.periods[0].start, log.coverage.periods[-1].end
        raise UsageError(
            f"The audit log covers {at(first)} to {at(last)}, and nothing of the time that was asked for",
            cause="It is the log of another time, or a part of it is missing.",
            fix="Name all files of the log that are of that time, or change --since and --until.",
            docs="reconcile-audit",
        )


def _require_what_fits(ledgers: LedgerSide, log: AuditLog) -> None:
    """A log of this time and of this Vault: of any other nothing can be said."""
    if _is_known(ledgers, log):
        return
    times = [each.time for each in ledgers.held if each.time is not None]
    if times and not any(map(log.coverage.touches, times)):
        first, last = log.coverage.periods[0].start, log.coverage.periods[-1].end
        raise UsageError(
            f"The audit log covers {at(first)} to {at(last)}, and the credentials on record are of {at(min(times))} to "
            f"{at(max(times))}",
            cause="It is the log of another time, or of another Vault, or a part of it is missing.",
            fix="Name all files of the log that are of that time; rotated ones as well.",
            docs="reconcile-audit",
        )

    addresses = sorted({text_of(each, "trust", "vault_addr") for each in ledgers.openings} - {""})
    raise UsageError(
        f"The audit log knows nothing of the {many(len(ledgers.held), 'credential')} on record: no lease, no request, "
        "no entity",
        cause=f"It is the log of another Vault than {' or '.join(addresses[:3]) or 'theirs'}; or all of these ledgers "
        "are invented.",
        fix="Name the audit log of that Vault; for a cluster, those of all its nodes.",
        docs="reconcile-audit",
    )


def _is_known(ledgers: LedgerSide, log: AuditLog) -> bool:
    """Whether the log knows anything of what is on record."""
    vault = log.vault
    leases = {each.lease_id for each in vault.issues.values()} - {""}
    steps = {step for named in vault.steps.values() for step in named}
    return any(
        held.view.lease_id in leases
        or held.request_id in vault.answered
        or held.view.step_uid in steps
        or held.view.token_accessor in vault.issuers - {""}
        or text_of(held.view.issued, "entity_id") in vault.entities - {""}
        for held in ledgers.held
    )
