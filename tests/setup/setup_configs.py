"""Configurations for plans that are built and not run: texts of YAML, read as the program reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.config.model import Config
from stepcreds.setup.answers.given import Given
from stepcreds.setup.answers.questions import complete
from stepcreds.setup.plan import Plan, Setting

DATABASE = "postgresql://db.example.com:5432/app"

# What each CI has to be told, and what its role is then bound to.
CIS = {
    "github": (
        ["--repository-id", "1", "--repository", "acme/shop", "--environment", "prod"],
        ["repository = acme/shop", "repository_id = 1", "environment = prod"],
    ),
    "forgejo": (
        ["--issuer", "https://f/api/actions", "--repository", "acme/shop", "--branch", "main"],
        ["repository = acme/shop", "ref = refs/heads/main", "ref_protected = true"],
    ),
    "gitlab": (
        ["--repository-id", "7", "--branch", "main"],
        ["project_id = 7", "ref_path = refs/heads/main", "ref_protected = true"],
    ),
    "buildkite": (
        ["--repository", "acme/shop", "--branch", "main"],
        ["organization_slug = acme", "pipeline_slug = shop", "build_branch = main"],
    ),
    "circleci": (
        ["--issuer", "https://oidc.circleci.com/org/1", "--repository-id", "2d3c", "--environment", "6978"],
        [
            "oidc.circleci.com/project-id = 2d3c",
            "oidc.circleci.com/context-ids = 6978",
            "oidc.circleci.com/ssh-rerun = false",
        ],
    ),
    "azure": (
        [
            "--issuer",
            "https://vstoken.dev.azure.com/0ca3",
            "--repository-id",
            "271e",
            "--workflow",
            "1",
            "--branch",
            "main",
        ],
        ["org_id = 0ca3", "prj_id = 271e", "rpo_ref = refs/heads/main", "def_id = 1"],
    ),
    "bitbucket": (
        ["--issuer", "https://b/oidc", "--repository-id", "{9a8b}", "--environment", "{5e6f}"],
        ["repositoryUuid = {9a8b}", "deploymentEnvironmentUuid = {5e6f}"],
    ),
    "jenkins": (["--issuer", "https://j/oidc", "--workflow", "https://j/job/a/"], ["sub = https://j/job/a/"]),
    "kubernetes": (
        ["--issuer", "https://k", "--repository", "ci/1c2d"],
        ["/kubernetes.io/namespace = ci", "/kubernetes.io/serviceaccount/uid = 1c2d"],
    ),
    "gcp": (["--repository-id", "1122"], ["sub = 1122"]),
    "other": (["--issuer", "https://ci", "--workflow", "job"], ["sub = job"]),
}


def profile(name: str, **more: object) -> dict[str, Any]:
    """A profile that reads `app`, with a role and a creds path of its own."""
    own = {"role": f"app-{name}", "creds": f"database/creds/app-{name}", "database": DATABASE, "access": "read-only"}
    return {**own, "schemas": ["app"], **more}


def config(folder: Path, profiles: dict[str, Any], **more: object) -> Config:
    """The stepcreds.yml of these profiles, with the Vault of the documentation."""
    import json

    text = {"version": 1, "vault": {"address": "https://vault.example.com:8200"}, "profiles": profiles, **more}
    path = folder / "stepcreds.yml"
    path.write_text(json.dumps(text))  # which is YAML
    return load_config(path, {}, folder, SystemClock())


def given(of_all: dict[str, object] | None = None, **of_profiles: dict[str, object]) -> Given:
    """Answers for GitHub's repository 71717171, and `of_all` and `of_profiles` beside that."""
    return Given({"ci": "github", "repository_id": "71717171", **(of_all or {})}, of_profiles)


def plan(configuration: Config, answers: Given | None = None) -> Plan:
    from stepcreds.setup.building import build

    return build(configuration, complete(configuration, answers or given()))


def settings(made: Plan) -> dict[str, Setting]:
    """By path."""
    return {setting.path: setting for setting in made.settings}
