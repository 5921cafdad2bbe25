"""The inputs of the Action, read once into a frozen value; nothing here starts anything or reads a file.

The runner hands an input over as `INPUT_<NAME>`, in capitals, with hyphens kept:
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from stepcreds.errors import UsageError
from stepcreds.printable import one_line

Mode = Literal["install", "run", "outputs", "revoke"]


class Inputs(NamedTuple):
    """What one use of the Action asks for; "" and () where an input is not given."""

    mode: Mode
    profiles: tuple[str, ...] = ()  # the profile, then each of `also`
    run: str = ""
    shell: str = ""
    working_directory: str = ""
    revoke: tuple[str, ...] = ()  # names of profiles, or "all" alone
    config: str = ""
    inherit: Literal["all", "clean"] = "all"
    grace: str = ""
    leak_scan: bool = True
    summary: bool = True
    reason: str = ""
    on_revoke_failure: Literal["", "fail", "warn"] = ""  # "": what each profile says


def read_inputs(environment: Mapping[str, str]) -> Inputs:
    """The inputs of this use. Raises `UsageError` where they do not go together."""
    given = _Given(environment)
    profile, run = given.text("profile"), environment.get("INPUT_RUN", "")
    also, revoke = given.names("also"), given.names("revoke")
    mode = _mode(profile, bool(run.strip()), given.flag("outputs"), bool(revoke))
    inputs = Inputs(
        mode,
        (profile, *also) if profile else (),
        run=run,
        shell=given.text("shell"),
        working_directory=given.text("working-directory"),
        revoke=revoke,
        config=given.text("config"),
        inherit="clean" if given.choice("inherit", "all", "clean") == "clean" else "all",
        grace=given.text("grace"),
        leak_scan=given.flag("leak-scan", default="true"),
        summary=given.flag("summary", default="true"),
        reason=given.text("reason"),
        on_revoke_failure=given.choice("on-revoke-failure", "", "fail", "warn"),  # type: ignore[arg-type]
    )
    for name, value in (("shell", inputs.shell), ("working-directory", inputs.working_directory), ("also", also)):
        if value and (mode in ("install", "revoke") or (mode == "outputs" and name != "also")):
            raise _useless(name, mode)
    return inputs


class _Given:
    """The inputs by name, as the workflow has them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str:
        """The input without surrounding blanks, as `core.getInput` of GitHub's toolkit gives it."""
        return self._environment.get(f"INPUT_{name.upper()}", "").strip()

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(re.findall(r"[^\s,]+", self.text(name)))

    def choice(self, name: str, *choices: str) -> str:
        value = self.text(name) or choices[0]
        if value not in choices:
            raise UsageError(
                f"The input {name} is {one_line(repr(value))}, and can be {' or '.join(filter(None, choices))}",
                docs="action-inputs",
            )
        return value

    def flag(self, name: str, *, default: str = "false") -> bool:
        """As YAML 1.2 writes it: https://yaml.org/spec/1.2.2/#10212-boolean."""
        value = self.text(name) or default
        if value not in ("true", "True", "TRUE", "false", "False", "FALSE"):
            raise UsageError(
                f"The input {name} is {one_line(repr(value))}, and can be true or false", docs="action-inputs"
            )
        return value.lower() == "true"


def _mode(profile: str, has_run: bool, outputs: bool, revoke: bool) -> Mode:
    if revoke:
        if profile or has_run or outputs:
            raise UsageError(
                "The input revoke stands together with profile, run or outputs",
                cause="A step either ends credentials or gets one.",
                fix="Make it a step of its own. A step with profile ends what earlier ones handed out anyway.",
                docs="action-inputs",
            )
        return "revoke"
    if has_run and not profile:
        raise UsageError(
            "The input run is given without profile",
            cause="Nothing says which credential the script is to get.",
            fix="Add profile: with the name of a profile of stepcreds.yml; or make it an ordinary run: step.",
            docs="action-inputs",
        )
    if has_run and outputs:
        raise UsageError(
            "The inputs run and outputs: true stand together",
            cause="With run the credential is dead when the step ends, so that there is nothing to hand out.",
            fix="Leave out outputs: true, which is for an action that has to be given values.",
            docs="action-inputs",
        )
    if profile and not has_run and not outputs:
        raise UsageError(
            "The input profile is given without run",
            cause="There is no script that could get the credential.",
            fix="Add run: with the script. To put stepcreds on PATH for steps with `shell: stepcreds exec …`, leave "
            "out profile; for an action that has to be given values, add outputs: true.",
            docs="action-inputs",
        )
    if outputs and not profile:
        raise UsageError(
            "The input outputs is true, and profile is not given",
            fix="Add profile: with the name of a profile of stepcreds.yml.",
            docs="action-inputs",
        )
    return "outputs" if outputs else "run" if has_run else "install"


def _useless(name: str, mode: Mode) -> UsageError:
    what = {
        "install": "this step only puts stepcreds on PATH: it has neither profile nor run",
        "outputs": "a step with outputs: true runs no script",
        "revoke": "a step with revoke runs no script and gets no credential",
    }[mode]
    return UsageError(f"The input {name} has no meaning here: {what}", fix=f"Leave out {name}.", docs="action-inputs")
