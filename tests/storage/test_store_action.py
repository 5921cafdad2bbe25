"""`ledger.push: s3://…` with the Action, which brings no client of object stores: what it says, and the way that works."""

from __future__ import annotations

import sys

from runner import Repository
from stores import BUCKET, S3, SECRET

pytest_plugins = ("store_fixtures",)

URL = f"s3://{BUCKET}/shop"
WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with: {{profile: migrate, run: sql "SELECT 1"}}
      - name: Copy
        if: {condition}
        run: |
          {python} -I -m stepcreds revoke --all
          {python} -I -m stepcreds ledger push
        env: {variables}
"""


def workflow(condition: str, store: S3) -> str:
    return WORKFLOW.format(condition=condition, python=sys.executable, variables=store.environment())


def test_the_action_alone_says_what_to_do(repository: Repository, s3: S3) -> None:
    repository.configure(lambda text: f"{text}ledger:\n  push: {URL}\n")
    repository.workflow(workflow("false", s3))
    run = repository.run()
    assert run.code == 0, run.shown()
    assert (
        f"stepcreds: warning: {URL} cannot be used from here: s3fs is not installed\n"
        "  Clients of object stores are extras of the package; the Action, stepcreds.pyz and the image have none.\n"
        "  Run: pip install 'stepcreds[s3]'\n"
        "  In a job with the Action: pipx run --spec 'stepcreds[s3]' stepcreds ledger push, as its last step, after "
        "`stepcreds revoke --all`; or set ledger.push to artifact.\n"
    ) in unindented(run.output("Migrate", "Post"))
    assert s3.keys() == []


def test_and_fails_the_job_where_it_is_told_to(repository: Repository, s3: S3) -> None:
    repository.configure(lambda text: f"{text}ledger:\n  push: {URL}\n  on_push_failure: fail\n")
    repository.workflow(workflow("false", s3))
    run = repository.run()
    assert run.code != 0
    assert f"stepcreds: error: {URL} cannot be used from here: s3fs is not installed\n" in run.output("Migrate", "Post")


def test_a_step_of_the_job_copies_it(repository: Repository, s3: S3) -> None:
    """Closed and copied by an installation that has the extra; the end of the job finds that done."""
    repository.configure(lambda text: f"{text}ledger:\n  push: {URL}\n  on_push_failure: fail\n")
    repository.workflow(workflow("always()", s3))
    run = repository.run()
    assert run.code == 0, run.shown()
    (chain,) = run.texts
    (key,) = [key for key in s3.keys() if key.endswith(".jsonl")]  # noqa: SIM118
    assert s3.get(key).decode() == chain
    said = run.output("Migrate", "Post")
    assert "warning" not in said
    assert "the job is over, and nothing of it is alive" in said
    assert SECRET not in run.output("Copy")


def unindented(text: str) -> str:
    """A warning's further lines stand a little to the right."""
    return "\n".join(f"  {line.strip()}" if line.startswith(" ") else line for line in text.splitlines()) + "\n"
