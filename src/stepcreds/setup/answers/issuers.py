"""What each CI's token says of a job, as far as a role is bound to it: one entry for each CI; pure values.

The claims are those of docs/identity.md, from: docs.github.com ("OpenID Connect reference"), docs.gitlab.com ("ID token
authentication"), forgejo.org ("Security OpenID Connect"), buildkite.com/docs/agent/cli/reference/oidc,
circleci.com/docs/openid-connect-tokens, learn.microsoft.com ("Oidctoken - Create"), support.atlassian.com ("Integrate
Pipelines with resource servers using OIDC"), plugins.jenkins.io/oidc-provider, kubernetes.io ("Service account token
volume projection"), cloud.google.com ("Verifying instance identity").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Template = tuple[tuple[str, str], ...]  # claim -> its value, where {} is the answer, {owner}/{name} its two halves
NOTHING: Mapping[str, object] = {}
REPOSITORY_ID = "repository_id"  # in the metadata of every CI's tokens


class System(NamedTuple):
    """One CI."""

    name: str  # for --ci
    title: str
    issuer: str  # "" where every customer has another
    example: str  # of an issuer
    where: str  # who can tell, where it has to be asked for
    # What a role must be bound to: the claim, the flag that gives it, and where its value is found. Each belongs to one
    # repository for good, where the CI has such a claim: names can be given to somebody else.
    required: tuple[tuple[str, str, str], ...]
    claims: Mapping[str, Template]  # flag -> claims
    guards: tuple[str, ...]  # flags of which one is needed for a credential that changes anything; () none is to be had
    user_claims: tuple[str, ...]  # that fix the repository; the first is the usual one
    fixed: Mapping[str, object] = NOTHING  # bound always, unless --claim says otherwise
    recorded: tuple[str, ...] = ()  # claims (texts) for the audit log, as the token's metadata
    # Of these the one that the ledger calls repository_id; "" where that is no single claim.
    repository: str = ""
    # User claims of which each value belongs to one `repository` alone, so that a policy may go by the entity's
    # metadata. () where its values cannot be part of a key's name. Not a workflow that others may call (GitHub's
    # job_workflow_ref), nor a configuration that others may use (GitLab's ci_config_ref_uri).
    entities: tuple[str, ...] = ()

    @property
    def mappings(self) -> dict[str, str]:
        """Claim -> name in the metadata, which cannot have every character."""
        named = {claim: claim.rpartition("/")[2].replace("-", "_") for claim in self.recorded}
        return {**named, self.repository: REPOSITORY_ID} if self.repository else named


_GITHUB: Mapping[str, Template] = {
    "repository": (("repository", "{}"),),
    "repository_id": (("repository_id", "{}"),),
    "environment": (("environment", "{}"),),
    "branch": (("ref", "refs/heads/{}"),),
    "ref": (("ref", "{}"),),
    "workflow": (("job_workflow_ref", "{}"),),
}
_FORGEJO: Mapping[str, Template] = {
    "repository": (("repository", "{}"),),
    "branch": (("ref", "refs/heads/{}"),),
    "ref": (("ref", "{}"),),
    "workflow": (("workflow_ref", "{}"),),
}
_SUBJECT = "the subject of the token"

SYSTEMS = (
    System(
        "github",
        "GitHub Actions",
        "https://token.actions.githubusercontent.com",
        "https://github.example.com/_services/token",
        "https://HOSTNAME/_services/token on an Enterprise Server",
        (
            (
                "repository_id",
                "repository_id",
                "the repository's number, which stays its own: gh api repos/OWNER/NAME --jq .id",
            ),
        ),
        _GITHUB,
        ("environment", "branch", "ref"),
        ("repository_id", "repository", "job_workflow_ref", "workflow_ref"),
        recorded=("repository", "repository_id", "run_id", "run_attempt", "job_workflow_ref", "environment"),
        repository="repository_id",
        entities=("repository_id", "repository", "workflow_ref"),
    ),
    System(
        "forgejo",
        "Forgejo Actions",
        "",
        "https://forgejo.example.com/api/actions",
        "your instance's address and /api/actions",
        (("repository", "repository", "OWNER/NAME; there is no number"),),
        _FORGEJO,
        ("branch", "ref"),
        ("repository", "workflow_ref"),
        {"ref_protected": "true"},
        ("repository", "run_id", "run_attempt", "workflow_ref"),
        repository="repository",
    ),
    System(
        "gitlab",
        "GitLab CI/CD",
        "https://gitlab.com",
        "https://gitlab.example.com",
        "the address of your instance",
        (("project_id", "repository_id", "the project's ID, on its page under Settings, General"),),
        {
            "repository": (("project_path", "{}"),),
            "repository_id": (("project_id", "{}"),),
            "environment": (("environment", "{}"),),
            "branch": (("ref_path", "refs/heads/{}"),),
            "ref": (("ref_path", "{}"),),
            "workflow": (("ci_config_ref_uri", "{}"),),
        },
        ("environment", "branch", "ref"),
        ("project_id", "project_path", "ci_config_ref_uri"),
        {"ref_protected": "true"},
        ("project_path", "project_id", "pipeline_id", "job_id", "environment", "ref_path"),
        repository="project_id",
        entities=("project_id", "project_path"),
    ),
    System(
        "buildkite",
        "Buildkite",
        "https://agent.buildkite.com",
        "https://agent.buildkite.com",
        "the same for every customer",
        (
            ("organization_slug", "repository", "ORGANISATION/PIPELINE, as in the pipeline's address"),
            ("pipeline_slug", "repository", "ORGANISATION/PIPELINE, as in the pipeline's address"),
        ),
        {
            "repository": (("organization_slug", "{owner}"), ("pipeline_slug", "{name}")),
            "branch": (("build_branch", "{}"),),
            "workflow": (("step_key", "{}"),),
        },
        ("branch",),
        ("pipeline_slug", "pipeline_id"),
        recorded=("organization_slug", "pipeline_slug", "pipeline_id", "build_branch", "step_key", "job_id"),
        repository="pipeline_id",
        entities=("pipeline_id",),
    ),
    System(
        "circleci",
        "CircleCI",
        "",
        "https://oidc.circleci.com/org/ORGANISATION_ID",
        "https://oidc.circleci.com/org/ and the organisation's ID, from its settings",
        (("oidc.circleci.com/project-id", "repository_id", "the project's ID, in its settings"),),
        {
            "repository": (("oidc.circleci.com/vcs-origin", "{}"),),
            "repository_id": (("oidc.circleci.com/project-id", "{}"),),
            "environment": (("oidc.circleci.com/context-ids", "{}"),),
            "branch": (("oidc.circleci.com/vcs-ref", "refs/heads/{}"),),
            "ref": (("oidc.circleci.com/vcs-ref", "{}"),),
        },
        ("environment", "branch", "ref"),
        ("oidc.circleci.com/project-id",),
        # Who reruns a job with SSH sits in a shell of the job, with its identity.
        {"oidc.circleci.com/ssh-rerun": False},
        ("oidc.circleci.com/project-id", "oidc.circleci.com/vcs-origin", "oidc.circleci.com/vcs-ref"),
        repository="oidc.circleci.com/project-id",
        entities=("oidc.circleci.com/project-id",),
    ),
    System(
        "azure",
        "Azure Pipelines",
        "",
        "https://vstoken.dev.azure.com/ORGANISATION_ID",
        "https://vstoken.dev.azure.com/ and the organisation's ID",
        (
            ("prj_id", "repository_id", "the project's ID: az devops project show --project NAME --query id"),
            ("def_id", "workflow", "the pipeline's number (definitionId in its address)"),
        ),
        {
            "repository_id": (("prj_id", "{}"),),
            "branch": (("rpo_ref", "refs/heads/{}"),),
            "ref": (("rpo_ref", "{}"),),
            "workflow": (("def_id", "{}"),),
        },
        ("branch", "ref"),
        ("sub", "rpo_id"),
        recorded=("rpo_uri", "rpo_id", "rpo_ref", "def_id", "run_id"),
        repository="rpo_id",
        entities=("rpo_id",),
    ),
    System(
        "bitbucket",
        "Bitbucket Pipelines",
        "",
        "https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc",
        "the repository's settings, under OpenID Connect",
        (("repositoryUuid", "repository_id", "{…}, the repository's settings under OpenID Connect"),),
        {
            "repository_id": (("repositoryUuid", "{}"),),
            "environment": (("deploymentEnvironmentUuid", "{}"),),
            "branch": (("branchName", "{}"),),
        },
        ("environment", "branch"),
        ("repositoryUuid",),
        recorded=("repositoryUuid", "pipelineUuid", "stepUuid", "branchName"),
        repository="repositoryUuid",  # in braces, which no key can have in its name
    ),
    System(
        "jenkins",
        "Jenkins",
        "",
        "https://jenkins.example.com/oidc",
        "the credential of the OpenID Connect Provider plugin shows it",
        (("sub", "workflow", "the job's address, https://jenkins.example.com/job/shop/job/main/"),),
        {"workflow": (("sub", "{}"),)},
        (),
        ("sub",),
    ),
    System(
        "kubernetes",
        "Kubernetes",
        "",
        "https://kubernetes.default.svc.cluster.local",
        "kubectl get --raw /.well-known/openid-configuration",
        (
            ("/kubernetes.io/namespace", "repository", "NAMESPACE/UID of the service account"),
            (
                "/kubernetes.io/serviceaccount/uid",
                "repository",
                "NAMESPACE/UID of the service account: kubectl get serviceaccount NAME -o jsonpath={.metadata.uid}",
            ),
        ),
        {
            "repository": (
                ("/kubernetes.io/namespace", "{owner}"),
                ("/kubernetes.io/serviceaccount/uid", "{name}"),
            ),
        },
        (),
        ("sub",),
    ),
    System(
        "gcp",
        "Google Cloud",
        "https://accounts.google.com",
        "https://accounts.google.com",
        "the same for all of Google",
        (
            (
                "sub",
                "repository_id",
                "the service account's number: gcloud iam service-accounts describe ACCOUNT --format 'value(uniqueId)'",
            ),
        ),
        {"repository_id": (("sub", "{}"),)},
        (),
        ("sub",),
        recorded=("email",),
    ),
    System(
        "other",
        "another CI",
        "",
        "https://ci.example.com",
        "the claim iss of its tokens",
        (("sub", "workflow", _SUBJECT),),
        {"workflow": (("sub", "{}"),)},
        (),
        ("sub",),
    ),
)
BY_NAME = {system.name: system for system in SYSTEMS}
