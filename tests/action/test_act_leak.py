"""A script that copies its credential into what the runner reads after the step: the next step does not see it."""

from __future__ import annotations

from runner import Repository, Step
from step_runs import normalised

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        id: migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            printf %s "$PGPASSWORD" > "$OUTSIDE/password"
            echo "GREETING=hello" >> "$GITHUB_ENV"
            echo "DATABASE_URL=$DATABASE_URL" >> "$GITHUB_ENV"
            echo "token=$(printf %s "$PGPASSWORD" | base64)" >> "$GITHUB_OUTPUT"
      - name: Next
        if: always()
        env:
          TOKEN: ${{ steps.migrate.outputs.token }}
        run: |
          echo "$GREETING"
          env -0 > "$OUTSIDE/next"
"""
SAID = """\
stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; not measured: this version does not \
measure privileges yet; ends at TIME unless renewed
stepcreds: error: The command left the credential of migrate where the CI hands it on: GITHUB_ENV, line 2 (DATABASE_URL); \
GITHUB_OUTPUT, line 1 (token)
  cause: The runner reads such a file when the step has ended, for later steps, for whoever uses the step's outputs, or for \
the page of the run.
  fix: *** stands there now, and nothing of it is handed on. Give each step that needs a credential one of its own:
      stepcreds exec migrate -- COMMAND
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#leaked-credential
stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)
::error::Process completed with exit code 1.
"""


def test_the_next_step_does_not_see_it(repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    run = repository.run()
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Migrate", "failure"),
        Step("Main", "Next", "success"),
        Step("Post", "Migrate", "success"),
    ], run.shown()
    assert run.exit_code("Migrate") == 1
    assert run.log("Next") == "hello\n"
    password = (repository.outside / "password").read_text()
    assert password not in (repository.outside / "next").read_text()
    assert password not in run.text
    assert normalised(run.output("Migrate")) == SAID
    (leaked,) = [record for record in run.records if record["kind"] == "credential.leaked"]
    assert leaked["places"] == [
        {"file": "GITHUB_ENV", "line": 2, "name": "DATABASE_URL", "removed": True},
        {"file": "GITHUB_OUTPUT", "line": 1, "name": "token", "removed": True},
    ]
