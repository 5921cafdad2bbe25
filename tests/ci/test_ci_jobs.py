"""Run, job, step, attempt, actor, ref and commit on every CI, and that matrix jobs and retries are jobs of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from stepcreds.ci.azure import AzurePipelines
from stepcreds.ci.bitbucket import Bitbucket
from stepcreds.ci.buildkite import Buildkite
from stepcreds.ci.circleci import CircleCI
from stepcreds.ci.gcp import GoogleCloud
from stepcreds.ci.github import Forgejo, GitHub
from stepcreds.ci.gitlab import GitLab
from stepcreds.ci.interface import CI
from stepcreds.ci.jenkins import Jenkins
from stepcreds.ci.kubernetes import Kubernetes
from stepcreds.ci.matrix import leg
from stepcreds.ci.none import NoCI
from stepcreds.ledger.folder import chain_name
from stepcreds.ledger.record import job_identity
from stepcreds.model import Job

SHA, MAIN = "5e3f1c0a9b7d48e2a6c4f0b1d2e3f4a5b6c7d8e9", "refs/heads/main"


class Case(NamedTuple):
    """A job as its CI describes it, and one that runs beside it, and the same once more."""

    ci: type[CI]
    claims: Mapping[str, object]
    environment: Mapping[str, str]
    expected: tuple[str, ...]  # run_id run_attempt job step actor ref commit matrix
    sibling: tuple[Mapping[str, object], Mapping[str, str]]  # what its claims and its variables have otherwise
    retry: tuple[Mapping[str, object], Mapping[str, str]]


POD = {"namespace": "ci", "pod": {"name": "migrate-x7", "uid": "u1"}, "serviceaccount": {"name": "deployer"}}
BESIDE = {"namespace": "ci", "pod": {"name": "migrate-y8", "uid": "u2"}, "serviceaccount": {"name": "deployer"}}
MATRIX = {"STEPCREDS_MATRIX": '{"region": "eu", "version": 14}'}
OTHER_LEG = {"STEPCREDS_MATRIX": '{"region": "eu", "version": 15}'}

CASES = {
    "github": Case(
        GitHub,
        {"iss": "https://gh", "repository_id": "71", "run_id": "9", "run_attempt": "1", "actor": "octocat", "ref": MAIN, "sha": SHA},
        {"GITHUB_JOB": "deploy", "GITHUB_ACTION": "__run_3", "GITHUB_ACTOR": "other", "GITHUB_REF": "other", "GITHUB_SHA": "other", **MATRIX},
        ("9", "1", "deploy (eu, 14)", "__run_3", "octocat", MAIN, SHA, "eu, 14"),
        ({}, OTHER_LEG),
        ({"run_attempt": "2"}, {}),
    ),
    "forgejo": Case(
        Forgejo,
        {"iss": "https://fj", "repository": "acme/shop", "run_id": "43", "run_attempt": "1"},
        {"GITHUB_JOB": "deploy", "GITHUB_ACTOR": "octocat", "GITHUB_REF": MAIN, "GITHUB_SHA": SHA, **MATRIX},
        ("43", "1", "deploy (eu, 14)", "", "octocat", MAIN, SHA, "eu, 14"),
        ({}, OTHER_LEG),
        ({"run_attempt": "2"}, {}),
    ),
    "gitlab": Case(
        GitLab,
        {"iss": "https://gl", "project_id": "7", "pipeline_id": "8", "job_id": "9", "user_login": "octocat", "ref_path": MAIN, "ref": "main", "sha": SHA},
        {"CI_JOB_NAME": "migrate: [eu, 14]", "GITLAB_USER_LOGIN": "other", "CI_COMMIT_SHA": "other"},
        ("8", "9", "migrate: [eu, 14]", "", "octocat", MAIN, SHA, ""),
        ({"job_id": "10"}, {"CI_JOB_NAME": "migrate: [eu, 15]"}),
        ({"job_id": "11"}, {}),
    ),
    "buildkite": Case(
        Buildkite,
        {"iss": "https://bk", "pipeline_id": "p", "build_id": "b", "job_id": "j", "build_branch": "main", "build_tag": None, "build_commit": SHA, "step_key": "migrate"},
        {
            "BUILDKITE_STEP_ID": "s",
            "BUILDKITE_BUILD_CREATOR": "Octo Cat",
            "BUILDKITE_PARALLEL_JOB": "0",
            "BUILDKITE_PARALLEL_JOB_COUNT": "2",
        },
        ("b", "j", "migrate (0)", "s", "Octo Cat", MAIN, SHA, "0"),
        ({"job_id": "j2"}, {"BUILDKITE_PARALLEL_JOB": "1"}),
        ({"job_id": "j3"}, {"BUILDKITE_RETRY_COUNT": "1"}),
    ),
    "circleci": Case(
        CircleCI,
        {"iss": "https://cc", "oidc.circleci.com/project-id": "p", "oidc.circleci.com/vcs-ref": MAIN, "sub": "org/o/project/p/user/u/vcs-origin/x"},
        {
            "CIRCLE_PIPELINE_ID": "l",
            "CIRCLE_WORKFLOW_ID": "w",
            "CIRCLE_WORKFLOW_JOB_ID": "j",
            "CIRCLE_JOB": "migrate",
            "CIRCLE_NODE_INDEX": "0",
            "CIRCLE_NODE_TOTAL": "2",
            "CIRCLE_SHA1": SHA,
        },
        ("l", "j", "migrate (0)", "", "u", MAIN, SHA, "0"),
        ({}, {"CIRCLE_NODE_INDEX": "1"}),
        ({}, {"CIRCLE_WORKFLOW_ID": "w2", "CIRCLE_WORKFLOW_JOB_ID": "j2"}),
    ),
    "azure": Case(
        AzurePipelines,
        {"iss": "https://az", "rpo_id": "r", "run_id": "5", "rpo_ref": MAIN, "rpo_ver": SHA},
        {
            "SYSTEM_JOBID": "0d2c",
            "SYSTEM_JOBATTEMPT": "1",
            "SYSTEM_JOBNAME": "migrate",
            "SYSTEM_TASKDISPLAYNAME": "Migrate",
            "BUILD_REQUESTEDFOR": "Octo Cat",
        },
        ("5", "0d2c", "migrate", "Migrate", "Octo Cat", MAIN, SHA, ""),
        ({}, {"SYSTEM_JOBID": "0d2d"}),
        ({}, {"SYSTEM_JOBID": "0d2e", "SYSTEM_JOBATTEMPT": "2"}),
    ),
    "bitbucket": Case(
        Bitbucket,
        {"iss": "https://bb", "repositoryUuid": "{r}", "pipelineUuid": "{p}", "stepUuid": "{s}", "branchName": "main"},
        {
            "BITBUCKET_STEP_RUN_NUMBER": "1",
            "BITBUCKET_STEP_TRIGGERER_UUID": "{u}",
            "BITBUCKET_COMMIT": SHA,
            "BITBUCKET_PARALLEL_STEP": "0",
            "BITBUCKET_PARALLEL_STEP_COUNT": "2",
        },
        ("{p}", "1", "{s}", "", "{u}", MAIN, SHA, "0"),
        ({"stepUuid": "{s2}"}, {"BITBUCKET_PARALLEL_STEP": "1"}),
        ({}, {"BITBUCKET_STEP_RUN_NUMBER": "2"}),
    ),
    "jenkins": Case(
        Jenkins,
        {"iss": "https://j/oidc", "build_number": 12},
        {"JOB_URL": "https://j/job/shop/job/main/", "JOB_NAME": "shop/main", "STAGE_NAME": "Migrate", "BUILD_USER_ID": "octocat", "BRANCH_NAME": "main", "GIT_COMMIT": SHA, **MATRIX},
        ("12", "", "shop/main (eu, 14)", "Migrate", "octocat", MAIN, SHA, "eu, 14"),
        ({}, OTHER_LEG),
        ({"build_number": 13}, {}),  # a stage that is restarted is a new build
    ),
    "kubernetes": Case(
        Kubernetes,
        {"iss": "https://k", "kubernetes.io": POD},
        {"STEPCREDS_JOB": "migrate", "STEPCREDS_ACTOR": "octocat", "STEPCREDS_REF": MAIN, "STEPCREDS_COMMIT": SHA},
        ("u1", "", "migrate", "", "octocat", MAIN, SHA, ""),
        ({"kubernetes.io": BESIDE}, {}),
        ({"kubernetes.io": BESIDE}, {}),
    ),
    "gcp": Case(
        GoogleCloud,
        {"iss": "https://accounts.google.com", "email": "ci@acme"},
        {
            "CLOUD_RUN_EXECUTION": "e",
            "CLOUD_RUN_TASK_ATTEMPT": "0",
            "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_COUNT": "2",
            "CLOUD_RUN_JOB": "migrate",
            "STEPCREDS_ACTOR": "octocat",
            "BRANCH_NAME": "main",
            "COMMIT_SHA": SHA,
        },
        ("e", "0", "migrate (0)", "", "octocat", MAIN, SHA, "0"),
        ({}, {"CLOUD_RUN_TASK_INDEX": "1"}),
        ({}, {"CLOUD_RUN_TASK_ATTEMPT": "1"}),
    ),
    "none": Case(
        NoCI,
        {"iss": "https://i", "sub": "job:1"},
        {
            "STEPCREDS_RUN_ID": "20261122T0300Z",
            "STEPCREDS_RUN_ATTEMPT": "1",
            "STEPCREDS_JOB": "nightly",
            "STEPCREDS_STEP": "migrate",
            "STEPCREDS_ACTOR": "cron",
            "STEPCREDS_REF": MAIN,
            "STEPCREDS_COMMIT": SHA,
            **MATRIX,
        },
        ("20261122T0300Z", "1", "nightly (eu, 14)", "migrate", "cron", MAIN, SHA, "eu, 14"),
        ({}, OTHER_LEG),
        ({}, {"STEPCREDS_RUN_ATTEMPT": "2"}),
    ),
}  # fmt: skip


def fields(job: Job) -> tuple[str, ...]:
    return (job.run_id, job.run_attempt, job.job, job.step, job.actor, job.ref, job.commit, job.matrix)


@pytest.mark.parametrize("name", CASES)
def test_what_is_known_of_a_job(name: str) -> None:
    case = CASES[name]
    job = case.ci().job(case.claims, case.environment)
    assert job.ci == name
    assert fields(job) == case.expected
    assert all(job_identity(job)[part] for part in ("iss", "repository_id"))


@pytest.mark.parametrize("name", CASES)
def test_what_runs_beside_it_and_what_repeats_it_has_a_chain_of_its_own(name: str) -> None:
    case = CASES[name]
    jobs = [
        case.ci().job({**case.claims, **claims}, {**case.environment, **variables})
        for claims, variables in (({}, {}), case.sibling, case.retry)
    ]
    assert len({chain_name(job, 1) for job in jobs}) == len({tuple(job_identity(job).items()) for job in jobs})
    assert len({chain_name(job, 1) for job in jobs}) == (2 if case.sibling == case.retry else 3)
    first, beside, _ = jobs
    # `revoke --all` of the one must not find what the other holds: another run attempt, or another leg.
    assert (first.run_id, first.run_attempt) != (beside.run_id, beside.run_attempt) or (first.matrix and beside.matrix)


FALLBACKS: list[tuple[type[CI], dict[str, object], dict[str, str], tuple[str, str, str]]] = [
    (GitHub, {}, {"GITHUB_ACTOR": "a", "GITHUB_REF": "refs/tags/v1", "GITHUB_SHA": "c"}, ("a", "refs/tags/v1", "c")),
    (GitLab, {}, {"GITLAB_USER_LOGIN": "a", "CI_COMMIT_TAG": "v1", "CI_COMMIT_SHA": "c"}, ("a", "refs/tags/v1", "c")),
    (GitLab, {}, {"CI_COMMIT_BRANCH": "b", "CI_COMMIT_REF_NAME": "b"}, ("", "refs/heads/b", "")),
    (GitLab, {}, {"CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head"}, ("", "refs/merge-requests/1/head", "")),
    (GitLab, {}, {"CI_COMMIT_REF_NAME": "b"}, ("", "b", "")),
    (Buildkite, {"build_tag": "v1", "build_branch": "v1"}, {}, ("", "refs/tags/v1", "")),
    (Buildkite, {}, {"BUILDKITE_BRANCH": "b", "BUILDKITE_COMMIT": "HEAD"}, ("", "refs/heads/b", "HEAD")),
    (CircleCI, {"sub": "org/o/project/p"}, {"CIRCLE_TAG": "v1"}, ("", "refs/tags/v1", "")),
    (CircleCI, {"sub": "org/o/project/p/user/u"}, {"CIRCLE_USERNAME": "a"}, ("a", "", "")),
    (AzurePipelines, {}, {"BUILD_SOURCEBRANCH": "refs/pull/1/merge", "BUILD_SOURCEVERSION": "c"}, ("", "refs/pull/1/merge", "c")),
    (Bitbucket, {}, {"BITBUCKET_TAG": "v1"}, ("", "refs/tags/v1", "")),
    (Jenkins, {}, {"CHANGE_ID": "7", "BRANCH_NAME": "PR-7", "CHANGE_AUTHOR": "a"}, ("a", "PR-7", "")),
    (Jenkins, {}, {"BRANCH_NAME": "v1", "TAG_NAME": "v1"}, ("", "refs/tags/v1", "")),
    (Jenkins, {}, {"GIT_BRANCH": "origin/main"}, ("", "origin/main", "")),
    (NoCI, {"actor": "a", "ref": "r", "sha": "c"}, {"STEPCREDS_ACTOR": "other"}, ("a", "r", "c")),
]  # fmt: skip


@pytest.mark.parametrize(("ci", "claims", "environment", "expected"), FALLBACKS)
def test_actor_ref_and_commit_without_claims_of_them(
    ci: type[CI], claims: dict[str, object], environment: dict[str, str], expected: tuple[str, str, str]
) -> None:
    job = ci().job(claims, environment)
    assert (job.actor, job.ref, job.commit) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"region": "eu", "version": 14}, "eu, 14"),
        ({"version": 14, "region": "eu"}, "14, eu"),
        ({"a": True, "b": None, "c": 3.5, "d": "é"}, "true, null, 3.5, é"),
        ({"db": {"host": "a", "port": 1}, "tags": ["x", "y"]}, '{"host":"a","port":1}, ["x","y"]'),
        ({}, ""),
        (None, ""),
        (["eu"], ""),
        ("eu", ""),
    ],
)
def test_a_leg(value: Any, expected: str) -> None:
    assert leg({"STEPCREDS_MATRIX": json.dumps(value)}) == expected
    assert leg({"STEPCREDS_MATRIX": json.dumps(value, indent=2)}) == expected


@pytest.mark.parametrize(
    "text", ["", "null", "{", "{'a': 1}", "[" * 100_000, '{"a":' * 10_000, '{"a": "' + "x" * 70_000 + '"}']
)
def test_what_is_no_leg(text: str) -> None:
    assert leg({"STEPCREDS_MATRIX": text}) == ""
    assert GitHub().job({}, {"GITHUB_JOB": "deploy", "STEPCREDS_MATRIX": text}).job == "deploy"


def test_long_legs_differ_all_the_same() -> None:
    one, other = (leg({"STEPCREDS_MATRIX": json.dumps({"a": "x" * 500 + end})}) for end in "12")
    assert one != other
    assert len(one) == len(other) == 200
    assert one[:187] == "x" * 187


def test_a_leg_that_is_no_valid_unicode_is_one() -> None:
    job = GitHub().job({}, {"GITHUB_JOB": "deploy", "STEPCREDS_MATRIX": '{"a": "\\ud800' + "x" * 300 + '"}'})
    assert chain_name(job, 1)


def test_collapsing() -> None:
    times = (1_795_336_000.123, 1_795_336_002.9)
    assert {name: case.ci().collapse("stepcreds: revoked", *times) for name, case in CASES.items()} == {
        "github": ("::group::stepcreds: revoked\n", "::endgroup::\n"),
        "forgejo": ("::group::stepcreds: revoked\n", "::endgroup::\n"),
        "gitlab": (
            "\x1b[0Ksection_start:1795336000:stepcreds_1795336000123[collapsed=true]\r\x1b[0Kstepcreds: revoked\n",
            "\x1b[0Ksection_end:1795336003:stepcreds_1795336000123\r\x1b[0K\n",
        ),
        "buildkite": ("~~~ stepcreds: revoked\n", "+++ stepcreds\n"),
        "azure": ("##[group]stepcreds: revoked\n", "##[endgroup]\n"),
        **dict.fromkeys(("circleci", "bitbucket", "jenkins", "kubernetes", "gcp", "none"), ("", "")),
    }
