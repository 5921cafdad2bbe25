"""`outputs: true`, for an action that must be given values: masked, and ended by the next use, `revoke`, or the job's end."""

from __future__ import annotations

import re

from runner import Repository, Run, Step, transcript
from step_runs import normalised
from transcripts import LOGIN, life

from stepcreds.devstack.stack import Stack

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: First
        id: first
        uses: stepcreds/stepcreds@v1
        with: {profile: verify, outputs: true}
      - name: Use
        env:
          PGHOST: ${{ steps.first.outputs.host }}
          PGPORT: ${{ steps.first.outputs.port }}
          PGDATABASE: ${{ steps.first.outputs.database }}
          PGUSER: ${{ steps.first.outputs.username }}
          PGPASSWORD: ${{ steps.first.outputs.password }}
          URL: ${{ steps.first.outputs.url }}
          EXPIRES: ${{ steps.first.outputs.expires-at }}
        run: |
          printf %s "$PGPASSWORD" > "$OUTSIDE/password"
          printf %s "$PGUSER" > "$OUTSIDE/user"
          sql "SELECT 'it works'"
          echo "$URL until $EXPIRES"
      - name: Next use
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            echo "roles: $(sql "SELECT count(*) FROM pg_roles WHERE rolname = '$(cat "$OUTSIDE/user")'")"
            echo "files: $(grep -rlF -f "$OUTSIDE/password" "$(dirname "$RUNNER_TEMP")" "$HOME" | wc -l)"
      - name: Second
        uses: stepcreds/stepcreds@v1
        with: {profile: verify, outputs: true}
      - name: Revoke
        uses: stepcreds/stepcreds@v1
        with: {revoke: verify}
      - name: Third
        uses: stepcreds/stepcreds@v1
        with: {profile: verify, outputs: true}
      - name: Fail
        run: exit 3
"""
HANDED_OUT = """\
stepcreds: verify: issued database/creds/app-verify as USER, handed out as outputs; measured read in N ms; ends at TIME, or with the next use of \
stepcreds in this job, whichever is first
stepcreds: warning: as an output the credential lives on when this step ends, and any later step of the job can name it. A \
step with run: has it for its own process tree alone, and proves it dead before the next one begins; so does `shell: \
stepcreds exec …`
"""
ENDED = """\
::group::stepcreds: what steps left
stepcreds: verify: proven dead (lease lookup and a witness)
::endgroup::
"""
MIGRATED = """\
stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed
roles: 0
files: 0
stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)
"""
HEAD = """\
| profile | declared access | measured access | TTL | alive | proven dead | ledger entry |
|---|---|---|---|---|---|---|
"""
OF_THIS = f"### Credentials of this step\n\n{HEAD}"
ROW = "| verify | read-only in app | measured read in N ms | 600 s | at most N s | no\\: expires at TIME | CHAIN, seq N, unsigned |\n"
MIGRATED_ROW = "| migrate | ddl in app | measured ddl in N ms | 120 s | N s | TIME | CHAIN, seq N, unsigned |\n"
OF_EARLIER = f"""\
### Credentials of earlier steps

{HEAD}| verify | read-only in app | measured read in N ms | 600 s | N s | TIME | CHAIN, seq N, unsigned |
"""
HAND_OUT = [
    LOGIN,
    "app-verify: update sys/leases/revoke",  # can it be revoked?
    "app-verify: read database/creds/app-verify",
    "app-verify: update auth/token/renew-self",  # it has to last
    "app-verify: update sys/leases/renew",
]
END = [
    LOGIN,
    "app-verify: update sys/leases/revoke",
    "app-verify: update sys/leases/lookup",
    # The witness, which is ended as any other.
    LOGIN,
    "app-verify: update sys/leases/revoke",
    "app-verify: read database/creds/app-verify",
    "app-verify: update auth/token/revoke-accessor",  # the token that the credential was issued to
    "app-verify: update auth/token/revoke-self",
    "app-verify: update sys/leases/revoke",
    "app-verify: update sys/leases/lookup",
    "app-verify: update auth/token/revoke-self",
]
# The end of each step that handed something out looks whether that is gone, whatever the ledger says.
LOOK = [
    LOGIN,
    "app-verify: update sys/leases/lookup",
    "app-verify: update auth/token/revoke-accessor",  # the step's own token, should that be left
    "app-verify: update auth/token/revoke-self",
]
TRANSCRIPT = [*HAND_OUT, *END, *life("migrate"), *HAND_OUT, *END, *HAND_OUT, *END, *LOOK, *LOOK]


def test_each_is_ended_by_what_comes_first(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    since = len(stack.audit())
    run = repository.run()
    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        *(Step("Main", name, "success") for name in ("First", "Use", "Next use", "Second", "Revoke", "Third")),
        Step("Main", "Fail", "failure"),
        *(Step("Post", name, "success") for name in ("Third", "Revoke", "Second", "Next use", "First")),
    ], run.shown()
    password = (repository.outside / "password").read_text()
    assert password in run.masked
    assert password not in run.text

    assert normalised(run.output("First")) == HANDED_OUT
    used = re.sub(r"until \S+", "until TIME", run.log("Use"))
    assert used == "it works\n*** until TIME\n"
    assert normalised(run.output("Next use")) == f"{ENDED}{MIGRATED}"
    assert normalised(run.output("Revoke")) == ENDED
    assert normalised(run.output("Third", "Post")).startswith(ENDED)

    requested = [
        (record["profile"], record["delivery"]) for record in run.records if record["kind"] == "credential.requested"
    ]
    # Each of those that look whether a user is gone has a credential of its own.
    witness = ("verify", "witness")
    outputs = ("verify", "outputs")
    assert [each for each in requested if each != witness] == [outputs, ("migrate", "exec"), outputs, outputs]
    assert {record["verdict"] for record in run.records if record["kind"] == "credential.closed"} == {"proven dead"}
    assert run.records[-1]["kind"] == "chain.closed"
    # On the page of the run each has a row where it is handed out, and one where it is dead.
    assert page(run, "First") == OF_THIS + ROW
    assert page(run, "Next use") == f"{OF_EARLIER}\n\n{OF_THIS}{MIGRATED_ROW}"
    assert page(run, "Revoke") == OF_EARLIER
    ends = [page(run, name, "Post") for name in ("Third", "Revoke", "Second", "Next use", "First")]
    assert ends == [OF_EARLIER, "", "", "", ""]
    assert transcript(stack, since) == TRANSCRIPT


def page(run: Run, step: str, stage: str = "Main") -> str:
    text = re.sub(r"\S+\.jsonl, seq \d+", "CHAIN, seq N", run.summary(step, stage))
    text = re.sub(r"[\d-]+T[\d\\:]+\.\d+Z", "TIME", text)
    text = text.replace(" 599 s ", " 600 s ")  # of an earlier step it is what its record says, to the millisecond
    return re.sub(r"\d+\.\d s", "N s", re.sub(r"in \d+ ms", "in N ms", text))
