"""What one step is made of while it runs: who asks, where it is recorded, and each credential it holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from stepcreds.ci.interface import CI
from stepcreds.clock import Clock
from stepcreds.config.model import Config, Profile
from stepcreds.databases.interface import Engine
from stepcreds.errors import StepcredsError
from stepcreds.ledger.journal import Journal
from stepcreds.model import Ending, Grant, Holding, Identity
from stepcreds.process.cancel import Cancellation
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault


class Voice(Protocol):
    """How a step speaks to the person who reads its log; only the command line knows where that is."""

    def say(self, text: str) -> None:
        """One line of what is happening."""
        ...

    def warn(self, text: str) -> None:
        """One line that somebody should act on."""
        ...

    def fail(self, error: StepcredsError) -> None:
        """Why the step fails."""
        ...

    def mask(self, commands: str) -> bool:
        """The CI's own masking commands, before the command can print what they hide; whether they reach the CI."""
        ...

    def folded(self, title: str) -> AbstractContextManager[None]:
        """What is said meanwhile may be folded in the log, under `title`; a warning or an error never is."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """What is said meanwhile is said at the end of it, when a log that nobody reads keeps nothing alive."""
        ...

    def hurry(self) -> None:
        """Somebody wants the step to end: such a log is waited for no longer than a second from now on."""
        ...


class Keeper(Protocol):
    """The other half of the pair of processes, as a step sees it: what it is told, it ends if this half dies."""

    @property
    def cancellation(self) -> Cancellation: ...

    @property
    def front_gone(self) -> bool:
        """Whether the CI waits for nobody any more: later steps may run."""
        ...

    def hold(self, holding: Holding) -> None: ...

    def release(self, credential_uid: str) -> None: ...


class Notebook(Protocol):
    """What is kept, outside the ledger and out of later steps' reach, of each credential that this step holds."""

    def note(self, holding: Holding, profile: Profile, delivery: str, step_uid: str, *, asked: bool) -> None:
        """It may exist, and this is what is known of it; replaces what was noted of it before.

        Unless `asked`, there is no more than a token so far.
        """
        ...

    def strike(self, credential_uid: str) -> None:
        """It is dead, and that is on record."""
        ...

    def restore(self) -> bool:
        """Undo what the command did to all this; whether there was anything to undo. Raises `StepcredsError`."""
        ...


class Surroundings(NamedTuple):
    """What a step is handed by the command line: nothing below it asks the machine for any of this."""

    config: Config
    environment: Mapping[str, str]
    ci: CI
    clock: Clock
    voice: Voice
    step_uid: str
    operator_token: Secret | None = None  # `--as-operator`: the caller's own Vault token stands for an identity
    notebook: Notebook | None = None

    def __repr__(self) -> str:
        return "Surroundings(***)"  # the environment of a job holds whatever the job holds

    @property
    def step_name(self) -> str:
        """The CI's own name of this step."""
        return self.ci.job({}, self.environment).step


class Closing:
    """What it takes to write down how a credential ended; all that the other half of the pair has, too."""

    def __init__(
        self, around: Surroundings, journal: Journal, keeper: Keeper, argv: tuple[str, ...] | None = None
    ) -> None:
        self.around = around
        self.journal = journal
        self.keeper = keeper
        self.argv = argv  # None where there is no command


class Ended(NamedTuple):
    """One credential and its end."""

    profile: Profile
    holding: Holding
    ending: Ending
    ledger: Path


class Step(Closing):
    """A step whose identity is known and whose ledger is open."""

    def __init__(
        self,
        around: Surroundings,
        journal: Journal,
        keeper: Keeper,
        argv: tuple[str, ...] | None = None,
        *,
        identity: Identity,
        reason: str | None = None,
        delivery: str = "exec",
        inherited: tuple[str, ...] = (),
    ) -> None:
        super().__init__(around, journal, keeper, argv)
        self.identity = identity
        self.reason = reason
        self.delivery = delivery  # how the ledger names the way the credential is handed over
        self.inherited = inherited  # names of credential-like variables found in the environment
        self.refused: list[Ended] = []  # what was issued, and ended again before anybody was handed it


class Credential(NamedTuple):
    """A credential that this step holds, and everything needed to end it."""

    profile: Profile
    grant: Grant
    holding: Holding
    vault: Vault
    engine: Engine | None
    policies: tuple[str, ...] = ()  # of the token, as Vault named them at the login

    def until(self, expire_time: float) -> Credential:
        """The same credential with another end (epoch seconds): it was renewed."""
        return self._replace(holding=self.holding._replace(expire_time=expire_time))
