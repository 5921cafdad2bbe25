"""`stepcreds action main | post`, which the Action's Node half calls: inputs become the same order as flags would.

It is no command for people: it is on no list and has no flags.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stepcreds.action.inputs import Inputs, read_inputs
from stepcreds.cli.start import run_step
from stepcreds.config.environment import environment
from stepcreds.errors import UsageError
from stepcreds.printable import one_line
from stepcreds.session.request import Order, Request

GRACE = "4s"  # GitHub kills everything of a cancelled job after 10 seconds, and the proof needs its share


def run_action(stage: str) -> int:
    """One use of the Action, or the end of its job; the code to exit with. Raises `StepcredsError`."""
    variables = environment()
    inputs = read_inputs(variables)
    workspace = Path(variables.get("GITHUB_WORKSPACE") or Path.cwd())
    _change_folder(inputs, workspace)
    if stage == "post":
        return _end_job(inputs, workspace)
    return _Use(inputs, workspace, variables).run()


def _end_job(inputs: Inputs, workspace: Path) -> int:
    from stepcreds.action.post import end_job
    from stepcreds.cli.options import load
    from stepcreds.cli.surroundings import surroundings
    from stepcreds.clock import SystemClock
    from stepcreds.ledger.record import new_uid

    clock = SystemClock()
    config, variables = load(_config(inputs, workspace), clock)
    return end_job(inputs, surroundings(config, variables, clock, new_uid(), started_by=os.getppid()))


class _Use:
    """What a step with `uses: stepcreds/stepcreds` does."""

    def __init__(self, inputs: Inputs, workspace: Path, variables: Mapping[str, str]) -> None:
        self.inputs = inputs
        self.workspace = workspace
        self.variables = variables

    def run(self) -> int:
        if self.inputs.mode == "install":
            from stepcreds.action.install import install

            install(self.variables)
            return 0
        if self.inputs.mode == "outputs":
            return run_step(lambda: self.order(()), bound_to_parent=True)
        from stepcreds.action.script import script_of
        from stepcreds.action.script_file import has_program, written

        script = script_of(self.inputs.run, self.inputs.shell, has_bash=has_program("bash", self.variables))
        path = written(script, self.variables)
        try:
            return run_step(lambda: self.order(script.argv(path)), bound_to_parent=True)
        finally:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - a text, as the command line has it

    def order(self, argv: tuple[str, ...]) -> Order:
        """In the front, while the worker is still importing. Raises `StepcredsError`."""
        from stepcreds.cli.options import load, profiles_of
        from stepcreds.clock import SystemClock
        from stepcreds.config.duration import seconds
        from stepcreds.ledger.record import new_uid

        inputs = self.inputs
        config, _ = load(_config(inputs, self.workspace), SystemClock())
        grace = seconds(inputs.grace or GRACE)
        if grace is None:
            raise UsageError(
                f"The input grace is {one_line(repr(inputs.grace))}, and is a duration: 4s, 2m",
                docs="action-inputs",
            )
        request = Request(
            profiles=profiles_of(config, inputs.profiles),
            argv=argv,
            inherit=inputs.inherit,
            grace=grace,
            reason=inputs.reason or None,
        )
        return Order(request, config, new_uid())


def _config(inputs: Inputs, workspace: Path) -> Path | None:
    return workspace / inputs.config if inputs.config else None


def _change_folder(inputs: Inputs, workspace: Path) -> None:
    folder = workspace / inputs.working_directory
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"The folder {one_line(str(folder))} cannot be used: {error.strerror}",
            cause="The input working-directory names it, relative to the workspace."
            if inputs.working_directory
            else "It is the workspace of this job.",
            fix="Check the name, and that actions/checkout comes before this step.",
            docs="action-inputs",
        ) from None
