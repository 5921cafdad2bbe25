"""The link "role": the JWT role as an operator sees it, beside what this job's token says, and what to change.

And whom else it lets in.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from stepcreds.doctor.link import BrokenError, Link, Remark, remarked
from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.vault.advice import Login, bound_claims, repository_claim
from stepcreds.vault.jwt_role import as_text, compare, matches

# Claims of which each value belongs to one repository or project; whoever shares the value is one entity in Vault.
FIXES_REPOSITORY = frozenset(
    {
        *("sub", "repository", "repository_id", "job_workflow_ref", "workflow_ref"),  # GitHub, Forgejo, Gitea
        *("project_id", "project_path", "ci_config_ref_uri"),  # GitLab
        *("pipeline_id", "pipeline_slug"),  # Buildkite
        *("oidc.circleci.com/project-id", "/oidc.circleci.com~1project-id"),  # CircleCI
        *("repositoryUuid", "rpo_uid"),  # Bitbucket, Azure Pipelines
    }
)


def judge(
    role: Mapping[str, object],
    issuer: object,
    *,
    name: str,
    mount: str,
    audience: str,
    claims: Mapping[str, object],
) -> Link:
    """The link "role": every setting of `role` (as Vault answers it) that decides over this job, beside its token.

    `issuer` is the mount's bound_issuer, None where nobody could read it. Raises `BrokenError` where this job would be
    refused, where the token could not be used or revoked as a step must, where another repository could be the same
    entity, and where the role binds nothing that keeps anybody out. A role that others may take too is a warning.
    """
    rows = compare(role, claims, issuer)
    bad = {row.setting.partition(" ")[0] for row in rows if row.verdict in ("differs", "missing")}
    causes = ["Vault refuses the login of this job."] if bad else []
    if role.get("token_type") in ("batch", "default-batch"):
        bad.add("token_type")
        causes.append("The role gives batch tokens, which cannot be revoked.")
    if role.get("token_num_uses"):
        bad.add("token_num_uses")
        causes.append(
            f"The role's tokens may be used {as_text(role['token_num_uses'])} times; then they can revoke nothing."
        )
    if not fixes_repository(role, claims):
        bad.add("user_claim")
        causes.append(
            f"The role's user_claim {as_text(role.get('user_claim'))} does not fix the repository: jobs of other "
            "repositories are the same entity to Vault, and its policies cannot tell them apart."
        )
    login = Login(name, mount, audience, claims, "")
    wide = _too_wide(role, login) if "bound_claims" not in bad else ""
    if wide and not _bound(role):
        bad.add("bound_claims")
        causes.append(wide)
    if not bad:
        change = f"Bind it to this repository:\n  {login.write(bound_claims=bound_claims(claims))}"
        remarks = [Remark(wide, change, "role-too-wide")] if wide else []
        return remarked("role", f"auth/{mount}/role/{name} fits this job", remarks, rows)
    what = f"auth/{mount}/role/{name} does not fit: {', '.join(sorted(bad))}"
    fix = _fix(role, login, bad)
    raise BrokenError(what, VaultError(what, cause=" ".join(causes), fix=fix, docs="role-differs"), rows)


def _fix(role: Mapping[str, object], login: Login, bad: set[str]) -> str:
    changes: dict[str, object] = {}
    if "bound_claims" in bad:
        changes["bound_claims"] = _bound_like_before(role, login)
    if "bound_subject" in bad:
        changes["bound_subject"] = login.claims.get("sub") or ""
    if role.get("bound_claims_type") == "glob":
        changes["bound_claims_type"] = "glob"
    if "bound_audiences" in bad:
        changes["bound_audiences"] = [login.audience]
    if "user_claim" in bad:
        changes["user_claim"] = repository_claim(login.claims)
    if "token_num_uses" in bad:
        changes["token_num_uses"] = 0
    if "token_type" in bad:
        changes["token_type"] = "service"  # noqa: S105 - a kind of token
    fix = "If this job is meant to have the role (each setting that is named is replaced as a whole):\n"
    fix += f"  {login.write(**changes)}"
    if "bound_issuer" in bad:
        fix += f"\nThe issuer belongs to the mount:\n  bao read {shlex.quote(f'auth/{login.mount}/config')}"
    return fix


def _bound_like_before(role: Mapping[str, object], login: Login) -> Mapping[str, object]:
    """The claims that the role binds, with this job's values where it wants others."""
    bound = role.get("bound_claims")
    glob = role.get("bound_claims_type") == "glob"
    kept = {}
    for name, expected in bound.items() if isinstance(bound, Mapping) else ():
        actual = login.claim(name)
        kept[name] = expected if matches(expected, actual, glob=glob) else actual
    kept = {name: value for name, value in kept.items() if value is not None}
    return kept or bound_claims(login.claims)


def _bound(role: Mapping[str, object]) -> Mapping[str, object]:
    """What the role binds beside the audience, by the name of the claim."""
    bound = role.get("bound_claims")
    subject = {"sub": role["bound_subject"]} if role.get("bound_subject") else {}
    return {**(bound if isinstance(bound, Mapping) else {}), **subject}


def _too_wide(role: Mapping[str, object], login: Login) -> str:
    """Whom else the role lets in, in words; "" where its claims fix the repository."""
    bound = _bound(role)
    if not bound:
        return (
            "The role binds no claim: every job whose tokens the issuer signs may log in, of any repository. An "
            "audience keeps nobody out, because a job asks for whichever it likes."
        )
    glob = role.get("bound_claims_type") == "glob"
    if any(_keeps_others_out(name, wanted, login, glob=glob) for name, wanted in bound.items()):
        return ""
    shown = ", ".join(f"{one_line(name)} {as_text(wanted)}" for name, wanted in sorted(bound.items()))
    return f"Jobs of other repositories may log in with the role: what it binds ({shown}) does not fix the repository."


def _keeps_others_out(name: str, wanted: object, login: Login, *, glob: bool) -> bool:
    """Whether no other repository has a value of the claim that the role takes."""
    if not fixes_repository({"user_claim": name}, login.claims):
        return False
    actual, own = login.claim(name), _own_name(login.claims)
    if not glob or "*" not in as_text(wanted):
        return True
    if not isinstance(actual, str) or not own or own not in actual:
        return False  # a number with a `*` in it
    return not matches(wanted, actual.replace(own, f"not-{own}-but-another"), glob=True)


def _own_name(claims: Mapping[str, object]) -> str:
    """The last part of the repository's name, without its owner or group."""
    full = next((value for name in ("repository", "project_path") if isinstance(value := claims.get(name), str)), "")
    return full.rpartition("/")[2]


def fixes_repository(role: Mapping[str, object], claims: Mapping[str, object]) -> bool:
    """Whether two repositories can never share the value of the role's user_claim."""
    name = role.get("user_claim")
    if name == "sub" and isinstance(claims.get("repository"), str):
        # GitHub lets an organisation leave the repository out of `sub`.
        return str(claims["repository"]).partition("/")[2] in str(claims.get("sub"))
    return name in FIXES_REPOSITORY
