"""What the Node half starts Python with, what it says where it cannot, and that it ends as Python ends; no runner here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import ci_tools

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


@pytest.mark.parametrize(("ends", "code"), [("exit 42", 42), ("kill -TERM $$", 143)])
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
    assert (tmp_path / "arguments").read_text() == f"-I -S {ACTION / 'launch.py'} action {stage}\n"
    pairs = [entry.partition("=") for entry in (tmp_path / "environment").read_text().split("\0") if entry]
    found = {name: value for name, _, value in pairs}
    assert json.loads(found.pop("STEPCREDS_WITHHELD")) == {"LD_LIBRARY_PATH": "/nowhere", "PYTHONPATH": "/nowhere"}
    assert found.pop("STEPCREDS_MATRIX") == '{"region":"eu"}'
    bent = {"LD_LIBRARY_PATH", "PYTHONPATH", *(["ACTIONS_RESULTS_URL"] if stage == "main" else [])}
    expected = {name: value for name, value in GIVEN.items() if name not in bent}
    assert {
        name: value for name, value in found.items() if name not in ("PATH", "PWD", "SHLVL", "_", "OLDPWD")
    } == expected


def python(folder: Path, does: str) -> Path:
    """A `python3` that is new enough, unless it `does` no more than to fail."""
    path = folder / "python3"
    asked = "" if does == "exit 1" else '[ "$3" = -c ] && exit 0\n'
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
