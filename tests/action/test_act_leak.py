"""A script that leaves its credential behind: what the runner reads after the step is cleaned, the rest is found."""

from __future__ import annotations

import re

from runner import Repository, Step, transcript
from step_runs import normalised
from transcripts import life

from stepcreds.devstack.stack import Stack
from stepcreds.redact import forms

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
ISSUED = """\
stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed
"""
PROVEN = "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
HANDED_ON = """\
stepcreds: error: The command left the credential of migrate where the CI hands it on: GITHUB_ENV, line 2 (DATABASE_URL); \
GITHUB_OUTPUT, line 1 (token)
  cause: The runner reads such a file when the step has ended, for later steps, for whoever uses the step's outputs, or for \
the page of the run.
  fix: *** stands there now, and nothing of it is handed on. Give each step that needs a credential one of its own:
      stepcreds exec migrate -- COMMAND
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#leaked-credential
"""


def test_the_next_step_does_not_see_it(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    since = len(stack.audit())
    run = repository.run()
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Migrate", "failure"),
        Step("Main", "Next", "success"),
        Step("Post", "Migrate", "success"),
    ], run.shown()
    assert run.exit_code("Migrate") == 1
    assert run.log("Next") == "hello\n"
    values = forms((repository.outside / "password").read_text())
    seen = (repository.outside / "next").read_bytes() + "".join([run.text, *run.texts]).encode()
    assert [value for value in values if value in seen] == []
    failed = "::error::Process completed with exit code 1.\n"
    assert normalised(run.output("Migrate")) == f"{ISSUED}{HANDED_ON}{PROVEN}{failed}"
    (leaked,) = [record for record in run.records if record["kind"] == "credential.leaked"]
    assert leaked["places"] == [
        {"file": "GITHUB_ENV", "line": 2, "name": "DATABASE_URL", "removed": True},
        {"file": "GITHUB_OUTPUT", "line": 1, "name": "token", "removed": True},
    ]
    assert transcript(stack, since) == life("migrate")


FILES = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            printf %s "$PGPASSWORD" > "$OUTSIDE/password"
            umask 077
            echo "$PGHOST:$PGPORT:$PGDATABASE:$PGUSER:$PGPASSWORD" > "$HOME/.pgpass"
            mkdir -p build
            printf 'a dump\\nof %s\\n' "$(printf %s "$PGPASSWORD" | base64)" > build/dump.txt
            echo nothing > build/report.txt
      - name: Without a search
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          leak-scan: "false"
          run: echo "$PGPASSWORD" > build/again.txt
"""
LEFT = """\
stepcreds: warning: files that the command changed hold the credential of migrate, and outlive the step: HOME/.pgpass, line \
1; WORKSPACE/build/dump.txt, line 2. Remove them before anything caches or uploads them; a file for a client belongs in \
files: of the profile
"""


def test_other_files_are_found(stack: Stack, repository: Repository) -> None:
    """A warning, because what they hold is dead; nothing of them is changed."""
    repository.workflow(FILES)
    since = len(stack.audit())
    run = repository.run()
    assert {step.result for step in run.steps()} == {"success"}, run.shown()
    password = (repository.outside / "password").read_text()
    pgpass = repository.home / ".pgpass"
    assert password in pgpass.read_text()
    assert plain(repository, run.output("Migrate")) == f"{ISSUED}{PROVEN}{LEFT}"
    assert plain(repository, run.output("Without a search")) == f"{ISSUED}{PROVEN}"
    assert plain(repository, run.summary("Migrate")).endswith(
        "\n**Leaked:** HOME/.pgpass, line 1; WORKSPACE/build/dump.txt, line 2\n"
    )
    (leaked,) = [record for record in run.records if record["kind"] == "credential.leaked"]
    assert [{**place, "file": plain(repository, place["file"])} for place in leaked["places"]] == [
        {"file": "HOME/.pgpass", "line": 1, "name": "", "removed": False},
        {"file": "WORKSPACE/build/dump.txt", "line": 2, "name": "", "removed": False},
    ]
    assert not [value for value in forms(password) if value in "".join([run.text, *run.texts]).encode()]
    assert transcript(stack, since) == 2 * life("migrate")


def plain(repository: Repository, text: str) -> str:
    """`text` without what differs from run to run, and without the backslashes of Markdown."""
    text = normalised(text.replace("\\", "")).replace(str(repository.home), "HOME")
    return re.sub(r"/[^\s:]*/hostexecutor", "WORKSPACE", text)
