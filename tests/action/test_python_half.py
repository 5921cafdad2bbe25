"""What Node becomes: Python with what does not bend it; and what it says where it cannot. No runner here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import ci_tools
from stepcreds.action.install import HOLDING, START

ACTION = Path(__file__).resolve().parents[2] / "action"
# Loaded before the Action: another system, and a machine on which `existsSync` finds only what it is told to.
OTHER_SYSTEM = "Object.defineProperty(process, 'platform', { value: 'win32' });\n"
ONLY_ON_PATH = """\
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
const exists = fs.existsSync;
fs.existsSync = (file) => !/^\\/usr\\/(local\\/)?bin\\/python3$/.test(file) && exists(file);
syncBuiltinESMExports();
"""
WITHOUT_ENV = """\
import childProcess from 'node:child_process';
const real = childProcess.spawnSync;
childProcess.spawnSync = (file, ...rest) => (file === '/usr/bin/env' ? { status: 125 } : real(file, ...rest));
"""
FIX = (
    "%0AOn a runner of your own, install python3. In a job with container: choose an image that has it, or use the "
    "stepcreds.pyz of a release with a Python that you add (docs/install.md).\n"
)
TITLE = "::error title=stepcreds%3A no Python 3.10 or newer::"


def test_other_systems_are_refused(tmp_path: Path) -> None:
    run = node(tmp_path, OTHER_SYSTEM)
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == (
        "::error title=stepcreds%3A this runner is not supported::stepcreds runs on Linux only, and this is win32: "
        "elsewhere it cannot promise that nothing of a step survives it.%0A"
        "Use runs-on: ubuntu-latest for the steps that need a credential.\n"
    )


def test_no_python(tmp_path: Path) -> None:
    run = node(tmp_path, ONLY_ON_PATH, PATH=str(tmp_path))
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == f"{TITLE}There is none in /usr/bin, in /usr/local/bin, or on PATH.{FIX}"


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = python(tmp_path, "exit 1")
    run = node(tmp_path, ONLY_ON_PATH, PATH=str(tmp_path))
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == f"{TITLE}What there is ({old}) is older, or does not start.{FIX}"


@pytest.mark.parametrize(("ends", "code"), [("exit 42", 42), ("kill -KILL $$", -9)])
def test_it_ends_as_python_ends(tmp_path: Path, ends: str, code: int) -> None:
    python(tmp_path, ends)
    run = node(tmp_path, ONLY_ON_PATH, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (run.returncode, run.stdout, run.stderr) == (code, "", "")


GIVEN = {
    "LD_LIBRARY_PATH": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "SSL_CERT_FILE": "/etc/certificates",
    "INPUT_PROFILE": "migrate",
    "INPUT_MATRIX": '{"region":"eu"}',
    "ACTIONS_RESULTS_URL": "https://results.example.com",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com",
}


@pytest.mark.parametrize("stage", ["main", "post"])
def test_python_is_started_with_what_does_not_bend_it(tmp_path: Path, stage: str) -> None:
    python(tmp_path, f'env -0 > {tmp_path}/environment; echo "$@" > {tmp_path}/arguments')
    run = node(tmp_path, ONLY_ON_PATH, stage=stage, PATH=f"{tmp_path}:/usr/bin:/bin", **GIVEN)
    assert (run.returncode, run.stderr) == (0, "")
    assert (tmp_path / "arguments").read_text() == f"-I -S -c {START} {ACTION / 'launch.py'} action {stage}\n"
    pairs = [entry.partition("=") for entry in (tmp_path / "environment").read_text().split("\0") if entry]
    found = {name: value for name, _, value in pairs}
    assert json.loads(found.pop("STEPCREDS_WITHHELD")) == {"LD_LIBRARY_PATH": "/nowhere", "PYTHONPATH": "/nowhere"}
    assert found.pop("STEPCREDS_MATRIX") == '{"region":"eu"}'
    bent = {"LD_LIBRARY_PATH", "PYTHONPATH", *(["ACTIONS_RESULTS_URL"] if stage == "main" else [])}
    expected = {name: value for name, value in GIVEN.items() if name not in bent}
    assert {
        name: value for name, value in found.items() if name not in ("PATH", "PWD", "SHLVL", "_", "OLDPWD")
    } == expected


@pytest.mark.parametrize("stage", ["main", "post"])
def test_what_an_earlier_step_says_in_its_place_is_not_handed_on(tmp_path: Path, stage: str) -> None:
    python(tmp_path, f"env -0 > {tmp_path}/environment")
    forged = {
        "STEPCREDS_WITHHELD": '{"RUNNER_TEMP": "/nowhere"}',
        "STEPCREDS_MATRIX": '{"region":"us"}',
        "INPUT_MATRIX": "null",
    }
    run = node(tmp_path, ONLY_ON_PATH, stage=stage, PATH=f"{tmp_path}:/usr/bin:/bin", **forged)
    assert (run.returncode, run.stderr) == (0, "")
    assert "STEPCREDS_" not in (tmp_path / "environment").read_text()


def test_it_is_the_same_process_and_nobody_is_left_above_it(tmp_path: Path) -> None:
    python(tmp_path, f'echo "$$ $PPID" > {tmp_path}/ids; cat')
    before = f"{ONLY_ON_PATH}fs.writeFileSync('{tmp_path}/node', String(process.pid));\n"
    run = node(tmp_path, before, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (tmp_path / "ids").read_text() == f"{(tmp_path / 'node').read_text()} {os.getpid()}\n"


def test_a_node_that_cannot_be_replaced(tmp_path: Path) -> None:
    before = "process.execve = undefined;\nObject.defineProperty(process, 'version', { value: 'v22.14.0' });\n"
    run = node(tmp_path, before)
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == (
        "::error title=stepcreds%3A the Node of this runner is too old::It is v22.14.0, which cannot be replaced by "
        "another program (process.execve, Node 22.15); what it was given for the job's identity would be open to the "
        "script.%0AUpdate the runner: node24 comes with actions/runner 2.327.1.\n"
    )


def test_more_than_one_variable_can_hold(tmp_path: Path) -> None:
    run = node(tmp_path, "", LD_A="a" * 70_000, LD_B="b" * 70_000)
    assert (run.returncode, run.stdout) == (125, "")
    assert run.stderr == (
        "::error title=stepcreds%3A too much in the environment::The job's matrix, or the variables LD_*, PYTHON* and "
        "their like together, are longer than 131072 bytes, which is all that Linux hands over in one variable.%0A"
        "Make them shorter: look at what earlier steps write to GITHUB_ENV.\n"
    )


def test_both_ways_to_start_python_block_signals_alike() -> None:
    """Node and the program that `shell: stepcreds exec …` finds on PATH."""
    node = (ACTION / "python.mjs").read_text()
    assert f'const START = "{START}";' in node
    assert f"const HOLDING = {HOLDING.split(' ')};" in node


def test_where_env_cannot_hold_signals_python_is_started_without(tmp_path: Path) -> None:
    """As of busybox, or of an older coreutils: here `env` starts nothing."""
    python(tmp_path, f'[ "$PPID" = {os.getpid()} ] && exec grep SigBlk /proc/self/status')
    run = node(tmp_path, WITHOUT_ENV + ONLY_ON_PATH, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (run.returncode, run.stdout, run.stderr) == (0, "SigBlk:\t0000000000000000\n", "")
    run = node(tmp_path, ONLY_ON_PATH, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert (run.returncode, run.stdout, run.stderr) == (0, "SigBlk:\t0000000000004007\n", "")


def python(folder: Path, does: str) -> Path:
    """A `python3` that is new enough, unless it `does` no more than to fail."""
    path = folder / "python3"
    asked = "" if does == "exit 1" else "[ $# = 4 ] && exit 0\n"
    path.write_text(f"#!/bin/sh\n{asked}{does}\n")
    path.chmod(0o755)
    return path


def node(folder: Path, before: str, *, stage: str = "main", **variables: str) -> subprocess.CompletedProcess[str]:
    preload = folder / "before.mjs"
    preload.write_text(before)
    return subprocess.run(
        [str(ci_tools.node()), "--import", str(preload), str(ACTION / f"{stage}.mjs")],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
