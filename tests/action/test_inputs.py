"""The inputs of the Action: what goes together, what does not, and in which words that is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stepcreds.action.inputs import Inputs, read_inputs
from stepcreds.errors import UsageError

ACTION = Path(__file__).resolve().parents[2] / "action.yml"


def given(**inputs: str) -> dict[str, str]:
    """The environment in which the runner starts the Action: underscores here stand for hyphens."""
    return {f"INPUT_{name.upper().replace('_', '-')}": value for name, value in inputs.items()}


def test_without_inputs_it_only_goes_on_path() -> None:
    assert read_inputs({}) == Inputs("install")


def test_what_the_runner_sends_for_the_defaults_is_the_same_as_nothing() -> None:
    metadata = yaml.safe_load(ACTION.read_text())
    inputs = {name: str(entry.get("default", "")) for name, entry in metadata["inputs"].items()}
    assert read_inputs(given(**inputs)) == Inputs("install", grace="4s")


def test_a_script_keeps_its_blanks_and_everything_else_loses_them() -> None:
    inputs = read_inputs(
        given(
            profile=" migrate ",
            run="  first\n  second\n",
            shell=" bash ",
            working_directory=" services/shop ",
            also="cache, search\nqueue",
            config="deploy/stepcreds.yml",
            inherit="clean",
            grace="30s",
            leak_scan="false",
            summary="False",
            reason="release 7",
            on_revoke_failure="warn",
        )
    )
    assert inputs == Inputs(
        "run",
        ("migrate", "cache", "search", "queue"),
        run="  first\n  second\n",
        shell="bash",
        working_directory="services/shop",
        config="deploy/stepcreds.yml",
        inherit="clean",
        grace="30s",
        leak_scan=False,
        summary=False,
        reason="release 7",
        on_revoke_failure="warn",
    )


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_outputs_as_yaml_writes_it(value: str) -> None:
    assert read_inputs(given(profile="publish", outputs=value)) == Inputs("outputs", ("publish",))


def test_revoke_takes_names() -> None:
    assert read_inputs(given(revoke="publish,cache")) == Inputs("revoke", revoke=("publish", "cache"))


NO_RUN = (
    "The input profile is given without run",
    "There is no script that could get the credential.",
    "Add run: with the script. To put stepcreds on PATH for steps with `shell: stepcreds exec …`, leave out profile; "
    "for an action that has to be given values, add outputs: true.",
)
CASES = {
    "profile alone": (given(profile="migrate"), *NO_RUN),
    "an empty script": (given(profile="migrate", run=" \n"), *NO_RUN),
    "run alone": (
        given(run="true"),
        "The input run is given without profile",
        "Nothing says which credential the script is to get.",
        "Add profile: with the name of a profile of stepcreds.yml; or make it an ordinary run: step.",
    ),
    "run and outputs": (
        given(profile="migrate", run="true", outputs="true"),
        "The inputs run and outputs: true stand together",
        "With run the credential is dead when the step ends, so that there is nothing to hand out.",
        "Leave out outputs: true, which is for an action that has to be given values.",
    ),
    "outputs alone": (
        given(outputs="true"),
        "The input outputs is true, and profile is not given",
        "",
        "Add profile: with the name of a profile of stepcreds.yml.",
    ),
    "revoke and profile": (
        given(revoke="all", profile="migrate", run="true"),
        "The input revoke stands together with profile, run or outputs",
        "A step either ends credentials or gets one.",
        "Make it a step of its own. A step with profile ends what earlier ones handed out anyway.",
    ),
    "a shell for nothing": (
        given(shell="bash"),
        "The input shell has no meaning here: this step only puts stepcreds on PATH: it has neither profile nor run",
        "",
        "Leave out shell.",
    ),
    "a shell for outputs": (
        given(profile="publish", outputs="true", shell="bash"),
        "The input shell has no meaning here: a step with outputs: true runs no script",
        "",
        "Leave out shell.",
    ),
    "a second profile for revoke": (
        given(revoke="all", also="cache"),
        "The input also has no meaning here: a step with revoke runs no script and gets no credential",
        "",
        "Leave out also.",
    ),
    "neither true nor false": (
        given(profile="publish", outputs="yes\x1b[2J"),
        "The input outputs is 'yes\\x1b[2J', and can be true or false",
        "",
        "",
    ),
    "an unknown choice": (
        given(profile="migrate", run="true", inherit="some"),
        "The input inherit is 'some', and can be all or clean",
        "",
        "",
    ),
    "another unknown choice": (
        given(on_revoke_failure="ignore"),
        "The input on-revoke-failure is 'ignore', and can be fail or warn",
        "",
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_go_together(case: str) -> None:
    environment, what, cause, fix = CASES[case]
    with pytest.raises(UsageError) as caught:
        read_inputs(environment)
    error = caught.value
    assert (error.what, error.cause, error.fix, error.docs) == (what, cause, fix, "action-inputs")


def test_every_input_that_is_read_is_documented_and_the_other_way_round() -> None:
    source = (ACTION.parent / "src/stepcreds/action/inputs.py").read_text()
    read = set(re.findall(r'given\.\w+\(\s*"([a-z-]+)"', source)) | {"run"}
    # The Node half hands `matrix` on in a variable of its own.
    assert read | {"matrix"} == set(yaml.safe_load(ACTION.read_text())["inputs"])
