"""A trust file brought up to date with what Vault has today: what is added, what ends, and what is not taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from stepcreds.errors import UsageError
from stepcreds.trust.keys import Trust, TrustedKey


class Updated(NamedTuple):
    """The new file, and in words each way in which it differs from the old one or from Vault."""

    trust: Trust
    changes: tuple[str, ...]  # what is written
    kept: tuple[str, ...]  # what stays, although Vault says something else


def updated(old: Trust, keys: Iterable[TrustedKey], asked: Callable[[TrustedKey], bool]) -> Updated:
    """`old` with what Vault has, `keys`. `asked` says of a key of `old` whether Vault was asked for it.

    A version that Vault no longer has stays: what it signed is still to be verified. No window becomes wider than it
    was: whoever narrowed it had a reason. Raises `UsageError` where a version has another public key than it had, which
    Vault never does to one.
    """
    at_vault: dict[tuple[object, ...], TrustedKey] = {_identity(key): key for key in keys}
    newer: dict[tuple[object, ...], list[TrustedKey]] = {}
    for key in at_vault.values():
        newer.setdefault(_identity(key)[:3], []).append(key)
    result: list[TrustedKey] = []
    changes: list[str] = []
    kept: list[str] = []
    for known in old.keys:
        now = at_vault.get(_identity(known))
        if now is not None and now.public_key != known.public_key:
            _require_ended(known, now)
            result.append(known)
            kept.append(f"{_named(known)} of {known.not_before}: Vault has another key under this name and version now")
            continue
        if now is None:
            result.append(_closed(known, newer.get(_identity(known)[:3], [])))
            if asked(known):
                kept.append(f"{_named(known)}: Vault no longer has it; what it signed can still be verified")
        else:
            del at_vault[_identity(known)]
            result.append(_narrower(known, now))
            if result[-1] != now:
                kept.append(f"{_named(known)}: its window in the file is narrower than Vault's, and stays so")
        if result[-1] != known:
            changes.append(f"{_named(known)}: ends at {result[-1].not_after}")
    for key in at_vault.values():
        whose = f"repository {key.repository_id}" if key.repository_id else "any repository"
        end = f" until {key.not_after}" if key.not_after else ""
        changes.append(f"{_named(key)}: new, for {key.purpose}s of {whose}, from {key.not_before}{end}")
    return Updated(Trust(old.source, (*result, *at_vault.values())), tuple(changes), tuple(kept))


def _identity(key: TrustedKey) -> tuple[object, ...]:
    return (key.purpose, key.vault_addr, key.name, key.repository_id, key.version)


def _named(key: TrustedKey) -> str:
    return f"{key.name} version {key.version}"


def _narrower(known: TrustedKey, now: TrustedKey) -> TrustedKey:
    ends = [end for end in (known.not_after, now.not_after) if end is not None]
    return replace(known, not_before=max(known.not_before, now.not_before), not_after=min(ends, default=None))


def _closed(known: TrustedKey, others: list[TrustedKey]) -> TrustedKey:
    """A version that is gone ended at the latest when the next that is left was made."""
    later = [other.not_before for other in others if other.version > known.version]
    return _narrower(known, replace(known, not_after=min(later))) if later else known


def _require_ended(known: TrustedKey, now: TrustedKey) -> None:
    if known.not_after is not None and known.not_after <= now.not_before:
        return
    raise UsageError(
        f"{_named(known)} has another public key at {known.vault_addr} than in the trust file",
        cause="Somebody deleted the key and made it anew, or another Vault answers at this address.",
        fix="Find out which. If it was made anew, write into the file when the old one ended, and run this again:\n"
        f'  "not_after": "{now.not_before}"',
        docs="ledger-trust",
    )
