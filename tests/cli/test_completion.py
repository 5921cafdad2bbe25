"""What the shell is told when somebody presses Tab after a command that takes a profile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
version: 1
vault: {address: https://vault.example.com:8200}
profiles:
  migrate: {creds: aws/creds/a, env: {A: "{a}"}}
  "migrate-all": {creds: aws/creds/b, env: {A: "{a}"}}
  verify: {creds: aws/creds/c, env: {A: "{a}"}}
"""


def completed(folder: Path, *words: str) -> list[str]:
    """What may stand where the last of `words` begins."""
    run = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[:] = ['stepcreds']; from stepcreds.cli import main; main()"],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "_STEPCREDS_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("stepcreds", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return run.stdout.split()


@pytest.mark.parametrize("words", [("exec",), ("exec", "verify", "--also"), ("scope",), ("doctor",)])
def test_profiles_are_offered(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "stepcreds.yml").write_text(CONFIG)
    assert completed(tmp_path, *words, "mig") == ["plain,migrate", "plain,migrate-all"]
    assert completed(tmp_path, *words, "") == ["plain,migrate", "plain,migrate-all", "plain,verify"]


def test_those_of_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text(CONFIG.replace("verify", "other"))
    assert completed(tmp_path, "scope", "--config", "other.yml", "o") == ["plain,other"]


def test_nothing_is_offered_where_the_configuration_is_broken(tmp_path: Path) -> None:
    assert completed(tmp_path, "scope", "") == []
    (tmp_path / "stepcreds.yml").write_text("version: [")
    assert completed(tmp_path, "scope", "") == []
