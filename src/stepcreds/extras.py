"""What is said where a package of the extra `ledger` is not there; nothing of a step needs one."""

from __future__ import annotations

from stepcreds.errors import UsageError


def missing(package: str, what: str) -> UsageError:
    """`what` cannot be done: a sentence without its full stop, "The report cannot be written"."""
    return UsageError(
        f"{what}: {package} is not installed",
        cause="stepcreds was installed without its `ledger` extra, which a step does not need.",
        fix="pip install 'stepcreds[ledger]'",
        docs="ledger-extra",
    )
