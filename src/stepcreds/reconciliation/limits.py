"""What cannot be told from an audit log as it is, and which of Vault's settings would tell it from then on."""

from __future__ import annotations

from collections.abc import Iterator

from stepcreds.reconciliation.audit_entry import HASHED
from stepcreds.reconciliation.ledger_side import LedgerSide
from stepcreds.reconciliation.logins import run_of
from stepcreds.reconciliation.revocations import Revocations
from stepcreds.reconciliation.vault_side import VaultSide


def limits(ledgers: LedgerSide, vault: VaultSide) -> Iterator[str]:
    """One sentence for each."""
    revocations = Revocations(vault)
    if revocations.is_hashed:
        yield (
            "which lease a revocation was of: the log has it as a hash, so it is taken for the one lease of its token. "
            "OpenBao tells it with: bao write sys/mounts/sys/tune audit_non_hmac_request_keys=lease_id"
        )
    if revocations.is_mixed:
        yield (
            "which token was revoked by its accessor: the log has accessors as hashes in one place and in clear in the "
            "other. hmac_accessor=false of the audit device goes with: "
            "bao write sys/mounts/auth/token/tune audit_non_hmac_request_keys=accessor"
        )
    hashed = sorted({signed.key for signed in vault.signatures.values() if signed.input.startswith(HASHED)})
    for mount in sorted({key.rpartition("/keys/")[0] for key in hashed}):
        yield (
            f"which checkpoints Vault signed: {mount} tells it with: "
            f"bao write sys/mounts/{mount}/tune audit_non_hmac_request_keys=input"
        )
    if any(each.view.requested and not each.view.issued for each in ledgers.held) and any(
        issue.accessor.startswith(HASHED) for issue in vault.issues.values()
    ):
        yield (
            "what became of a request that a step wrote down before it was killed: its accessor is in the log as a "
            "hash. The audit device tells it with hmac_accessor=false"
        )
    if vault.logins and not any(map(run_of, vault.logins.values())):
        yield (
            "which run a login was of: the tokens' metadata does not say. The role tells it with claim_mappings, as "
            "`stepcreds setup` writes them"
        )
    if vault.issues and not vault.steps:
        yield (
            "which step asked, as a hint: the log has no header. Vault tells it with: "
            "bao write sys/config/auditing/request-headers/X-Stepcreds-Step hmac=false"
        )
