"""The one tree of errors that a user of stepcreds can meet; it decides nothing and prints nothing.

Every error says what happened, the likely cause, what to change and where to read on. Nothing foreign
(`http.client`, `yaml`, `OSError`) leaves the stage that met it: the stage turns it into one of these. No
error ever carries the value of a credential, of a token, or the body of an answer that may hold one.
"""

from __future__ import annotations

from typing import NamedTuple


class StepcredsError(Exception):
    """What happened (`what`), with `cause`, `fix` and `docs`, each "" where there is nothing true to say.

    `exit_code` is what a command other than `exec` ends with: 1 for a finding, 2 for usage or
    configuration. `exec` ends with 125 for all of them, because the command has not run.
    `docs` is an anchor of docs/troubleshooting.md.
    """

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", fix: str = "", docs: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.fix = fix
        self.docs = docs


class UsageError(StepcredsError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing that is wrong in a configuration file."""

    where: str  # "stepcreds.yml:12:5", or the name of the variable or file
    key: str  # dotted path, "profiles.migrate.ttl"; "" for the document
    what: str
    fix: str = ""


class ConfigError(StepcredsError):
    """Everything that is wrong with the configuration, at once, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the configuration", docs="configuration")


class IdentityError(StepcredsError):
    """There is no usable OIDC token for this step."""


class VaultError(StepcredsError):
    """Vault refused, or could not be reached, or answered something that is not Vault's.

    `status` is the HTTP status, None where there was no answer. `errors` are Vault's own texts.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        errors: tuple[str, ...] = (),
        cause: str = "",
        fix: str = "",
        docs: str = "",
    ) -> None:
        super().__init__(what, cause=cause, fix=fix, docs=docs)
        self.status = status
        self.errors = errors


class LostAnswerError(VaultError):
    """The request to issue may have been carried out, and its answer did not arrive.

    A credential whose lease nobody knows may exist: it dies with the token that asked for it.
    """


class DatabaseError(StepcredsError):
    """The database could not be asked. `sqlstate` is PostgreSQL's code (MySQL: its number), "" where it gave none."""

    def __init__(self, what: str, *, sqlstate: str = "", cause: str = "", fix: str = "", docs: str = "") -> None:
        super().__init__(what, cause=cause, fix=fix, docs=docs)
        self.sqlstate = sqlstate


class LedgerError(StepcredsError):
    """The ledger could not be read or written."""


class DeliveryError(StepcredsError):
    """The credential cannot be handed over as the profile asks."""


class ProcessError(StepcredsError):
    """The command could not be started; `code` is 126 (not runnable) or 127 (not found)."""

    def __init__(self, what: str, *, code: int, cause: str = "", fix: str = "", docs: str = "") -> None:
        super().__init__(what, cause=cause, fix=fix, docs=docs)
        self.code = code


class UnsupportedError(StepcredsError):
    """This machine or this engine is outside what stepcreds can promise anything for."""


class UnmeasuredError(StepcredsError):
    """What a credential can do could not be found out, so it is not handed to anybody; `reason` says why."""

    reason = ""

    @classmethod
    def of(cls, profile: str, reason: str, *, cause: str = "", fix: str = "") -> UnmeasuredError:
        error = cls(
            f"The credential of profile {profile} could not be measured: {reason}",
            cause=cause,
            fix=(f"{fix}\n" if fix else "")
            + f"Or accept that nobody looks at what it can do: profiles.{profile}.measure: off",
            docs="not-measured",
        )
        error.reason = reason
        return error


class ExcessError(StepcredsError):
    """A credential can do more than its profile declares."""


class LeakedError(StepcredsError):
    """A command left its credential where the CI hands it on."""


class UnprovenError(StepcredsError):
    """A credential may still be alive after its step."""


class CancelledError(StepcredsError):
    """A signal ended the step before the command ran."""
