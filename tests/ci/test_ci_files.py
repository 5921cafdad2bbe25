"""Which files each CI's runner reads after a step, and which of the job's folders outlive it."""

from __future__ import annotations

import pytest

from stepcreds.ci.detect import detect

GITHUB = {
    "RUNNER_TEMP": "/r/_temp",
    "GITHUB_WORKSPACE": "/r/work",
    **{
        name: f"/r/_temp/_runner_file_commands/{name.lower()}"
        for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
    },
}


@pytest.mark.parametrize("marker", [{}, {"FORGEJO_ACTIONS": "true"}, {"GITEA_ACTIONS": "true"}])
def test_github_and_those_like_it(marker: dict[str, str]) -> None:
    environment = {"GITHUB_ACTIONS": "true", **marker, **GITHUB}
    ci = detect(environment)
    assert ci.runner_files(environment) == {name: path for name, path in GITHUB.items() if "_commands/" in path}
    assert ci.summary_file(environment) == "/r/_temp/_runner_file_commands/github_step_summary"
    assert ci.folders(environment) == ("/r/_temp", "/r/work")
    artifacts = {**environment, "GITHUB_ARTIFACTS": "/r/artifacts"}  # of a newer runner
    assert ci.runner_files(artifacts)["GITHUB_ARTIFACTS"] == "/r/artifacts"


@pytest.mark.parametrize(
    ("environment", "files", "folders"),
    [
        (
            {"GITLAB_CI": "true", "GITLAB_ENV": "/b/p.tmp/gitlab_runner_env", "CI_PROJECT_DIR": "/b/p"},
            {"GITLAB_ENV": "/b/p.tmp/gitlab_runner_env"},
            ("/b/p",),
        ),
        (
            {"GITLAB_CI": "true", "RUNNER_TEMP_PROJECT_DIR": "/b/p.tmp", "CI_PROJECT_DIR": "/b/p"},
            {},
            ("/b/p.tmp", "/b/p"),
        ),
        (
            {"CIRCLECI": "true", "BASH_ENV": "/tmp/.bash_env", "CIRCLE_WORKING_DIRECTORY": "~/project", "HOME": "/h"},
            {"BASH_ENV": "/tmp/.bash_env"},
            ("/h/project",),
        ),
        ({"CIRCLECI": "true", "CIRCLE_WORKING_DIRECTORY": "/w"}, {}, ("/w",)),
        ({"CIRCLECI": "true", "CIRCLE_WORKING_DIRECTORY": "~/project"}, {}, ("/project",)),
        (
            {
                "BITBUCKET_BUILD_NUMBER": "1",
                "BITBUCKET_PIPELINES_VARIABLES_PATH": "/opt/variables",
                "BITBUCKET_CLONE_DIR": "/opt/build",
            },
            {"BITBUCKET_PIPELINES_VARIABLES_PATH": "/opt/variables"},
            ("/opt/build",),
        ),
        (
            {"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": "/a/_temp", "PIPELINE_WORKSPACE": "/a/1"},
            {},
            ("/a/_temp", "/a/1"),
        ),
        ({"JENKINS_URL": "https://j/", "WORKSPACE": "/j/w", "WORKSPACE_TMP": "/j/w@tmp"}, {}, ("/j/w@tmp", "/j/w")),
        ({"BUILDKITE": "true", "BUILDKITE_BUILD_CHECKOUT_PATH": "/k/w"}, {}, ("/k/w",)),
        ({"STEPCREDS_KUBERNETES_TOKEN": "/t"}, {}, ("/tekton/results", "/workspace")),
        ({}, {}, ()),
    ],
)
def test_every_other(environment: dict[str, str], files: dict[str, str], folders: tuple[str, ...]) -> None:
    ci = detect(environment)
    assert ci.runner_files(environment) == files
    assert ci.folders(environment) == folders
    assert ci.summary_file(environment) == ""


def test_a_path_that_is_not_absolute_is_none() -> None:
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_ENV": "env", "RUNNER_TEMP": "", "GITHUB_WORKSPACE": "./work"}
    ci = detect(environment)
    assert (ci.runner_files(environment), ci.folders(environment)) == ({}, ())
