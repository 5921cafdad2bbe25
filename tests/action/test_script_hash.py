"""The ledger knows a script again: `command_sha256` is of its text, not of the path that the runner made up for it."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from simulated_job import Job
from step_runs import of_kind

from conftest import Step
from stepcreds.devstack.stack import Stack
from stepcreds.session.script_text import LARGEST, recognisable

pytestmark = pytest.mark.usefixtures("alone")

SCRIPT = 'echo "one"\necho "two"\n'


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def expected(*shell: str, script: str = SCRIPT) -> str:
    """As docs/ledger.md says it."""
    return sha256("\0".join([*shell, f"sha256:{sha256(script)}"]))


def written_by_the_runner(folder: Path, text: str = SCRIPT, suffix: str = "") -> str:
    path = folder / f"{uuid.uuid4()}{suffix}"
    path.write_text(text)
    return str(path)


def hashes(records: list[dict[str, Any]]) -> list[str]:
    return [record["step"]["command_sha256"] for record in records]


def test_two_uses_of_the_action_with_one_script_are_one_command(stack: Stack, tmp_path: Path) -> None:
    job = Job(stack, tmp_path)
    for run, shell in ((SCRIPT, ""), (SCRIPT, ""), (SCRIPT, "sh"), ("echo three\n", "")):
        ended = job.use(profile="verify", run=run, shell=shell).run()
        assert ended.returncode == 0, ended.stderr
    (chain,) = job.ledger.glob("*.jsonl")
    records = [json.loads(line) for line in chain.read_text().splitlines()]
    assert hashes([record for record in records if record["kind"] == "credential.closed"]) == [
        expected("bash", "-e"),
        expected("bash", "-e"),
        expected("sh", "-e"),
        expected("bash", "-e", script="echo three\n"),
    ]


def test_a_custom_shell_has_the_hash_of_the_action(step: Step, config_file: Path, tmp_path: Path) -> None:
    for _ in range(2):
        script = written_by_the_runner(tmp_path)
        run = step("exec", "verify", "--", "bash", "-e", script, RUNNER_TEMP=f"{tmp_path}/")
        assert (run.returncode, run.stdout) == (0, "one\ntwo\n"), run.stderr
    assert hashes(of_kind(config_file, "credential.closed")) == [expected("bash", "-e")] * 2


def test_a_script_that_rewrites_itself_is_known_by_what_it_was(step: Step, config_file: Path, tmp_path: Path) -> None:
    text = 'printf "echo harmless\\n" > "$0.new" && mv "$0.new" "$0"\nexit 3\n'
    run = step("exec", "verify", "--", "sh", written_by_the_runner(tmp_path, text), RUNNER_TEMP=str(tmp_path))
    assert run.returncode == 3, run.stderr
    assert hashes(of_kind(config_file, "credential.closed")) == [expected("sh", script=text)]


def test_a_path_inside_an_argument_is_found(tmp_path: Path) -> None:
    path = written_by_the_runner(tmp_path, suffix=".ps1")
    argv = ("pwsh", "-command", f". '{path}'")
    given = recognisable(argv, {"RUNNER_TEMP": str(tmp_path)})
    assert given == ("pwsh", "-command", f". 'sha256:{sha256(SCRIPT)}'")
    assert recognisable(argv, {}) == argv


def test_whatever_else_is_an_argument_stays(tmp_path: Path) -> None:
    """Other files, whose names are the author's; and what is no regular file, which nobody waits for."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "migrate.sh").write_text(SCRIPT)
    pipe, link, folder = (str(tmp_path / str(uuid.uuid4())) for _ in range(3))
    os.mkfifo(pipe)
    Path(link).symlink_to(tmp_path / "migrate.sh")
    Path(folder).mkdir()
    argv = (
        str(tmp_path / "migrate.sh"),
        written_by_the_runner(tmp_path / "sub"),
        written_by_the_runner(tmp_path, "x" * (LARGEST + 1)),
        f"{written_by_the_runner(tmp_path)}/more",
        f"{tmp_path}/{uuid.uuid4()}",
        pipe,
        link,
        folder,
    )
    assert recognisable(argv, {"RUNNER_TEMP": str(tmp_path)}) == argv
