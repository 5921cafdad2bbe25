"""A configuration and the answers, made into one plan: the databases first, then Vault from the login to the roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from stepcreds.config.model import Config, DatabaseURL, Profile
from stepcreds.errors import UnsupportedError, UsageError
from stepcreds.setup import connections, mysql, postgresql, sealing, signing, vault
from stepcreds.setup.answers import Answers
from stepcreds.setup.connections import Connection
from stepcreds.setup.notes import OUTPUTS, notes
from stepcreds.setup.plan import DatabasePlan, Plan, Setting
from stepcreds.setup.signing import AUDITED


class Engine(Protocol):
    """What the module of a database engine offers."""

    def database_plan(self, url: DatabaseURL, profiles: Sequence[Profile], answers: Answers) -> DatabasePlan: ...

    def role_statements(self, profile: Profile, answers: Answers) -> tuple[Sequence[str], Sequence[str]]: ...


_ENGINES: Mapping[str, Engine] = {"postgresql": postgresql, "mysql": mysql, "mariadb": mysql}


def build(config: Config, answers: Answers) -> Plan:
    """Everything that the profiles of `config` need on the other side.

    Raises `UsageError` where two profiles that share a role, a creds path or a database contradict each other, and for
    a name that cannot be written safely.
    """
    try:
        return _plan(config, answers)
    except UnsupportedError as error:
        # The names are the configuration's and the answers'.
        raise UsageError(error.what, cause=error.cause, fix=error.fix, docs=error.docs) from None


def _plan(config: Config, answers: Answers) -> Plan:
    profiles = tuple(config.profiles.values())
    made = connections.connections(profiles, answers)
    of_steps = [*signing.settings(config, answers), *_jwt_roles(config, answers, profiles)]
    settings = [
        *_login(config, answers),
        *of_steps,
        *sealing.settings(config, answers, of_steps),
        *_engines(made),
        *(setting for connection in made for setting in _connection(connection, answers)),
        *_header(config, answers),
        *_lease_audit(answers),
    ]
    databases = tuple(_database(connection, answers) for connection in made)
    return Plan(databases, tuple(settings), tuple(notes(config, answers)))


def _login(config: Config, answers: Answers) -> Iterable[Setting]:
    mount = config.vault.mount
    yield Setting("auth_mount", f"sys/auth/{mount}", {"type": "jwt"}, "Jobs log in here with their CI's own token.")
    body: dict[str, object] = {"oidc_discovery_url": answers.issuer, "bound_issuer": answers.issuer}
    if answers.issuer_ca:
        body["oidc_discovery_ca_pem"] = answers.issuer_ca
    yield Setting("auth_config", f"auth/{mount}/config", body, "Whose tokens: this issuer's, and nobody else's.")


def _jwt_roles(config: Config, answers: Answers, profiles: Sequence[Profile]) -> Iterable[Setting]:
    by_role: dict[str, list[Profile]] = {}
    for profile in profiles:
        by_role.setdefault(vault.role_name(profile.role, f"profiles.{profile.name}.role"), []).append(profile)
    outputs = {
        role + OUTPUTS for role, group in by_role.items() if any(answers.profiles[each.name].outputs for each in group)
    }
    for role, group in by_role.items():
        names = " and ".join(profile.name for profile in group)
        text = vault.policy(*group, ledger_key=config.ledger.key, mount=config.vault.mount)
        yield Setting("policy", f"sys/policies/acl/{role}", {"policy": text}, f"All that a step with {names} may do.")
        body = vault.jwt_role(
            group[0]._replace(ttl=max(p.ttl for p in group), max_ttl=max(p.max_ttl for p in group)),
            audience=config.vault.audience,
            bound_claims=_one_answer(role, group, answers),
            policies=[role],
            user_claim=answers.user_claim,
            claim_mappings=answers.claim_mappings,
        )
        # A profile that is handed out already has it as its own role.
        body = vault.outputs_role(body) if role in outputs else body
        path = f"auth/{config.vault.mount}/role/{role}"
        yield Setting("jwt_role", path, body, f"Which jobs may log in for {names}.")
        if role + OUTPUTS in outputs - by_role.keys():
            why = f"The same jobs, for {names} as outputs: the token lasts from the start, as nobody renews it."
            yield Setting("jwt_role", path + OUTPUTS, vault.outputs_role(body), why)


def _one_answer(role: str, group: Sequence[Profile], answers: Answers) -> dict[str, object]:
    first, *others = group
    bound = dict(answers.profiles[first.name].bound_claims)
    for other in others:
        if dict(answers.profiles[other.name].bound_claims) != bound:
            raise UsageError(
                f"The profiles {first.name} and {other.name} share the role {role} and are bound to different jobs",
                cause="Whoever may log in with a role may have the credentials of all its profiles.",
                fix="Give each profile a role of its own, or the same claims.",
                docs="setup",
            )
    return bound


def _engines(made: Sequence[Connection]) -> Iterable[Setting]:
    for mount in dict.fromkeys(connection.mount for connection in made):
        yield Setting("mount", f"sys/mounts/{mount}", {"type": "database"}, "The engine that makes database users.")


def _connection(connection: Connection, answers: Answers) -> Iterable[Setting]:
    roles: dict[str, list[Profile]] = {}
    for profile in connection.profiles:
        parts = connections.creds_parts(profile)
        assert parts is not None  # noqa: S101 - `connections` has looked
        roles.setdefault(vault.role_name(parts[1], f"profiles.{profile.name}.creds"), []).append(profile)
    yield Setting(
        "connection",
        connection.path,
        connections.body(connection, answers, list(roles)),
        f"Vault logs in to {connection.url.database or connection.url.host} as {connection.manager}, for these roles "
        "only.",
        secret=("password",),
    )
    for role, group in roles.items():
        creation, revocation = _one_role(group, answers)
        body = vault.database_role(
            group[0]._replace(ttl=max(p.ttl for p in group), max_ttl=max(p.max_ttl for p in group)),
            connection=connection.name,
            creation=creation,
            revocation=revocation,
        )
        why = f"How a user for {' and '.join(p.name for p in group)} is made, and how it is ended for good."
        yield Setting("database_role", f"{connection.mount}/roles/{role}", body, why)


def _one_role(group: Sequence[Profile], answers: Answers) -> tuple[Sequence[str], Sequence[str]]:
    first, *others = group
    statements = _engine(first).role_statements(first, answers)
    for other in others:
        if _engine(other).role_statements(other, answers) != statements:
            raise UsageError(
                f"The profiles {first.name} and {other.name} share {first.creds} and ask for different users",
                cause="One path issues one kind of user: the same access, schemas, role and connection limit.",
                fix="Give each profile a creds path of its own.",
                docs="setup",
            )
    return statements


def _database(connection: Connection, answers: Answers) -> DatabasePlan:
    own = answers._replace(manager=connection.manager)
    plan = _engine(connection.profiles[0]).database_plan(connection.url, connection.profiles, own)
    return plan._replace(manager=connection.manager)


def _engine(profile: Profile) -> Engine:
    assert profile.database is not None  # noqa: S101 - it has a connection
    return _ENGINES[profile.database.engine]


def _header(config: Config, answers: Answers) -> Iterable[Setting]:
    if config.vault.namespace is None and answers.audit_header:
        path = f"sys/config/auditing/request-headers/{answers.audit_header}"
        yield Setting("header", path, {"hmac": False}, "The audit log says which step a request came from.")


def _lease_audit(answers: Answers) -> Iterable[Setting]:
    """OpenBao alone has it, since 2025. The lease is in clear already where it was issued: nobody learns more by it.

    https://github.com/openbao/openbao/pull/921
    """
    if answers.audit_leases:
        why = "The audit log says which lease a revocation was of."
        yield Setting("lease_audit", "sys/mounts/sys/tune", {AUDITED: ["lease_id"]}, why)
