"""Which databases a run could reach, and which of many ledgers a post-mortem has to read and verify for it.

A credential is taken to reach its server as a whole: what it may do in other databases there is not always measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.reading import first_record, read_chain
from stepcreds.ledger.view import ChainView, CredentialView, text_of
from stepcreds.printable import one_line
from stepcreds.report.postmortem_gone import Gone, read_gone
from stepcreds.report.postmortem_gone import told as told_gone
from stepcreds.review.dossier import Chapter, Dossier, glance, read
from stepcreds.review.selection import is_tampered, was_tampered
from stepcreds.review.sharing import IDENTIFIERS
from stepcreds.review.sources import Source
from stepcreds.trust.keys import Trust

Role = tuple[str, str]  # the mount it logs in at, and its name
Servers = frozenset[str]  # "host:port", in small letters: an engine has several schemes
Tell = Callable[[int, int], None]
_SAME = (*IDENTIFIERS, "credential_uid")  # whoever else has one of them is to be looked at


class Passed(NamedTuple):
    """What is known of ledgers whose signatures nobody checked: by their own word they do not matter."""

    credentials: int = 0  # that may have been issued
    roles: Mapping[Role, int] = {}  # credentials that were issued to each


def server_of(credential: CredentialView) -> str:
    """One of `Servers`; "" where it is not on record."""
    return credential.server.partition("://")[2].lower()


def reach(credentials: Iterable[CredentialView]) -> Servers | None:
    """Where credentials like these could do anything; None: anywhere, as one of them does not say."""
    servers = frozenset(server_of(each) for each in credentials if each.verdict != "not issued")
    return None if "" in servers or not servers else servers


def is_elsewhere(credential: CredentialView, servers: Servers | None) -> bool:
    """Whether it says that it is for a database on none of `servers`. One that does not say may be for any."""
    server = server_of(credential)
    return servers is not None and server != "" and server not in servers


def gather(
    sources: Sequence[Source],
    run: str,
    trust: Trust | None,
    tell: Tell = lambda done, total: None,
    *,
    at: float | None,
    servers: Servers | None = None,
) -> tuple[Dossier, Passed]:
    """What matters for `run`, verified: its own ledgers, those of its repository, what shares something with it, and
    with `at` those that tell of the same servers, or of none. `servers`: where the damage was; None: wherever it could.

    Raises `UsageError` where no ledger tells of a credential of that run.
    """
    runs = {source.name: _run_of(source) for source in sources}
    mine = [source for source in sources if runs[source.name] in ("", run)]
    found = [view for view in map(_view, mine) if view is not None and view.job.get("run_id") == run]
    credentials = [each for view in found for each in view.credentials]
    repositories = {view.job.get("repository_id", "") for view in found}
    if not credentials:
        raise unknown_run(run, filter(None, runs.values()), read_gone(mine, trust))
    near = servers or reach(credentials)
    held = {(what, value) for each in credentials for what in _SAME if (value := getattr(each, what))}

    def told(chapter: Chapter) -> Passed | None:
        """None where it matters: also where its links alone say that it was changed, perhaps so as not to."""
        view = chapter.view
        if (
            is_tampered(chapter)
            or view.job.get("repository_id", "") in repositories
            or any((what, getattr(each, what)) in held for each in view.credentials for what in _SAME)
            or (at is not None and any(not is_elsewhere(each, near) for each in view.credentials))
        ):
            return None
        count = sum(each.verdict != "not issued" for each in view.credentials)
        return Passed(
            count, Counter((each.mount_point, each.role) for each in view.credentials if each.issued and each.role)
        )

    kept, passed, roles = {source.name for source in mine}, 0, Counter[Role]()
    rest = [source for source in sources if source.name not in kept]
    for source, (verified, seen) in zip(rest, glance(rest, told, tell=tell), strict=True):
        if isinstance(seen, Passed) and not was_tampered(verified):
            passed += seen.credentials
            roles.update(seen.roles)
        else:
            kept.add(source.name)
    wanted = [source for source in sources if source.name in kept]
    return read(wanted, trust, tell), Passed(passed, roles)


def unknown_run(run: str | None, runs: Iterable[str], gone: Iterable[Gone]) -> UsageError:
    """`runs` are those that are on record, `gone` the ledgers of which only checkpoints are."""
    lost = [each for each in gone if each.run == run]
    if lost:
        return UsageError(
            f"No credential of run {one_line(run or '?')} is on record here",
            cause=told_gone(lost),
            fix="Look for it where it was copied to (ledger.push). "
            "What it held, Vault's audit log knows: ledger reconcile",
            docs="ledger-gone",
        )
    known = sorted(set(runs))
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return UsageError(
        f"No credential of run {one_line(run or '?')} is on record here",
        cause=f"The runs on record are {', '.join(map(one_line, known[:10]))}{more}."
        if known
        else "There is no credential on record at all.",
        fix="Name the ledgers and the run: stepcreds ledger postmortem PLACES --run ID",
        docs="ledger-postmortem",
    )


def _run_of(source: Source) -> str:
    """As its first record says; "" where that does not say."""
    try:
        return text_of(first_record(source.path), "job", "run_id")
    except LedgerError:
        return ""


def _view(source: Source) -> ChainView | None:
    """None where it cannot be read; why not, whoever verifies it says."""
    try:
        return read_chain(source.path)
    except LedgerError:
        return None
