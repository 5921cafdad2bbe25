"""`stepcreds init` as a child process: what it says and writes, and that it never overwrites and never writes a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from starters import SYSTEMS, TOOLS, init, repository

CANARY = "c4n4rysecret"
ALEMBIC = {**SYSTEMS["gitlab"], **TOOLS["alembic"]}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".git/" not in str(path)}


def test_what_it_says(tmp_path: Path) -> None:
    root = repository(tmp_path, ALEMBIC)
    run = init(root)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "CI: GitLab CI/CD (.gitlab-ci.yml)\n"
        "Migrations: Alembic (alembic.ini)\n"
        "Database: postgresql (psycopg2 in requirements.txt)\n"
        "\n"
        "Written: stepcreds.yml\n"
        "Written: .gitlab/stepcreds.yml\n"
        "\n"
        "Next:\n"
        "  1. Look at every line that says `change` in what was written.\n"
        "  2. Add to .gitlab-ci.yml:\n"
        "       include:\n"
        "         - local: .gitlab/stepcreds.yml\n"
        "  3. stepcreds config check\n"
        "  4. stepcreds setup, which makes what Vault and the database need:\n"
        "     https://github.com/stepcreds/stepcreds/blob/v1/docs/setup.md\n"
        "     https://github.com/stepcreds/stepcreds/blob/v1/docs/identity.md#gitlab\n"
        "  5. In a job: stepcreds doctor migrate, which says what is missing.\n"
    )
    assert files(root) == {*ALEMBIC, "stepcreds.yml", ".gitlab/stepcreds.yml"}


def test_without_a_ci_there_is_the_configuration_alone(tmp_path: Path) -> None:
    run = init(repository(tmp_path, {}))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "CI: none found; --ci names one\n"
        "Migrations: a script of your own\n"
        "Database: nothing says which; PostgreSQL is assumed\n"
        "\n"
        "Written: stepcreds.yml\n"
        "\n"
        "Next:\n"
        "  1. Look at every line that says `change` in what was written.\n"
        "  2. stepcreds config check\n"
        "  3. stepcreds setup, which makes what Vault and the database need:\n"
        "     https://github.com/stepcreds/stepcreds/blob/v1/docs/setup.md\n"
        "     https://github.com/stepcreds/stepcreds/blob/v1/docs/identity.md\n"
        "  4. In a job: stepcreds doctor migrate, which says what is missing.\n"
    )
    assert files(tmp_path) == {"stepcreds.yml"}


def test_a_dry_run_prints_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path, ALEMBIC)
    dry = init(root, "--dry-run")
    assert dry.returncode == 0
    assert files(root) == set(ALEMBIC)
    assert init(root).returncode == 0
    found, *texts = dry.stdout.split("\n==> ")
    assert found.startswith("CI: GitLab CI/CD")
    assert dict(text.split(" <==\n", 1) for text in texts) == {
        name: (root / name).read_text() for name in ("stepcreds.yml", ".gitlab/stepcreds.yml")
    }


@pytest.mark.parametrize("there", ["stepcreds.yml", "stepcreds.yaml", ".gitlab/stepcreds.yml"])
def test_it_never_overwrites(tmp_path: Path, there: str) -> None:
    root = repository(tmp_path, {**ALEMBIC, there: "mine\n"})
    before = files(root)
    run = init(root)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        f"stepcreds: error: {there} is there already, and nothing is overwritten\n"
        "  fix: Nothing has been written. Move it away first; or take over what you want of\n"
        "    stepcreds init --dry-run, which prints the files.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#init\n"
    )
    assert files(root) == before
    assert (root / there).read_text() == "mine\n"
    assert init(root, "--dry-run").returncode == 0


def test_a_second_time_it_names_both(tmp_path: Path) -> None:
    root = repository(tmp_path, ALEMBIC)
    assert init(root).returncode == 0
    run = init(root)
    assert run.returncode == 2
    assert run.stderr.splitlines()[0] == (
        "stepcreds: error: .gitlab/stepcreds.yml and stepcreds.yml are there already, and nothing is overwritten"
    )


def test_a_link_that_leads_nowhere_is_there_as_well(tmp_path: Path) -> None:
    root = repository(tmp_path / "root", ALEMBIC)
    (root / "stepcreds.yml").symlink_to(tmp_path / "outside.yml")
    assert init(root).returncode == 2
    assert not (tmp_path / "outside.yml").exists()


def test_a_folder_that_leads_out_of_the_repository_is_not_written_to(tmp_path: Path) -> None:
    root = repository(tmp_path / "root", ALEMBIC)
    (tmp_path / "outside").mkdir()
    (root / ".gitlab").symlink_to(tmp_path / "outside")
    run = init(root)
    assert run.returncode == 2
    assert run.stderr == (
        f"stepcreds: error: {root}/.gitlab leads out of the repository, and nothing is written there\n"
        "  fix: Nothing has been written. Make it a folder, or take over the output of stepcreds init --dry-run.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#init\n"
    )
    assert files(tmp_path / "outside") == set()
    assert "stepcreds.yml" not in files(root)


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    root = repository(tmp_path, {**ALEMBIC, ".gitlab": "a file, where a folder would have to be"})
    run = init(root)
    assert run.returncode == 2
    assert run.stderr == (
        f"stepcreds: error: {root}/.gitlab cannot be written: File exists\n"
        "  fix: Nothing has been written. --dry-run prints what would be.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#init\n"
    )
    assert "stepcreds.yml" not in files(root)


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (
            ("--database", f"postgresql://app:{CANARY}@db.example.com/app"),
            "--database cannot be written down: the URL holds a user or a password",
            "Remove everything up to the '@': each step gets a user of its own from Vault.",
        ),
        (
            ("--database", f"postgresql://db.example.com/app?password={CANARY}"),
            '--database cannot be written down: the parameter "password" says who logs in',
            "Remove it: each step gets a user of its own from Vault.",
        ),
        (
            ("--database", "redis://cache.example.com:6379"),
            "--database names a database of the engine redis, and a first pipeline is written for postgresql, mysql, "
            "mariadb only",
            "Write stepcreds.yml yourself, from the example that begins "
            "https://github.com/stepcreds/stepcreds/blob/v1/docs/configuration.md",
        ),
        (
            ("--vault", "http://vault.example.com:8200"),
            "--vault cannot be written down: http would send the job's identity and the credential in clear",
            "Give the server TLS and write https://; http is for loopback (127.0.0.1) only.",
        ),
        (
            ("--vault", f"https://me:{CANARY}@vault.example.com"),
            "--vault cannot be written down: the address holds a user or a password",
            "Remove everything up to the '@'.",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, arguments: tuple[str, ...], what: str, fix: str) -> None:
    for more in ((), ("--dry-run",)):
        run = init(repository(tmp_path / f"r{len(more)}", ALEMBIC), *arguments, *more)
        assert (run.returncode, run.stdout) == (2, "")
        assert (
            run.stderr
            == f"stepcreds: error: {what}\n  fix: {fix}\n  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#init\n"
        )
    assert files(tmp_path / "r0") == set(ALEMBIC)


def test_no_secret_of_the_repository_is_repeated(tmp_path: Path) -> None:
    secrets = {
        **SYSTEMS["gitlab"],
        "alembic.ini": f"sqlalchemy.url = postgresql://app:{CANARY}@db.internal/app\n",
        "flyway.conf": f"flyway.url=jdbc:postgresql://db.internal/app\nflyway.password={CANARY}\n",
        ".env": f"DATABASE_URL=postgresql://app:{CANARY}@db.internal/app\n",
    }
    root = repository(tmp_path, secrets, f"https://maria:{CANARY}@gitlab.com/acme/shop.git")
    run = init(root)
    assert run.returncode == 0
    written = "".join((root / name).read_text() for name in ("stepcreds.yml", ".gitlab/stepcreds.yml"))
    assert CANARY not in run.stdout + run.stderr + written


def test_hostile_names_steer_no_terminal(tmp_path: Path) -> None:
    run = init(repository(tmp_path, {"x\x1b[31m\n::error::.up.sql": ""}), "--dry-run")
    assert run.returncode == 0
    assert "\x1b" not in run.stdout
    assert "\n::" not in run.stdout


def test_from_a_folder_below_it_writes_at_the_root(tmp_path: Path) -> None:
    root = repository(tmp_path, {**ALEMBIC, "a/b/c": ""})
    assert init(root / "a/b").returncode == 0
    assert {"stepcreds.yml", ".gitlab/stepcreds.yml"} <= files(root)


def test_flags_go_before_what_is_found(tmp_path: Path) -> None:
    root = repository(tmp_path, ALEMBIC)
    arguments = ("--ci", "github", "--tool", "flyway", "--database", "mariadb://db.example.com/shop")
    run = init(root, *arguments, "--vault", "https://vault.internal/")
    assert run.stdout.splitlines()[:3] == [
        "CI: GitHub Actions (--ci)",
        "Migrations: Flyway (--tool)",
        "Database: mariadb (--database)",
    ]
    check = subprocess.run(
        [sys.executable, "-m", "stepcreds", "config", "check", "--json"],
        cwd=root,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    profiles = json.loads(check.stdout)["profiles"]
    assert [(name, one["engine"], one["access"]) for name, one in profiles.items()] == [
        ("migrate", "mariadb", "ddl"),
        ("verify", "mariadb", "read-only"),
    ]
    text = (root / "stepcreds.yml").read_text()
    assert "\n  address: https://vault.internal\n" in text
    assert 'FLYWAY_URL: "jdbc:mariadb://{host}:{port}/{database}"\n' in text
    assert "change: where" not in text


def test_none_writes_no_pipeline(tmp_path: Path) -> None:
    root = repository(tmp_path, ALEMBIC)
    assert init(root, "--ci", "none").stdout.startswith("CI: none, as --ci says\n")
    assert files(root) == {*ALEMBIC, "stepcreds.yml"}


def test_without_a_pipeline_of_gitlab_it_writes_the_line_that_names_its_own(tmp_path: Path) -> None:
    root = repository(tmp_path, {}, "git@gitlab.com:acme/shop.git")
    run = init(root)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Written: .gitlab-ci.yml\n" in run.stdout
    assert "Add to .gitlab-ci.yml" not in run.stdout
    assert (root / ".gitlab-ci.yml").read_text() == "include:\n  - local: .gitlab/stepcreds.yml\n"
