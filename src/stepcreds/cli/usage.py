"""Calls a click command and answers for wrong usage, with the exit code that this command has for it."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import click

from stepcreds.printable import printable


def invoke(
    command: click.Command, name: str, arguments: Sequence[str] | None, *, wrong_usage: int, interrupted: int
) -> object:
    """What `command` returns; exits with `wrong_usage` after click has said what is wrong, `interrupted` on Ctrl-C.

    `arguments` None: those of this process. Raises whatever else the command raises.
    """
    try:
        return command.main(list(arguments) if arguments is not None else None, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        said = StringIO()
        error.show(said)  # what was given, as it was given
        click.echo(printable(said.getvalue()), nl=False, err=True)
        raise SystemExit(wrong_usage) from None
    except click.Abort:
        raise SystemExit(interrupted) from None
