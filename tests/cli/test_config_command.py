"""`stepcreds config` as a child process: what it prints, where, and its exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepcreds.clock import SystemClock, rfc3339
from stepcreds.config.json_schema import json_schema

GOOD = """\
version: 1
vault: {address: https://vault.example.com:8200}
profiles:
  migrate:
    role: app-migrate
    creds: database/creds/app-migrate
    database: postgresql://db.example.com/app
    access: ddl
    max_ttl: 1h30m
  cloud: {creds: aws/creds/deploy, env: {AWS_ACCESS_KEY_ID: "{access_key}"}}
"""
BAD = GOOD.replace("ddl", "dml").replace("max_ttl", "max-ttl")
PROBLEMS = [
    (
        "stepcreds.yml:8:5",
        "profiles.migrate.access",
        '"dml" is not one of read-only, read-write, ddl',
        'Did you mean "ddl"?',
    ),
    ("stepcreds.yml:9:5", "profiles.migrate.max-ttl", "unknown key", 'Did you mean "max_ttl"?'),
]


def run(cwd: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "stepcreds", "config", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_good_one_in_a_line_for_each_profile(tmp_path: Path) -> None:
    file = tmp_path / "stepcreds.yml"
    file.write_text(GOOD)
    lines = (
        f"{file}: profile migrate: database/creds/app-migrate as app-migrate, "
        "ddl on postgresql db.example.com:5432 app, 2m, at most 1h30m\n"
        f"{file}: profile cloud: aws/creds/deploy as cloud, 2m, at most 30m\n"
    )
    assert run(tmp_path, "check") == (0, lines, "")


def test_a_good_one_as_json(tmp_path: Path) -> None:
    file = tmp_path / "ci.yml"
    file.write_text(GOOD)
    code, out, err = run(tmp_path, "check", "--json", "--config", "ci.yml")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "file": str(file),
        "profiles": {
            "migrate": {
                "role": "app-migrate",
                "creds": "database/creds/app-migrate",
                "engine": "postgresql",
                "access": "ddl",
                "ttl": 120.0,
                "max_ttl": 5400.0,
            },
            "cloud": {
                "role": "cloud",
                "creds": "aws/creds/deploy",
                "engine": None,
                "access": None,
                "ttl": 120.0,
                "max_ttl": 1800.0,
            },
        },
        "problems": [],
        "warnings": [],
    }


def test_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "stepcreds.yml").write_text(BAD)
    expected = "stepcreds: error: 2 problems in the configuration\n"
    expected += "".join(f"{where}: {key}: {what}\n  fix: {fix}\n" for where, key, what, fix in PROBLEMS)
    expected += "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    assert run(tmp_path, "check") == (2, "", expected)


def test_a_bad_one_as_json(tmp_path: Path) -> None:
    (tmp_path / "stepcreds.yml").write_text(BAD)
    code, out, err = run(tmp_path, "check", "--json")
    assert (code, err) == (2, "")
    problems = [dict(zip(("where", "key", "what", "fix"), problem, strict=True)) for problem in PROBLEMS]
    assert json.loads(out) == {"problems": problems}


def with_allowance(tmp_path: Path, day: str) -> None:
    allow = f"    allow: [{{what: PG.TABLE.OWN app, reason: the vendor's, expires: {day}}}]\n"
    (tmp_path / "stepcreds.yml").write_text(GOOD.replace("    max_ttl", f"{allow}    max_ttl"))


def test_an_allowance_that_has_expired_is_a_problem(tmp_path: Path) -> None:
    with_allowance(tmp_path, "2026-01-31")
    assert run(tmp_path, "check") == (
        2,
        "",
        "stepcreds: error: 1 problem in the configuration\n"
        "stepcreds.yml:9:60: profiles.migrate.allow[0].expires: the allowance expired on 2026-01-31\n"
        "  fix: Take the privilege away, or decide again and give a later day.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n",
    )


def test_an_allowance_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    day = rfc3339(SystemClock().now() + 9 * 86400)[:10]
    with_allowance(tmp_path, day)
    code, out, error = run(tmp_path, "check")
    # Midnight may pass between the two.
    said = re.sub(r"in [89] days", "in N days", out.splitlines()[-1])
    assert said == (
        f'{tmp_path / "stepcreds.yml"}: warning: profile migrate: allow "PG.TABLE.OWN app" expires in N days ({day}): '
        "take the privilege away, or decide again"
    )
    assert (code, error, len(out.splitlines())) == (0, "", 3)
    _, out, _ = run(tmp_path, "check", "--json")
    (warning,) = json.loads(out)["warnings"]
    assert warning.startswith('profile migrate: allow "PG.TABLE.OWN app" expires in ')


def test_the_variable_names_the_file(tmp_path: Path) -> None:
    expected = (
        "stepcreds: error: 1 problem in the configuration\n"
        "no.yml: the file cannot be opened: No such file or directory\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
    )
    assert run(tmp_path, "check", STEPCREDS_CONFIG="no.yml") == (2, "", expected)


def test_the_schema(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD" && exec "$0" -m stepcreds config check'
    done = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable], cwd=gone, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "stepcreds: error: the current folder cannot be used: No such file or directory\n"
        "  fix: Change to a folder that exists.\n",
    )


@pytest.mark.parametrize("arguments", [["check", "extra"], ["check", "--nope"], ["chekc"]])
def test_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, *arguments)
    assert (code, out) == (2, "")
