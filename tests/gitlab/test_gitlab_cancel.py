"""What ends a GitLab job early: a cancel, a kill, the end of its runner; and what `after_script` finds and ends.

Since GitLab 17.0 a cancelled job's processes are signalled and `after_script` runs
(https://docs.gitlab.com/ci/jobs/job_control/ and https://docs.gitlab.com/ci/yaml/script/). gitlab-ci-local passes no
signal on to its jobs, so these tests signal the script's processes as GitLab's shell executor does, which starts each
script in a process group of its own (executors/shell of gitlab-org/gitlab-runner).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gitlab_runs import (
    EXAMPLES,
    Project,
    gitlab_project,
    normalised,
    places,
    records,
    refusal,
    reported,
    reporting,
    token,
    until,
)
from processes import Watched, descendants
from stepcreds.devstack.stack import Stack


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[Project]:
    with gitlab_project(stack, tmp_path / "shop") as made:
        made.write(".gitlab-ci.yml", (EXAMPLES / ".gitlab-ci.yml").read_text())
        yield made


PROVEN = "(fold)\nstepcreds: migrate: proven dead (lease lookup and a witness)\n(end of fold)\n"
NOTHING = "stepcreds: nothing to revoke: no credential is open in this ledger\n"


class Started:
    """`with Started(project, report) as job:` is the job `migrate`, whose command stays until it is ended.

    `given` is what the command has, `tree` the processes of the script, `group` those of them in its process group.
    """

    def __init__(self, project: Project, report: Path, *, before: str = "", then: str = "exec sleep 600\n") -> None:
        project.script("migrate.sh", before + reporting(report) + then)
        project.commit()
        self.runner = project.start("migrate")
        self.given = reported(report)
        self.tree = descendants(self.runner.pid)
        self.watched = Watched(self.tree)
        self.group = [pid for pid in self.tree if _group(pid) == os.getpgid(self.runner.pid)]

    def wait(self) -> None:
        """Until the runner has ended. How it ended says nothing: it takes a script that a signal ended for a success."""
        self.runner.communicate(timeout=120)

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *error: object) -> None:
        self.runner.kill()
        self.runner.communicate()


def kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # one that ended by itself meanwhile, as the reporter does
        os.kill(pid, number)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def after_script(project: Project, stack: Stack, **variables: str) -> tuple[int, str]:
    """Code and log of the job's `after_script`, where nobody was left to run it; in the job's environment."""
    job = {"GITLAB_CI": "true", "CI_JOB_NAME": "migrate", "VAULT_ID_TOKEN": token(stack)}
    job |= {"CI_PROJECT_ID": "7", "CI_PIPELINE_ID": "8", "CI_JOB_ID": "9", **variables}
    run = subprocess.run(
        [sys.executable, "-m", "stepcreds", "revoke", "--all"],
        cwd=project.folder,
        env={**project.environment(), **job},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return run.returncode, normalised(run.stderr.decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_job(stack: Stack, project: Project, tmp_path: Path, number: signal.Signals) -> None:
    with Started(project, tmp_path / "report") as job:
        for pid in job.group:
            kill(pid, number)
        job.wait()
        assert job.watched.alive_after(0) == []
    assert refusal(stack, job.given) == "28P01"
    said = normalised(project.log("migrate"))
    proven = "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
    assert said.count(proven) == 1
    # It was proven dead before after_script, which finds nothing.
    assert said.endswith("$ stepcreds revoke --all\n" + NOTHING)
    assert places(project, job.given["PGPASSWORD"]) == []


def test_a_command_that_ignores_the_cancel_is_ended(stack: Stack, project: Project, tmp_path: Path) -> None:
    ignoring = {"before": "trap '' INT TERM\n", "then": "while :; do sleep 1; done\n"}
    with Started(project, tmp_path / "report", **ignoring) as job:
        for pid in job.group:
            kill(pid, signal.SIGTERM)
        job.wait()
        assert job.watched.alive_after(0) == []
    assert refusal(stack, job.given) == "28P01"
    (chain,) = records(project)
    closed = next(record for record in chain if record["kind"] == "credential.closed")
    assert (closed["cancelled_by"], closed["step"]["exit_code"]) == ("SIGTERM", 137)


def test_the_script_is_killed_and_the_worker_ends_it(stack: Stack, project: Project, tmp_path: Path) -> None:
    """SIGKILL to the process group, as after a cancel that takes too long: the worker is in a group of its own."""
    with Started(project, tmp_path / "report") as job:
        for pid in job.group:
            kill(pid, signal.SIGKILL)
        job.wait()
        assert job.watched.alive_after(60) == []
    assert refusal(stack, job.given) == "28P01"
    assert places(project, job.given["PGPASSWORD"]) == []


def test_everything_is_killed_and_after_script_ends_it(stack: Stack, project: Project, tmp_path: Path) -> None:
    """As a container's processes are killed: nobody is left but `after_script`, which gitlab-ci-local runs."""
    with Started(project, tmp_path / "report") as job:
        for pid in job.tree:
            kill(pid, signal.SIGSTOP)  # or one half of stepcreds would end what the other left
        assert refusal(stack, job.given) == ""
        for pid in job.tree:
            kill(pid, signal.SIGKILL)
        job.wait()
    assert normalised(project.log("migrate")).endswith("$ stepcreds revoke --all\n" + PROVEN)
    assert refusal(stack, job.given) == "28P01"
    assert job.given["PGUSER"] not in stack.issued_roles()
    assert places(project, job.given["PGPASSWORD"]) == []


def test_the_runner_dies_with_its_job(stack: Stack, project: Project, tmp_path: Path) -> None:
    with Started(project, tmp_path / "report") as job:
        for pid in [job.runner.pid, *job.tree]:
            kill(pid, signal.SIGSTOP)
        for pid in [job.runner.pid, *job.tree]:
            kill(pid, signal.SIGKILL)
        job.wait()
        assert refusal(stack, job.given) == ""
    # What a variable of the pipeline says of the job is no way around: its token says who it is.
    assert after_script(project, stack, CI_JOB_ID="666", CI_PIPELINE_ID="667") == (0, PROVEN)
    assert refusal(stack, job.given) == "28P01"


def test_the_runner_alone_dies(stack: Stack, project: Project, tmp_path: Path) -> None:
    """Its script goes on without a reader of its log; a signal still ends it in order."""
    with Started(project, tmp_path / "report") as job:
        job.runner.kill()
        job.runner.wait()
        for pid in job.group:
            kill(pid, signal.SIGTERM)
        assert job.watched.alive_after(60) == []
    until(lambda: refusal(stack, job.given) == "28P01", "the end of the credential")
    assert after_script(project, stack) == (0, NOTHING)
