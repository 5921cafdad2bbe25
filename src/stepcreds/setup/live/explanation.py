"""Why it matters that an object of Vault is not as the plan has it: sentences, by kind and field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stepcreds.setup.live.difference import Difference, Field
from stepcreds.setup.plan import Kind
from stepcreds.setup.signing import AUDITED

_ABSENT: Final[Mapping[Kind, str]] = {
    "auth_mount": "No job can log in.",
    "auth_config": "Vault does not know whose tokens to take: no job can log in.",
    "policy": "Who logs in with its role may do nothing: issue, revoke, renew, sign.",
    "jwt_role": "The jobs that it is for cannot log in.",
    "mount": "Nothing can be issued or signed there.",
    "connection": "Vault cannot log in to the database.",
    "database_role": "Nothing can be issued for these profiles.",
    "transit_key": "What it is there to sign is not signed: the ledger's checkpoints, or seals.",
    "header": "Vault's audit log does not say which step a request came from.",
    "lease_audit": "Vault's audit log does not say which lease a revocation was of.",
}
_FIELDS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "auth_config": {
        "bound_issuer": "Tokens of another issuer are taken.",
        "oidc_discovery_url": "Tokens are checked with the keys of another issuer.",
        "oidc_discovery_ca_pem": "Vault does not trust the issuer's certificate, or another's.",
    },
    "jwt_role": {
        "bound_audiences": "A token that a job got for somebody else is taken here, or the jobs' own are refused.",
        "bound_claims": "Other jobs may log in than were meant to.",
        "bound_claims_type": "A '*' in a bound claim stands for anything.",
        "claim_mappings": "Vault's audit log says less of which run a token belongs to.",
        "groups_claim": "A claim of the token decides which groups the job is in, and so which policies it has.",
        "role_type": "The role is not one for tokens of a CI.",
        "token_max_ttl": "A token outlives its step, or ends before it is proven that the credential is dead.",
        "token_no_default_policy": "The token may also do what the policy `default` allows, now and later.",
        "token_num_uses": "The token stops working in the middle of a step, and its credential is not revoked.",
        "token_period": "The token can be renewed for ever.",
        "token_policies": "A step's token may do something else than its profile needs.",
        "token_policies_template_claims": "A claim of the token decides which policies it has.",
        "token_ttl": "A token outlives its step, or ends before it is proven that the credential is dead.",
        "token_type": "A batch token cannot be revoked, and steps refuse it.",
        "user_claim": "Jobs of other repositories may be one entity to Vault with these.",
        "verbose_oidc_logging": "The claims of every job are in the server's log.",
    },
    "connection": {
        "allowed_roles": "Roles that nobody declared may issue users through this connection.",
        "connection_url": "Vault logs in somewhere else, or without the TLS that the profile asks for.",
        "password_authentication": "The passwords of issued users reach PostgreSQL, and its log, in clear.",
        "root_credentials_rotate_statements": "Changing the password of Vault's own user runs something else.",
        "username": "Vault logs in as somebody else, who may be able to do more.",
        "username_template": "What a claim says may become part of an SQL statement: a branch can be called "
        'a"SUPERUSER--.',
    },
    "database_role": {
        "creation_statements": "Users are made with other rights than the profile declares.",
        "db_name": "Users are made in another database.",
        "default_ttl": "A credential outlives a step that dies by more than the profile says, or ends too soon.",
        "max_ttl": "A credential can be renewed for longer than the profile says, or ends within the step.",
        "renew_statements": "Something runs each time a step renews its credential.",
        "revocation_statements": "It is what an earlier stepcreds wrote; or something else, with which a revoked "
        "user's open sessions may go on with all they had, and a user who owns anything, or called lo_create(0), is "
        "not removed at all.",
        "rollback_statements": "A user that was half made is cleaned up in another way.",
    },
    "policy": {"policy": "A token may do more than it is there for, or cannot end what it was given."},
    "mount": {"config": "What was signed is in Vault's audit log as a hash, and cannot be held against the ledgers."},
    "transit_key": {
        "allow_plaintext_backup": "The key can be taken out of Vault, and what it signs be forged.",
        "deletion_allowed": "The key can be deleted, and with it what a reviewer checks signatures with.",
        "derived": "Nobody can sign with it.",
        "exportable": "The key can be taken out of Vault, and what it signs be forged.",
    },
    "lease_audit": {
        AUDITED: "The audit log has a hash of the lease that a revocation was of, so nobody can tell whether "
        "one that a ledger tells of ever was."
    },
    "header": {"hmac": "The header is in Vault's audit log as a hash, which nobody can read."},
}


def absent(kind: Kind) -> str:
    """Why an object that is not there is missed."""
    return _ABSENT[kind]


def differs(kind: Kind, field: Field) -> str:
    """Why it matters that `field` is another; "" where the names say all there is to say."""
    if field.name == "bound_claims" and isinstance(field.found, Mapping) and isinstance(field.wanted, Mapping):
        dropped = sorted(set(field.wanted) - set(field.found))
        if dropped:
            return f"{_FIELDS[kind][field.name]} {' and '.join(dropped)} of a job {_may(dropped)} be anything."
    return _FIELDS.get(kind, {}).get(field.name, "")


def mends(difference: Difference) -> str:
    """How to make it as it should be."""
    if difference.action == "conflict":
        return f"It cannot be changed in place: {difference.reason}."
    return "stepcreds setup apply"


def _may(names: list[str]) -> str:
    return "may" if len(names) == 1 else "may each"
