"""One use of the Action, without a runner: where the script and `stepcreds` are written, and what is said where they cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from simulated_job import Job
from step_runs import normalised

from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def job(stack: Stack, tmp_path: Path) -> Job:
    return Job(stack, tmp_path)


def test_the_script_is_a_file_for_this_user_alone_and_goes_with_the_step(job: Job) -> None:
    use = job.use(profile="verify", run='stat -c %a "$0"; dirname "$0"')
    run = use.run()
    assert run.stdout == f"600\n{job.temporary}\n"
    assert list(job.temporary.glob("*.sh")) == []


def test_a_grace_that_is_none(job: Job) -> None:
    run = job.use(profile="verify", run="true", grace="soon").run()
    assert run.returncode == 125
    assert normalised(run.stderr) == (
        "stepcreds: error: The input grace is 'soon', and is a duration: 4s, 2m\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs\n"
    )


def test_the_program_on_path(job: Job) -> None:
    use = job.use()
    assert use.run().returncode == 0
    folder = job.temporary / "stepcreds-bin"
    assert use.files["PATH"].read_text() == f"{folder}\n"
    assert (folder.stat().st_mode & 0o777, (folder / "stepcreds").stat().st_mode & 0o777) == (0o700, 0o700)
    assert [path.name for path in folder.iterdir()] == ["stepcreds"]


@pytest.mark.parametrize("missing", [{"RUNNER_TEMP": None}, {"GITHUB_PATH": None}], ids=str)
def test_nowhere_to_put_it(job: Job, missing: Mapping[str, None]) -> None:
    use = job.use()
    with use.start("main", **missing) as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 125
    assert normalised(stderr) == (
        "stepcreds: error: stepcreds cannot be put on PATH: RUNNER_TEMP or GITHUB_PATH is not set\n"
        "  cause: The runner sets both for every step; something took them away, or this is no step of an action.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs\n"
    )


def test_a_file_where_its_folder_belongs(job: Job) -> None:
    use = job.use()
    (job.temporary / "stepcreds-bin").write_text("")
    run = use.run()
    assert run.returncode == 125
    assert normalised(run.stderr) == (
        f"stepcreds: error: stepcreds cannot be put on PATH: {job.temporary}/stepcreds-bin: File exists\n"
        "  cause: The folder is in the runner's own (RUNNER_TEMP).\n"
        "  fix: Check its permissions, and the space on its disk.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs\n"
    )


def test_a_temporary_folder_that_is_gone(job: Job, tmp_path: Path) -> None:
    run = job.use(profile="verify", run="true").run(RUNNER_TEMP=str(tmp_path / "gone"))
    assert run.returncode == 125
    text = normalised(run.stderr)
    assert text.startswith(f"stepcreds: error: The script cannot be written to {tmp_path}/gone/")
    assert text.endswith(
        ".sh: No such file or directory\n"
        "  cause: The folder is the runner's own (RUNNER_TEMP).\n"
        "  fix: Check its permissions, and the space on its disk.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs\n"
    )


def test_a_folder_outside_the_workspace_without_a_configuration(job: Job, tmp_path: Path) -> None:
    """The one of the workspace is not above it: the fix names what a workflow can set."""
    run = job.use(profile="verify", run="true", working_directory=str(tmp_path)).run()
    assert run.returncode == 125
    assert normalised(run.stderr) == (
        "stepcreds: error: 1 problem in the configuration\n"
        f"{tmp_path}: there is no stepcreds.yml here, nor above in this repository\n"
        "  fix: stepcreds init writes a first one; or name yours with the input config or STEPCREDS_CONFIG.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )
    run = job.use(profile="verify", run="pwd", working_directory=str(tmp_path), config="stepcreds.yml").run()
    assert (run.returncode, run.stdout) == (0, f"{tmp_path}\n"), run.stderr
