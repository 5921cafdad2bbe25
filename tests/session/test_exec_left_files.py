"""A command that leaves its credential in files: found when it is dead, said, recorded, and nothing of them changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from leaving_job import ISSUED, PROVEN, Job, handed_on, places
from step_runs import (
    normalised,
    reconfigure,
)

from conftest import Step

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


@pytest.fixture
def nothing_leaks(job: Job, config_file: Path) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Put the run into this list: after the test its password must be nowhere."""
    runs: list[subprocess.CompletedProcess[str]] = []
    yield runs
    for run in runs:
        job.check(run, config_file)


def left_behind(where: str) -> str:
    return (
        f"stepcreds: warning: files that the command changed hold the credential of verify, and outlive the step: {where}. "
        "Remove them before anything caches or uploads them; a file for a client belongs in files: of the profile\n"
    )


def test_files_that_the_command_changed(
    step: Step, config_file: Path, job: Job, nothing_leaks: list[subprocess.CompletedProcess[str]]
) -> None:
    (job.workspace / "old").write_text("old")
    then = (
        "put(env['HOME'] + '/.pgpass', f'db:5432:*:u:{password}\\n')\n"
        "put(env['RUNNER_TEMP'] + '/dump', f'\\n{password}')\n"
        "put(env['GITHUB_WORKSPACE'] + '/.env', f'A=1\\nURL=' + urllib.parse.quote(env['DATABASE_URL']))\n"
    )
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 0
    where = f"{job.home}/.pgpass, line 1; {job.temp}/dump, line 2; {job.workspace}/.env, line 2 (URL)"
    assert normalised(run.stderr) == ISSUED + PROVEN + left_behind(where)
    assert places(config_file) == [
        (f"{job.home}/.pgpass", 1, "", False),
        (f"{job.temp}/dump", 2, "", False),
        (f"{job.workspace}/.env", 2, "URL", False),
    ]
    assert job.password in (job.home / ".pgpass").read_text()
    shown = step("ledger", "show", **job.variables)
    assert "; leaked" in shown.stdout
    assert step("ledger", "verify", **job.variables).returncode == 0
    (credential,) = json.loads(step("ledger", "show", "--json", **job.variables).stdout)
    assert [place["file"] for place in credential["leaked"][0]["places"]] == [place[0] for place in places(config_file)]


def test_hostile_names_of_files(
    step: Step, job: Job, config_file: Path, nothing_leaks: list[subprocess.CompletedProcess[str]]
) -> None:
    then = (
        "put(env['GITHUB_WORKSPACE'] + '/x\\n::error::gotcha\\x1b[31m', password)\n"
        "put(env['GITHUB_WORKSPACE'] + '/' + password, '')\n"
    )
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 0
    names = sorted(place[0] for place in places(config_file))
    assert names == [f"{job.workspace}/***", f"{job.workspace}/x\\n::error::gotcha\\x1b[31m"]
    assert not [line for line in run.stderr.splitlines() if line.lstrip().startswith("::error::")]
    assert "\x1b" not in run.stderr


def test_both_kinds_in_one_record(step: Step, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}'); put(env['GITHUB_WORKSPACE'] + '/.env', password)"
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    assert places(config_file) == [("GITHUB_ENV", 1, "A", True), (f"{job.workspace}/.env", 1, "", False)]


def test_no_leak_scan_leaves_out_the_slow_part_alone(step: Step, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}'); put(env['GITHUB_WORKSPACE'] + '/.env', password)"
    run = step("exec", "verify", "--no-leak-scan", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    assert normalised(run.stderr) == ISSUED + handed_on("GITHUB_ENV, line 1 (A)") + PROVEN
    assert places(config_file) == [("GITHUB_ENV", 1, "A", True)]


def test_a_search_that_is_not_complete_says_so(step: Step, job: Job) -> None:
    run = step(
        *("exec", "verify", "--no-summary", "--"),
        *job.command("put(env['GITHUB_WORKSPACE'] + '/log', 'x' * (2 << 20))"),
        **job.variables,
    )
    note = "stepcreds: the search for leaked credentials is not complete: of 1 file only the beginning was looked at\n"
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN + note)


def test_the_ledgers_folder_within_the_workspace_is_not_searched(step: Step, config_file: Path, job: Job) -> None:
    reconfigure(config_file, lambda document: document["ledger"].update(path=str(job.workspace / "ledger")))
    run = step("exec", "verify", "--no-summary", "--", *job.command(), **job.variables)
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN)


def test_off_the_runner_nothing_is_looked_for(step: Step, tmp_path: Path) -> None:
    script = 'echo "A=$PGPASSWORD" > env'
    run = step("exec", "verify", "--", "sh", "-c", script, HOME=str(tmp_path))
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN)
    assert (tmp_path / "env").exists()
