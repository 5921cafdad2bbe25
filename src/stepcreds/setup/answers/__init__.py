"""What `setup` must be told beside the configuration: whose jobs may have each credential, and how roles are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_MANAGER = "stepcreds_vault"
DEFAULT_CONNECTIONS = 10
DEFAULT_HEADER = "X-Stepcreds-Step"


class ProfileAnswers(NamedTuple):
    """What is answered for one profile."""

    bound_claims: Mapping[str, object]  # claim -> value or list of values, as Vault's JWT role takes them
    role: str  # the database role that stands behind it: the group of a reader or writer, the owner for DDL
    connection_limit: int = DEFAULT_CONNECTIONS
    guard: bool = False  # DDL only: event triggers that refuse DROP, GRANT and SECURITY DEFINER
    outputs: bool = False  # a second, longer-lived role at Vault, for credentials that are handed out as outputs
    connection: str = ""  # its name at Vault's database engine; "": the database's


class Answers(NamedTuple):
    """Everything that is asked, once it is complete."""

    ci: str  # "github", "gitlab", …
    issuer: str  # the OIDC discovery URL, without /.well-known/…
    user_claim: str  # fixes the repository: whoever shares it is one entity to Vault
    claim_mappings: Mapping[str, str]
    profiles: Mapping[str, ProfileAnswers]
    manager: str = DEFAULT_MANAGER  # the user that Vault logs in to a database as
    audit_header: str = DEFAULT_HEADER  # what a step names itself with to Vault's audit log
    audit_leases: bool = True  # whether that log is to say which lease a request was about
    # Where Vault reaches a database, if not where the jobs do: server of the profile ("host:port") -> "host:port".
    reached_by_vault: Mapping[str, str] = {}  # noqa: RUF012 - nobody writes to it
    # The claims of the job that seals, as a profile's; none where the configuration has no `ledger.seal`.
    seal: Mapping[str, object] = {}  # noqa: RUF012 - nobody writes to it
    issuer_ca: str = ""  # PEM of the CA of the issuer's own certificate; "" the system's CAs at Vault
    # For PostgreSQL, whose plugin takes no certificate: server of the profile -> file with its CA on Vault's machine.
    ca_at_vault: Mapping[str, str] = {}  # noqa: RUF012 - nobody writes to it
