"""What a reviewer looks for first in credentials, in the order in which it matters; it reads no file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from stepcreds.ledger.chain import Finding
from stepcreds.ledger.view import CredentialView

Tier = Literal["alarm", "notice"]  # notice: worth knowing, and nothing has gone wrong by itself


class Kind(NamedTuple):
    """One thing that a credential can be found to be."""

    key: str  # in addresses of the page, and stable
    title: str
    meaning: str
    tier: Tier


KINDS = (
    Kind("leaked", "Leaked", "Its command left it in a place that outlives the step.", "alarm"),
    Kind("open", "Open", "It was issued or asked for, and no record says how it ended.", "alarm"),
    Kind("unproven", "Not proven dead", "It was ended, and nothing proved it dead.", "alarm"),
    Kind("overlapping", "Overlapping", "It lived, or may have lived, while another step ran its command.", "alarm"),
    Kind("shared", "Shared", "Its lease, user or token stands on record for more than one step.", "alarm"),
    Kind("excess", "Excess", "It could do more than its profile declares.", "alarm"),
    Kind("token", "Token left", "The Vault token of its step was not revoked.", "alarm"),
    Kind("doubt", "Record in doubt", "Verify has a finding about its records, or its file was tampered with.", "alarm"),
    Kind("left", "Left changes", "Its command changed what the database lets others do, or owns.", "notice"),
    Kind("inherited", "Others inherited", "Its step began with other credential-like variables set.", "notice"),
    Kind("unmeasured", "Not measured", "Nobody looked at what it could do.", "notice"),
)
# What `open` and `unproven` say already.
_SAID = ("unclosed", "unproven")


def kinds_of(
    credential: CredentialView, *, overlapping: bool, shared: bool, tampered: bool, findings: Iterable[Finding]
) -> Collection[str]:
    """Keys of `KINDS`. `tampered` is its file, `findings` are those about its records."""
    refused = credential.verdict == "not issued"
    measured = bool(credential.level)
    changes = credential.left.get("changes")
    true = {
        "leaked": bool(credential.leaks),
        "open": not credential.closings,
        "unproven": bool(credential.closings) and not credential.proven and not refused,
        "overlapping": overlapping,
        "shared": shared,
        "excess": bool(credential.excess),
        "token": bool(credential.tokens),
        "doubt": tampered or any(finding.code not in _SAID for finding in findings),
        "left": bool(changes) or bool(credential.left.get("unknown")),
        "inherited": bool(credential.requested.get("inherited")),
        "unmeasured": not measured and not refused,
    }
    return [kind.key for kind in KINDS if true[kind.key]]
