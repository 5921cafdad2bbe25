"""Which CI is found in which environment, and that finding it costs a step no import it does not need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from id_tokens import NoHTTP

from stepcreds.ci.azure import AzurePipelines
from stepcreds.ci.bitbucket import Bitbucket
from stepcreds.ci.buildkite import Buildkite
from stepcreds.ci.circleci import CircleCI
from stepcreds.ci.detect import detect
from stepcreds.ci.gcp import GoogleCloud
from stepcreds.ci.github import Forgejo, Gitea, GitHub
from stepcreds.ci.gitlab import GitLab
from stepcreds.ci.interface import CI
from stepcreds.ci.jenkins import Jenkins
from stepcreds.ci.kubernetes import Kubernetes
from stepcreds.ci.none import NoCI
from stepcreds.secret import Secret

# Held to the protocol by mypy, and by the tests below.
ALL: list[type[CI]] = [
    GitHub, Forgejo, Gitea, GitLab, Buildkite, CircleCI, AzurePipelines, Bitbucket, Jenkins, Kubernetes, GoogleCloud,
    NoCI,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _not_on_a_machine_of_google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(GoogleCloud, "product_name", tmp_path / "product_name")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GITHUB_ACTIONS": "true"}, GitHub),
        ({"GITHUB_ACTIONS": "true", "FORGEJO_ACTIONS": "true", "GITEA_ACTIONS": "true"}, Forgejo),
        ({"GITHUB_ACTIONS": "true", "GITEA_ACTIONS": "true"}, Gitea),
        ({"GITHUB_ACTIONS": "false"}, NoCI),
        ({"GITLAB_CI": "true"}, GitLab),
        ({"BUILDKITE": "true"}, Buildkite),
        ({"CIRCLECI": "true"}, CircleCI),
        ({"TF_BUILD": "True"}, AzurePipelines),
        ({"BITBUCKET_BUILD_NUMBER": "1"}, Bitbucket),
        ({"JENKINS_URL": "https://jenkins.example.com/"}, Jenkins),
        ({"STEPCREDS_KUBERNETES_TOKEN": "/a"}, Kubernetes),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Kubernetes),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "GOOGLE_SERVICE_ACCOUNT_NAME": "a@b"}, GoogleCloud),
        ({"GOOGLE_SERVICE_ACCOUNT_NAME": "a@b"}, GoogleCloud),
        # A job's own identity goes before that of the pod or the machine it happens to run on.
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "GITLAB_CI": "true"}, GitLab),
        ({"GOOGLE_SERVICE_ACCOUNT_NAME": "a@b", "BUILDKITE": "true"}, Buildkite),
        ({"CI": "true"}, NoCI),
        ({}, NoCI),
    ],
)
def test_detected(environment: Mapping[str, str], expected: type[CI]) -> None:
    ci = detect(environment, "MY_TOKEN")
    assert type(ci) is expected
    assert {"STEPCREDS_ID_TOKEN", "MY_TOKEN"} <= set(ci.identity_variables)


@pytest.mark.parametrize(("product", "expected"), [("Google Compute Engine\n", GoogleCloud), ("KVM\n", NoCI)])
def test_a_machine_of_google_is_known_by_its_product_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, product: str, expected: type[CI]
) -> None:
    path = tmp_path / "product"
    path.write_text(product)
    monkeypatch.setattr(GoogleCloud, "product_name", path)
    assert type(detect({})) is expected


def test_each_has_a_name_of_its_own_and_only_githubs_kin_mask_their_log() -> None:
    assert len({ci.name for ci in ALL}) == len(ALL)
    assert [ci.name for ci in ALL if ci.masks] == ["github", "forgejo", "gitea"]
    assert [ci.name for ci in ALL if ci().mask([Secret("abc")])] == ["github", "forgejo", "gitea", "azure"]
    assert [ci.name for ci in ALL if ci().annotate("a", "b")] == ["github", "forgejo", "gitea", "azure"]


def test_an_empty_environment_and_no_claims_make_a_job() -> None:
    for ci in ALL:
        job = ci().job({}, {})
        assert (job.ci, job.iss, job.run_id, job.run_attempt) == (ci.name, "", "", "")
        assert set(job.runner) == {"name", "os", "arch"}


def test_strange_claims_make_a_job_too() -> None:
    strange: list[object] = [None, True, 1.5, [], {}, {"pod": 1, "compute_engine": []}]
    names = ("iss", "repository_id", "run_id", "kubernetes.io", "google", "email", "sub", "job_id", "build_number")
    for value in strange:
        for ci in ALL:
            job = ci().job(dict.fromkeys(names, value), {})
            assert (job.iss, job.repository_id, job.run_id) == ("", "", "")


def test_no_ci_has_only_what_it_is_given() -> None:
    assert NoCI().token("a", {}, NoHTTP()) is None
    found = NoCI("DRONE_TOKEN").token("a", {"DRONE_TOKEN": " x.y.z\n"}, NoHTTP())
    assert found is not None
    assert (found.token.reveal(), found.source, found.variable) == ("x.y.z", "the variable DRONE_TOKEN", "DRONE_TOKEN")


HEAVY = ("requests", "urllib3", "subprocess", "logging", "id", "random", "tempfile", "email", "asyncio")


@pytest.mark.parametrize(
    ("environment", "module"),
    [({"GITHUB_ACTIONS": "true"}, "github"), ({"GITLAB_CI": "true"}, "gitlab"), ({"BUILDKITE": "true"}, "buildkite")],
)
def test_only_the_one_that_matches_is_imported(environment: Mapping[str, str], module: str) -> None:
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import stepcreds.identity\n"
        f"stepcreds.identity.detect({dict(environment)!r})\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    # -S: what site-packages puts on the path by .pth files is not stepcreds' doing.
    source = str(Path(__file__).parents[2] / "src")
    run = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {source!r})\n{program}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = set(run.stdout.split())
    known = {ci.__module__ for ci in ALL}
    assert loaded & known == {f"stepcreds.ci.{module}"}
    assert loaded & set(HEAVY) == set()
