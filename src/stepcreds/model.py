"""The values that pass from one stage of a credential's life to the next; each is frozen, and none does anything.

`Config -> Identity -> Login -> Lease -> Grant -> Delivery -> Outcome -> Ending -> ledger entry`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from stepcreds.config.model import Profile
from stepcreds.measurement import Measurement, NotMeasured, Used
from stepcreds.secret import Secret


class Identity(NamedTuple):
    """The OIDC token that the CI gave this step. Its claims are *unverified*: Vault verifies them."""

    token: Secret
    claims: Mapping[str, object]
    source: str  # in words, where the token came from: "GitHub Actions", "the variable VAULT_ID_TOKEN"
    variable: str = ""  # the variable that held the token, which the command must not inherit; "" where none did


class Job(NamedTuple):
    """Which job of which run this step belongs to, in the terms of its CI; "" where the CI has no such thing."""

    ci: str  # "github", "gitlab", …, "none"
    iss: str  # issuer of the identity
    repository_id: str
    run_id: str
    run_attempt: str
    job: str
    step: str  # the CI's own name or number of the step
    runner: Mapping[str, str]  # what is worth keeping about the machine: name, os, arch
    # None of these tells job attempts apart. They are the CI's word, of its claims where it has them there.
    actor: str = ""  # who or what set the run off
    ref: str = ""  # in full where the CI says so: refs/heads/main
    commit: str = ""
    matrix: str = ""  # which leg of a matrix: its values, or its index; `job` has it in its name


NOT_YET = NotMeasured("it ended before that was done")
# A token outlives its lease by what an ending may take, so that it can still be asked for the proof.
TOKEN_MARGIN = 90.0  # seconds


class Login(NamedTuple):
    """A Vault token, in memory only."""

    token: Secret
    accessor: str
    policies: tuple[str, ...]
    entity_id: str
    ttl: float  # seconds, from `time`
    renewable: bool
    request_id: str
    time: float  # epoch seconds


class Lease(NamedTuple):
    """What the creds path answered. `fields` are the response's data, nested names joined by dots."""

    lease_id: str  # "" where the engine gives no lease
    duration: float  # seconds, from `time`; 0 where there is no lease
    renewable: bool
    fields: Mapping[str, Secret]
    request_id: str
    time: float  # epoch seconds


class Grant(NamedTuple):
    """A credential somebody looked at, or said in words that nobody did. Made by `scope` alone."""

    profile: Profile
    lease: Lease
    measurement: Measurement


class DeliveredFile(NamedTuple):
    """A file that the command is to find: 0600, in the step's private folder, removed at the end."""

    path: str  # absolute
    content: Secret


class Delivery(NamedTuple):
    """What the command gets."""

    environment: Mapping[str, str]  # it holds the credential in clear
    files: tuple[DeliveredFile, ...]
    removed: tuple[str, ...]  # names taken out of the parent's environment
    inherited: tuple[str, ...]  # names of credential-like variables that the command still inherits
    secrets: tuple[Secret, ...]  # every value that must not be seen in output

    def __repr__(self) -> str:
        return f"Delivery(removed={self.removed!r}, inherited={self.inherited!r}, ***)"


class Outcome(NamedTuple):
    """How the command ended."""

    exit_code: int  # what `exec` would end with: the child's own, 128+n, 124
    reason: Literal["exited", "signalled", "max_ttl", "not_started"]
    cancelled_by: str  # the name of the first signal that asked the step to end, "" if none
    start: float  # epoch seconds
    end: float  # epoch seconds
    descendants_ended: int  # processes that the command had left behind
    survivors: tuple[int, ...]  # process ids that could not be ended: those of another user
    output_lost: str = ""  # why some of the command's output could not be passed on (a full disk), "" if all was


class Leak(NamedTuple):
    """A credential where its command must not have left it."""

    credential_uid: str
    profile: str
    file: str  # "GITHUB_ENV", or a path in which `***` stands for what must not be seen
    line: int  # counted from 1; 0: the name of the file holds it
    name: str  # of the variable that is set there, "" where none is
    removed: bool  # whether it has been taken out


class Holding(NamedTuple):
    """What has to be ended before the step is over: a token, and as soon as it exists its credential.

    Both halves of the pair of processes hold it, so that either can end it alone.
    """

    credential_uid: str
    profile: str  # name of a profile of the configuration
    token: Secret
    accessor: str
    lease_id: str = ""  # "" until issued, and for an engine without leases
    username: str = ""
    password: Secret = Secret("")
    lock_password: Secret = Secret("")  # what the lock sets; made before issuing
    secrets: tuple[Secret, ...] = ()  # every value of it that must not be seen, the password among them
    issue_time: float = 0.0  # epoch seconds; 0 until issued
    expire_time: float = 0.0  # epoch seconds: the shorter of lease and token
    measurement: Measurement = NOT_YET
    ledger: str = ""  # path of the file that its end is to be recorded in,
    chain_uid: str = ""  # and the chain that the file holds


class Lock(NamedTuple):
    """Whether the issued user shut itself out: its own password changed, its other sessions ended."""

    # "tampered": refused while the lease was alive, so the step had changed its own password
    status: Literal["locked", "refused", "tampered", "failed", "unreachable", "not_applicable"]
    time: float | None  # epoch seconds
    detail: str = ""
    sessions_ended: int = 0


class Revocation(NamedTuple):
    """What Vault was asked to do, and what it said."""

    method: Literal["lease", "accessor", "token", "none"]
    # "queued": it failed while the step waited, and Vault goes on trying by itself.
    status: Literal["revoked", "queued", "failed", "not_issued", "impossible"]
    time: float | None  # epoch seconds
    detail: str = ""


LookupAnswer = Literal["gone", "alive", "unknown", "not_checked"]
LoginAnswer = Literal["refused", "accepted", "unknown"]


class LoginProof(NamedTuple):
    """What the database says to a login with a credential that should be dead. Only `refused` proves anything."""

    answer: LoginAnswer
    detail: str = ""


class Proof(NamedTuple):
    """Everything that was looked at to prove the credential dead; None or "not_…" where nothing was looked at."""

    lookup: LookupAnswer
    db_login: Literal["refused", "accepted", "unknown", "not_applicable", "not_checked"]
    witness: Literal["absent", "present", "unknown", "not_checked"]
    method: str  # in words: "lease lookup and refused logins"
    time: float | None  # epoch seconds, of the last proof; None when not proven
    detail: str = ""

    @property
    def proven(self) -> bool:
        return self.time is not None


class Ending(NamedTuple):
    """How a credential ended: the lock, the revocation, and the proof."""

    lock: Lock
    revocation: Revocation
    proof: Proof
    used: Used | None = None  # what the database counted of the command's statements; None: not measured
    recorded: bool = True  # False: the ledger could not take it, and the reader of the log was told
    seq: int | None = None  # of the record that says all this
