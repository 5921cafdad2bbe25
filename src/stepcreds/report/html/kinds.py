"""What a reviewer looks for first in credentials, in the order in which it matters; it reads no file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from stepcreds.ledger.chain import Finding
from stepcreds.ledger.view import CredentialView, text_of
from stepcreds.review.lifetimes import command_times

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
    Kind("gone", "Gone", "A table, or something else, was in the database before its command, and not after.", "alarm"),
    Kind("excess", "Excess", "It could do more than its profile declares, and a command may have had it.", "alarm"),
    Kind("token", "Token left", "The Vault token of its step was not revoked.", "alarm"),
    Kind("doubt", "Record in doubt", "Verify has a finding about its records, or its file was tampered with.", "alarm"),
    Kind(
        "refused", "Excess refused", "It could do more than its profile declares, and no command ever had it.", "notice"
    ),
    Kind("left", "Left changes", "The database has other objects, grants or owners than before its command.", "notice"),
    Kind("inherited", "Others inherited", "Its step began with other credential-like variables set.", "notice"),
    Kind("unmeasured", "Not measured", "Nobody looked at what it could do.", "notice"),
)
GONE = "LEFT.GONE"  # the code of a change that took something away
# What `open` and `unproven` say already.
_SAID = ("unclosed", "unproven")


def kinds_of(
    credential: CredentialView, *, overlapping: bool, shared: bool, tampered: bool, findings: Iterable[Finding]
) -> Collection[str]:
    """Keys of `KINDS`. `tampered` is its file, `findings` are those about its records."""
    refused = credential.verdict == "not issued"
    measured = bool(credential.level)
    codes = {text_of(change, "code") for change in changes_of(credential)}
    kept_back = not tampered and is_kept_back(credential)
    true = {
        "leaked": bool(credential.leaks),
        "open": not credential.closings,
        "unproven": bool(credential.closings) and not credential.proven and not refused,
        "overlapping": overlapping,
        "shared": shared,
        "gone": GONE in codes,
        "excess": bool(credential.excess) and not kept_back,
        "token": bool(credential.tokens),
        "doubt": tampered or any(finding.code not in _SAID for finding in findings),
        "refused": bool(credential.excess) and kept_back,
        "left": bool(codes - {GONE}) or bool(credential.left.get("unknown")),
        "inherited": bool(credential.requested.get("inherited")),
        "unmeasured": not measured and not refused,
    }
    return [kind.key for kind in KINDS if true[kind.key]]


def is_kept_back(credential: CredentialView) -> bool:
    """Whether it was ended before the command that it was for; what is handed out otherwise nobody can keep back."""
    return bool(credential.closings) and credential.delivery == "exec" and command_times(credential) == (None, None)


def changes_of(credential: CredentialView) -> list[Mapping[str, object]]:
    """What was otherwise in the database after its command, whoever did it."""
    changes = credential.left.get("changes")
    return [each for each in changes if isinstance(each, dict)] if isinstance(changes, list) else []
