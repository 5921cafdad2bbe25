"""What one step is made of while it runs: who asks, where it is recorded, and each credential it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from stepcreds.ci.interface import CI
from stepcreds.clock import Clock
from stepcreds.config.model import Config, Profile
from stepcreds.databases.interface import Engine
from stepcreds.errors import StepcredsError
from stepcreds.ledger.journal import Journal
from stepcreds.model import Grant, Holding, Identity
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

    def mask(self, commands: str) -> None:
        """The CI's own masking commands, to be printed before anything else is."""
        ...


class Keeper(Protocol):
    """The other half of the pair of processes, as a step sees it: what it is told, it ends if this half dies."""

    @property
    def cancellation(self) -> Cancellation: ...

    def hold(self, holding: Holding) -> None: ...

    def release(self, credential_uid: str) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """What a step is handed by the command line: nothing below it asks the machine for any of this."""

    config: Config
    environment: Mapping[str, str]
    ci: CI
    clock: Clock
    voice: Voice
    step_uid: str
    operator_token: Secret | None = None  # `--as-operator`: the caller's own Vault token stands for an identity

    @property
    def step_name(self) -> str:
        """The CI's own name of this step."""
        return self.ci.job({}, self.environment).step


@dataclass(frozen=True)
class Closing:
    """What it takes to write down how a credential ended; all that the other half of the pair has, too."""

    around: Surroundings
    journal: Journal
    keeper: Keeper
    argv: tuple[str, ...] | None = None  # None where there is no command


@dataclass(frozen=True)
class Step(Closing):
    """A step whose identity is known and whose ledger is open."""

    identity: Identity = field(kw_only=True)
    reason: str | None = None
    delivery: str = "exec"  # how the ledger names the way the credential is handed over
    inherited: tuple[str, ...] = ()  # names of credential-like variables found in the environment


@dataclass(frozen=True)
class Credential:
    """A credential that this step holds, and everything needed to end it."""

    profile: Profile
    grant: Grant
    holding: Holding
    vault: Vault
    engine: Engine | None

    def until(self, expire_time: float) -> Credential:
        """The same credential with another end (epoch seconds): it was renewed."""
        return replace(self, holding=self.holding._replace(expire_time=expire_time))
