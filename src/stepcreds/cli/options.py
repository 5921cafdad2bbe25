"""Options that several commands share; what they mean is decided where they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

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
