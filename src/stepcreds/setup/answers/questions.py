"""From what was given to complete answers, or to the questions that are still open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stepcreds.config.model import Config, Profile
from stepcreds.printable import one_line
from stepcreds.setup.answers import DEFAULT_CONNECTIONS, DEFAULT_HEADER, DEFAULT_MANAGER, Answers, ProfileAnswers
from stepcreds.setup.answers.binding import bound_claims, missing
from stepcreds.setup.answers.given import SEAL, Given, MissingAnswersError, Question, by_server, wrong
from stepcreds.setup.answers.issuers import BY_NAME, System
from stepcreds.setup.connections import LONGEST_MANAGER, has_connection, server
from stepcreds.setup.group_names import role_names

SYSTEM_CAS = "system"  # the answer to vault_ca where the CAs of Vault's machine are enough
_MANAGER = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{LONGEST_MANAGER - 1}}}")
_CONNECTION = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)?")
_HEADER = re.compile(r"[A-Za-z0-9-]{0,64}")  # "": none is audited


def complete(config: Config, given: Given) -> Answers:
    """Everything that is asked. Raises `MissingAnswersError`, and `UsageError` for answers that cannot be."""
    profiles = tuple(config.profiles.values())
    system = _system(given.text("ci"))
    issuer = given.text("issuer", system.issuer).rstrip("/")
    whose = [*config.profiles, *([SEAL] if config.ledger.seal is not None else [])]
    bound = {each: bound_claims(each, system, given, issuer) for each in whose}
    open_questions = [*_about_issuer(system, issuer), *missing(system, profiles, given, bound)]
    open_questions += _about_certificates(profiles, given)
    if open_questions:
        raise MissingAnswersError(open_questions)
    roles = role_names(profiles, _roles(profiles, given))
    paths = by_server(profiles, given, "vault_ca")
    return Answers(
        ci=system.name,
        issuer=_fitting(issuer, "--issuer", re.compile(r"https?://[!-~]+"), "a URL"),
        user_claim=_user_claim(system, given),
        claim_mappings=system.mappings,
        profiles={
            profile.name: ProfileAnswers(
                bound[profile.name],
                roles[profile.name],
                _number(profile.name, given.of(profile.name, "connection_limit")),
                _guard(profile, given),
                bool(given.of(profile.name, "outputs")),
                _connection(given.of(profile.name, "connection")),
            )
            for profile in profiles
        },
        manager=_fitting(
            given.text("manager", DEFAULT_MANAGER),
            "--manager",
            _MANAGER,
            f"1 to {LONGEST_MANAGER} letters, digits, '_' and '-': it becomes part of a URL at Vault",
        ),
        audit_header=_fitting(given.text("audit_header", DEFAULT_HEADER), "--audit-header", _HEADER, "a header's name"),
        audit_leases=not given.of_all.get("no_lease_audit"),
        reached_by_vault=by_server(profiles, given, "vault_reaches"),
        issuer_ca=given.text("issuer_ca"),
        seal=bound.get(SEAL, {}),
        ca_at_vault={where: path for where, path in paths.items() if path != SYSTEM_CAS},
    )


def _system(name: str) -> System:
    if not name:
        why = "which CI the jobs run on; neither the environment nor the repository's files say"
        raise MissingAnswersError([Question("ci", "", "--ci github", why, tuple(BY_NAME))])
    if name not in BY_NAME:
        raise wrong(f"--ci {one_line(name, 40)} is no CI that setup knows", fix=f"One of: {', '.join(BY_NAME)}.")
    return BY_NAME[name]


def _about_issuer(system: System, issuer: str) -> Iterable[Question]:
    if not issuer:
        why = f"who signs the tokens of {system.title}: {system.where}"
        yield Question("issuer", "", f"--issuer {system.example}", why)


def _about_certificates(profiles: Sequence[Profile], given: Given) -> Iterable[Question]:
    """PostgreSQL's plugin reads the CA from a file on Vault's machine, where the job's own path means nothing."""
    known = set(by_server(profiles, given, "vault_ca"))
    for profile in profiles:
        url = profile.database
        if url is None or url.engine != "postgresql" or url.sslrootcert is None or not has_connection(profile):
            continue
        if server(url) not in known:
            known.add(server(url))
            why = (
                f"the file on Vault's machine with the CA of {server(url)}, as the job's {url.sslrootcert.name} is not "
                f"there ({SYSTEM_CAS}: that machine's own CAs)"
            )
            flag = f"--vault-ca {server(url)}=/etc/ssl/db-ca.pem"
            yield Question("vault_ca", "", flag, why, server=server(url))


def _roles(profiles: Sequence[Profile], given: Given) -> dict[str, str]:
    names = {}
    for profile in profiles:
        name = given.of(profile.name, "owner" if profile.access == "ddl" else "group")
        if name:
            names[profile.name] = str(name)
    return names


def _number(profile: str, value: object) -> int:
    if value is None:
        return DEFAULT_CONNECTIONS
    text = str(value)
    if not text.isdecimal() or not 0 < int(text) < 10_000:
        raise wrong(f"--connection-limit of profile {profile} is not a number from 1 to 9999")
    return int(text)


def _guard(profile: Profile, given: Given) -> bool:
    if given.of_profiles.get(profile.name, {}).get("guard") and profile.access != "ddl":
        raise wrong(f"--guard {profile.name} guards nothing: it is for profiles with access: ddl")
    return bool(given.of(profile.name, "guard")) and profile.access == "ddl"


def _connection(name: object) -> str:
    return _fitting(
        str(name or ""),
        "--connection",
        _CONNECTION,
        "a name of letters, digits, '_', '-' and '.'",
    )


def _user_claim(system: System, given: Given) -> str:
    claim = given.text("user_claim", system.user_claims[0])
    if claim not in system.user_claims:
        raise wrong(
            f"--user-claim {one_line(claim, 80)} does not fix the repository",
            cause="Whoever shares its value is one entity at Vault, and its policies cannot tell them apart.",
            fix=f"On {system.title} one of: {', '.join(system.user_claims)}.",
        )
    return claim


def _fitting(text: str, name: str, form: re.Pattern[str], words: str) -> str:
    if not form.fullmatch(text):
        raise wrong(f"{name} {one_line(text, 200)} is not {words}")
    return text
