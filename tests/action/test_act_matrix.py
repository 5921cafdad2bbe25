"""Each leg of a matrix has a chain of its own, also where they share a ledger; two uses in a job share one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from runner import Repository, Step, transcript, until
from step_runs import normalised
from transcripts import by_login, life

from stepcreds.devstack.stack import Stack

MATRIX = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        region: [eu, us]
        version: [14]
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            touch "$OUTSIDE/${{ matrix.region }}"
            if [ ${{ matrix.region }} = us ]; then
              until [ -e "$OUTSIDE/eu-is-over" ]; do sleep 0.05; done
            fi
            sql "SELECT 1"
"""
TWO_USES = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: First
        uses: stepcreds/stepcreds@v1
        with: {profile: migrate, run: "true"}
      - name: Second
        uses: stepcreds/stepcreds@v1
        with: {profile: verify, run: "true"}
"""


def test_legs_of_a_matrix_end_nothing_of_each_other(stack: Stack, repository: Repository) -> None:
    shared = repository.outside / "ledger"
    repository.configure(lambda text: f"{text}ledger:\n  path: {shared}\n")
    repository.workflow(MATRIX)
    since = len(stack.audit())
    with repository.start() as act:
        # The leg for eu has ended, its chain is closed, and the one for us still runs.
        until(lambda: all((repository.outside / name).exists() for name in ("eu", "us")), "both legs run")
        until(lambda: "chain.closed" in kinds_in(shared), "one leg is over")
        assert repository.stack.issued_roles() != set()
        (repository.outside / "eu-is-over").touch()
        run = act.wait()
    assert run.code == 0, run.shown()
    chains = [[json.loads(line) for line in path.read_text().splitlines()] for path in shared.glob("*.jsonl")]
    assert sorted(chain[0]["job"]["job"] for chain in chains) == ["deploy (eu, 14)", "deploy (us, 14)"]
    for chain in chains:
        assert [(record["kind"], record.get("verdict")) for record in chain] == [
            ("chain.opened", None),
            ("credential.requested", None),
            ("credential.issued", None),
            ("credential.left", None),
            ("credential.closed", "proven dead"),
            ("chain.closed", None),
        ]
    # Each by the token of its own login.
    assert by_login(stack, since) == 2 * [life("migrate")]


def kinds_in(folder: Path) -> set[str]:
    return {str(json.loads(line)["kind"]) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()}


def test_two_uses_share_a_chain_that_is_closed_once(stack: Stack, repository: Repository) -> None:
    repository.workflow(TWO_USES)
    since = len(stack.audit())
    run = repository.run()
    assert run.steps()[1:] == [
        Step("Main", "First", "success"),
        Step("Main", "Second", "success"),
        Step("Post", "Second", "success"),
        Step("Post", "First", "success"),
    ], run.shown()
    assert [(record["kind"], record.get("verdict")) for record in run.records] == [
        ("chain.opened", None),
        *(begun := [("credential.requested", None), ("credential.issued", None)]),
        ("credential.left", None),
        ("credential.closed", "proven dead"),
        *begun,
        ("credential.closed", "proven dead"),
        ("chain.closed", None),
    ]
    ends = normalised(run.output("Second", "Post")), normalised(run.output("First", "Post"))
    assert sorted(end.count("CHAIN is closed\n") for end in (re.sub(r"\S+\.jsonl", "CHAIN", end) for end in ends)) == [
        0,
        1,
    ]
    assert transcript(stack, since) == life("migrate") + life("verify")
