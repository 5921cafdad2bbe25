"""What `stepcreds init` writes so that a verification means something: it fails, it cannot migrate, and it is kept."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from starters import SYSTEMS, TOOLS, made, pipeline_of, repository
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config

FAILS = {
    "alembic": "alembic current --check-heads",
    "django": "python manage.py migrate --check",
    "prisma": "npx prisma migrate status",
    "flyway": "flyway validate",
    "rails": "bin/rails db:abort_if_pending_migrations",
    "atlas": 'test "$(atlas migrate status -u "$DATABASE_URL" --format "{{ .Status }}")" = OK',
    "dbmate": "dbmate status --exit-code",
}
PRINTS = {
    "liquibase": "liquibase status --verbose",
    "knex": "npx knex migrate:status",
    "sqitch": "sqitch status",
    "golang-migrate": 'migrate -path db/migrations -database "$DATABASE_URL" version',
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("tool", [*FAILS, *PRINTS])
def test_a_verification_fails_or_says_that_it_does_not(tmp_path: Path, system: str, tool: str) -> None:
    plan = made(repository(tmp_path, {**SYSTEMS[system], **TOOLS[tool]}), tool=tool)
    text = pipeline_of(plan)
    command = (FAILS | PRINTS)[tool]
    assert (command.replace("$", "$$") if system == "buildkite" else command) in text
    assert (" change: this fails while a migration is pending" in text) == (tool in FAILS)
    assert (" change: this only prints what " in text) == (tool in PRINTS)
    assert (" while a migration is pending (Alembic 1.17.1 or newer); " in text) == (tool == "alembic")


@pytest.mark.parametrize("tool", ["atlas", "golang-migrate"])
def test_buildkite_fills_in_no_variable_of_ours(tmp_path: Path, tool: str) -> None:
    """`$NAME` is replaced when the pipeline is uploaded, by a machine that has no credential; `$$` becomes `$`."""
    text = pipeline_of(made(repository(tmp_path, {**SYSTEMS["buildkite"], **TOOLS[tool]})))
    assert "$$DATABASE_URL" in text
    assert "$" not in text.replace("$$", "")


def test_buildkite_ends_what_a_killed_command_left(tmp_path: Path) -> None:
    """The list is one script of one shell, as the agent makes it; what it does after a killed stepcreds is asked here."""
    text = pipeline_of(made(repository(tmp_path / "shop", SYSTEMS["buildkite"])))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/stepcreds"
    for left, code in ((0, 137), (1, 1)):
        program.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/calls"\n[ "$1" = exec ] && kill -9 $$\nexit {left}\n')
        program.chmod(0o755)
        (tmp_path / "calls").write_text("")
        (migrate, _) = yaml.safe_load(text)["steps"]
        run = subprocess.run(
            ["/bin/bash", "-e", "-c", "\n".join(migrate["command"])],
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        assert run.returncode == code
        assert (tmp_path / "calls").read_text() == "exec migrate -- ./migrate.sh\nrevoke --all\n"


KEPT = {
    "gitlab": "    paths: [.stepcreds/]\n",
    "jenkins": "      archiveArtifacts artifacts: '.stepcreds/*.jsonl', allowEmptyArchive: true\n",
    "buildkite": "    artifact_paths: .stepcreds/*.jsonl\n",
    "circleci": "      - store_artifacts: { path: .stepcreds }\n",
    "azure": "publish: .stepcreds\n",
    "bitbucket": "          artifacts: [.stepcreds/*.jsonl]\n",
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_ledger_is_kept(tmp_path: Path, system: str) -> None:
    root = repository(tmp_path, SYSTEMS[system])
    plan = made(root)
    (root / "stepcreds.yml").write_text(plan.files[0].text)
    environment = {"STEPCREDS_VAULT_ADDR": "https://vault.example.com"} if system == "azure" else {}
    config = load_config(root / "stepcreds.yml", environment, root, SystemClock())
    assert config.ledger.push == ("artifact" if system == "github" else None)
    jobs = {"gitlab": 1, "jenkins": 1}.get(system, 2)
    assert pipeline_of(plan).count(KEPT.get(system, "\0")) == (0 if system == "github" else jobs)


def test_the_job_that_verifies_is_not_the_one_that_may_migrate(tmp_path: Path) -> None:
    """Vault's role for DDL is bound to what only the first job has."""

    def written(system: str) -> Any:
        return yaml.safe_load(pipeline_of(made(repository(tmp_path / system, SYSTEMS[system]))))

    github = written("github")["jobs"]
    assert [github[name]["environment"] for name in ("migrate", "verify")] == ["production-ddl", "production"]
    gitlab = written("gitlab")
    assert gitlab["migrate"]["environment"] == "production-ddl"
    assert gitlab["verify"]["environment"] == {"name": "production", "action": "verify"}
    migrate, verify = written("circleci")["workflows"]["migrate"]["jobs"]
    assert (migrate["migrate"]["context"], "context" in verify["verify"]) == (["production-ddl"], False)
    first, second = (one["step"] for one in written("bitbucket")["pipelines"]["branches"]["main"])
    assert (first["deployment"], "deployment" in second) == ("production", False)
