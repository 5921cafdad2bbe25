"""Jobs that logged in where steps do and of which there is no ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from stepcreds.reconciliation.finding import Finding, at, many
from stepcreds.reconciliation.ledger_side import LedgerSide
from stepcreds.reconciliation.scope import RUN, contradiction, whose
from stepcreds.reconciliation.vault_side import LoggedIn, VaultSide


def silent_logins(ledgers: LedgerSide, vault: VaultSide) -> Iterator[Finding]:
    """One for each run that logged in and has no chain here. What tells runs apart has to be in a token's metadata."""
    wanted = vault.scope.wanted
    known: defaultdict[tuple[str, object], list[Mapping[str, object]]] = defaultdict(list)
    for chain in ledgers.files:
        for name in RUN:
            known[name, str(chain.claims.get(name))].append(chain.claims)
    silent: defaultdict[tuple[tuple[str, str], ...], list[LoggedIn]] = defaultdict(list)
    for login in vault.logins.values():
        run = run_of(login)
        if not run or not wanted.window.has(login.time) or not wanted.has_role(login.metadata.get("role", "")):
            continue
        if all(contradiction(claims, login.metadata) for claims in known.get(run[0], ())):
            silent[run].append(login)
    issued = defaultdict(list)
    for issue in vault.issues.values():
        issued[issue.accessor].append(issue)
    for logins in silent.values():
        first = min(logins, key=lambda login: login.time)
        count = sum(len(issued[login.accessor]) for login in logins if login.accessor)
        got = f"issued {many(count, 'credential')}" if count else "issued nothing"
        meaning = (
            f"a job logged in {many(len(logins), 'time')} from {at(first.time)} on ({whose(first.metadata)}) and was "
            f"{got}; no ledger here is of that run"
        )
        evidence = tuple(login.reference for login in logins)
        yield Finding("silent-login", "unknown", meaning, first.time, "", evidence)


def run_of(login: LoggedIn) -> tuple[tuple[str, str], ...]:
    """What tells the run apart; () where the token's metadata does not."""
    return tuple((name, login.metadata[name]) for name in RUN if login.metadata.get(name))
