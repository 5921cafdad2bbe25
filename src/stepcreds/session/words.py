"""What is said about a credential's end, in the words of the ledger; it decides nothing."""

from __future__ import annotations

import math

from stepcreds.clock import rfc3339
from stepcreds.errors import CancelledError, StepcredsError, UnprovenError
from stepcreds.ledger.credential import verdict
from stepcreds.measurement import Measurement, NotMeasured
from stepcreds.model import Ending, Grant, Holding, Outcome


def handed_over(grant: Grant, holding: Holding) -> str:
    """One line, before the command's own: what it gets, how wide it was declared and until when it lives."""
    profile = grant.profile
    declared = f"declared {profile.access}" + (f" in {', '.join(profile.schemas)}" if profile.schemas else "")
    user = f" as {holding.username}" if holding.username else ""
    until = "never" if holding.expire_time == math.inf else f"at {rfc3339(holding.expire_time)} unless renewed"
    return (
        f"{profile.name}: issued {profile.creds}{user}; {declared if profile.access else 'no access declared'}; "
        f"{measured(grant.measurement)}; ends {until}"
    )


def measured(measurement: Measurement) -> str:
    """What was found out, in a few words: "measured read in 24 ms", or why nobody looked."""
    if isinstance(measurement, NotMeasured):
        return f"not measured: {measurement.reason}"
    beyond = f", {len(measurement.excess)} beyond the profile" if measurement.excess else ""
    allowed = sum(finding.standing == "allowed" for finding in measurement.findings)
    beyond += f", {allowed} allowed" if allowed else ""
    return f"measured {measurement.level}{beyond} in {math.ceil(measurement.seconds * 1000)} ms"


def handed_out(grant: Grant, holding: Holding) -> str:
    """One line: what later steps of the job can name, and until when it lives if nobody ends it."""
    user = f" as {holding.username}" if holding.username else ""
    return (
        f"{grant.profile.name}: issued {grant.profile.creds}{user}, handed out as outputs; "
        f"{measured(grant.measurement)}; ends at {rfc3339(holding.expire_time)}, or with the next use of stepcreds in "
        "this job, whichever is first"
    )


def remarks(outcome: Outcome) -> list[str]:
    """What the log should say about how the command ended, beside its exit code."""
    texts = []
    if outcome.reason == "max_ttl":
        texts.append("max_ttl was reached: the command was ended")
    if outcome.output_lost:
        texts.append(f"output of the command was lost: {outcome.output_lost}")
    if outcome.survivors:
        processes = ", ".join(map(str, outcome.survivors))
        texts.append(
            f"processes of another user could not be ended and may still hold the credential, which is revoked now: "
            f"{processes}"
        )
    return texts


def lost(reason: str, is_held: bool) -> StepcredsError:
    """One half of the pair is gone; `is_held`: with something to end."""
    return StepcredsError(
        f"The process that ran this step was lost: {reason}",
        cause="Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.",
        fix="What it held is ended by the process that is left, which says below how that went."
        if is_held
        else "It held no credential.",
        docs="worker-lost",
    )


def cancelled(signal_name: str) -> CancelledError:
    """The step was asked to end before its command ran."""
    return CancelledError(
        f"Ended by {signal_name} before the command ran",
        cause="The job was cancelled, or the runner lost its other half."
        if signal_name == "SIGKILL"
        else "The job was cancelled, or somebody pressed Ctrl-C.",
        docs="cancelled",
    )


def ended(holding: Holding, ending: Ending, outcome: Outcome | None) -> str:
    """One line: the verdict, and what it rests on."""
    words = verdict(ending, holding.expire_time or None)
    proof = ending.proof
    if proof.time is None:
        return f"{holding.profile}: {words}" + (f" ({proof.detail})" if proof.detail else "")
    after = f" {max(0.0, proof.time - outcome.end):.2f} s after the command ended" if outcome is not None else ""
    return f"{holding.profile}: {words}{after} ({proof.method})"


def tampering(holding: Holding, ending: Ending) -> str | None:
    """What to say about a lock that found another password than it was issued; None if it did not."""
    lock = ending.lock
    found = lock.status == "tampered"
    return f"{holding.profile}: {lock.detail}" if found else None


def unproven(holding: Holding, ending: Ending, *, job_is_over: bool = False) -> StepcredsError:
    """The failure of a step whose credential may still be alive: which, until when, and what to run.

    `job_is_over`: nobody can run anything in a step of the same job any more.
    """
    details = [
        f"{what}: {detail}"
        for what, detail in (
            ("Lock", ending.lock.detail if ending.lock.status != "locked" else ""),
            ("Revocation", ending.revocation.detail if ending.revocation.status != "revoked" else ""),
            ("Proof", ending.proof.detail),
        )
        if detail
    ]
    expiry, lives = holding.expire_time, until(holding)
    proof = ending.proof
    if proof.lookup == "gone" and (proof.db_login == "accepted" or proof.witness == "present"):
        fix = "Vault has no lease of it any more, and will not end it: the database lost its end in a crash, or "
        fix += f"somebody made it anew. Drop the user {holding.username} there, and then have that proven:"
        fix += f"\n  stepcreds revoke {'--as-operator ' if job_is_over else ''}--lease {holding.lease_id}"
    elif holding.lease_id and job_is_over:
        fix = f"The lease is {holding.lease_id}; {lives}. End it and prove it, with a Vault token of your own:"
        fix += f"\n  stepcreds revoke --as-operator --lease {holding.lease_id}"
    elif holding.lease_id:
        fix = f"The lease is {holding.lease_id}; {lives}. End it and prove it, in a step of the same job:"
        fix += f"\n  stepcreds revoke --lease {holding.lease_id}"
    elif ending.revocation.status == "revoked":
        fix = f"Whatever was issued ends with the token that asked for it (accessor {holding.accessor}), which is "
        fix += "revoked. Whether anything was issued, Vault's audit log says."
    elif job_is_over:
        fix = "Its lease is not known. End the token that asked for it, with a Vault token of your own:"
        fix += f"\n  vault token revoke -accessor {holding.accessor}"
    else:
        fix = "Its lease is not known. End it, in a step of the same job:\n  stepcreds revoke"
    return UnprovenError(
        f"The credential of profile {holding.profile} is not proven dead: {verdict(ending, expiry or None)}",
        cause="\n".join(details),
        fix=fix,
        docs="not-proven-dead",
    )


def until(holding: Holding) -> str:
    """Until when it lives, if nobody ends it."""
    if holding.expire_time == math.inf:
        return "it never expires"
    return f"it expires at {rfc3339(holding.expire_time)}" if holding.expire_time else "when it expires is not known"


def was_said_dead(holding: Holding) -> StepcredsError:
    """The failure of a job in whose ledger somebody wrote what is not so."""
    return UnprovenError(
        f"The ledger says that the credential of profile {holding.profile} was dead, and Vault still had its lease "
        f"{holding.lease_id}",
        cause="Something other than stepcreds has written to the ledger, or something put the lease back.",
        fix="The credential is dead now. Look at the steps between, and keep the ledger as evidence.",
        docs="altered-ledger",
    )


def defect(holding: Holding, error: str) -> StepcredsError:
    """The failure of stepcreds itself to end a credential; `error` names it without quoting anything."""
    lease = f"\n  stepcreds revoke --lease {holding.lease_id}" if holding.lease_id else "\n  stepcreds revoke"
    return UnprovenError(
        f"The credential of profile {holding.profile} is not ended in order: {error}",
        cause="This is a defect of stepcreds.",
        fix="Its token is revoked instead, which ends what it was given a little later. Prove it, in a step of the "
        f"same job:{lease}",
        docs="not-proven-dead",
    )
