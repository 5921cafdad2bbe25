"""What a Vault token can do beside what its profile is for, judged by the paths of its policies; it asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepcreds.measurement import LEVELS, Finding, Level
from stepcreds.scope import allowances
from stepcreds.scope.judgement import DECLARED
from stepcreds.scope.path_patterns import overlaps
from stepcreds.scope.token_families import CHANGING, CODES, READING, Place, families
from stepcreds.scope.token_paths import is_harmless

_EXAMPLES = 3
_COUNTS = CHANGING | READING | {"list", "scan", "sudo", "root"}  # what a finding may be about


class Rule(NamedTuple):
    """One path of a policy, or one path that was asked about."""

    path: str
    capabilities: frozenset[str]
    via: str = ""  # "policy app-verify"; "" where nobody knows which
    asked: bool = False  # nobody read it: the server said so of this very path


def judge(rules: Iterable[Rule], place: Place) -> tuple[Finding, ...]:
    """What `rules` give beyond what the profile is for, each with its standing; excess first, the worst first.

    What was only asked about counts where no policy that was read says the same.
    """
    ordered = sorted(rules, key=lambda rule: rule.asked)
    denied = {rule.path for rule in ordered if "deny" in rule.capabilities}
    found: dict[str, Finding] = {}
    read: list[Finding] = []
    for rule in ordered:
        for finding in _findings(rule, place, denied):
            if rule.asked and any(_covers(each, finding) for each in read):
                continue
            found[finding.name] = _joined(found.get(finding.name), finding)
            if not rule.asked:
                read.append(finding)
    return in_order(stand(finding, place) for finding in found.values())


def stand(finding: Finding, place: Place) -> Finding:
    """`finding` with its standing: whatever is more than worth knowing is excess, unless `allow` names it."""
    if finding.level == "info":
        return finding
    because = finding.because or f"of Vault the profile needs {place.profile.creds} and nothing else"
    return allowances.stand(finding, because, place.profile, place.today)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Excess first, and within one standing the worst first."""

    def rank(finding: Finding) -> tuple[int, int, int, str]:
        standing = ("excess", "allowed", "within").index(finding.standing)
        return standing, -LEVELS.index(finding.level), list(CODES).index(finding.code), finding.subject

    return tuple(sorted(findings, key=rank))


def other_role(path: str, policies: Sequence[str], gives: Sequence[Finding], place: Place, *, note: str) -> Finding:
    """That this job can also log in with the JWT role at `path`, whose policies give `gives`.

    Where a profile of the same configuration has the role this is as intended, and only worth knowing.
    """
    name = path.rsplit("/", 1)[-1]
    own = any(profile.role == name for profile in place.profiles.values())
    worst = max(gives, key=lambda each: LEVELS.index(each.level), default=None)
    what = f"log in as {name} as well (policies: {', '.join(policies) or 'none'})"
    if worst is not None and worst.level != "info":
        what += f", and then {worst.what}"
    return Finding(
        "VAULT.ROLE",
        "info" if own or worst is None else worst.level,
        what,
        path,
        via=f"the claims of this job fit {path}{note}",
        fix="Bind the role to what this job does not have (another environment, another job_workflow_ref), or put the "
        f"step into a job of its own: bao read {path}",
        because="whoever runs code in this job has these powers too: a step is no boundary between credentials",
    )


def _findings(rule: Rule, place: Place, denied: set[str]) -> list[Finding]:
    path, capabilities = rule.path, rule.capabilities
    if "deny" in capabilities or not capabilities & _COUNTS or is_harmless(path, capabilities, place):
        return []
    if "root" in capabilities or (path in ("*", "+/*") and capabilities & CHANGING):
        root = _finding("VAULT.ROOT", "admin", "do everything at Vault", rule)
        return [root._replace(subject="")]
    found: dict[str, Finding] = {}
    for family in families(place):
        if capabilities & family.capabilities and family.holds(path):
            if family.code == "VAULT.CREDS":
                finding = _creds(rule, place, denied)
            else:
                finding = _finding(family.code, family.level, family.phrase, rule)
            found[family.code] = _worse(found.get(family.code), finding)
    return list(found.values()) or [_other(rule, place)]


def _creds(rule: Rule, place: Place, denied: set[str]) -> Finding:
    """The level of another profile's credential is what that profile declares; nobody knows that of any other."""
    path = rule.path
    level: Level = "admin"
    what = f"issue other credentials at {path}"
    for profile in place.profiles.values():
        if profile.creds == path and profile.access is not None:
            level = DECLARED[profile.access]
            what = f"issue the credential of profile {profile.name} ({profile.access}) at {path}"
    known = dict.fromkeys((*place.known, *(profile.creds for profile in place.profiles.values())))
    others = [each for each in known if each not in denied | {path, place.profile.creds} and overlaps(path, each)]
    finding = _finding("VAULT.CREDS", level, what, rule)
    return finding._replace(objects=tuple(others[:_EXAMPLES]), number=max(1, len(others)))


def _other(rule: Rule, place: Place) -> Finding:
    """A path that gives none of the powers of the table."""
    first = rule.path.split("/")[0]
    code = {"sys": "VAULT.SYSTEM", "auth": "VAULT.AUTH", "identity": "VAULT.IDENTITY"}.get(first, "VAULT.PATH")
    for family in families(place):
        if family.holds(rule.path):
            code = family.code
            break
    if rule.capabilities & CHANGING:
        return _finding(code, "write" if code == "VAULT.PATH" else "admin", "write to {path}", rule)
    if "read" in rule.capabilities and code == "VAULT.PATH":
        return _finding(code, "read", "read {path}", rule)
    return _finding(code, "info", "look at {path}", rule)


def _finding(code: str, level: Level, phrase: str, rule: Rule) -> Finding:
    out_of = f"the {rule.via}" if rule.via else "the policies of the role"
    return Finding(
        code,
        level,
        phrase.replace("{path}", rule.path),
        rule.path,
        via=rule.via,
        fix=f'Take the path "{rule.path}" out of {out_of}; docs/vault.md has the least that a step needs.',
    )


def _worse(one: Finding | None, other: Finding) -> Finding:
    return other if one is None or LEVELS.index(other.level) > LEVELS.index(one.level) else one


def _joined(one: Finding | None, other: Finding) -> Finding:
    """The same power by two ways: the worse of the two, and both ways."""
    if one is None:
        return other
    ways = dict.fromkeys(way for each in (one, other) for way in each.via.split(", ") if way)
    return _worse(one, other)._replace(via=", ".join(ways))


def _covers(read: Finding, asked: Finding) -> bool:
    """Whether a policy that was read already says what the server was asked about."""
    if read.code == "VAULT.ROOT":
        return True
    same = read.code == asked.code and LEVELS.index(read.level) >= LEVELS.index(asked.level)
    return same and overlaps(read.subject, asked.subject)
