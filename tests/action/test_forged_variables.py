"""What a step between writes to GITHUB_ENV in our name: the next use and the end of the job go by what is theirs."""

from __future__ import annotations

import json

from runner import Repository, Step

from stepcreds.devstack.stack import Stack

WITHHELD = json.dumps({"STATE_stepcreds_config": None, "STATE_stepcreds_ledger": None, "RUNNER_TEMP": "/proc/nowhere"})
WORKFLOW = f"""\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Set up
        uses: stepcreds/stepcreds@v1
      - name: Hand out
        uses: stepcreds/stepcreds@v1
        with: {{profile: verify, outputs: true}}
      - name: Forge
        run: |
          echo 'STEPCREDS_WITHHELD={WITHHELD}' >> "$GITHUB_ENV"
          echo 'STEPCREDS_MATRIX={{"region": "us"}}' >> "$GITHUB_ENV"
      - name: By its shell
        shell: stepcreds exec migrate -- bash -e {{0}}
        run: |
          echo "${{STEPCREDS_WITHHELD-none}} ${{STEPCREDS_MATRIX-none}}"
"""
OVER = "stepcreds: the job is over, and nothing of it is alive"


def test_nothing_of_it_is_believed(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    run = repository.run()
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Set up", "success"),
        Step("Main", "Hand out", "success"),
        Step("Main", "Forge", "success"),
        Step("Main", "By its shell", "success"),
        Step("Post", "Hand out", "success"),
        Step("Post", "Set up", "success"),
    ], run.shown()
    assert "none none\n" in run.log("By its shell")
    assert run.log("Hand out", "Post").startswith("stepcreds: verify: proven dead (lease lookup and a witness)\n"), (
        run.shown()
    )
    # One chain, of a job without a matrix, with both steps in it.
    closed = [record["verdict"] for record in run.records if record["kind"] == "credential.closed"]
    assert set(closed) == {"proven dead"}
    deliveries = [record["delivery"] for record in run.records if record["kind"] == "credential.requested"]
    assert deliveries == ["outputs", "exec", "witness"]
    assert stack.leases("database/creds/app-verify") == []
