"""What of a chain asks for a signature and has none, as findings; which records ask is in demand.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from stepcreds.ledger.chain import Chain, Finding
from stepcreds.ledger.view import text_of
from stepcreds.review.demand import Demand
from stepcreds.trust.keys import Trust, TrustedKey, is_valid_at


def unsigned(chain: Chain, demand: Demand, last: int, disputed: Collection[int]) -> Iterator[Finding]:
    """Records that have no signature, or not in time. `last`: the size of the last checkpoint.

    `disputed`: sizes of checkpoints that say otherwise than the chain, of which something is said already.
    """
    for size, kind in demand.missed(last):
        if size not in disputed:
            meaning = f"{kind} was not signed before something else could run, which could have changed it"
            yield Finding("checkpoint", chain.file, size, "missing", meaning, "incomplete")
    after = f"{counted(chain.entries - last)} after the last checkpoint, among them"
    if tail := demand.after(last):
        meaning = f"{after} {_kinds(tail.values())}: signed by nobody"
        yield Finding("checkpoint", chain.file, min(tail), "tail", meaning, "incomplete")
    elif loose := demand.loose(last):
        meaning = f"{after} {_kinds(loose.values())}: signed by nobody, as an honest job leaves them; whoever could "
        meaning += "write to the file could have, too"
        yield Finding("checkpoint", chain.file, min(loose), "after", meaning, "unknown")


def nothing_signed(chain: Chain, trust: Trust | None) -> Iterator[Finding]:
    """That there is no checkpoint at all, where the chain or the trust file lets one expect them."""
    key, repository = text_of(chain.opened, "trust", "key"), text_of(chain.opened, "job", "repository_id")
    meaning = ""
    if key:
        meaning = f"the chain says that {key[:120]!a} signs it, and there is no checkpoint"
    elif _is_expected(trust, repository, text_of(chain.opened, "time")):
        meaning = f"the trust file has a key of repository {repository[:80]!a} at that time, and nothing is signed"
    if meaning:
        yield Finding("checkpoint", chain.file, 1, "none", meaning, "incomplete")


def counted(count: int) -> str:
    """So many records, in words."""
    return "1 record" if count == 1 else f"{count} records"


def _is_expected(trust: Trust | None, repository: str, time: str) -> bool:
    keys: Iterable[TrustedKey] = trust.keys if trust is not None else ()
    return any(key.repository_id == repository and is_valid_at(key, time) for key in keys)


def _kinds(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(set(kinds)))
