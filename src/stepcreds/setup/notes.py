"""What a reader should know beside the plan: what is not made, and what was answered wider than it might be."""

from __future__ import annotations

from collections.abc import Iterable

from stepcreds.config.model import Config, Profile
from stepcreds.setup.answers import Answers
from stepcreds.setup.answers.given import SEAL, flag, values
from stepcreds.setup.answers.issuers import BY_NAME
from stepcreds.setup.connections import has_connection

# Bound by themselves, and no rule about which jobs.
_NO_LIMIT = {"org_id", "oidc.circleci.com/ssh-rerun"}
OUTPUTS = "-outputs"  # behind the name of a JWT role: the one for credentials that are handed out


def notes(config: Config, answers: Answers) -> Iterable[str]:
    """In sentences, profile by profile."""
    for profile in config.profiles.values():
        yield from _about(profile, answers)
    yield from _about_seal(config, answers)
    if config.vault.namespace is not None and answers.audit_header:
        yield f"The header {answers.audit_header} is audited for the whole server, and set up in the root namespace."


def _about_seal(config: Config, answers: Answers) -> Iterable[str]:
    system = BY_NAME.get(answers.ci)
    if config.ledger.seal is None or system is None:
        return
    claims = [claim for claim, _, _ in system.required]
    shared = [
        name
        for name, each in answers.profiles.items()
        if all(set(values(each.bound_claims.get(claim))) & set(values(answers.seal.get(claim))) for claim in claims)
    ]
    if shared:
        yield (
            f"{SEAL}: the job that seals is of the repository whose ledgers it seals ({', '.join(shared)}). One that "
            "those who work there cannot write to is safer: who can change its workflow can have anything sealed."
        )


def _about(profile: Profile, answers: Answers) -> Iterable[str]:
    if not has_connection(profile):
        yield f"{profile.name}: what issues at {profile.creds} is not made here; its policy and its JWT role are."
    system = BY_NAME.get(answers.ci)
    bound = set(answers.profiles[profile.name].bound_claims)
    if system is not None and system.guards and bound <= {claim for claim, _, _ in system.required} | _NO_LIMIT:
        *others, last = map(flag, system.guards)
        narrower = f"{', '.join(others)} or {last}" if others else last
        yield f"{profile.name}: every job of the repository may log in; {narrower} would make it fewer."
    if answers.ci == "github" and "sub" in bound:
        yield (
            f"{profile.name}: repositories made, renamed or moved since 15 July 2026 have another sub, "
            "repo:OWNER@ID/NAME@ID:…; other claims are the same for all."
        )
    if answers.profiles[profile.name].outputs:
        role = f"{profile.role.lower()}{OUTPUTS}"
        yield f"{profile.name}: a profile that is handed out as outputs may say role: {role}"
