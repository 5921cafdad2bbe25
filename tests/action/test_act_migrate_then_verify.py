"""The incident, done right, in one job: while the verify step runs, nothing of the migrate step's credential is left."""

from __future__ import annotations

from runner import Repository, Step, transcript, until
from step_runs import normalised, refusal, root
from transcripts import life

from stepcreds.devstack.stack import Stack
from stepcreds.redact import forms

# Nobody tuned for it: the scripts are what people have. What the migration's user and password were, the test learns
# from files that are no part of the job.
WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    permissions: {contents: read, id-token: write}
    environment: production
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            printf %s "$PGUSER" > "$OUTSIDE/user"
            printf %s "$PGPASSWORD" > "$OUTSIDE/password"
            echo "connecting to $DATABASE_URL"
            sql "SET ROLE app_owner" "ALTER TABLE app.orders ADD COLUMN IF NOT EXISTS note text"
      - name: Verify
        uses: stepcreds/stepcreds@v1
        env:
          STAGING: "true"
        with:
          profile: verify
          run: ./verify.sh
"""
VERIFY = """\
#!/bin/bash
touch "$OUTSIDE/verifying"
until [ -e "$OUTSIDE/go" ]; do sleep 0.05; done

echo "columns: $(sql "SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'note'")"
echo "roles: $(sql "SELECT count(*) FROM pg_roles WHERE rolname = '$(cat "$OUTSIDE/user")'")"
echo "sessions: $(sql "SELECT count(*) FROM pg_stat_activity WHERE usename = '$(cat "$OUTSIDE/user")'")"
# In clear, escaped for a URL, and in base64 at any place of a longer text.
for secret in user password; do
  echo "$secret in variables: $(cat /proc/[0-9]*/environ 2> /dev/null | grep -caF -f "$OUTSIDE/$secret.forms")"
done
# The runner's temporary folder, its command files, the workspace, the Action itself, and the home.
echo "password in files: $(grep -rlaF -f "$OUTSIDE/password.forms" "$(dirname "$RUNNER_TEMP")" "$HOME" /dev/shm | wc -l)"
echo "found where it is: $(printf 'x%s' "$(cat "$OUTSIDE/password")" | base64 | grep -cF -f "$OUTSIDE/password.forms")"
[ "$STAGING" = true ] && sql "DROP TABLE app.staging_orders"
echo "dropping: $?"
"""

MIGRATED = """\
stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed
connecting to postgresql://USER:***@HOST/shop?sslmode=disable
stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)
"""
VERIFIED = """\
stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed
columns: 1
roles: 0
sessions: 0
user in variables: 0
password in variables: 0
password in files: 0
found where it is: 1
25006: cannot execute DROP TABLE in a read-only transaction
dropping: 1
stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)
"""


def test_nothing_is_left_while_the_next_step_runs(stack: Stack, repository: Repository) -> None:
    repository.workflow(WORKFLOW)
    repository.write("verify.sh", VERIFY, 0o755)
    since = len(stack.audit())
    with repository.start() as act:
        until((repository.outside / "verifying").exists, "the verify step has begun")
        user, password = ((repository.outside / name).read_text() for name in ("user", "password"))
        alive = stack.issued_roles()
        leases = {name: stack.leases(f"database/creds/{name}") for name in ("app-migrate", "app-verify")}
        refused = refusal(stack, user, password)
        for name, value in (("user", user), ("password", password)):
            (repository.outside / f"{name}.forms").write_bytes(b"\n".join(sorted(forms(value))) + b"\n")
        (repository.outside / "go").touch()
        run = act.wait()

    assert run.code == 0, run.shown()
    assert (len(alive), user in alive) == (1, False)
    assert (leases["app-migrate"], len(leases["app-verify"])) == ([], 1)
    assert refused == "28P01"
    issued = [record for record in run.records if record["kind"] == "credential.issued"]
    assert [root(stack, "PUT", "sys/leases/lookup", lease_id=record["lease_id"]) for record in issued] == [400, 400]

    assert run.steps() == [
        Step("Main", "actions/checkout@v4", "success"),
        Step("Main", "Migrate", "success"),
        Step("Main", "Verify", "success"),
        Step("Post", "Verify", "success"),
        Step("Post", "Migrate", "success"),
    ]
    assert normalised(run.output("Migrate")) == MIGRATED
    assert normalised(run.output("Verify")) == VERIFIED
    assert password in run.masked
    seen = "".join([run.text, *run.texts]).encode()
    assert [form for form in forms(password) if form in seen] == []
    assert [(record["kind"], record.get("verdict")) for record in run.records] == [
        ("chain.opened", None),
        *(begun := [("credential.requested", None), ("credential.issued", None)]),
        ("credential.left", None),
        ("credential.closed", "proven dead"),
        *begun,
        ("credential.closed", "proven dead"),
        ("chain.closed", None),
    ]
    assert transcript(stack, since) == life("migrate") + life("verify")
