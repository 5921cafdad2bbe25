"""`ledger.push: artifact`: each job's chain becomes an artifact of its run, at a real artifact service."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from zipfile import ZipFile

from runner import Repository
from transcripts import by_login, life

from stepcreds.devstack.stack import Stack

WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        region: [eu, us]
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with: {profile: migrate, run: sql "SELECT 1"}
      - name: Verify
        uses: stepcreds/stepcreds@v1
        with: {profile: verify, run: sql "SELECT 2"}
"""


def test_the_chain_of_each_job_is_an_artifact(stack: Stack, repository: Repository, tmp_path: Path) -> None:
    repository.configure(lambda text: f"{text}ledger:\n  push: artifact\n")
    repository.workflow(WORKFLOW)
    store = tmp_path / "artifacts"
    server = ("--artifact-server-path", str(store), "--artifact-server-addr", "127.0.0.1")
    since = len(stack.audit())
    run = repository.run(arguments=(*server, "--artifact-server-port", str(free_port())))
    assert run.code == 0, run.shown()
    pushed = sorted(text for path in store.rglob("*.zip") for text in unpacked(path))
    assert pushed == sorted(run.texts)
    for text in pushed:
        assert json.loads(text.splitlines()[-1])["kind"] == "chain.closed"
    assert by_login(stack, since) == [*2 * [life("migrate")], *2 * [life("verify")]]


def unpacked(path: Path) -> list[str]:
    with ZipFile(path) as archive:
        return [archive.read(name).decode() for name in archive.namelist()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
