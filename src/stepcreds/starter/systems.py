"""The CIs that a pipeline is written for: how each is recognised, and where its file belongs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from stepcreds.starter.repository import Repository


class System(NamedTuple):
    """One CI."""

    name: str  # for --ci
    title: str
    markers: tuple[str, ...]  # files that its users have
    hosts: tuple[str, ...]  # of the remote, where that says it
    template: str  # in templates/
    file: str  # what is written
    beside: str = ""  # what is written where `file` is there already
    use: str = ""  # what to do with what is written, in words
    anchor: str = ""  # of docs/identity.md
    entry: tuple[str, str] = ("", "")  # a file that has to name it, and the text of one that does nothing else
    fills_in: bool = False  # variables, before any shell sees the line: a `$` is written twice


SYSTEMS = (
    System(
        "github",
        "GitHub Actions",
        (".github/workflows/*.yml", ".github/workflows/*.yaml"),
        ("github.com",),
        "github.yml",
        ".github/workflows/stepcreds.yml",
        use="Give the environment `production-ddl` its protection rules: they decide who may migrate.",
        anchor="github-actions",
    ),
    System(
        "gitlab",
        "GitLab CI/CD",
        (".gitlab-ci.yml",),
        ("gitlab.com",),
        "gitlab.yml",
        ".gitlab/stepcreds.yml",
        use="Add to .gitlab-ci.yml:\n  include:\n    - local: .gitlab/stepcreds.yml",
        anchor="gitlab",
        entry=(".gitlab-ci.yml", "include:\n  - local: .gitlab/stepcreds.yml\n"),
    ),
    System(
        "jenkins",
        "Jenkins",
        ("Jenkinsfile", "Jenkinsfile.*"),
        (),
        "jenkins.groovy",
        "Jenkinsfile",
        "Jenkinsfile.stepcreds",
        "Copy the stages of Jenkinsfile.stepcreds into your Jenkinsfile, or make it a pipeline of its own.",
        "jenkins",
    ),
    System(
        "buildkite",
        "Buildkite",
        (".buildkite/*.yml", ".buildkite/*.yaml"),
        (),
        "buildkite.yml",
        ".buildkite/stepcreds.yml",
        use="Have a pipeline upload it: buildkite-agent pipeline upload .buildkite/stepcreds.yml",
        anchor="buildkite",
        # buildkite.com/docs/agent/cli/reference/pipeline#environment-variable-substitution
        fills_in=True,
    ),
    System(
        "circleci",
        "CircleCI",
        (".circleci/config.yml",),
        (),
        "circleci.yml",
        ".circleci/config.yml",
        ".circleci/stepcreds.yml",
        "Copy the jobs and the workflow of .circleci/stepcreds.yml into .circleci/config.yml.",
        "circleci",
    ),
    System(
        "azure",
        "Azure Pipelines",
        ("azure-pipelines.yml", "azure-pipelines.yaml"),
        ("dev.azure.com", "ssh.dev.azure.com"),
        "azure.yml",
        "azure-pipelines.stepcreds.yml",
        use="Make a pipeline of azure-pipelines.stepcreds.yml, or copy its stages into yours.",
        anchor="azure-pipelines",
    ),
    System(
        "bitbucket",
        "Bitbucket Pipelines",
        ("bitbucket-pipelines.yml",),
        ("bitbucket.org",),
        "bitbucket.yml",
        "bitbucket-pipelines.yml",
        "bitbucket-pipelines.stepcreds.yml",
        "Copy the steps of bitbucket-pipelines.stepcreds.yml into bitbucket-pipelines.yml.",
        "bitbucket",
    ),
)
BY_NAME = {system.name: system for system in SYSTEMS}


class Seen(NamedTuple):
    """A CI, and what it was recognised by."""

    system: System
    by: str


def recognise(repository: Repository) -> list[Seen]:
    """The CIs in use, the likeliest first: those that have a file here, and then the one where the repository lives.

    Of several that have files, the one where the repository lives is the first.
    """
    by_file = [Seen(one, file) for one in SYSTEMS if (file := _marker(repository, one))]
    by_host = [Seen(one, f"the remote {repository.host}") for one in SYSTEMS if repository.host in one.hosts]
    at_home = {seen.system for seen in by_host}
    return sorted(by_file, key=lambda seen: seen.system not in at_home) or by_host


def _marker(repository: Repository, system: System) -> str:
    # At the root alone: a pipeline of a folder below is a test's or an example's.
    return next((file for file in repository.files if _fits(file, system)), "")


def _fits(file: str, system: System) -> bool:
    return any(fnmatchcase(file, marker) and file.count("/") == marker.count("/") for marker in system.markers)
