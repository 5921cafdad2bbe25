"""What a record says before the journal gives it a place, and the records about a chain itself; no credential's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import NamedTuple

from stepcreds import __version__
from stepcreds.ledger.canonical import fitted, valid
from stepcreds.model import Job

_LONGEST = 500  # characters of what a job says of itself
NEVER = "never"  # the expire_time of a credential that has no lease and no end

Record = dict[str, object]  # a whole record, as it stands in the file


class Event(NamedTuple):
    """What a record says, before it has a place in a chain."""

    kind: str  # a key of fields.KINDS
    step_uid: str  # of the step that the record is about
    fields: Mapping[str, object]


def new_uid() -> str:
    """A random UUID (version 4, RFC 9562); the standard library's module would cost a step its import."""
    bits = bytearray(os.urandom(16))
    bits[6] = bits[6] & 0x0F | 0x40
    bits[8] = bits[8] & 0x3F | 0x80
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


JOB_IDENTITY = ("iss", "repository_id", "run_id", "run_attempt", "job")


def job_identity(job: Job) -> dict[str, str]:
    """What makes a job attempt the same job attempt, on every machine and in every step of it."""
    return {name: valid(getattr(job, name)) for name in JOB_IDENTITY}


def chain_opened(
    step_uid: str,
    job: Job,
    *,
    nonce: str,
    claims: Mapping[str, object],
    vault_addr: str,
    key: str | None,
) -> Event:
    """The first record of a chain. `claims` are those of the identity's that may be shown; never the token."""
    return Event(
        "chain.opened",
        step_uid,
        {
            "claims": fitted(dict(claims)),
            "job": {"ci": job.ci, **job_identity(job), **_of_job(job)},
            "nonce": nonce,
            "runner": fitted(dict(job.runner)),
            "tool_version": __version__,
            "trust": {"vault_addr": vault_addr, "key": key},
        },
    )


def _of_job(job: Job) -> dict[str, str]:
    """What is worth knowing of a job beyond its identity: what it ran for, and on what."""
    told = {"actor": job.actor, "ref": job.ref, "commit": job.commit, "matrix": job.matrix}
    return {name: valid(text[:_LONGEST]) for name, text in told.items()}


def chain_recovered(step_uid: str, torn: bytes, kept: str) -> Event:
    """A last line without its end was found, `torn`; it was never acknowledged, and stands in the file `kept`."""
    digest = hashlib.sha256(torn).hexdigest()
    return Event("chain.recovered", step_uid, {"bytes": len(torn), "sha256": digest, "kept": kept})


def chain_closed(step_uid: str, entries: int) -> Event:
    """The last record of a chain of `entries` records, this one included."""
    return Event("chain.closed", step_uid, {"entries": entries})
