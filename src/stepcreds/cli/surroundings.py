"""What a step is handed by the command line: the CI it runs on, the clock, and where it speaks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from stepcreds.ci.detect import detect
from stepcreds.cli.voice import LogVoice
from stepcreds.clock import Clock, SystemClock
from stepcreds.config.environment import own_environment
from stepcreds.config.model import Config
from stepcreds.secret import Secret
from stepcreds.session.step import Surroundings


def surroundings(
    config: Config,
    environment: Mapping[str, str],
    clock: Clock,
    step_uid: str,
    *,
    quiet: bool = False,
    started_by: int = 0,
    operator_token: Secret | None = None,
) -> Surroundings:
    """The surroundings of one command; `operator_token` is that of `--as-operator`."""
    ci = detect(environment, config.vault.id_token_variable)
    voice = LogVoice(ci, clock, quiet=quiet, started_by=started_by)
    return Surroundings(config, environment, ci, clock, voice, step_uid, operator_token)


def bare_voice() -> LogVoice:
    """A voice for what goes wrong before there is a configuration, or without one."""
    return LogVoice(detect(own_environment()), SystemClock(), started_by=os.getppid())
