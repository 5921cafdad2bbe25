"""`uses: stepcreds/stepcreds@v1` without `run` puts stepcreds on PATH; then a custom shell runs whole steps inside it."""

from __future__ import annotations

from runner import Repository, transcript
from step_runs import normalised
from transcripts import life

from stepcreds import __version__
from stepcreds.devstack.stack import Stack

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    permissions: {contents: read, id-token: write}
    steps:
      - uses: actions/checkout@v4
      - name: Set up
        uses: stepcreds/stepcreds@v1
      - name: Migrate
        shell: stepcreds exec migrate -- bash -eo pipefail {0}
        run: |
          sql "SELECT session_user LIKE '%app-migrate%'"
          for n in 1 2; do echo "line $n"; done
      - name: Fail
        if: always()
        shell: stepcreds exec verify -- bash -eo pipefail {0}
        run: |
          false | true
          echo not reached
      - name: By name
        if: always()
        run: |
          stepcreds --version
          echo "${PGPASSWORD-no password}"
          exec stepcreds exec verify --quiet -- sql "SELECT 1 + 1"
"""
ISSUED = (
    "stepcreds: {0}: issued database/creds/app-{0} as USER; declared {1} in app; measured {2} in N ms; "
    "ends at TIME unless renewed\n"
)
DEAD = "stepcreds: {0}: proven dead N s after the command ended (lease lookup and refused logins)\n"


def test_whole_steps_run_inside_stepcreds(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    since = len(stack.audit())
    run = repository.run()
    assert run.log("Set up") == ""
    migrate = ISSUED.format("migrate", "ddl", "ddl") + "True\nline 1\nline 2\n" + DEAD.format("migrate")
    assert normalised(run.output("Migrate")) == migrate, run.shown()
    assert normalised(run.output("Fail")) == ISSUED.format("verify", "read-only", "read") + DEAD.format("verify")
    assert run.exit_code("Fail") == 1
    assert run.log("By name") == f"stepcreds {__version__}\nno password\n2\n"
    assert run.exit_code("By name") == 0
    assert transcript(stack, since) == life("migrate") + 2 * life("verify")
    assert [record["verdict"] for record in run.records if record["kind"] == "credential.closed"] == ["proven dead"] * 3
    assert run.records[-1]["kind"] == "chain.closed"
