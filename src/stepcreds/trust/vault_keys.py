"""The keys that Vault's Transit engine has at this moment, with the window of each version; it writes no file.

https://openbao.org/api-docs/secret/transit/#read-key
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, NamedTuple

from stepcreds.clock import rfc3339
from stepcreds.errors import UsageError, VaultError
from stepcreds.ledger.checkpoint import REPOSITORY
from stepcreds.printable import one_line
from stepcreds.setup.live.operator import Live
from stepcreds.trust.keys import Purpose, TrustedKey

# Go's time.Time in JSON: any zone, up to nine digits of a second.
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)


class Asked(NamedTuple):
    """Which keys: one name, or all that fit it."""

    mount: str
    name: str  # "{repository_id}" in it stands for anything, and says whose key it is; so does a "*" at its end
    purpose: Purpose

    @classmethod
    def parse(cls, text: str, purpose: Purpose) -> Asked:
        """`<mount>/keys/<name>`. Raises `UsageError`."""
        mount, between, name = text.strip("/").rpartition("/keys/")
        plain = name.replace(REPOSITORY, "", 1).removesuffix("*")
        if not mount or not between or not name or not re.fullmatch(r"[A-Za-z0-9_.-]*", plain):
            raise UsageError(
                f"{one_line(text)} does not name a Transit key",
                fix=f"Write transit/keys/NAME, transit/keys/PREFIX* or transit/keys/PREFIX{REPOSITORY}.",
                docs="ledger-trust",
            )
        if REPOSITORY in name and (purpose == "seal" or name.endswith("*")):
            what = "A key for seals is one for all repositories" if purpose == "seal" else "Both stand for anything"
            raise UsageError(f"{what}: {one_line(text)}", fix=f"Leave out {REPOSITORY}.", docs="ledger-trust")
        return cls(mount, name, purpose)

    @property
    def is_pattern(self) -> bool:
        return REPOSITORY in self.name or self.name.endswith("*")

    @property
    def path(self) -> str:
        return f"{self.mount}/keys/{self.name}"

    def fits(self, name: str) -> bool:
        """Whether the key `<mount>/keys/<name>` is meant."""
        return self._match(name) is not None

    def repository_of(self, name: str) -> str | None:
        """Whose key of this name it is; None: any repository's."""
        match = self._match(name) if REPOSITORY in self.name else None
        return match[1] if match is not None else None

    def _match(self, name: str) -> re.Match[str] | None:
        pattern = re.escape(self.name).replace(re.escape(REPOSITORY), "(.+)")
        return re.fullmatch(pattern.removesuffix(r"\*") + "(.*)" if self.name.endswith("*") else pattern, name)


class Found(NamedTuple):
    """The keys, and in words what was left out."""

    keys: tuple[TrustedKey, ...]
    left_out: tuple[str, ...]


def read_keys(live: Live, vault_addr: str, asked: list[Asked]) -> Found:
    """Every version of every key that `asked` means, in the order of asking; a name that was asked for is no pattern's.

    Raises `VaultError`, and `UsageError` where there is no such key or it signs nothing.
    """
    named = {each.path for each in asked if not each.is_pattern}
    keys: dict[tuple[str, Purpose, int], TrustedKey] = {}
    left_out: list[str] = []
    for each in asked:
        names = [each.name]
        if each.is_pattern:
            names = [name for name in live.names(f"{each.mount}/keys") if each.fits(name)]
            names = [name for name in names if f"{each.mount}/keys/{name}" not in named]
        read = [(name, live.read(f"{each.mount}/keys/{name}")) for name in names]
        if not any(data is not None for _, data in read):
            raise _missing(each, vault_addr)
        for name, data in read:
            if data is None:
                continue  # deleted since it was listed
            if why := _useless(data):
                if not each.is_pattern:
                    raise UsageError(f"The key {each.path} {why}", docs="ledger-trust")
                left_out.append(f"{each.mount}/keys/{one_line(name)} {why}")
                continue
            for key in _versions(each, name, data, vault_addr):
                keys.setdefault((key.name, key.purpose, key.version), key)
    return Found(tuple(keys.values()), tuple(left_out))


def _useless(data: Mapping[str, Any]) -> str:
    """Why the key cannot be trusted with anything; "" for nothing."""
    if data.get("type") != "ed25519":
        return f"is of type {one_line(str(data.get('type')), 40)}, and only ed25519 signs ledgers"
    if data.get("derived"):
        return "is derived: it has another public key for each context"
    return ""


def _versions(asked: Asked, name: str, data: Mapping[str, Any], vault_addr: str) -> list[TrustedKey]:
    path = f"{asked.mount}/keys/{name}"
    listed = data.get("keys")
    found: list[tuple[int, str, str]] = []
    for version, each in listed.items() if isinstance(listed, dict) else ():
        public = each.get("public_key") if isinstance(each, dict) else None
        made = each.get("creation_time") if isinstance(each, dict) else None
        time = _rfc3339(made) if isinstance(made, str) else None
        if not re.fullmatch(r"[1-9][0-9]{0,8}", str(version)) or not isinstance(public, str) or time is None:
            raise VaultError(f"GET {path}: an answer without the versions of an ed25519 key", docs="vault-answers")
        found.append((int(version), time, public))
    found.sort()
    # Vault signs with the newest version and no other: the policy of a step leaves it no `key_version`.
    ends = [max(time, later) for (_, time, _), (_, later, _) in pairwise(found)]
    repository = asked.repository_of(name)
    return [
        TrustedKey(asked.purpose, vault_addr, path, version, public, time, end, repository)
        for (version, time, public), end in zip(found, [*ends, None], strict=True)
    ]


def _rfc3339(text: str) -> str | None:
    """A time of Vault's as the ledger writes times, down to its millisecond; None where it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0)) * (-1 if match[8] == "-" else 1)
        then = datetime(*map(int, match.groups()[:6]), tzinfo=timezone(offset))  # type: ignore[arg-type, misc]
        return rfc3339(int(then.timestamp()) + int((match[7] or "0").ljust(3, "0")[:3]) / 1000)
    except (ValueError, OverflowError):
        return None


def _missing(asked: Asked, vault_addr: str) -> UsageError:
    what = "There is no key that fits" if asked.is_pattern else "There is no key"
    return UsageError(
        f"{what} {asked.path} at {vault_addr}",
        cause="No step of such a repository was set up to sign yet, or it is another Vault or namespace.",
        fix="Let `stepcreds setup apply` make it, or name another: --key transit/keys/NAME",
        docs="ledger-trust",
    )
