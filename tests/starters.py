"""Repositories as `stepcreds init` meets them, and what it makes of them; for the tests of whoever runs its output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stepcreds.starter.plan import Asked, Plan, plan
from stepcreds.starter.repository import survey

# What each tool's users have; the least that tells it.
TOOLS: dict[str, dict[str, str]] = {
    "alembic": {
        "alembic.ini": "[alembic]\nsqlalchemy.url = driver://user:pass@localhost/db\n",
        "requirements.txt": "psycopg2\n",
    },
    "django": {"manage.py": "", "shop/settings.py": '"ENGINE": "django.db.backends.postgresql"', "pyproject.toml": ""},
    "prisma": {"prisma/schema.prisma": 'datasource db {\n  provider = "postgresql"\n}\n', "package-lock.json": "{}"},
    "flyway": {"flyway.conf": "flyway.url=jdbc:postgresql://localhost/db\n"},
    "liquibase": {"liquibase.properties": "url: jdbc:postgresql://localhost/db\n"},
    "rails": {
        "db/migrate/20260101_a.rb": "",
        "config/database.yml": "default:\n  adapter: postgresql\n",
        "Gemfile": "",
    },
    "knex": {"knexfile.js": "module.exports = { client: 'pg' }", "package.json": "{}"},
    "sqitch": {"sqitch.plan": "", "sqitch.conf": "[core]\n\tengine = pg\n"},
    "atlas": {"atlas.hcl": 'env "x" { url = "postgres://localhost/db" }'},
    "golang-migrate": {"db/migrations/1_a.up.sql": "", "go.mod": "require github.com/jackc/pgx/v5 v5.7.0\n"},
    "dbmate": {"db/migrations/20260101_a.sql": ""},
    "script": {},
}
SYSTEMS: dict[str, dict[str, str]] = {
    "github": {".github/workflows/ci.yml": ""},
    "gitlab": {".gitlab-ci.yml": "include:\n  - local: .gitlab/stepcreds.yml\n"},
    "jenkins": {"Jenkinsfile": ""},
    "buildkite": {".buildkite/pipeline.yml": ""},
    "circleci": {".circleci/config.yml": ""},
    "azure": {"azure-pipelines.yml": ""},
    "bitbucket": {"bitbucket-pipelines.yml": ""},
}


def repository(folder: Path, files: dict[str, str], remote: str = "") -> Path:
    """`folder` as a clone with these files; `remote` is the URL of `origin`."""
    (folder / ".git/refs/remotes/origin").mkdir(parents=True)
    section = f'[remote "origin"]\n\turl = {remote}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n' if remote else ""
    (folder / ".git/config").write_text(f"[core]\n\tbare = false\n{section}")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def made(folder: Path, **asked: str) -> Plan:
    """What `init` would write in `folder`."""
    return plan(survey(folder), Asked(**asked))


def pipeline_of(made: Plan) -> str:
    """The text of the pipeline; the other file is stepcreds.yml."""
    assert [file.path == "stepcreds.yml" for file in made.files] == [True, False], "of a repository that has a CI"
    return made.files[1].text


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`stepcreds init` as a child process in `folder`, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "stepcreds", "init", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
