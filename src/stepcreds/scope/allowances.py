"""What a profile's `allow` does to findings: which of them it accepts, until when, and what of it is of no use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from stepcreds.clock import rfc3339
from stepcreds.config.model import Allowance, Profile
from stepcreds.measurement import Finding

SOON: Final = 14  # days before its last one on which an allowance is spoken of


def day(time: float) -> str:
    """The UTC date of `time` (epoch seconds), as `expires` has it."""
    return rfc3339(time)[:10]


def has_expired(entry: Allowance, today: str) -> bool:
    """Whether its last day is over; both are dates of the same form, so their order is that of the texts."""
    return entry.expires < today


def stand(finding: Finding, because: str, profile: Profile, today: str) -> Finding:
    """`finding`, which goes beyond the profile (`because`), as excess or as what `allow` accepts on the day `today`."""
    entry = next((each for each in profile.allow if each.what == finding.name), None)
    if entry is None:
        return finding._replace(standing="excess", because=because)
    if has_expired(entry, today):
        ended = f"the allowance for {entry.what} expired on {entry.expires}"
        return finding._replace(standing="excess", because=f"{because}; {ended}")
    return finding._replace(standing="allowed", because=f"allowed until {entry.expires}: {entry.reason}")


def ending(entry: Allowance, today: str) -> str:
    """That the allowance ends within `SOON` days, "" where it does not, or has."""
    from datetime import date

    days = (date.fromisoformat(entry.expires) - date.fromisoformat(today)).days
    if not 0 <= days <= SOON:
        return ""
    when = "today" if days == 0 else f"in {days} day{'s' * (days > 1)}"
    return f'allow "{entry.what}" expires {when} ({entry.expires}): take the privilege away, or decide again'


def remarks(findings: Iterable[Finding], profile: Profile, time: float, *, vault: bool = False) -> tuple[str, ...]:
    """What is to be said of `allow` at `time` (epoch seconds): what ends soon, and what accepts nothing.

    A list that nobody prunes rots. What is allowed of Vault's side counts with `vault` only: a step does not look
    there.
    """
    standings: dict[str, set[str]] = {}
    for finding in findings:
        standings.setdefault(finding.name, set()).add(finding.standing)
    today = day(time)
    said = [
        _remark(entry, standings.get(entry.what, set()), today)
        for entry in profile.allow
        if vault or not entry.what.startswith("VAULT.")
    ]
    return tuple(text for text in said if text)


def yaml_text(text: str) -> str:
    """`text` as YAML writes it in double quotes, in one line and without a character that is not seen."""
    # JSON's escapes are YAML's as well, but for the pairs of a character beyond U+FFFF: https://yaml.org/spec/1.2.2/#57
    quoted = "".join(char if char.isprintable() else _escape(char) for char in json.dumps(text, ensure_ascii=False))
    return quoted.replace("##", "\\x23#")  # what a CI's log reader looks for gets a backslash when it is printed


def entry_of(finding: Finding) -> str:
    """The entry of `allow` that accepts `finding`, to paste; reason and day are whoever decides'."""
    return f'{{what: {yaml_text(finding.name)}, reason: "…", expires: YYYY-MM-DD}}'


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _remark(entry: Allowance, standings: set[str], today: str) -> str:
    if has_expired(entry, today):
        # What is excess again says so itself.
        return "" if "excess" in standings else f'allow "{entry.what}" expired on {entry.expires}: remove it'
    if "allowed" not in standings:
        kind = "accepts what the profile declares anyway" if standings else "matches nothing that it can do"
        return f'allow "{entry.what}" {kind}: remove it'
    return ending(entry, today)
