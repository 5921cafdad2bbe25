"""`uses: ./` from a plain clone: set-up without a download, and nothing of the machine's own Python packages."""

from __future__ import annotations

from pathlib import Path

from runner import Repository, transcript
from transcripts import life

from stepcreds.devstack.stack import Stack

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: First
        uses: ./
        with: {profile: verify, run: sql "SELECT 1 + 1"}
      - name: Second
        uses: ./
        with: {profile: verify, run: "ls -1 \\"$RUNNER_TEMP\\"; git status --porcelain"}
"""


def test_a_plain_clone_is_all_it_takes(stack: Stack, repository: Repository, action: Path) -> None:
    repository.git("pull", "--quiet", str(action), "main")
    repository.workflow(WORKFLOW)
    since = len(stack.audit())
    run = repository.run("deploy.yml")
    assert run.code == 0, run.shown()
    assert "2\n" in run.log("First").splitlines(keepends=True)
    # Its bytecode is in a folder of its own, and the checkout is as it was.
    folders = [line for line in run.log("Second").splitlines() if not line.startswith("stepcreds: ")]
    assert "stepcreds-python" in folders
    assert [line for line in folders if line[:2] in ("??", " M")] == []
    assert transcript(stack, since) == 2 * life("verify")
