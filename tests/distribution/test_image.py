"""The container image, as far as it can be looked at without a daemon: its Containerfile, and what that runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from trees import PYTHON, REPOSITORY, bytecode, plain, started

from stepcreds.devstack.stack import Stack

LINES = (REPOSITORY / "Containerfile").read_text().replace("\\\n", "").splitlines()
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line and not line.startswith("#")]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in INSTRUCTIONS if instruction == name]


def test_the_base_is_one_image_named_by_its_digest() -> None:
    bases = {base.split(" AS ")[0] for base in of("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-alpine@sha256:[0-9a-f]{64}", bases.pop())


def test_it_starts_a_shell_for_whoever_asks_and_runs_as_nobody_in_particular() -> None:
    """GitLab's docker executor runs `sh` in the image, which an ENTRYPOINT of ours would take for its arguments:
    https://docs.gitlab.com/runner/executors/docker/#how-docker-integration-works
    """
    assert of("ENTRYPOINT") == []
    assert of("USER") == ["1000:1000"]


def test_it_copies_what_is_there_and_no_more() -> None:
    copied = [source for line in of("COPY") if not line.startswith("--from") for source in line.split()[:-1]]
    assert [source for source in copied if not (REPOSITORY / source).exists()] == []
    assert copied == ["LICENSE", "tools/image", "tools/pyz.py", "action/launch.py", "vendor", "src"]


@pytest.mark.usefixtures("alone")
def test_what_it_builds_runs_a_step_and_compiles_nothing(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    run, _ = of("RUN")
    tool, folder, program, _ = run.split()
    assert of("ENV") == [f"STEPCREDS_CACHE={folder}"]
    root = tmp_path / "root"
    built = started(
        [REPOSITORY / tool, f"{root}{folder}", f"{root}{program}"], tmp_path, {"PATH": f"{PYTHON.parent}:{os.defpath}"}
    )
    assert built.returncode == 0, built.stderr
    there = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in (root / folder[1:]).rglob("*")}
    assert len(bytecode(root)) > 300
    assert {mode & 0o022 for _, mode in there.values()} == {0}
    assert {mode & 0o444 for _, mode in there.values()} == {0o444}
    step = started(
        [f"{root}{program}", "exec", "verify", "--", "sh", "-c", "echo $PGUSER; exit 3"],
        config_file.parent,
        plain(stack, STEPCREDS_CACHE=f"{root}{folder}"),
    )
    assert step.returncode == 3, step.stderr
    assert "stepcreds: verify: proven dead " in step.stderr
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in (root / folder[1:]).rglob("*")} == there
