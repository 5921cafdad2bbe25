"""Every file of examples/workflows runs as it stands, with the stack's address and databases in stepcreds.yml."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
import yaml
from runner import ROOT, Repository, Run, without_ledger
from transcripts import by_login, life

from stepcreds.devstack.stack import Stack

EXAMPLES = ROOT / "examples" / "workflows"
SCRIPTS = {
    "migrate.sh": "#!/bin/sh\nsql \"SELECT 'migrating as ' || session_user\"\n",
    "verify.sh": "#!/bin/sh\nsql \"SELECT 'verifying as ' || session_user\"\n",
}


class Example(NamedTuple):
    """What it does: the profile of each credential, by the job that it was issued to."""

    name: str
    issued: dict[str, list[str]]


EACH = [
    Example("migrate-then-verify.yml", {"deploy": ["migrate", "verify"]}),
    Example("ddl-job.yml", {"migrate": ["migrate"], "verify": ["verify"]}),
    Example("matrix.yml", {"migrate (eu)": ["migrate-eu"], "migrate (us)": ["migrate-us"]}),
    Example("reusable-caller.yml", {"migrate": ["migrate", "verify"]}),
    Example("monorepo.yml", {"orders": ["migrate"], "billing": ["migrate", "orders"]}),
]


@pytest.fixture
def shop(stack: Stack, repository: Repository) -> Repository:
    """The repository with all that the examples expect of the one they are copied to."""
    whole = yaml.safe_load(without_ledger(stack.config_text()))
    migrate, verify = whole["profiles"]["migrate"], whole["profiles"]["verify"]

    def write(name: str, **profiles: object) -> None:
        repository.write(name, json.dumps({**whole, "profiles": profiles}))  # which is YAML

    write("stepcreds.yml", migrate=migrate, verify=verify, **{"migrate-eu": migrate, "migrate-us": migrate})
    write("services/orders/stepcreds.yml", migrate=migrate)
    write("deploy/billing.yml", migrate=migrate, orders={**verify, "env": {"ORDERS_URL": "{url}"}})
    for folder in ("", "services/orders/", "services/billing/"):
        for name, text in SCRIPTS.items():
            repository.write(folder + name, text, 0o755)
    for path in EXAMPLES.glob("*.yml"):
        repository.workflow(path.read_text(), path.name)
    return repository


@pytest.mark.parametrize("example", EACH, ids=lambda example: example.name)
def test_runs(stack: Stack, shop: Repository, example: Example) -> None:
    since = len(stack.audit())
    run = shop.run(example.name)
    assert run.code == 0, run.shown()
    assert {step.result for step in run.steps()} == {"success"}
    assert issued(run) == example.issued
    for chain in run.chains:
        ends = [record["verdict"] for record in chain if record["kind"] == "credential.closed"]
        assert set(ends) == {"proven dead"}
        assert chain[-1]["kind"] == "chain.closed"
    shown = [line for line in run.text.splitlines() if line.startswith(("migrating as v-", "verifying as v-"))]
    scripts = sum(len(profiles) for profiles in example.issued.values()) - (example.name == "monorepo.yml")
    assert len(shown) == scripts
    profiles = [profile for names in example.issued.values() for profile in names]
    assert by_login(stack, since) == sorted(life(role(profile)) for profile in profiles)


def role(profile: str) -> str:
    return "migrate" if profile.startswith("migrate") else "verify"


def issued(run: Run) -> dict[str, list[str]]:
    return {
        chain[0]["job"]["job"]: [record["profile"] for record in chain if record["kind"] == "credential.requested"]
        for chain in run.chains
    }


def test_every_example_is_run() -> None:
    run = {example.name for example in EACH} | {"reusable.yml"}
    # act has neither an object store nor artifacts of other runs: tests/seals/test_seal_examples.py and
    # tests/storage/test_review_example.py run their lines.
    run |= {"seal.yml", "review.yml"}
    assert {path.name for path in EXAMPLES.glob("*.yml")} == run
