"""docs/identity.md is true: on a real OpenBao, each section's role lets its claims in and no other job's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from stepcreds.ci.azure import AUDIENCE
from stepcreds.ci.claims import claims_for_ledger, claims_for_messages
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.errors import ConfigError
from stepcreds.secret import Secret
from stepcreds.setup import vault

PAGE = Path(__file__).parents[2] / "docs" / "identity.md"
EXAMPLE_FILES = PAGE.parents[1] / "examples"
SECTIONS = {
    text.partition("\n")[0]: text
    for text in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
}
EXAMPLES = {
    name: tuple(json.loads(block) for block in blocks)
    for name, text in SECTIONS.items()
    if (blocks := re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL))
}


def test_every_ci_has_claims_and_a_role() -> None:
    assert set(EXAMPLES) == {
        "GitHub Actions", "Forgejo and Gitea", "GitLab", "Jenkins", "Buildkite", "CircleCI", "Azure Pipelines",
        "Bitbucket", "Kubernetes", "Google Cloud",
    }  # fmt: skip
    assert all(len(blocks) == 2 for blocks in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_claim_named_is_one_that_the_ledger_keeps_and_messages_show(name: str) -> None:
    claims, _ = EXAMPLES[name]
    assert claims_for_ledger(claims) == claims
    assert set(claims_for_messages(claims)) == set(claims)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_role_is_what_setup_makes(name: str) -> None:
    """As docs/vault.md has it, for the profile `migrate` of examples/stepcreds.yml: only the binding differs."""
    config = load_config(EXAMPLE_FILES / "stepcreds.yml", {}, EXAMPLE_FILES, SystemClock())
    claims, settings = EXAMPLES[name]
    audience = claims["aud"]
    made = vault.jwt_role(
        config.profiles["migrate"],
        audience=audience if isinstance(audience, str) else audience[0],
        bound_claims=settings["bound_claims"],
        policies=["app-migrate"],
        user_claim=settings["user_claim"],
    )
    # Of a new role Vault has these two by itself.
    assert {"claim_mappings": {}, "bound_claims_type": "string", **settings} == made


@pytest.fixture
def role(stack: Stack, name: str) -> Iterator[str]:
    path = f"auth/{provision.MOUNT}/role/docs"
    with stack.client() as vault:
        vault.write_data(path, data=EXAMPLES[name][1])
        yield "docs"
        vault.delete(path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_role_lets_the_claims_in_and_no_others(stack: Stack, name: str, role: str) -> None:
    claims, settings = EXAMPLES[name]
    for bound in settings["bound_claims"]:
        assert login(stack, role, changed(claims, bound)).status_code == 400
    assert login(stack, role, {**claims, "aud": "https://other.example.com"}).status_code == 400
    let_in = login(stack, role, claims)
    assert let_in.status_code == 200, let_in.text
    given = let_in.json()["auth"]
    assert (given["policies"], given["token_type"], given["lease_duration"]) == (["app-migrate"], "service", 210)
    with stack.client(Secret(given["client_token"])) as step:
        lease = step.read("database/creds/app-migrate")["lease_id"]
        step.write_data("sys/leases/revoke", data={"lease_id": lease, "sync": True})
        assert stack.leases("database/creds/app-migrate") == []
        step.auth.token.revoke_self()


def login(stack: Stack, role: str, claims: Mapping[str, Any]) -> requests.Response:
    others = {name: None for name in stack.issuer.claims if name not in claims}
    said = {name: value for name, value in claims.items() if name != "aud"}
    token = stack.issuer.token(claims["aud"], **{**others, **said})
    body = {"role": role, "jwt": token.reveal()}
    return requests.post(f"{stack.address}/v1/auth/{provision.MOUNT}/login", json=body, timeout=30)


def changed(claims: Mapping[str, Any], bound: str) -> dict[str, Any]:
    """`claims` with another value where `bound` points: a name, or a JSON pointer."""
    copy: dict[str, Any] = json.loads(json.dumps(claims))
    *path, last = bound.split("/")[1:] if bound.startswith("/") else [bound]
    place = copy
    for part in path:
        place = place[part]
    assert last in place
    place[last] = "another"
    return copy


YAML = [block for text in SECTIONS.values() for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)]


def test_the_lines_to_paste_are_yaml() -> None:
    assert len(YAML) == 9
    assert all(isinstance(yaml.safe_load(block), (dict, list)) for block in YAML)


PROFILES = """\
profiles:
  migrate: {creds: rabbitmq/creds/app, env: {PASSWORD: "{password}"}}
"""


def test_azures_audience_is_accepted_where_the_address_stands_outside_the_file(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(vault:.*?)```", SECTIONS["Azure Pipelines"], flags=re.DOTALL)
    path = tmp_path / "stepcreds.yml"
    path.write_text(f"version: 1\n{block}{PROFILES}")
    environment = {"STEPCREDS_VAULT_ADDR": "https://vault.example.com:8200"}
    assert load_config(path, environment, tmp_path, SystemClock()).vault.audience == AUDIENCE
    path.write_text(f"version: 1\n{block}  address: https://vault.example.com:8200\n{PROFILES}")
    with pytest.raises(ConfigError):
        load_config(path, {}, tmp_path, SystemClock())


def test_the_examples_name_profiles_and_the_audience_of_their_configuration() -> None:
    config = load_config(EXAMPLE_FILES / "stepcreds.yml", {}, EXAMPLE_FILES, SystemClock())
    pipelines = [
        EXAMPLE_FILES / name
        for name in ("workflows/migrate-then-verify.yml", "gitlab/.gitlab-ci.yml", "jenkins/Jenkinsfile")
    ]
    for pipeline in pipelines:
        text = pipeline.read_text(encoding="utf-8")
        assert (
            set(re.findall(r"(?:stepcreds exec |profile: )(\w+)", text))
            == set(config.profiles)
            == {"migrate", "verify"}
        )
        assert set(re.findall(r"https://vault\S*\d", text)) <= {config.vault.audience}
        if pipeline.suffix == ".yml":
            assert isinstance(yaml.safe_load(text), dict)
