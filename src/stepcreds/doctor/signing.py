"""The link "signing": whether this job can have its ledger signed, and what the signature is worth; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping

from stepcreds.doctor.link import BrokenError, Link, Remark, remarked
from stepcreds.errors import VaultError
from stepcreds.ledger import dsse
from stepcreds.ledger.checkpoint import REPOSITORY, key_of
from stepcreds.setup.answers.issuers import REPOSITORY_ID, SYSTEMS
from stepcreds.vault.advice import Login, repository_claim
from stepcreds.vault.client import Vault
from stepcreds.vault.jwt_role import as_text

# Signed as what it is, so that nobody ever takes it for a checkpoint.
PROBE = "application/vnd.stepcreds.probe+json"
ENTITIES = frozenset(claim for system in SYSTEMS for claim in system.entities)
_OPEN = {
    "exportable": "can be taken out of Vault (exportable): whoever has done so can forge what it signs.",
    "allow_plaintext_backup": "can be taken out of Vault as a backup (allow_plaintext_backup): whoever has done so can "
    "forge what it signs.",
    "deletion_allowed": "may be deleted (deletion_allowed), and nobody could get its public versions any more.",
}


def signing(
    vault: Vault,
    template: str,
    repository_id: str,
    *,
    login: Login,
    role: Mapping[str, object] | None,
    key: Mapping[str, object] | None,
) -> Link:
    """Has a probe signed with the key of `template` for this job's repository.

    `role` and `key` are what Vault answers an operator, None where nobody could ask. Raises `BrokenError` for a role by
    which jobs of another repository could sign with the key, `StepcredsError` where it cannot be had.
    """
    name = key_of(template, repository_id)
    if role is not None and REPOSITORY in template:
        _require_own_entity(role, login)
    signed = vault.sign(name, dsse.pae(PROBE, b"{}"))
    remarks = [
        Remark(f"{name} {what}", _fix(name, field), "ledger-key") for field, what in _OPEN.items() if _is(key, field)
    ]
    return remarked("signing", f"{name} signs for this job, with its version {signed.version}", remarks)


def _is(key: Mapping[str, object] | None, field: str) -> bool:
    return key is not None and key.get(field) is True


def _fix(name: str, field: str) -> str:
    if field == "deletion_allowed":
        return f"Forbid it:\n  bao write {name}/config deletion_allowed=false"
    another = "name another in ledger.key of stepcreds.yml, and let `stepcreds setup` make it."
    return f"Vault takes that back of no key: {another}"


def _require_own_entity(role: Mapping[str, object], login: Login) -> None:
    claim, mapped = role.get("user_claim"), role.get("claim_mappings")
    names = mapped.values() if isinstance(mapped, Mapping) else ()
    if claim in ENTITIES and REPOSITORY_ID in names:
        return
    what = f"auth/{login.mount}/role/{login.role} does not fix whose key a step signs with"
    if claim not in ENTITIES:
        cause = (
            f"Its user_claim is {as_text(claim)}. Jobs of several repositories may be one entity by it, and the policy "
            "goes by what the entity's last login said: they could sign with each other's keys."
        )
        fix = f"A user_claim that fixes it:\n  {login.write(user_claim=repository_claim(login.claims))}"
    else:
        cause = f"Its claim_mappings say nothing of {REPOSITORY_ID}, by which the policy goes."
        fix = "Let `stepcreds setup` write the role anew."
    raise BrokenError(what, VaultError(what, cause=cause, fix=fix, docs="ledger-key"), ())
