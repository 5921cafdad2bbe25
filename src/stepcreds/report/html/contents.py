"""All that ledgers say, compared with each other and in the order of the page; it writes no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stepcreds.ledger.chain import CERTAINTIES, Finding
from stepcreds.ledger.record import Record
from stepcreds.ledger.view import CredentialView
from stepcreds.report.html.kinds import KINDS, kinds_of
from stepcreds.report.html.rows import (
    MOST_OVERLAPS,
    Row,
    chain_row,
    credential_row,
    cut,
    finding_row,
    line_of,
    overlap_row,
    records_of,
)
from stepcreds.review.dossier import Chapter, Dossier
from stepcreds.review.lifetimes import Overlap, overlaps
from stepcreds.review.selection import is_tampered
from stepcreds.review.sharing import shared

# The place of its chain, the finding, the place of the credential that it is about; None: there is none.
_Placed = tuple["int | None", Finding, "int | None"]


@dataclass(frozen=True)
class Contents:
    """Places are indices into `chains` and `rows`."""

    chapters: tuple[Chapter, ...]
    chains: list[Row]
    rows: list[Row]
    records: list[list[Record]]  # of each of `rows`
    shared: list[Row]  # identifiers that several steps have, with the places of their credentials
    findings: list[Row]  # the surest first
    kinds: Counter[str]  # key of kinds.KINDS -> how many of `rows`
    errors: tuple[str, ...]  # files that could not be read
    gone: tuple[str, ...]  # ledgers of which nothing but checkpoints is left; in none of `errors`

    @property
    def alarming(self) -> int:
        """How many of `rows` need attention."""
        alarms = {kind.key for kind in KINDS if kind.tier == "alarm"}
        return sum(not alarms.isdisjoint(row["kinds"]) for row in self.rows)


def contents(dossier: Dossier, takes: Callable[[Chapter, CredentialView], bool]) -> Contents:
    """Of a chain of which one credential is taken, all are: what a step did is seen beside the others of its job."""
    chapters = tuple(
        chapter
        for chapter in dossier.chapters
        if not chapter.view.credentials or any(takes(chapter, each) for each in chapter.view.credentials)
    )
    pairs = [(place, each) for place, chapter in enumerate(chapters) for each in chapter.view.credentials]
    places = {id(credential): place for place, (_, credential) in enumerate(pairs)}
    groups = shared(credential for _, credential in pairs)
    group_of: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        for each in group.credentials:
            group_of.setdefault(places[id(each)], []).append(number)
    over: dict[int, list[Overlap]] = {}
    for chapter in chapters:
        for overlap in overlaps(chapter.view.credentials):
            over.setdefault(places[id(overlap.credential)], []).append(overlap)
    found = _findings(chapters, pairs, dossier)
    about: dict[int, list[Finding]] = {}
    for _, finding, place in found:
        if place is not None:
            about.setdefault(place, []).append(finding)
    rows, kinds = [], Counter[str]()
    for place, (chain, credential) in enumerate(pairs):
        findings, lived_into = about.get(place, []), over.get(place, [])
        told = kinds_of(
            credential,
            overlapping=bool(lived_into),
            shared=place in group_of,
            tampered=is_tampered(chapters[chain]),
            findings=findings,
        )
        kinds.update(told)
        row = credential_row(chapters[chain], credential, chain, told)
        row["overlaps"] = [overlap_row(each, places[id(each.other)]) for each in lived_into[:MOST_OVERLAPS]]
        row["more_overlaps"] = max(0, len(lived_into) - MOST_OVERLAPS)
        row["shared"] = group_of.get(place, [])
        rows.append(row)
    names = _names(chapters)
    lost = list(zip(dossier.errors, dossier.lost, strict=True))
    return Contents(
        chapters,
        [chain_row(chapter, name) for chapter, name in zip(chapters, names, strict=True)],
        rows,
        [records_of(credential) for _, credential in pairs],
        [
            {"what": group.what, "value": cut(group.value), "places": [places[id(each)] for each in group.credentials]}
            for group in groups
        ],
        [finding_row(finding, place) for _, finding, place in found],
        kinds,
        tuple(error.what for error, verified in lost if not verified.gone),
        tuple(error.what for error, verified in lost if verified.gone),
    )


def _findings(
    chapters: Sequence[Chapter], pairs: Sequence[tuple[int, CredentialView]], dossier: Dossier
) -> list[_Placed]:
    line_to_place = {
        (chain, line_of(record)): place
        for place, (chain, credential) in enumerate(pairs)
        for record in records_of(credential)
    }
    elsewhere = [*dossier.sealing, *(finding for verified in dossier.lost for finding in verified.findings)]
    found: list[_Placed] = [(None, finding, None) for finding in elsewhere]
    found += [
        # A checkpoint's file has lines of its own.
        (chain, finding, line_to_place.get((chain, finding.line)) if finding.file == chapter.source.name else None)
        for chain, chapter in enumerate(chapters)
        for finding in chapter.verified.findings
    ]
    return sorted(found, key=lambda each: CERTAINTIES.index(each[1].certainty))


def _names(chapters: Sequence[Chapter]) -> list[str]:
    """What each chapter's repository is called; a name that several have comes with what tells them apart."""
    owners: dict[str, set[tuple[str, str]]] = {}
    for chapter in chapters:
        job = chapter.view.job
        name = chapter.view.repository or job.get("repository_id", "")
        owners.setdefault(name, set()).add((job.get("iss", ""), job.get("repository_id", "")))
    names = []
    for chapter in chapters:
        job = chapter.view.job
        name = chapter.view.repository or job.get("repository_id", "")
        several = len(owners[name]) > 1
        names.append(cut(f"{name} ({job.get('repository_id', '')}, {job.get('iss', '')})" if several else name))
    return names
