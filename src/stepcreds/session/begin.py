"""Who the step is, and the ledger it writes to: what comes before any credential."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepcreds.identity import claims_for_ledger, obtain
from stepcreds.ledger.journal import Journal
from stepcreds.model import Identity
from stepcreds.secret import Secret
from stepcreds.session.step import Keeper, Step, Surroundings


def identify(around: Surroundings, id_token_file: Path | None = None) -> Identity:
    """The identity of this step. Raises `IdentityError`.

    With `--as-operator` it has no claims: Vault knows who the operator is, and the ledger names the token's accessor.
    """
    if around.operator_token is not None:
        return Identity(Secret(""), {}, "the operator's own Vault token")
    return obtain(
        around.config.vault, around.environment, clock=around.clock, ci=around.ci, id_token_file=id_token_file
    )


def begin(
    around: Surroundings,
    identity: Identity,
    keeper: Keeper,
    *,
    argv: tuple[str, ...] | None = None,
    delivery: str,
    inherited: Sequence[str] = (),
    reason: str | None = None,
) -> Step:
    """The step with its ledger open: no ledger, no credential. Raises `LedgerError`."""
    journal = Journal.open(
        around.config.ledger,
        around.ci.job(identity.claims, around.environment),
        step_uid=around.step_uid,
        claims=claims_for_ledger(identity.claims),
        vault_addr=around.config.vault.addresses[0],
        clock=around.clock,
    )
    return Step(
        around,
        journal,
        keeper,
        argv,
        identity=identity,
        reason=reason,
        delivery=delivery,
        inherited=tuple(inherited),
    )
