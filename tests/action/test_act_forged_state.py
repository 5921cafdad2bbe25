"""A script and a later step that want the end of the job to ask somebody else, or to know nothing: it knows, and asks Vault."""

from __future__ import annotations

from runner import Repository, Step, until

from faulty_vault import FaultyVault
from stepcreds.devstack.stack import Stack

JOB = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
"""
PROVEN = "stepcreds: {}: proven dead (lease lookup and a witness)\n"


def test_another_vault_by_a_line_in_github_env(stack: Stack, repository: Repository) -> None:
    """It would get an identity that is good for the right one, and would say that every lease is gone."""
    with FaultyVault(stack.address) as stranger:
        repository.workflow(
            JOB
            + f"""\
      - name: Hand out
        uses: stepcreds/stepcreds@v1
        with: {{profile: verify, outputs: true}}
      - name: Redirect
        run: |
          echo 'STEPCREDS_VAULT_ADDR={stranger.address}' >> "$GITHUB_ENV"
          echo 'VAULT_SKIP_VERIFY=true' >> "$GITHUB_ENV"
"""
        )
        run = repository.run()
        assert stranger.stages == []
    assert run.steps()[-1] == Step("Post", "Hand out", "success"), run.shown()
    log = run.log("Hand out", "Post")
    assert log.startswith(
        "stepcreds: warning: the environment of this job leads to another Vault now (addresses, skip_verify) than that of "
        f"the step: the end of the job asks {stack.address}, as the step did. Look for what sets STEPCREDS_VAULT_ADDR, "
        "VAULT_… or BAO_… (a line in GITHUB_ENV)\n"
    ), log
    assert PROVEN.format("verify") in log
    assert stack.leases("database/creds/app-verify") == []


def test_a_script_that_empties_its_state_and_the_ledger_and_kills_both_halves(
    stack: Stack, repository: Repository
) -> None:
    repository.workflow(
        JOB
        + """\
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            : > "$GITHUB_STATE"
            rm -rf "$RUNNER_TEMP/stepcreds"
            read -r _ _ _ front _ < "/proc/$PPID/stat"
            echo "$PGUSER" > "$OUTSIDE/user"
            kill -STOP "$front"
            kill -KILL "$PPID" "$front"
"""
    )
    with repository.start() as act:
        run = act.wait()
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Migrate", "failure"),
        Step("Post", "Migrate", "failure"),
    ], run.shown()
    log = run.log("Migrate", "Post")
    assert PROVEN.format("migrate") in log
    assert "stepcreds: error: The ledger that this job's steps wrote is not there any more\n" in log
    user = (repository.outside / "user").read_text().strip()
    until(lambda: user not in stack.issued_roles(), "the user of the step is gone")
    assert stack.leases("database/creds/app-migrate") == []
