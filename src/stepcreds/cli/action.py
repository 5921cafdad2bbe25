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
from stepcreds.config.model import Config
from stepcreds.errors import ConfigError, UsageError
from stepcreds.exit_codes import BEFORE_THE_COMMAND, MAX_TTL, NOT_FOUND, NOT_PROVEN, NOT_RUNNABLE
from stepcreds.printable import one_line
from stepcreds.session.handed_out import is_any
from stepcreds.session.request import Order, Request

# Success, and the codes with which stepcreds has said something itself.
OURS = frozenset({0, NOT_PROVEN, MAX_TTL, BEFORE_THE_COMMAND, NOT_RUNNABLE, NOT_FOUND})
GRACE = "4s"  # GitHub kills everything of a cancelled job after 10 seconds, and the proof needs its share


def run_action(stage: str) -> int:
    """One use of the Action, or the end of its job; the code to exit with. Raises `StepcredsError`."""
    variables = environment(tolerant=stage == "post")
    workspace = Path(variables.get("GITHUB_WORKSPACE") or Path.cwd())
    if stage == "post":
        return _end_job(workspace, variables)
    from stepcreds.action.state import begin

    begin(variables)
    inputs = read_inputs(variables)
    _change_folder(inputs, workspace)
    return _Use(inputs, workspace, variables).run()


def _end_job(workspace: Path, variables: Mapping[str, str]) -> int:
    from stepcreds.action.post import end_job, end_without_configuration
    from stepcreds.action.saved import saved
    from stepcreds.action.standing import configuration, redirected
    from stepcreds.ci.detect import detect
    from stepcreds.cli.surroundings import surroundings
    from stepcreds.cli.voice import LogVoice
    from stepcreds.clock import SystemClock
    from stepcreds.ledger.record import new_uid

    clock, started_by, told = SystemClock(), os.getppid(), saved(variables)
    try:
        inputs = read_inputs(variables)
    except UsageError:
        inputs = Inputs("install")  # `main` has said so, and did nothing
    folder = workspace / inputs.working_directory
    with suppress(OSError):  # the job may have removed it
        os.chdir(folder)
    try:
        config = configuration(_config(inputs, workspace), told, variables, folder, clock)
    except ConfigError as error:
        ci = detect(variables, "")
        voice = LogVoice(ci, clock, started_by=started_by)
        return end_without_configuration(error, inputs, told, variables, ci, clock, voice)
    elsewhere = redirected(told, variables, folder, clock)
    return end_job(inputs, told, elsewhere, surroundings(config, variables, clock, new_uid(), started_by=started_by))


class _Use:
    """What a step with `uses: stepcreds/stepcreds` does."""

    def __init__(self, inputs: Inputs, workspace: Path, variables: Mapping[str, str]) -> None:
        self.inputs = inputs
        self.workspace = workspace
        self.variables = variables
        self.shown_state = ""

    def run(self) -> int:
        if self.inputs.mode == "revoke":
            return self.revoke(self.inputs.revoke)
        if self.inputs.mode == "install":
            return self.install()
        if self.inputs.mode == "outputs":
            return run_step(lambda: self.order(()))
        from stepcreds.action.script import script_of
        from stepcreds.action.script_file import empty_state, has_program, written

        script = script_of(self.inputs.run, self.inputs.shell, has_bash=has_program("bash", self.variables))
        path = written(script, self.variables)
        try:
            if self.variables.get("GITHUB_STATE"):
                self.shown_state = empty_state(self.variables)
            code = run_step(lambda: self.order(script.argv(path)))
        finally:
            for file in filter(None, (path, self.shown_state)):
                with suppress(OSError):
                    os.unlink(file)  # noqa: PTH108 - a text, as the command line has it
        if code not in OURS:
            from stepcreds.cli.stderr import Stderr
            from stepcreds.clock import SystemClock

            # What the runner says of a `run:` step that fails, and does not say of an action.
            log = Stderr(SystemClock())
            log.hurry()
            log.write(f"::error::Process completed with exit code {code}.\n")
        return code

    def install(self) -> int:
        from stepcreds.action.install import install
        from stepcreds.action.state import save_text
        from stepcreds.config.file import find_config

        code = self.revoke(("all",), speaks=False) if is_any(self.variables) else 0
        with suppress(ConfigError):  # there may be none yet: a checkout comes later
            path = find_config(_config(self.inputs, self.workspace), self.variables, Path.cwd())
            try:
                self.config()
            except ConfigError:  # an address that only the later steps have, say
                save_text(path, self.variables)
        install(self.variables)
        return code

    def revoke(self, names: tuple[str, ...], *, speaks: bool = True) -> int:
        """End what earlier steps handed out: 0, or 1 where something of it is not proven dead."""
        from stepcreds import recovery
        from stepcreds.cli.options import profiles_of
        from stepcreds.cli.surroundings import surroundings
        from stepcreds.clock import SystemClock
        from stepcreds.ledger.record import new_uid
        from stepcreds.recovery.handed_out import forget

        config = self.config()
        profiles = () if names == ("all",) else tuple(each.name for each in profiles_of(config, names))
        around = surroundings(config, self.variables, SystemClock(), new_uid(), started_by=os.getppid())

        def conclude(report: recovery.Report) -> int:
            forget(around, report)
            return 0 if report.tolerable else recovery.exit_code(report)

        rule = self.inputs.on_revoke_failure or "profile"
        task = recovery.Task(
            reach="job",
            handed_out=True,
            profiles=profiles,
            speaks=speaks,
            without_proof=rule,
            summary=self.inputs.summary,
        )
        return recovery.run(task, around, conclude)

    def config(self) -> Config:
        """The configuration, which the runner is told for the end of the job. Raises `StepcredsError`."""
        from stepcreds.action.state import save_config
        from stepcreds.cli.options import load
        from stepcreds.clock import SystemClock

        try:
            config, _ = load(_config(self.inputs, self.workspace), SystemClock())
        except ConfigError as error:  # in a workflow it is an input
            problems = [each._replace(fix=each.fix.replace("--config", "the input config")) for each in error.problems]
            raise ConfigError(problems) from None
        save_config(config, self.variables)
        return config

    def order(self, argv: tuple[str, ...]) -> Order:
        """In the front, while the worker is still importing. Raises `StepcredsError`."""
        from stepcreds.cli.options import profiles_of
        from stepcreds.config.duration import seconds
        from stepcreds.ledger.record import new_uid
        from stepcreds.session.script_text import recognisable

        inputs = self.inputs
        config = self.config()
        grace = seconds(inputs.grace or GRACE)
        if grace is None:
            raise UsageError(
                f"The input grace is {one_line(repr(inputs.grace))}, and is a duration: 4s, 2m",
                docs="action-inputs",
            )
        request = Request(
            profiles=profiles_of(config, inputs.profiles),
            argv=argv,
            recorded=recognisable(argv, self.variables),
            inherit=inputs.inherit,
            grace=grace,
            reason=inputs.reason or None,
            leak_scan=inputs.leak_scan,
            summary=inputs.summary,
            delivery="outputs" if inputs.mode == "outputs" else "exec",
        )
        return Order(
            request,
            config,
            new_uid(),
            ends_handed_out=is_any(self.variables),
            keeps_state=True,
            shown_state=self.shown_state,
            on_revoke_failure=inputs.on_revoke_failure or "profile",
        )


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
