"""Which jobs each role is bound to: the claims that were answered for a profile, and those that still have to be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from stepcreds.config.model import Profile
from stepcreds.printable import one_line
from stepcreds.setup.answers.given import BOUND, SEAL, Given, Question, flag, mapping, values, wrong
from stepcreds.setup.answers.issuers import System, Template

_CHANGES = ("read-write", "ddl")


def bound_claims(whose: str, system: System, given: Given, issuer: str) -> dict[str, object]:
    """Claim -> value or list of values. `--claim` has the last word; an empty value takes a claim out again.

    `whose`: a profile's, or SEAL, for which only what was said for it counts.

    Raises `UsageError` for an answer that no token of this CI can fit.
    """
    claims: dict[str, list[object]] = {}
    given = Given({}, given.of_profiles) if whose == SEAL else given
    if system.name == "azure" and issuer:
        # Everybody whom Azure gives such a token, Entra ID first, could present it at Vault.
        claims["org_id"] = [issuer.rpartition("/")[2]]
    for name in BOUND:
        answers = values(given.of(whose, name))
        if answers and name not in system.claims:
            raise wrong(
                f"{flag(name)} says nothing on {system.title}: its tokens have no such claim",
                fix=f"On {system.title}: {', '.join(map(flag, system.claims))}, --claim.",
            )
        for answer in answers:
            for claim, value in _filled(name, system.claims[name], _text(name, answer)):
                known = claims.setdefault(claim, [])
                known += [] if value in known else [value]
    bound: dict[str, object] = {name: found[0] if len(found) == 1 else found for name, found in claims.items()}
    own = given.of_profiles.get(whose, {})
    for source in (system.fixed, mapping(given.of_all.get("claim")), mapping(own.get("claim"))):
        bound.update(source)
    return {claim: value for claim, value in bound.items() if value not in (None, "", [])}


def missing(
    system: System, profiles: Sequence[Profile], given: Given, bound: Mapping[str, Mapping[str, object]]
) -> Iterable[Question]:
    """What has to be bound and is not: the repository always, and a rule that protects what may change anything."""
    asked = set()
    for claim, name, where in system.required:
        without = [whose for whose in bound if claim not in bound[whose]]
        named = [whose for whose in without if whose != SEAL]
        if named and len(named) == len(profiles):
            without = ["", *without[len(named) :]]  # one answer for all
        for profile in without:
            if (name, profile) not in asked:
                asked.add((name, profile))
                example = _SAMPLES.get((system.name, name), "VALUE")
                why = f"only jobs of this one may log in, by {claim}: {where}"
                yield Question(name, profile, flag(name, profile, example), why)
    for each in profiles:
        asks = each.access in _CHANGES and system.guards and not given.of(each.name, "no_environment")
        if asks and not _guarding(system) & set(bound[each.name]):
            yield _guard(each, system)
    if SEAL in bound and system.guards and not _guarding(system) & set(bound[SEAL]):
        first, *others = system.guards
        instead = f" (instead: {', '.join(map(flag, others))})" if others else ""
        why = f"who seals says what the ledgers were, which not every job of the repository may{instead}"
        yield Question(first, SEAL, flag(first, SEAL, _guard_example(first)), why)


def _guard(profile: Profile, system: System) -> Question:
    first, *others = system.guards
    why = (
        f"{profile.access} is for jobs that a rule of yours protects, or every job of the repository has it (instead: "
        f"{', '.join([*map(flag, others), f'--no-environment {profile.name}'])} if every job is meant)"
    )
    return Question(first, profile.name, flag(first, profile.name, _guard_example(first)), why)


def _guarding(system: System) -> set[str]:
    """The claims of which one says which jobs of a repository are meant."""
    return {claim for guard in system.guards for claim, _ in system.claims[guard]}


def _guard_example(name: str) -> str:
    return "production" if name == "environment" else "main"


_SAMPLES = {
    ("github", "repository_id"): "71717171",
    ("gitlab", "repository_id"): "4711",
    ("gcp", "repository_id"): "112233445566778899000",
    ("azure", "workflow"): "12",
    ("forgejo", "repository"): "acme/shop",
    ("buildkite", "repository"): "acme/shop",
    ("kubernetes", "repository"): "ci/1c2d3e4f",
    ("jenkins", "workflow"): "https://jenkins.example.com/job/shop/job/main/",
}


def _filled(name: str, template: Template, value: str) -> Iterable[tuple[str, str]]:
    owner, slash, rest = value.partition("/")
    halves = any("{owner}" in text or "{name}" in text for _, text in template)
    if halves and not (owner and slash and rest):
        raise wrong(f"{flag(name)} {one_line(value, 80)} is not of the form NAME/NAME")
    parts = {"{}": value, "{owner}": owner, "{name}": rest}
    for claim, text in template:
        # One pass: an answer may itself hold "{}".
        yield claim, re.sub(r"\{(?:owner|name)?\}", lambda found: parts[found[0]], text)


def _text(name: str, value: object) -> str:
    text = str(value)
    if not text.isprintable():
        raise wrong(f"{flag(name)} holds a character that cannot be printed")
    if name in ("branch", "ref") and "*" in text:
        raise wrong(
            f"{flag(name)} {one_line(text, 80)} would fit no job: a claim is compared letter for letter",
            cause="No branch or tag has a '*' in its name, and setup binds whole values, not patterns.",
            fix="Name each branch; or bind an environment, whose rules may have patterns.",
        )
    return text
