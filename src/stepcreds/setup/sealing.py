"""Vault's side of sealed ledgers: a key that no step can sign with, and the one job that may; values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepcreds.config.model import Config
from stepcreds.errors import UsageError
from stepcreds.setup import vault
from stepcreds.setup.answers import Answers
from stepcreds.setup.answers.given import SEAL
from stepcreds.setup.notes import OUTPUTS
from stepcreds.setup.plan import Setting
from stepcreds.setup.signing import KEY, MOUNT

LASTS = 600  # seconds of the token: it is asked for when there is something to sign, and given back


def settings(config: Config, answers: Answers, others: Sequence[Setting]) -> Iterable[Setting]:
    """In the order in which they are written; none where the configuration has no `ledger.seal`.

    `others` are what steps have. Raises `UsageError` where a step would have a part of it.
    """
    seal = config.ledger.seal
    if seal is None:
        return
    role = vault.role_name(seal.role, f"{SEAL}.role")
    there = {setting.path for setting in others}
    mount = f"sys/mounts/{seal.key.rpartition('/keys/')[0]}"
    path = f"auth/{config.vault.mount}/role/{role}"
    _require_apart(seal.key, path, role, there)
    if mount not in there:
        yield Setting("mount", mount, MOUNT, "The engine that signs the seals; the audit log shows what it signed.")
    yield Setting("transit_key", seal.key, KEY, "Signs the seals, and no step can; the private key never leaves Vault.")
    text = vault.seal_policy(seal.key)
    yield Setting("policy", f"sys/policies/acl/{role}", {"policy": text}, "All that the job that seals may do.")
    body = vault.login_role(
        audience=config.vault.audience,
        bound_claims=answers.seal,
        policies=[role],
        user_claim=answers.user_claim,
        claim_mappings=answers.claim_mappings,
        ttl=LASTS,
        max_ttl=LASTS,
    )
    yield Setting("jwt_role", path, body, "Which job may seal.")


def _require_apart(key: str, path: str, role: str, there: set[str]) -> None:
    if key in there:
        raise UsageError(
            f"{SEAL}.key is {key}, and so is the key that signs the ledger",
            cause="A step could sign seals, and a seal is what finds that a step's ledger was changed.",
            fix=f"Name another key in {SEAL}.key of stepcreds.yml.",
            docs="setup-seal",
        )
    if path in there:
        raise UsageError(
            f"{SEAL}.role is {role}, and so is the role of a profile{_as_outputs(role)}",
            cause="Whoever may log in for that profile could seal ledgers as well.",
            fix=f"Name another role in {SEAL}.role of stepcreds.yml.",
            docs="setup-seal",
        )


def _as_outputs(role: str) -> str:
    return " that is handed out as outputs" if role.endswith(OUTPUTS) else ""
