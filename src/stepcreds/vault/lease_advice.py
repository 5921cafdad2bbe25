"""What to change when Vault does not issue or does not revoke; pure, and nothing here is raised.

The texts are those of OpenBao's and HashiCorp Vault's database engine (`builtin/logical/database`), of the drivers
below it, and of PostgreSQL and MySQL.
"""

from __future__ import annotations

import re

from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.vault import refusals


def revocation_policy(creds: str) -> str:
    """The least policy (HCL) under which a token may revoke what `creds` issues, and nothing else."""
    return (
        'path "sys/leases/revoke" {\n'
        '  capabilities = ["update"]\n'
        "  allowed_parameters = {\n"
        f'    "lease_id" = ["{creds}/*"]\n'
        '    "sync"     = []\n'
        "  }\n"
        "}"
    )


def cannot_revoke(error: VaultError, creds: str) -> VaultError:
    """The error for a token that could issue a credential and not end it."""
    return VaultError(
        f"This token may not revoke what {creds} issues, so nothing is issued",
        status=error.status,
        errors=error.errors,
        cause="Vault's `default` policy does not hold sys/leases/revoke; or allowed_parameters of the role's policy "
        'leave out "sync", without which Vault only queues a revocation.',
        fix=f"Add to a policy of the role:\n{revocation_policy(creds)}",
        docs="policy-revoke",
    )


def cannot_create_child(error: VaultError) -> VaultError:
    """The error for an operator's token that may not make a token of its own, which would die with the step."""
    return VaultError(
        "Your Vault token may not create a token for this step",
        status=error.status,
        errors=error.errors,
        cause="With --as-operator a step gets a short-lived child of your token, so that yours stays as it is; that "
        "needs auth/token/create.",
        fix='Log in as somebody who may, or add to your policy:\npath "auth/token/create" {\n'
        '  capabilities = ["update"]\n}',
        docs="as-operator",
    )


_DATABASE_AWAY = r"connection refused|no such host|i/o timeout|no route to host|dial (tcp|error)"

# (what Vault says; cause; fix; anchor), the first that fits
_ISSUE = (
    (r"unknown role|role .* not found", "The engine has no such role.",
     "Correct `creds` of the profile, or make the role. Those there are:\n  bao list {roles}", "issue-role"),
    (r"is not an allowed role", "The database connection does not list this role.",
     "Add the role to allowed_roles of the connection. The connections:\n  bao list {mount}/config", "issue-role"),
    (r"failed to find entry for connection", "The role names a database connection that does not exist.",
     "Make the connection, or correct db_name of the role. Those there are:\n  bao list {mount}/config", "issue-role"),
    (_DATABASE_AWAY, "Vault's servers cannot reach the database.",
     "Look at connection_url of the database connection, and at the network between Vault and the database:\n"
     "  bao list {mount}/config", "issue-database"),
    (r"password authentication failed|28P01|Access denied for user", "The database does not let Vault's own user in.",
     "Look at the username of the database connection, and set its password anew:\n  bao list {mount}/config",
     "issue-database"),
    (r"SQLSTATE|syntax error|does not exist|permission denied (for|to)",
     "The database refused the role's creation statements.",
     "Look at creation_statements, and at what Vault's own user may do:\n  bao list {roles}", "issue-statements"),
)  # fmt: skip


def explain_issue(error: VaultError, creds: str) -> VaultError:
    """`error`, which reading `creds` gave, with the cause and what to change; a lost answer stays one."""
    text = refusals.said(error.errors)
    mount = creds.partition("/")[0]
    names = {"creds": creds, "mount": mount, "roles": f"{mount}/roles"}
    if error.status == 403 and error.docs == "vault-policy":
        return _with(
            error,
            f"The policies of the token do not allow to read {creds}.",
            f'Add to a policy of the role:\npath "{creds}" {{\n  capabilities = ["read"]\n}}',
            "policy-creds",
        )
    if error.status == 404 and not text:
        return _with(
            error,
            f"There is nothing at {creds}.",
            "Correct `creds` of the profile. What is mounted:\n  bao secrets list",
            "issue-role",
        )
    for pattern, cause, fix, docs in _ISSUE:
        if error.status in (400, 500) and re.search(pattern, text):
            return _with(error, cause.format(**names), fix.format(**names), docs)
    return error


def explain_revoke(error: VaultError) -> VaultError:
    """`error`, which revoking a lease gave, with the cause and what to change."""
    text = refusals.said(error.errors)
    if re.search(r"2BP01|cannot be dropped because|depend on it", text):
        return _with(
            error,
            "The issued user owns objects, or has rights that the role's revocation statements do not take away.",
            "Give the database role revocation_statements with REASSIGN OWNED and DROP OWNED before DROP ROLE.",
            "revoke-owned",
        )
    if re.search(_DATABASE_AWAY, text):
        return _with(
            error,
            "Vault's servers cannot reach the database, so the user is still there.",
            "Bring the database back, then run `stepcreds revoke`.",
            "issue-database",
        )
    if error.docs == "vault-policy":
        return _with(error, "The policies of the token do not allow to revoke this lease.", "", "policy-revoke")
    return error


def may_pass(error: VaultError) -> bool:
    """Whether a revocation that failed with `error`, as `explain_revoke` left it, is worth asking for again soon.

    OpenBao answers 400 to whatever the engine could not do, also where it did not reach its database (seen with 2.7.2).
    """
    of_the_engine = error.status in (400, 500) and "failed to revoke" in refusals.said(error.errors)
    return of_the_engine and error.docs != "revoke-owned"


def in_full(error: VaultError) -> str:
    """Why a revocation failed, in one line; with what to change where nothing but that will end it."""
    return f"{error.what}. {error.cause} {error.fix}" if error.docs == "revoke-owned" else error.what


def _with(error: VaultError, cause: str, fix: str, docs: str) -> VaultError:
    kind = LostAnswerError if isinstance(error, LostAnswerError) else VaultError
    return kind(error.what, status=error.status, errors=error.errors, cause=cause, fix=fix, docs=docs)
