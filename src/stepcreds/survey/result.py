"""What one look at one credential found: how wide it is, how wide its token is, and how it ended."""

from __future__ import annotations

from typing import Literal, NamedTuple

from stepcreds.config.model import Profile
from stepcreds.errors import StepcredsError
from stepcreds.measurement import LEVELS, Finding, Level, Measured
from stepcreds.scope import allowances

Verdict = Literal["within", "excess", "unmeasurable"]


class TokenLook(NamedTuple):
    """What else the Vault token of the credential can do."""

    policies: tuple[str, ...]
    findings: tuple[Finding, ...]  # excess first
    not_examined: tuple[str, ...]
    examined: bool = True  # False: nothing at all could be seen of what it may do


class Ended(NamedTuple):
    """How the credential was ended, and whether that is proven."""

    proven: bool
    verdict: str  # in the words of the ledger: "proven dead"
    method: str  # what the proof rests on
    lock: str
    revocation: str
    detail: str = ""


class Survey(NamedTuple):
    """One profile, or one credential that exists already."""

    profile: Profile
    measured: Measured | None  # None: `error` says why
    time: float  # epoch seconds
    user: str = ""  # whom the database knew the credential as
    error: StepcredsError | None = None
    token: TokenLook | None = None  # None where there was no token to look at
    ended: Ended | None = None  # None where nothing was issued, or nothing was to be ended

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them, the database's first."""
        return (*(self.measured.findings if self.measured else ()), *(self.token.findings if self.token else ()))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of the profile's `allow`; nothing where nobody knows what the credential can do."""
        if self.measured is None:
            return ()
        vault = self.token is not None and not self.token.not_examined
        return allowances.remarks(self.findings, self.profile, self.time, vault=vault)

    @property
    def verdict(self) -> Verdict:
        if any(finding.standing == "excess" for finding in self.findings):
            return "excess"
        return "within" if self.measured is not None else "unmeasurable"

    @property
    def level(self) -> Level | None:
        """The highest level of all that counts; None where nobody knows."""
        if self.measured is None:
            return None
        token = [finding.level for finding in self.token.findings] if self.token else []
        return max((self.measured.level, *token), key=LEVELS.index)

    @property
    def worst(self) -> Finding | None:
        """The single worst thing that it can do: of the highest level, beyond the profile, and then the first."""
        return max(self.findings, key=_weight, default=None)

    @property
    def worst_words(self) -> str:
        """The same, as what follows "it can"; "log in, and nothing else" where nothing at all was found."""
        worst = self.worst
        if worst is None:
            return "log in, and nothing else" if self.measured is not None else ""
        by = ", with its Vault token" if worst.code.startswith("VAULT.") else ""
        return worst.what + by + (f", via {worst.via}" if worst.via else "")

    @property
    def clean(self) -> bool:
        """Whether it is no wider than declared, and known to be dead where it was to die."""
        return self.verdict == "within" and (self.ended is None or self.ended.proven)


def _weight(finding: Finding) -> tuple[int, int]:
    return LEVELS.index(finding.level), ("within", "allowed", "excess").index(finding.standing)
