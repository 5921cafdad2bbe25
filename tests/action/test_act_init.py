"""The workflow that `stepcreds init` writes runs as it stands, with an address and a database given."""

from __future__ import annotations

from runner import Repository, transcript
from transcripts import life

from starters import init
from stepcreds.devstack.config import location
from stepcreds.devstack.stack import Stack


def test_the_workflow_that_init_writes(stack: Stack, repository: Repository) -> None:
    (repository.folder / "stepcreds.yml").unlink()
    repository.write("migrate.sh", "#!/bin/sh\nsql \"SELECT 'migrating as ' || session_user\"\n", 0o755)
    repository.write("verify.sh", "#!/bin/sh\nsql \"SELECT 'verifying as ' || session_user\"\n", 0o755)
    url = f"postgresql://{location(stack.database)}"
    run = init(repository.folder, "--vault", stack.address, "--database", url)
    assert run.returncode == 0, run.stderr
    written = repository.folder / "stepcreds.yml"
    written.write_text(written.read_text().replace("[public]", "[app]"))  # as the comment there asks
    assert run.stdout.startswith("CI: GitHub Actions (the remote github.com)\nMigrations: a script of your own\n")
    before = len(stack.audit())
    done = repository.run("stepcreds.yml")
    assert done.code == 0, done.shown()
    assert {step.result for step in done.steps()} == {"success"}
    shown = [line.partition("v-")[0] for line in done.text.splitlines() if line.startswith(("migrating", "verifying"))]
    assert shown == ["migrating as ", "verifying as "]
    verdicts = [record["verdict"] for chain in done.chains for record in chain if record["kind"] == "credential.closed"]
    assert verdicts == ["proven dead", "proven dead"]
    assert transcript(stack, before) == life("migrate") + life("verify")
