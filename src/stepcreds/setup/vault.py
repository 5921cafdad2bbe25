"""Vault's side of a profile: its policy, its JWT role, its database role. Values only; nothing is sent from here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stepcreds.config.model import Profile
from stepcreds.errors import UnsupportedError
from stepcreds.ledger.checkpoint import REPOSITORY
from stepcreds.model import TOKEN_MARGIN
from stepcreds.setup.answers.issuers import REPOSITORY_ID

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

_ACCESSOR = re.compile(r"<accessor of auth/([^>]+)>")
# framework.GenericNameRegex of Vault's SDK, which is what the paths of roles and connections are matched with.
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def role_name(name: str, where: str) -> str:
    """`name` as Vault keeps it: in lower case. Raises `UnsupportedError` for what cannot be the name of a role there.

    `where` is what to change: the key in stepcreds.yml.
    """
    if not _NAME.fullmatch(name):
        raise UnsupportedError(
            f"{where}: {name!a} cannot be the name of a role at Vault.",
            cause="A name there has letters, digits, '_', '-' and '.', and begins and ends with a letter, a digit or "
            "'_'.",
            fix=f"Choose another in stepcreds.yml: {where}",
            docs="setup-names",
        )
    return name.lower()


def accessor_of(mount: str) -> str:
    """What stands in a policy for the accessor of the auth mount `mount`: Vault makes that up when it mounts it."""
    return f"<accessor of auth/{mount}>"


def without_accessor(text: str, instead: str) -> tuple[str, str]:
    """A policy with `instead` where an accessor belongs, and the mount whose accessor that is; "" where none does."""
    found = _ACCESSOR.search(text)
    return (_ACCESSOR.sub(lambda _: instead, text), found[1]) if found else (text, "")


def policy(*profiles: Profile, ledger_key: str | None = None, mount: str = "jwt") -> str:
    """The policy (HCL) of a token that may issue these profiles' credentials, keep them alive, end them, nothing else.

    Complete by itself: the role leaves out the `default` policy. The glob on leases covers the probe that a step
    revokes before it asks for a credential, and works from a later login too, for a step that was killed. `ledger_key`
    (`<mount>/keys/<name>`) is the Transit key that the step may sign with, and never read or change. Where it has
    `{repository_id}`, that is what the login at the auth mount `mount` says of the job, by `accessor_of` it.
    """
    parts = [_ISSUE + "".join(_path(creds, "read") for creds in dict.fromkeys(_plain(p.creds) for p in profiles))]
    leased = dict.fromkeys(profile.creds for profile in profiles if profile.revocation == "lease")
    if leased:
        globs = ", ".join(f'"{creds}/*"' for creds in leased)
        whose = "This profile's leases alone." if len(profiles) == 1 else "The leases of these paths alone."
        parts.append(
            f"# Revoke, now (sync) rather than in a queue; look up; shorten and renew. {whose}\n"
            + _path("sys/leases/revoke", "update", lease_id=globs, sync="")
            + _path("sys/leases/lookup", "update", lease_id=globs)
            + _path("sys/leases/renew", "update", lease_id=globs, increment="")
        )
    parts.append(
        "# The token itself; and by its accessor that of a step that was killed between asking and recording.\n"
        + "".join(_path(f"auth/token/{call}", "update") for call in ("renew-self", "revoke-self", "revoke-accessor"))
    )
    parts.append(
        "# See what the token may do, so that `stepcreds scope` finds whether it is more than this.\n"
        + _path("sys/capabilities-self", "update")
    )
    if ledger_key is not None:
        own = "".join(("{{identity.entity.aliases.", accessor_of(mount), ".metadata.", REPOSITORY_ID, "}}"))
        engine, _, name = _plain(ledger_key).rpartition("/keys/")
        whose = ", with the key of the job's own repository" if REPOSITORY in name else ""
        path = f"{engine}/sign/{name.replace(REPOSITORY, own)}"
        # Nothing but what is signed: not which version of the key signs it, nor many texts at once.
        parts.append(f"# Sign the ledger's checkpoints{whose}.\n" + _path(path, "update", input=""))
    return "\n".join(parts)


def seal_policy(key: str) -> str:
    """The policy (HCL) of a token that may sign with the Transit key `key`, end itself, and nothing else."""
    engine, _, name = _plain(key).rpartition("/keys/")
    return (
        f"# Sign seals.\n{_path(f'{engine}/sign/{name}', 'update', input='')}\n"
        f"# Give the token back.\n{_path('auth/token/revoke-self', 'update')}"
    )


_ISSUE = "# Issue.\n"


def _path(path: str, capability: str, **parameters: str) -> str:
    """One rule. `parameters` are all that a request may have, each with the values it may take; "": any."""
    allowed = ""
    if parameters:
        lines = "".join(f'    "{name}" = [{values}]\n' for name, values in parameters.items())
        allowed = f"  allowed_parameters = {{\n{lines}  }}\n"
    return f'path "{path}" {{\n  capabilities = ["{capability}"]\n{allowed}}}\n'


def jwt_role(
    profile: Profile,
    *,
    audience: str,
    bound_claims: Mapping[str, object],
    policies: Sequence[str],
    user_claim: str = "repository",
    claim_mappings: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The body of `auth/<mount>/role/<profile.role>`."""
    return login_role(
        audience=audience,
        bound_claims=bound_claims,
        policies=policies,
        user_claim=user_claim,
        claim_mappings=claim_mappings or {},
        # It outlives the lease, which is the shorter of the two, so that it can be asked for the proof.
        ttl=profile.ttl + TOKEN_MARGIN,
        max_ttl=profile.max_ttl + TOKEN_MARGIN,
    )


def login_role(
    *,
    audience: str,
    bound_claims: Mapping[str, object],
    policies: Sequence[str],
    user_claim: str,
    claim_mappings: Mapping[str, str],
    ttl: float,
    max_ttl: float,
) -> dict[str, object]:
    """The body of `auth/<mount>/role/<name>`, with the seconds that its tokens last.

    `user_claim` must fix the repository (`sub`, `repository`, not `repository_owner`): whoever shares it is one entity.
    Service tokens, because batch tokens cannot be revoked (https://openbao.org/docs/concepts/tokens/).
    """
    return {
        "role_type": "jwt",
        "bound_audiences": [audience],
        "bound_claims": dict(bound_claims),
        # Sent always, as role_type is: Vault sets both anew in every write, whatever was there.
        "bound_claims_type": "string",
        "user_claim": user_claim,
        "claim_mappings": dict(claim_mappings),
        "token_type": "service",
        "token_policies": list(policies),
        "token_no_default_policy": True,
        "token_ttl": int(ttl),
        "token_max_ttl": int(max_ttl),
    }


def outputs_role(role: Mapping[str, object]) -> dict[str, object]:
    """A JWT role whose tokens last as long as they ever may from the start: nobody renews what is handed out."""
    return {**role, "token_ttl": role["token_max_ttl"]}


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
    # `{{` begins a template in a policy (developer.hashicorp.com/vault/docs/concepts/policies), `${` one in HCL.
    special = any(character in '"\\*+' or not character.isprintable() for character in path)
    if not path or special or "{{" in path or "${" in path:
        raise UnsupportedError(
            f"{path!a} cannot stand in a policy.",
            cause="A quotation mark, a backslash or a control character would end the path, '*' or '+' widen it, and "
            "'{{' or '${' begin a template.",
            docs="policy-paths",
        )
    return path
