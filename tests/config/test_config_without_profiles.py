"""The stepcreds.yml of a job that seals ledgers: it has no profiles, and every command has words for that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
from config_examples import VALID, folder, load, problems
from ledger_samples import JOB

from stepcreds.errors import UsageError
from stepcreds.recovery.leftover import find
from stepcreds.recovery.task import Task

REPOSITORY = Path(__file__).parents[2]
DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"
SEAL = "version: 1\nvault: {address: 'https://vault.example.com:8200'}\nledger: {seal: {key: transit/keys/seal}}\n"
IN_DOCS = ("docs/seal.md", "examples/workflows/seal.yml", "examples/gitlab/seal.gitlab-ci.yml")


def stepcreds(cwd: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "stepcreds", *arguments],
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def documented(name: str) -> str:
    """The configuration that `name` has in a block of YAML, or in its first comment."""
    text = (REPOSITORY / name).read_text()
    if name.endswith(".md"):
        [block] = [each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "version: 1" in each]
        return str(block)
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.endswith(" version: 1"))
    indent = lines[first].removesuffix("version: 1")
    block = takewhile(lambda line: line.startswith(indent), lines[first:])
    return "".join(f"{line.removeprefix(indent)}\n" for line in block)


@pytest.mark.parametrize("name", IN_DOCS)
def test_the_configuration_that_is_documented_for_the_sealing_job(name: str, tmp_path: Path) -> None:
    text = documented(name)
    (tmp_path / "stepcreds.yml").write_text(text)
    place = "s3://audit-ledgers/seals" if "s3://" in text else f"{tmp_path}/.stepcreds/seals"
    said = f"{tmp_path}/stepcreds.yml: seal: transit/keys/stepcreds-seal as stepcreds-seal, to {place}\n"
    assert stepcreds(tmp_path, "config", "check") == (0, said, "")
    assert "profiles" not in text


def test_profiles_are_asked_for_where_nothing_is_sealed(tmp_path: Path) -> None:
    assert load(tmp_path, VALID["seal"]).profiles == {}
    missing = ("stepcreds.yml:1:1", "profiles", "the key is missing", "")
    for ledger in ("", "ledger: {key: transit/keys/steps}\n"):
        assert problems(tmp_path, SEAL[: SEAL.index("ledger")] + ledger) == [missing]
    # It is there, though nothing can be made of it: one problem, and not two.
    wrong = SEAL.replace("{key: transit/keys/seal}", "here")
    assert problems(tmp_path, wrong) == [
        ("stepcreds.yml:3:10", "ledger.seal", "must be a mapping, and is a text", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("exec", "migrate", "--", "true"),
            125,
            "stepcreds: error: There is no profile migrate in FILE\n"
            "  fix: The profiles there are: none.\n"
            f"  see: {DOCS}#configuration\n",
        ),
        (
            ("scope", "--all"),
            2,
            "stepcreds: error: There is no profile in FILE\n"
            "  cause: It is the configuration of a job that seals ledgers, and asks for no credential.\n"
            "  fix: Name the stepcreds.yml of the steps: --config PATH\n"
            f"  see: {DOCS}#configuration\n",
        ),
        (
            ("setup", "--ci", "github", "--repository-id", "migrate=1"),
            2,
            "stepcreds: error: --repository-id migrate=1 names the profile migrate, and there is none\n"
            "  fix: There are none.\n"
            "    Where all of it is the answer, and for all profiles, put a '=' before it: "
            "--repository-id '=migrate=1'\n"
            f"  see: {DOCS}#setup-answers\n",
        ),
        (
            ("setup", "--ci", "github", "--guard", "migrate"),
            2,
            "stepcreds: error: --guard names migrate, and there is no such profile\n"
            "  fix: The profiles there are: none.\n"
            f"  see: {DOCS}#setup-answers\n",
        ),
    ],
)
def test_what_wants_a_profile_says_that_there_is_none(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    folder(tmp_path, SEAL)
    assert stepcreds(tmp_path, *arguments) == (code, "", said.replace("FILE", f"{tmp_path}/stepcreds.yml"))


def test_a_lease_of_no_profile(tmp_path: Path) -> None:
    settings = load(tmp_path, SEAL).ledger
    with pytest.raises(UsageError) as caught:
        find(Task(lease="database/creds/app/1"), settings, {}, JOB, "", by_environment=False)
    assert (caught.value.what, caught.value.cause) == (
        "No profile of this configuration issues such a lease",
        "The lease id begins with the creds path of the profile it was issued for, and there is no profile here",
    )
