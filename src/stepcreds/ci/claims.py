"""Which claims of an ID token may be recorded and which may be shown; the token itself never is."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stepcreds.ci.jwt import seconds
from stepcreds.clock import rfc3339
from stepcreds.printable import one_line

# Deny by default: a claim that nobody thought about may name a person (user_email) or be of any size.
_STANDARD = ("iss", "sub", "aud")
_TIMES = ("iat", "nbf", "exp")
_OF_CIS = (
    # GitHub Actions, Forgejo, Gitea
    *("repository", "repository_id", "repository_owner", "repository_owner_id", "repository_visibility"),
    *("ref", "ref_type", "ref_protected", "base_ref", "head_ref", "sha", "event_name", "environment"),
    *("workflow", "workflow_ref", "workflow_sha", "job_workflow_ref", "job_workflow_sha", "check_run_id"),
    *("run_id", "run_number", "run_attempt", "runner_environment", "actor", "actor_id", "enterprise", "enterprise_id"),
    # GitLab
    *("project_id", "project_path", "namespace_id", "namespace_path", "job_project_id", "job_project_path"),
    *("pipeline_id", "pipeline_source", "job_id", "ref_path", "environment_protected", "deployment_tier"),
    *("user_id", "user_login", "runner_id", "ci_config_ref_uri", "ci_config_sha"),
    # Buildkite
    *("organization_slug", "organization_id", "pipeline_slug", "build_number", "build_branch", "build_tag"),
    *("build_commit", "build_source", "step_key", "agent_id", "cluster_id"),
    # CircleCI
    *("oidc.circleci.com/org-id", "oidc.circleci.com/project-id", "oidc.circleci.com/context-ids"),
    *("oidc.circleci.com/vcs-origin", "oidc.circleci.com/vcs-ref", "oidc.circleci.com/ssh-rerun"),
    # Azure Pipelines
    *("org_id", "prj_id", "def_id", "rpo_id", "rpo_uri", "rpo_ver", "rpo_ref"),
    # Bitbucket
    *("workspaceUuid", "repositoryUuid", "pipelineUuid", "stepUuid", "deploymentEnvironmentUuid", "branchName"),
    # Kubernetes, Google Cloud (whose `email` is a service account's name)
    *("kubernetes.io", "google", "email", "azp"),
)
_LONGEST = 2000  # characters of one value in the ledger


def claims_for_ledger(claims: Mapping[str, object]) -> dict[str, object]:
    """The claims that the record of a chain keeps, as the token has them, with `jti` and the times.

    Only what the ledger's canonical form can hold: ASCII keys, no fractions (a NumericDate loses its own), whole
    numbers within ±(2^53-1), valid Unicode. Any other value is left out.
    """
    kept = {}
    for name in (*_STANDARD, "jti", *_TIMES, *_OF_CIS):
        value = claims.get(name)
        if name in _TIMES:
            time = seconds(claims, name)
            value = None if time is None else int(time)
        if value is not None and _storable(value):
            kept[name] = value
    return kept


def claims_for_messages(claims: Mapping[str, object]) -> dict[str, str]:
    """The claims that a message may show, each as printable text on one line: texts as they are, else JSON."""
    shown = {}
    for name in (*_STANDARD, *_TIMES, *_OF_CIS):
        time = seconds(claims, name) if name in _TIMES else None
        value = rfc3339(time) if time is not None else claims.get(name)
        if value is not None:
            shown[name] = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return shown


def _storable(value: object, depth: int = 3) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**53
    if depth and isinstance(value, list):
        return len(value) <= 50 and all(_storable(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        return len(value) <= 50 and all(k.isascii() and _storable(v, depth - 1) for k, v in value.items())
    return False
