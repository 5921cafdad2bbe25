"""Buildkite and CircleCI, whose protocol is a command: executables of that name, in a folder on the PATH."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest
from id_tokens import AUDIENCE, CANARY, NoHTTP, made, told

from stepcreds.ci.buildkite import Buildkite
from stepcreds.ci.circleci import CircleCI
from stepcreds.ci.command import printed_token
from stepcreds.errors import IdentityError
from stepcreds.secret import Secret


def executable(folder: Path, name: str, program: str) -> dict[str, str]:
    """An environment whose PATH has only `folder`, and in it `name`, a Python program."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -SE\nimport sys\n{program}\n")
    path.chmod(0o755)
    return {"PATH": str(folder)}


def prints(folder: Path, name: str, token: str) -> dict[str, str]:
    """As above: it prints `token`, and writes its arguments into a file."""
    return executable(
        folder, name, f"open({str(folder / 'arguments')!r}, 'w').write(repr(sys.argv[1:]))\nprint({token!r})"
    )


def test_buildkites_agent_is_asked_for_the_audience(tmp_path: Path) -> None:
    environment = prints(tmp_path, "buildkite-agent", made())
    found = Buildkite().token(AUDIENCE, environment, NoHTTP())
    assert found is not None
    assert (found.token, found.source, found.fresh) == (Secret(made()), "buildkite-agent", True)
    assert (tmp_path / "arguments").read_text() == repr(["oidc", "request-token", "--audience", AUDIENCE])


def test_circlecis_command_is_asked_and_the_issuer_stays_the_organisations(tmp_path: Path) -> None:
    environment = prints(tmp_path, "circleci", made())
    found = CircleCI().token(AUDIENCE, {**environment, "CIRCLE_OIDC_TOKEN_V2": made(aud="organisation")}, NoHTTP())
    assert found is not None
    assert (found.token, found.source, found.variable) == (Secret(made()), "circleci run oidc get", "")
    assert (tmp_path / "arguments").read_text() == repr(["run", "oidc", "get", "--claims", f'{{"aud": "{AUDIENCE}"}}'])


def test_circlecis_variable_will_do_where_it_is_for_the_audience(tmp_path: Path) -> None:
    found = CircleCI().token("organisation", {"CIRCLE_OIDC_TOKEN_V2": made(aud="organisation")}, NoHTTP())
    assert found is not None
    assert (found.source, found.variable) == ("the variable CIRCLE_OIDC_TOKEN_V2", "CIRCLE_OIDC_TOKEN_V2")


CAUSE = "Buildkite hands out ID tokens through this command, which its agent puts on the PATH of a job."
FIX = (
    "Make buildkite-agent work in the job (in a container, mount or install it), or hand a token over with "
    "--id-token-file."
)


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("sys.exit(3)", "ended with 3"),
        ("print('a\\nno such\\x1b[2J job', file=sys.stderr); sys.exit(1)", "ended with 1: no such\\x1b[2J job"),
        (f"print('sent {made()}', file=sys.stderr); sys.exit(1)", "ended with 1: sent ***"),
        (f"print('cut {made()[:-40]}', file=sys.stderr); sys.exit(1)", "ended with 1: cut ***"),
        (f"print({made()!r}); sys.exit(1)", "ended with 1"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ("sys.stdout.write('x' * 300_000)", "printed more than 256 KiB"),
        ("sys.stderr.write('x' * 300_000); sys.exit(1)", "printed more than 256 KiB"),
    ],
)
def test_a_command_that_gives_no_token(tmp_path: Path, program: str, outcome: str) -> None:
    environment = executable(tmp_path, "buildkite-agent", program)
    with pytest.raises(IdentityError) as error:
        Buildkite().token(AUDIENCE, environment, NoHTTP())
    assert told(error) == (f"Buildkite gave no ID token: buildkite-agent {outcome}", CAUSE, FIX, "token-command")
    trace = "".join(traceback.format_exception(error.value))
    assert CANARY not in trace
    assert made().split(".")[1] not in trace


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IdentityError) as error:
        Buildkite().token(AUDIENCE, {"PATH": str(tmp_path)}, NoHTTP())
    assert told(error)[0] == "Buildkite gave no ID token: buildkite-agent is not on the PATH"


def test_a_command_that_may_not_run(tmp_path: Path) -> None:
    (tmp_path / "circleci").write_text("no program")
    with pytest.raises(IdentityError) as error:
        CircleCI().token(AUDIENCE, {"PATH": str(tmp_path)}, NoHTTP())
    assert told(error)[0] == "CircleCI gave no ID token: circleci cannot be run: Permission denied"


@pytest.mark.parametrize(
    "program",
    [
        "sys.stdin.read(); import signal; signal.pause()",
        "import os, signal; os.close(1); os.close(2); signal.pause()",
    ],
)
def test_a_command_that_says_nothing_is_killed(tmp_path: Path, program: str) -> None:
    environment = executable(tmp_path, "buildkite-agent", program)
    with pytest.raises(IdentityError) as error:
        printed_token(["buildkite-agent"], environment, who="Buildkite", patience=0.5)
    assert told(error)[0] == "Buildkite gave no ID token: buildkite-agent has not answered for 0.5 s"


def test_what_a_command_must_not_inherit() -> None:
    assert Buildkite().identity_variables[2:] == ("BUILDKITE_AGENT_ACCESS_TOKEN",)
    assert CircleCI().identity_variables[2:] == ("CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2")


def test_the_jobs() -> None:
    job = Buildkite().job(
        {"iss": "https://agent.buildkite.com", "pipeline_id": "p", "job_id": "j", "build_number": 4},
        {
            "BUILDKITE_BUILD_ID": "b",
            "BUILDKITE_LABEL": "Migrate",
            "BUILDKITE_STEP_ID": "s",
            "BUILDKITE_AGENT_NAME": "a1",
        },
    )
    assert (job.ci, job.iss, job.repository_id) == ("buildkite", "https://agent.buildkite.com", "p")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("b", "j", "Migrate", "s")
    assert job.runner["name"] == "a1"
    job = CircleCI().job(
        {"iss": "https://oidc.circleci.com/org/o", "oidc.circleci.com/project-id": "p"},
        {"CIRCLE_PIPELINE_ID": "l", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_WORKFLOW_JOB_ID": "j", "CIRCLE_JOB": "migrate"},
    )
    assert (job.ci, job.iss, job.repository_id) == ("circleci", "https://oidc.circleci.com/org/o", "p")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("l", "j", "migrate", "")
