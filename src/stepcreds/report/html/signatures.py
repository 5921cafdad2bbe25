"""Whether ledgers are signed, and by whose keys, in words for the head of the page; it checks no signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from stepcreds.review.dossier import Chapter
from stepcreds.review.selection import is_tampered
from stepcreds.seals.log import Log
from stepcreds.trust.keys import Trust, TrustedKey, of_purpose

_REWRITTEN = (
    "Whoever could write to a ledger without a signature that counts could write it anew as a whole, and nothing in it "
    "would show that: what stands in this report about it is only as good as the disk that it was on."
)
_ALTERED = (
    "The findings of verify say what was changed. A signature stands for what it was made over, and not for what is "
    "there now."
)
_NOT_PINNED = (
    "No trust file was given, so no signature counts. Write one from Vault with `stepcreds ledger trust export`, keep "
    "it where no job can write, and name it with --trust."
)


_GONE = (
    "Checkpoints are here, and their ledgers are not: those were removed, or not copied. Nothing of what they held is "
    "in this report."
)
_REPLACED = "what is shown is the oldest version, by its own signatures; the findings of verify say what came later."
_NOT_SEALED = (
    "Signed does not mean complete. No seals were given (--seals): what was cut or removed together with its "
    "checkpoints leaves no trace here. Vault's audit log knows (ledger reconcile)."
)
_SINCE_SEALED = (
    "Signed does not mean complete: of what was cut or removed since the newest seal, together with its checkpoints, "
    "Vault's audit log alone knows (ledger reconcile)."
)


class Statement(NamedTuple):
    """What the head of the page says of signatures."""

    tone: str  # "good", "notice", "bad" or ""
    headline: str
    sentences: tuple[str, ...]
    gone: tuple[str, ...]  # ledgers of which nothing but checkpoints is left, a line for each
    keys: tuple[tuple[TrustedKey, int], ...]  # that may sign ledgers, and how many of these each has signed
    keys_title: str


def statement(
    chapters: Sequence[Chapter], trust: Trust | None, seals: Log | None = None, *, gone: tuple[str, ...] = ()
) -> Statement:
    """About all of these ledgers. `gone`: what is known of others of which nothing but checkpoints is left."""
    verified = [chapter.verified for chapter in chapters]
    states = Counter[str](each.signing.state for each in verified)
    total = len(verified)
    signed = Counter(keyid for each in verified for keyid in each.signing.keys)
    keys = tuple((key, signed[key.keyid]) for key in of_purpose(trust, "checkpoint"))
    title = f"Keys of {trust.source} that may sign ledgers: {len(keys):,}" if trust is not None else ""
    if not total and not gone:
        return Statement("", "No ledger here", ("No step has written one yet, or it is elsewhere.",), (), keys, title)
    altered = sum(map(is_tampered, chapters))
    stored = [[found.certainty for found in each.findings if found.layer == "store"] for each in verified]
    replaced, overwritten = sum(map(bool, stored)), sum("tampered" in each for each in stored)
    sentences = [_ALTERED] if altered else []
    if gone:
        sentences.append(_GONE)
    if replaced:
        sentences.append(f"{_ledgers(replaced)} with findings about the store: {_REPLACED}")
    if total:
        sentences.append(_counts(states, total, trust))
    if states["signed"] < total:
        sentences.append(_REWRITTEN)
    if trust is None:
        sentences.append(_NOT_PINNED)
    sentences += [_NOT_SEALED] if seals is None else [_sealed(seals), _SINCE_SEALED]
    tone = "bad" if states["signed"] < total or altered or gone else "notice" if overwritten else ""
    return Statement(
        tone if tone or replaced else "good",
        _heads(states, total, altered, overwritten, len(gone)),
        tuple(sentences),
        gone,
        keys,
        title,
    )


def _heads(states: Counter[str], total: int, altered: int, overwritten: int, gone: int) -> str:
    """What was tampered with comes first, then what is gone."""
    heads = [_headline(states, total, altered)] if total else []
    if gone and total and not altered:
        heads = [f"what is here: {heads[0][0].lower()}{heads[0][1:]}"]
    if gone:
        heads.insert(1 if altered else 0, f"{_ledgers(gone)} {'is' if gone == 1 else 'are'} gone")
    if overwritten:
        was, its = ("was", "its") if overwritten == 1 else ("were", "their")
        heads.append(f"{_ledgers(overwritten)} {was} changed in {its} store")
    return "; ".join(heads)


def _ledgers(count: int) -> str:
    return "1 ledger" if count == 1 else f"{count:,} ledgers"


def _headline(states: Counter[str], total: int, altered: int) -> str:
    if altered:
        return "Tampered with" if total == 1 else f"Tampered with: {altered:,} of {total:,} ledgers"
    if states["signed"] == total:
        return "Signed" if total == 1 else f"All {total:,} ledgers are signed"
    if states["not checked"] == total:
        return "Signatures not checked"
    unsigned = states["unsigned"]
    if unsigned == total:
        return "Unsigned"
    if unsigned:
        others = f", and {states['not checked']:,} not checked" if states["not checked"] else ""
        return f"Unsigned: {unsigned:,} of {total:,} ledgers{others}"
    return f"Not signed as a whole: {total - states['signed']:,} of {total:,} ledgers"


def _counts(states: Counter[str], total: int, trust: Trust | None) -> str:
    words = {
        "signed": "signed by a key that counts, from the first record to the last that a step signs",
        "partly signed": "signed in part",
        "unsigned": "with no signature at all" if trust is None else "with no signature that counts",
        "not checked": "with signatures that nobody checked",
    }
    against = f" Checked against {trust.source}." if trust is not None else ""
    told = "; ".join(f"{states[state]:,} {text}" for state, text in words.items() if states[state])
    return f"Of {_ledgers(total)}: {told}.{against}"


def _sealed(seals: Log) -> str:
    last = seals.last
    newest = f"the newest that counts is of {last.seal.time}" if last is not None else "none of them counts"
    signed = {"signed": "", "partly signed": ", of which not all are signed", "not checked": ", not checked"}
    return f"Held against the seals in {seals.place}{signed.get(seals.state, '')}: {newest}."
