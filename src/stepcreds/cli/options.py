"""Options that several commands share; what they mean is decided where they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from stepcreds.clock import Clock, SystemClock
from stepcreds.config.duration import seconds
from stepcreds.config.environment import environment
from stepcreds.config.load import load_config
from stepcreds.config.model import Config, Profile
from stepcreds.errors import StepcredsError, UsageError
from stepcreds.printable import one_line

Command = TypeVar("Command", bound=Callable[..., object])


def config_option(command: Command) -> Command:
    """`--config PATH`, handed on as `config_path: Path | None`.

    STEPCREDS_CONFIG is not click's to read: `load_config` reads it, so that its messages can name it.
    """
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The configuration file. Default: $STEPCREDS_CONFIG, else stepcreds.yml here or in a folder above, "
        "up to the repository's root.",
    )(command)


def id_token_option(command: Command) -> Command:
    """`--id-token-file FILE`, handed on as `id_token_file: Path | None`."""
    return click.option(
        "--id-token-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where the CI left its ID token, where it leaves it in a file.",
    )(command)


def as_seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """A click callback: a duration as stepcreds.yml writes it, in seconds."""
    duration = seconds(value)
    if duration is None:
        raise click.BadParameter(f"{value!r} is not a duration; write 90s, 2m or 1h30m", ctx, param)
    return duration


def load(path: Path | None, clock: Clock, *, strict: bool = False) -> tuple[Config, Mapping[str, str]]:
    """The configuration, and the environment it was read in; `strict` as `load_config` has it."""
    variables = environment()
    return load_config(path, variables, working_folder(), clock, strict=strict), variables


def complete_profile(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The profiles whose names begin so, for the shell; none where the configuration cannot be read."""
    try:
        config, _ = load(context.params.get("config_path"), SystemClock())
    except StepcredsError:
        return []
    return [name for name in config.profiles if name.startswith(incomplete)]


def profiles_of(config: Config, names: Sequence[str]) -> tuple[Profile, ...]:
    """The profiles of these names. Raises `UsageError` that lists those there are."""
    for position, name in enumerate(names):
        if name not in config.profiles:
            raise UsageError(
                f"There is no profile {one_line(name)} in {config.source}",
                fix=f"The profiles there are: {', '.join(config.profiles) or 'none'}.",
                docs="configuration",
            )
        if name in names[:position]:
            raise UsageError(
                f"The profile {name} is asked for twice",
                cause="There is one credential for each profile.",
                fix="Name it once: --also counts, and so does the Action's `also`.",
                docs="configuration",
            )
    return tuple(config.profiles[name] for name in names)


def working_folder() -> Path:
    """The current folder, absolute. Raises `UsageError` where it has been removed."""
    try:
        return Path.cwd()
    except OSError as error:
        what = f"the current folder cannot be used: {error.strerror}"
        raise UsageError(what, fix="Change to a folder that exists.") from None
