"""Vault's side of a signed ledger: the engine that signs, and a key for each repository; values only."""

from __future__ import annotations

from collections.abc import Iterable

from stepcreds.config.model import Config
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.checkpoint import REPOSITORY, key_of
from stepcreds.setup.answers import Answers
from stepcreds.setup.answers.given import flag, values
from stepcreds.setup.answers.issuers import BY_NAME, System
from stepcreds.setup.plan import Setting

# Vault keeps it of every key for good, but for the last one: whoever may delete a key can no longer be told from
# somebody who never had one. https://openbao.org/api-docs/secret/transit/#create-key
KEY = {"type": "ed25519", "derived": False, "exportable": False, "allow_plaintext_backup": False}
# Else the audit log has of what was signed a hash, and nobody can hold that against the ledgers that are shown.
AUDITED = "audit_non_hmac_request_keys"
# https://github.com/hashicorp/vault/blob/main/vault/logical_system.go, untunableMounts
NOT_TUNED = "HashiCorp Vault lets nobody tune it, so its audit log has a hash of the lease that a revocation was of"
MOUNT = {"type": "transit", "config": {AUDITED: ["input"]}}


def settings(config: Config, answers: Answers) -> Iterable[Setting]:
    """In the order in which they are written; none where the configuration names no key.

    Raises `UsageError` where each repository is to have a key of its own, and Vault cannot tell them apart.
    """
    key = config.ledger.key
    if key is None:
        return
    mount = key.rpartition("/keys/")[0]
    yield Setting("mount", f"sys/mounts/{mount}", MOUNT, "The engine that signs; the audit log shows what it signed.")
    for name in _keys(key, config, answers):
        yield Setting("transit_key", name, KEY, "Signs the ledger; the private key never leaves Vault.")


def _keys(key: str, config: Config, answers: Answers) -> Iterable[str]:
    if REPOSITORY not in key:
        return (key,)
    system = BY_NAME[answers.ci]
    _require(system, key, answers)
    names = []
    for profile in config.profiles.values():
        ids = values(answers.profiles[profile.name].bound_claims.get(system.repository))
        if not ids:
            raise UsageError(
                f"{profile.name}: which repository's key signs is not said: no {system.repository} is bound",
                cause=f"ledger.key is {key}, and the key of each repository has that claim in its name.",
                fix=f"Name it: {_flag(system)} (or use a key without {REPOSITORY} in ledger.key of stepcreds.yml).",
                docs="ledger-key",
            )
        try:
            names += [key_of(key, str(each)) for each in ids]
        except LedgerError as error:
            raise UsageError(error.what, cause=error.cause, fix=error.fix, docs=error.docs) from None
    return dict.fromkeys(names)


def _require(system: System, key: str, answers: Answers) -> None:
    """A policy goes by what the entity's logins say; so nobody of another repository may be the same entity."""
    if not system.entities:
        raise UsageError(
            f"{system.title}: there is no id of a repository that could be part of a key's name",
            cause=f"ledger.key is {key}, and {REPOSITORY} stands for what no key at Vault can be called here.",
            fix=f"Use a key without {REPOSITORY} in ledger.key of stepcreds.yml, another one in each repository.",
            docs="ledger-key",
        )
    if answers.user_claim not in system.entities:
        raise UsageError(
            f"--user-claim {answers.user_claim} does not fix whose key a step may sign with",
            cause=f"ledger.key is {key}, and the policy goes by the entity: jobs of two repositories that are one "
            "entity at Vault could sign with each other's keys.",
            fix=f"On {system.title} one of: {', '.join(system.entities)}.",
            docs="ledger-key",
        )


def _flag(system: System) -> str:
    name = next((name for claim, name, _ in system.required if claim == system.repository), "")
    return flag(name) if name else f"--claim {system.repository}=…"
