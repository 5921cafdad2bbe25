"""Finds out which CI this is, importing no other; it asks nobody and decides by the environment alone."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from stepcreds.ci.interface import CI

# In this order: a job of Buildkite or GitLab may well run in a pod on a machine of Google's, and then its identity is
# the job's, not the pod's or the machine's. Without markers: that CI has to look for itself.
_CIS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("FORGEJO_ACTIONS",), "github", "Forgejo"),
    (("GITEA_ACTIONS",), "github", "Gitea"),
    (("GITHUB_ACTIONS",), "github", "GitHub"),
    (("GITLAB_CI",), "gitlab", "GitLab"),
    (("BUILDKITE",), "buildkite", "Buildkite"),
    (("CIRCLECI",), "circleci", "CircleCI"),
    (("TF_BUILD",), "azure", "AzurePipelines"),
    (("BITBUCKET_BUILD_NUMBER",), "bitbucket", "Bitbucket"),
    (("JENKINS_URL",), "jenkins", "Jenkins"),
    (("STEPCREDS_KUBERNETES_TOKEN", "KUBERNETES_SERVICE_HOST"), "kubernetes", "Kubernetes"),
    ((), "gcp", "GoogleCloud"),
    ((), "none", "NoCI"),
)


def detect(environment: Mapping[str, str], id_token_variable: str = "VAULT_ID_TOKEN") -> CI:  # noqa: S107 - a name
    """The CI whose job this is; `NoCI` where it is none that is known.

    `id_token_variable` is the variable that the author of the pipeline chose for the token (GitLab, Jenkins).
    """
    for markers, module, name in _CIS:
        if markers and not any(environment.get(marker) for marker in markers):
            continue
        ci: CI = getattr(import_module(f"stepcreds.ci.{module}"), name)(id_token_variable)
        if ci.detects(environment):
            return ci
    raise AssertionError("NoCI detects everything")
