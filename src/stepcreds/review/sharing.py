"""Which credentials on record are one and the same, or are had by the same name; pure, from the records alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from stepcreds.ledger.view import CredentialView

What = Literal["lease_id", "token_accessor", "db_user"]
IDENTIFIERS: tuple[What, ...] = ("lease_id", "token_accessor", "db_user")


class Shared(NamedTuple):
    """One identifier that stands on record for credentials of more than one step."""

    what: What
    value: str
    credentials: tuple[CredentialView, ...]


def shared(credentials: Iterable[CredentialView]) -> list[Shared]:
    """What two steps had in common that no two should. A database user counts with its server."""
    groups: dict[tuple[What, str, str], list[CredentialView]] = {}
    for each in credentials:
        for what in IDENTIFIERS:
            value = getattr(each, what)
            if value:
                groups.setdefault((what, value, each.server if what == "db_user" else ""), []).append(each)
    return [
        Shared(what, value, tuple(group))
        for (what, value, _), group in groups.items()
        if len({each.step_uid for each in group}) > 1
    ]
