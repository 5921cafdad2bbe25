"""Vault's side of a profile: its policy, its JWT role, its database role. Values only; nothing is sent from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepcreds.config.model import Profile
from stepcreds.errors import UnsupportedError
from stepcreds.model import TOKEN_MARGIN

# No DisplayName in clear: it comes from a claim, and `{{name}}` is pasted into statements unquoted, so a branch named
# `a"SUPERUSER--` once made a superuser.
USERNAME_TEMPLATE = (
    '{{ printf "v-%s-%s-%s" (.DisplayName | sha256 | truncate 12) (.RoleName | truncate 12) (random 12) }}'
)

# What the audit log and the entity's alias then hold of a GitHub token. Never a policy: the next login overwrites them.
GITHUB_CLAIM_MAPPINGS = {
    "repository": "repository",
    "repository_id": "repository_id",
    "run_id": "run_id",
    "run_attempt": "run_attempt",
    "job_workflow_ref": "job_workflow_ref",
    "environment": "environment",
}


def policy(profile: Profile) -> str:
    """The policy (HCL) of a token that may issue this profile's credential, keep it alive, end it, and nothing else.

    Complete by itself: the role leaves out the `default` policy. The glob on leases covers the probe that a step
    revokes before it asks for a credential, and works from a later login too, for a step that was killed.
    """
    leases = f"{_plain(profile.creds)}/*"
    return f"""\
# Issue.
path "{_plain(profile.creds)}" {{
  capabilities = ["read"]
}}

# Revoke, now (sync) rather than in a queue; look up; shorten and renew. This profile's leases alone.
path "sys/leases/revoke" {{
  capabilities = ["update"]
  allowed_parameters = {{
    "lease_id" = ["{leases}"]
    "sync" = []
  }}
}}
path "sys/leases/lookup" {{
  capabilities = ["update"]
  allowed_parameters = {{
    "lease_id" = ["{leases}"]
  }}
}}
path "sys/leases/renew" {{
  capabilities = ["update"]
  allowed_parameters = {{
    "lease_id" = ["{leases}"]
    "increment" = []
  }}
}}

# The token itself; and by its accessor that of a step that was killed between asking and recording.
path "auth/token/renew-self" {{
  capabilities = ["update"]
}}
path "auth/token/revoke-self" {{
  capabilities = ["update"]
}}
path "auth/token/revoke-accessor" {{
  capabilities = ["update"]
}}
"""


def jwt_role(
    profile: Profile,
    *,
    audience: str,
    bound_claims: Mapping[str, object],
    policies: Sequence[str],
    user_claim: str = "repository",
    claim_mappings: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The body of `auth/<mount>/role/<profile.role>`.

    `user_claim` must fix the repository (`sub`, `repository`, not `repository_owner`): whoever shares it is one entity.
    Service tokens, because batch tokens cannot be revoked (https://openbao.org/docs/concepts/tokens/).
    """
    return {
        "role_type": "jwt",
        "bound_audiences": [audience],
        "bound_claims": dict(bound_claims),
        "user_claim": user_claim,
        "claim_mappings": dict(claim_mappings or {}),
        "token_type": "service",
        "token_policies": list(policies),
        "token_no_default_policy": True,
        # It outlives the lease, which is the shorter of the two, so that it can be asked for the proof.
        "token_ttl": int(profile.ttl + TOKEN_MARGIN),
        "token_max_ttl": int(profile.max_ttl + TOKEN_MARGIN),
    }


def database_role(
    profile: Profile, *, connection: str, creation: Sequence[str], revocation: Sequence[str]
) -> dict[str, object]:
    """The body of `<engine>/roles/<name>`. Lists, never joined text: the engine would cut a text at each `;`.

    `revocation_statements` is always there: an update without the field keeps the old ones.
    """
    return {
        "db_name": connection,
        "creation_statements": list(creation),
        "revocation_statements": list(revocation),
        "default_ttl": int(profile.ttl),
        "max_ttl": int(profile.max_ttl),
    }


def _plain(path: str) -> str:
    if not path or any(character in '"\\*+' or not character.isprintable() for character in path):
        raise UnsupportedError(
            f"{path!a} cannot stand in a policy.",
            cause="A quotation mark, a backslash or a control character would end the path, and '*' or '+' widen it.",
            docs="policy-paths",
        )
    return path
