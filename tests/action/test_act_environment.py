"""A `run` script sees what a plain `run:` step sees, plus the credential, less the identity; and nothing of the Action's."""

from __future__ import annotations

from pathlib import Path

from runner import Repository, transcript
from transcripts import life

from stepcreds.devstack.stack import Stack

WORKFLOW = """\
on: push
env:
  OF_THE_WORKFLOW: "a value, with = and $signs"
  LD_PRELOAD_NOT: kept
  PYTHONUNBUFFERED: "1"
  PYTHONPATH: /nowhere
  LD_LIBRARY_PATH: /nowhere/lib
  SSL_CERT_FILE: /etc/ssl/certs/ca-certificates.crt
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          printf 'GREETING<<END\\nhello\\nworld\\nEND\\n' >> "$GITHUB_ENV"
      - name: Plain
        shell: bash -e {0}
        env:
          OF_THE_STEP: step
        run: env -0 > "$OUTSIDE/plain"
      - name: With a credential
        uses: stepcreds/stepcreds@v1
        env:
          OF_THE_STEP: step
        with:
          profile: verify
          reason: a test
          run: env -0 > "$OUTSIDE/inside"
"""
CREDENTIAL = {"DATABASE_URL", "PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGSSLMODE", "PGUSER"}
IDENTITY = {"ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"}
# Which step this is, and which action: the runner's own words.
OF_THE_RUNNER = {"GITHUB_ACTION", "GITHUB_ACTION_REF", "GITHUB_ACTION_REPOSITORY", "GITHUB_ACTION_PATH"}


def test_the_difference_is_the_credential_and_the_identity(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    since = len(stack.audit())
    run = repository.run(LANG="", LC_ALL="")  # Python would add an LC_CTYPE of its own
    assert run.code == 0, run.shown()
    plain, inside = (variables(repository.outside / name) for name in ("plain", "inside"))
    assert inside.keys() - plain.keys() == CREDENTIAL
    assert plain.keys() - inside.keys() == IDENTITY
    changed = {name for name in plain.keys() & inside.keys() if plain[name] != inside[name]}
    # The state that the runner keeps of an action is not the script's: it has a file with which nothing happens.
    assert changed - OF_THE_RUNNER == {"GITHUB_STATE"}
    assert plain["GREETING"] == "hello\nworld"
    assert plain["LD_LIBRARY_PATH"] == "/nowhere/lib"
    assert transcript(stack, since) == life("verify")


def variables(path: Path) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in path.read_text().split("\0") if entry)
    return {name: value for name, _, value in pairs}
