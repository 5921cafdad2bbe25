"""Where a step's output goes: files, captures and pipes of a shell, and streams that are closed or full."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from step_runs import masked, reported, reporting, said, verdicts

from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

EXEC = shlex.join([sys.executable, "-m", "stepcreds", "exec", "-q", "verify", "--"])


def shell(stack: Stack, config_file: Path, script: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """A `run:` step of GitHub's: `script` in bash, whose stdout and stderr the runner reads."""
    merged = {**stack.environment(), **variables}
    return subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", script + "\n:"],  # not the last command: bash would make way for it
        cwd=config_file.parent,
        env={name: value for name, value in merged.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_redirected_stdout_holds_what_the_command_wrote_and_nothing_else(stack: Stack, config_file: Path) -> None:
    run = shell(stack, config_file, f'{EXEC} echo dump > dump.sql; captured=$({EXEC} echo taken); echo "<$captured>"')
    assert run.returncode == 0, run.stderr
    assert (config_file.parent / "dump.sql").read_text() == "dump\n"
    assert run.stdout == "<taken>\n"
    assert len(masked(run.stderr)) == 2


@pytest.mark.parametrize("redirection", ["> log 2>&1", "2>&1 | tee log"])
def test_no_mask_goes_where_the_runner_does_not_read(
    stack: Stack, config_file: Path, tmp_path: Path, redirection: str
) -> None:
    command = reporting(tmp_path / "report", 'print(os.environ["PGPASSWORD"])')
    run = shell(stack, config_file, f"{EXEC} {shlex.join(command)} {redirection}")
    assert run.returncode == 0, run.stderr
    password = reported(tmp_path / "report")["PGPASSWORD"]
    # Nobody would hide it, so it is taken out of the output.
    assert (config_file.parent / "log").read_text() == "***\n"
    assert masked(run.stdout + run.stderr) == []
    assert password not in run.stdout + run.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_cost_nothing(stack: Stack, config_file: Path, tmp_path: Path, closed: str) -> None:
    run = shell(stack, config_file, f"{EXEC} touch {tmp_path / 'ran'} {closed}")
    assert (run.returncode, said(run.stderr), run.stdout) == (0, "", "")
    assert (tmp_path / "ran").exists()
    assert verdicts(config_file) == ["proven dead"]


def test_a_closed_stderr_does_not_hide_a_failure(stack: Stack, config_file: Path) -> None:
    run = shell(stack, config_file, f"{EXEC} true 2>&-", ACTIONS_ID_TOKEN_REQUEST_URL=None)
    assert (run.returncode, run.stdout, run.stderr) == (125, "", "")


def test_output_that_a_full_disk_swallows_fails_the_step(stack: Stack, config_file: Path) -> None:
    text = "output of the command was lost: No space left on device"
    run = shell(stack, config_file, f"{EXEC.replace('exec', 'exec --redact', 1)} echo hello > /dev/full")
    assert (run.returncode, run.stdout) == (1, "")
    assert said(run.stderr) == f"stepcreds: warning: {text}\n"
    assert verdicts(config_file) == ["proven dead"]


def test_a_reader_that_goes_away(stack: Stack, config_file: Path) -> None:
    run = shell(stack, config_file, f"set +o pipefail; {EXEC} yes | head -n 1")
    assert (run.returncode, run.stdout, said(run.stderr)) == (0, "y\n", "")
    assert verdicts(config_file) == ["proven dead"]
