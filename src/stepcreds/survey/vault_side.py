"""Asks Vault what a step's token can do besides its job: with the token itself, and with the operator's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepcreds.clock import Clock
from stepcreds.config.model import Config, Profile
from stepcreds.errors import VaultError
from stepcreds.scope import token, token_paths
from stepcreds.scope.allowances import day
from stepcreds.scope.token import Rule
from stepcreds.scope.token_families import Place
from stepcreds.survey.asking import Asking, Job
from stepcreds.survey.operator_side import Operator
from stepcreds.survey.result import TokenLook

RESULTANT = "sys/internal/ui/resultant-acl"
NO_OPERATOR = (
    "give VAULT_TOKEN a token that may read policies and JWT roles, or --operator (docs/scope.md has the policy)"
)


def look(job: Job, profile: Profile, config: Config, clock: Clock, operator: Asking | None) -> TokenLook:
    """What else the token can do; `operator` asks with a token that may read more.

    Raises nothing: what Vault would not tell is in `not_examined`.
    """
    engine, _, _ = profile.creds.rpartition("/creds/")
    engines = (engine,) if engine else ()
    key = config.ledger.key or ""
    place = Place(profile, config.profiles, day(clock.now()), engines=engines, key=key, repository_id=job.repository_id)
    rules: list[Rule] = []
    unseen: list[str] = []
    if job.own:
        with Asking(config.vault, job.token, clock) as vault:
            rules, unseen = _by_itself(vault, place)
    if operator is None:
        if not job.own:
            unseen.append("what else the token of a job can do: this was the operator's own")
        unseen.append(f"which other JWT roles this job can take, and policies as they are written: {NO_OPERATOR}")
        return TokenLook(job.policies, token.judge(rules, place), tuple(unseen), bool(rules))
    found = Operator(operator, job, config)
    place = found.place(place)
    policies = found.policies(place)
    written = found.rules(policies)
    if written or not found.unseen:
        unseen = []  # the operator saw what the token itself could not ask
    asked = found.asked(place)
    # What its own list of paths says, the policies say with their names.
    rules = [*written, *asked] if written and not found.unseen else [*written, *rules, *asked]
    findings = token.judge(rules, place)
    roles = found.roles(place)
    unseen = list(dict.fromkeys((*unseen, *found.unseen)))
    return TokenLook(policies, token.in_order((*findings, *roles)), tuple(unseen), bool(rules))


def _by_itself(vault: Asking, place: Place) -> tuple[list[Rule], list[str]]:
    rules: list[Rule] = []
    listed = asked = False
    try:
        rules += _resultant(vault.read(RESULTANT) or {})
        listed = True
    except VaultError:
        pass  # only the `default` policy allows it
    try:
        told = vault.capabilities(token_paths.probes(place))
        rules += [Rule(path, capabilities, asked=True) for path, capabilities in told.items()]
        asked = True
    except VaultError:
        pass
    if listed:
        return rules, ["paths with '+' in the token's policies: Vault's own list leaves them out"]
    if asked:
        return rules, ["paths of the token's policies that nobody thought of asking about"]
    why = "its policies allow neither sys/capabilities-self nor " + RESULTANT
    return [], [f"what else the Vault token can do: {why}"]


def _resultant(data: Mapping[str, Any]) -> list[Rule]:
    """The token's paths as Vault puts them together for its web page; the answer's form is not promised."""
    via = "policies of the role"
    if data.get("root") is True:
        return [Rule("*", frozenset({"root"}), via)]
    rules = []
    for part, end in ("exact_paths", ""), ("glob_paths", "*"):
        paths = data.get(part)
        for path, told in paths.items() if isinstance(paths, dict) else ():
            capabilities = told.get("capabilities") if isinstance(told, dict) else None
            if isinstance(capabilities, list):
                rules.append(Rule(f"{path}{end}", frozenset(map(str, capabilities)), via))
    return rules
