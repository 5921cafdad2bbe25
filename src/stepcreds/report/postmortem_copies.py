"""Which credentials on record are copies of one another, and which only have the same ids; it reads nothing.

Whoever reads a ledger can repeat the ids in it: a copy is what is the same in whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from stepcreds.ledger.record import Record
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.review.dossier import Chapter
from stepcreds.review.selection import are_signed, is_tampered

Pair = tuple[Chapter, CredentialView]


def once(pairs: Iterable[Pair]) -> list[Pair]:
    """Every credential; of copies the one alone that is most to be believed, and of such the first.

    Copies have the same first record of their chain, and the same records of the credential, with their links.
    """
    listed = list(pairs)
    ids = [_ids(each) for _, each in listed]
    repeated = Counter(ids)
    found: dict[object, Pair] = {}
    for uids, (chapter, each) in zip(ids, listed, strict=True):
        # To write out all records takes long: only those can be copies that have the same ids.
        key = uids if repeated[uids] == 1 else repr((each.job, chapter.view.opened, _records(each)))
        known = found.get(key)
        if known is None or _worth(chapter, each) > _worth(*known):
            found[key] = (chapter, each)
    return list(found.values())


def repeats(pairs: Iterable[Pair]) -> Mapping[str, Sequence[str]]:
    """By credential_uid the files that have it, where there are several: of credentials that are not copies."""
    files: dict[str, list[str]] = {}
    for chapter, each in pairs:
        files.setdefault(each.credential_uid, []).append(chapter.source.name)
    return {uid: names for uid, names in files.items() if len(names) > 1}


def latest(credentials: Iterable[CredentialView]) -> list[CredentialView]:
    """Every credential; not what is a copy of another, or an older state: all that it has is in the other, the same."""
    by_uid: dict[str, list[CredentialView]] = {}
    for each in credentials:
        by_uid.setdefault(each.credential_uid, []).append(each)
    return [each for same in by_uid.values() for each in (_latest(same) if len(same) > 1 else same)]


def _latest(same: Iterable[CredentialView]) -> list[CredentialView]:
    states: dict[frozenset[str], CredentialView] = {}
    for each in same:
        states.setdefault(frozenset(map(repr, (each.job, *filter(None, _records(each))))), each)
    kept: list[frozenset[str]] = []
    for state in sorted(states, key=len, reverse=True):
        if not any(state <= known for known in kept):
            kept.append(state)
    return [states[state] for state in kept]


def _worth(chapter: Chapter, each: CredentialView) -> tuple[bool, bool, int, int]:
    verified = chapter.verified
    signed = are_signed(chapter, _records(each)) is True
    return signed, not is_tampered(chapter), verified.signing.entries, verified.entries


def _ids(each: CredentialView) -> tuple[str, ...]:
    return tuple(text_of(record, "event_uid") for record in _records(each))


def _records(each: CredentialView) -> tuple[Record, ...]:
    return (each.requested, each.issued, *each.closings, *each.leaks, each.left, each.measured, *each.tokens)
