"""Bitbucket, Jenkins, Kubernetes and Google Cloud: where their token is, and what is said when it is not there."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from id._internal.oidc import ambient
from id_tokens import AUDIENCE, CANARY, NoHTTP, made, told
from token_endpoint import Asked, Endpoint, Reply

from stepcreds.ci.bitbucket import Bitbucket
from stepcreds.ci.gcp import GoogleCloud
from stepcreds.ci.jenkins import Jenkins
from stepcreds.ci.kubernetes import Kubernetes
from stepcreds.errors import IdentityError
from stepcreds.secret import Secret


def test_bitbuckets_token_is_in_a_variable() -> None:
    found = Bitbucket().token(AUDIENCE, {"BITBUCKET_STEP_OIDC_TOKEN": made()}, NoHTTP())
    assert found is not None
    assert (found.token, found.variable) == (Secret(made()), "BITBUCKET_STEP_OIDC_TOKEN")
    assert Bitbucket().identity_variables[2:] == ("BITBUCKET_STEP_OIDC_TOKEN",)


def test_bitbucket_without_one() -> None:
    with pytest.raises(IdentityError) as error:
        Bitbucket().token(AUDIENCE, {"BITBUCKET_STEP_OIDC_TOKEN": " "}, NoHTTP())
    assert told(error) == (
        "Bitbucket Pipelines gives this step no ID token: BITBUCKET_STEP_OIDC_TOKEN is not set",
        "The step does not ask for one.",
        f"Add to the step:\n  oidc:\n    audiences:\n      - {AUDIENCE}",
        "bitbucket-oidc",
    )


def test_bitbuckets_job() -> None:
    claims = {"iss": "https://api.bitbucket.org/x", "repositoryUuid": "{r}", "pipelineUuid": "{p}", "stepUuid": "{s}"}
    job = Bitbucket().job(claims, {"BITBUCKET_STEP_RUN_NUMBER": "2"})
    assert (job.ci, job.iss, job.repository_id) == ("bitbucket", "https://api.bitbucket.org/x", "{r}")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("{p}", "2", "{s}", "")


def test_jenkins_token_is_in_the_variable_that_the_author_named() -> None:
    found = Jenkins("ID_TOKEN").token(AUDIENCE, {"ID_TOKEN": made()}, NoHTTP())
    assert found is not None
    assert (found.token, found.variable) == (Secret(made()), "ID_TOKEN")


def test_jenkins_without_one() -> None:
    with pytest.raises(IdentityError) as error:
        Jenkins().token(AUDIENCE, {}, NoHTTP())
    assert told(error) == (
        "Jenkins gave this step no ID token: the variable VAULT_ID_TOKEN is not set",
        "The step is not inside withCredentials, or that binds another variable.",
        "With the OpenID Connect Provider plugin, add a credential of the kind OpenID Connect id token, with the "
        f'audience "{AUDIENCE}" and the id vault-id-token. Wrap the step:\n'
        "  withCredentials([\n"
        "    string(credentialsId: 'vault-id-token', variable: 'VAULT_ID_TOKEN')\n"
        "  ]) {\n"
        "    sh 'stepcreds exec PROFILE -- COMMAND'\n"
        "  }",
        "jenkins-id-token",
    )


def test_jenkins_job() -> None:
    environment = {
        "JENKINS_URL": "https://jenkins.example.com/",
        "JOB_URL": "https://jenkins.example.com/job/shop/",
        "JOB_NAME": "shop",
        "BUILD_NUMBER": "12",
        "STAGE_NAME": "Migrate",
        "NODE_NAME": "built-in",
    }
    job = Jenkins().job({}, environment)
    assert (job.ci, job.iss, job.repository_id) == ("jenkins", environment["JENKINS_URL"], environment["JOB_URL"])
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("12", "", "shop", "Migrate")
    assert job.runner["name"] == "built-in"


def test_a_pods_token_is_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vault-token"
    path.write_text(f"{made()}\n")
    found = Kubernetes().token(AUDIENCE, {"STEPCREDS_KUBERNETES_TOKEN": str(path)}, NoHTTP())
    assert found is not None
    assert (found.token, found.source, found.variable) == (Secret(made()), f"the file {path}", "")


def test_a_pod_without_one(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with pytest.raises(IdentityError) as error:
        Kubernetes().token(AUDIENCE, {"STEPCREDS_KUBERNETES_TOKEN": str(path)}, NoHTTP())
    assert told(error) == (
        f"This pod has no token for Vault: there is no {path}",
        "Kubernetes gives a pod a token for another service only where the pod asks for it.",
        "Add to the pod:\n"
        "  volumes:\n"
        "    - name: vault-token\n"
        "      projected:\n"
        "        sources:\n"
        "          - serviceAccountToken:\n"
        "              path: vault-token\n"
        f"              audience: {AUDIENCE}\n"
        "              expirationSeconds: 600\n"
        "  containers:\n"
        "    - volumeMounts:\n"
        "        - name: vault-token\n"
        "          mountPath: /var/run/secrets/tokens\n"
        "          readOnly: true\n"
        "A file elsewhere is named by STEPCREDS_KUBERNETES_TOKEN or --id-token-file.",
        "kubernetes-token",
    )


def test_a_pods_token_may_not_be_readable(tmp_path: Path) -> None:
    with pytest.raises(IdentityError) as error:
        Kubernetes().token(AUDIENCE, {"STEPCREDS_KUBERNETES_TOKEN": str(tmp_path)}, NoHTTP())
    assert told(error) == (
        f"The ID token in {tmp_path} cannot be read: Is a directory",
        "",
        "Check that the step before wrote it, and that this user may read it.",
        "token-file",
    )


def test_a_pods_job() -> None:
    said = {
        "namespace": "ci",
        "pod": {"name": "migrate-x7", "uid": "u"},
        "serviceaccount": {"name": "deployer", "uid": "a"},
        "node": {"name": "n1"},
    }
    job = Kubernetes().job({"iss": "https://kubernetes.default.svc", "kubernetes.io": said}, {})
    assert (job.ci, job.iss, job.repository_id) == ("kubernetes", "https://kubernetes.default.svc", "ci/deployer")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("u", "", "migrate-x7", "")
    assert job.runner["name"] == "n1"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Reply]]:
    """A metadata server on loopback: `id` is pointed at it, and at a product name of Google's. Holds its one reply."""
    replies: list[Reply] = []

    def answer(asked: Asked) -> Reply:
        assert asked.headers["metadata-flavor"] == "Google"
        assert asked.target == "/identity?audience=https%3A%2F%2Fvault.example.com%3A8200&format=full"
        return replies[0]

    product = tmp_path / "product_name"
    product.write_text("Google Compute Engine\n")
    for name in ("GITHUB_ACTIONS", "GOOGLE_SERVICE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with Endpoint(make=answer) as server:
        monkeypatch.setattr(ambient, "_GCP_PRODUCT_NAME_FILE", str(product))
        monkeypatch.setattr(ambient, "_GCP_IDENTITY_REQUEST_URL", f"{server.url}/identity")
        yield replies


def test_google_clouds_metadata_server_is_asked(google: list[Reply]) -> None:
    google.append(Reply(200, made().encode()))
    found = GoogleCloud().token(AUDIENCE, {}, NoHTTP())
    assert found is not None
    assert (found.token, found.source, found.fresh) == (Secret(made()), "Google Cloud's metadata server", True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(404, b"not\x1b[2J found"), r"GCP: OIDC token request failed (code=404, body='not\x1b[2J found')"),
        (Reply(403, made().encode()), "GCP: OIDC token request failed (code=403, body='***')"),
        (Reply(200, b"no token"), "Malformed token"),
        (Reply(200, b"a.\xff.c"), "'utf-8' codec can't decode byte 0xff in position 2: invalid start byte"),
        (
            Reply(200, made(aud="other").encode()),
            f"Token audience claim mismatch (expected {AUDIENCE}, got other)",
        ),
    ],
)
def test_google_cloud_without_one(google: list[Reply], reply: Reply, reason: str) -> None:
    google.append(reply)
    with pytest.raises(IdentityError) as error:
        GoogleCloud().token(AUDIENCE, {}, NoHTTP())
    assert told(error) == (
        f"Google Cloud gave no ID token: {reason}",
        "The machine has no service account, or it may not make tokens for the one that GOOGLE_SERVICE_ACCOUNT_NAME "
        "names.",
        "Give the machine a service account, and for another one the role roles/iam.serviceAccountOpenIdTokenCreator "
        "on it.",
        "google-cloud",
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))
    assert made().split(".")[1] not in "".join(traceback.format_exception(error.value))


def test_google_cloud_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "id", None)
    with pytest.raises(IdentityError) as error:
        GoogleCloud().token(AUDIENCE, {}, NoHTTP())
    assert told(error) == (
        "Google Cloud's ID tokens need the Python package id, which is not installed",
        "",
        "Install it with stepcreds:\n  pip install 'stepcreds[ci]'",
        "google-cloud",
    )


def test_google_clouds_job() -> None:
    claims = {"iss": "https://accounts.google.com", "email": "ci@acme.iam.gserviceaccount.com", "google": json.loads(
        '{"compute_engine": {"instance_name": "vm1"}}')}  # fmt: skip
    job = GoogleCloud().job(claims, {"CLOUD_RUN_EXECUTION": "e", "CLOUD_RUN_TASK_ATTEMPT": "1", "CLOUD_RUN_JOB": "j"})
    assert (job.ci, job.iss, job.repository_id) == ("gcp", "https://accounts.google.com", claims["email"])
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("e", "1", "j", "")
    assert job.runner["name"] == "vm1"
