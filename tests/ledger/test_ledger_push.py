"""A ledger's way out of the job: into a folder where nothing is overwritten, and to GitHub's artifact service."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from conftest import Step
from stepcreds.clock import SystemClock
from stepcreds.config.model import ARTIFACT, LedgerSettings
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.faults import ledger_error
from stepcreds.ledger.push import FolderSink, Shipment, push
from stepcreds.shipping import ship

NAME = "4711-1-deploy-0eec0e3b3609.jsonl"
SIGNED = NAME.replace(".jsonl", ".checkpoints")
CHAIN = b'{"kind":"chain.closed"}\n'
CHECKPOINTS = b'{"payload":"e30="}\n'
GOODS = Shipment(NAME, CHAIN, None)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    file = tmp_path / "ledger" / NAME
    file.parent.mkdir()
    file.write_bytes(CHAIN)
    return file


def test_a_copy_that_nothing_overwrites(chain: Path, tmp_path: Path) -> None:
    settings = LedgerSettings(chain.parent, None, tmp_path / "kept" / "here")
    clock = SystemClock()
    copy = tmp_path / "kept" / "here" / NAME
    assert ship(chain, settings, {}, clock) == str(copy)
    assert copy.read_bytes() == CHAIN
    assert copy.stat().st_mode & 0o777 == 0o600
    # Once is enough; and whoever asks again with the note lost, finds the same there.
    assert ship(chain, settings, {}, clock) == ""
    (chain.parent / f"{NAME}.pushed").unlink()
    assert ship(chain, settings, {}, clock) == str(copy)
    # The job goes on: another ledger under the same name.
    chain.write_bytes(CHAIN * 2)
    with pytest.raises(LedgerError) as caught:
        ship(chain, settings, {}, clock)
    other = re.sub(r"\.jsonl$", ".8d8f5bb86de2.jsonl", NAME)
    (new,) = [file.name for file in copy.parent.iterdir() if file.name != NAME]
    assert re.fullmatch(other.replace("8d8f5bb86de2", "[0-9a-f]{12}"), new)
    assert caught.value.what == (
        f"The ledger {NAME} could not be copied to its place: {copy} holds another ledger than this job's; this one was copied "
        f"to {new} beside it"
    )
    assert (copy.read_bytes(), (copy.parent / new).read_bytes()) == (CHAIN, CHAIN * 2)
    assert chain.read_bytes() == CHAIN * 2


def test_a_folder_is_looked_into_again(chain: Path, tmp_path: Path) -> None:
    """The note beside the ledger says what was copied, and where to; not that it is still there."""
    settings = LedgerSettings(chain.parent, None, tmp_path / "kept")
    clock = SystemClock()
    copy = tmp_path / "kept" / NAME
    assert ship(chain, settings, {}, clock) == str(copy)
    copy.unlink()
    assert ship(chain, settings, {}, clock) == str(copy)
    copy.write_bytes(CHAIN + b"forged\n")
    with pytest.raises(LedgerError) as caught:
        ship(chain, settings, {}, clock)
    assert f"{copy} holds another ledger than this job's; this one was copied to " in caught.value.what
    assert sorted(file.read_bytes() for file in copy.parent.iterdir()) == [CHAIN, CHAIN + b"forged\n"]
    # Another place is another copy.
    elsewhere = LedgerSettings(chain.parent, None, tmp_path / "elsewhere")
    assert ship(chain, elsewhere, {}, clock) == str(tmp_path / "elsewhere" / NAME)


def test_the_checkpoints_go_along_and_share_the_name(chain: Path, tmp_path: Path) -> None:
    settings = LedgerSettings(chain.parent, None, tmp_path / "kept")
    (chain.parent / SIGNED).write_bytes(CHECKPOINTS)
    assert ship(chain, settings, {}, SystemClock()) == str(tmp_path / "kept" / NAME)
    assert contents(tmp_path / "kept") == {NAME: CHAIN, SIGNED: CHECKPOINTS}
    # They are signed again: also a chain that is what it was goes beside, or its checkpoints would not be found.
    (chain.parent / SIGNED).write_bytes(CHECKPOINTS * 2)
    with pytest.raises(LedgerError):
        ship(chain, settings, {}, SystemClock())
    digest = hashlib.sha256(hashlib.sha256(CHAIN).digest() + hashlib.sha256(CHECKPOINTS * 2).digest()).hexdigest()[:12]
    stem = NAME.removesuffix(".jsonl")
    assert contents(tmp_path / "kept") == {
        NAME: CHAIN,
        SIGNED: CHECKPOINTS,
        f"{stem}.{digest}.jsonl": CHAIN,
        f"{stem}.{digest}.checkpoints": CHECKPOINTS * 2,
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


WRITER = """
import sys
from pathlib import Path
from stepcreds.ledger.push import FolderSink, Shipment, push
print("begun", flush=True)
push(Shipment(sys.argv[2], b"x" * 60_000_000, b"y" * 1000), FolderSink(Path(sys.argv[1])))
"""


def test_a_copy_that_is_killed_leaves_nothing_half_there(tmp_path: Path) -> None:
    """Killed as soon as its file begins to grow: with the name it is to have, nothing is there."""
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir(0o700)
        with subprocess.Popen([sys.executable, "-c", WRITER, folder, NAME], stdout=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while not part_of_chain(folder):
                assert time.monotonic() < deadline
                assert process.poll() is None, "it was over before it could be killed"
            process.kill()
        assert not (folder / NAME).exists()
        assert push(Shipment(NAME, b"x" * 60_000_000, b"y" * 1000), FolderSink(folder)) == str(folder / NAME)


def part_of_chain(folder: Path) -> bool:
    return any(NAME in each.name for each in folder.iterdir())


def test_a_name_that_no_ledger_has(tmp_path: Path) -> None:
    file = tmp_path / "a b?.jsonl"
    file.write_bytes(CHAIN)
    with pytest.raises(LedgerError) as caught:
        ship(file, LedgerSettings(tmp_path, None, tmp_path / "kept"), {}, SystemClock())
    assert caught.value.what == (
        "The ledger a b?.jsonl could not be copied to its place: 'a b?.jsonl' is no name of a ledger"
    )


def test_what_stands_in_its_way(chain: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    folder = tmp_path / "kept"
    folder.mkdir(0o700)
    (folder / NAME).symlink_to(tmp_path / "target")
    with pytest.raises(
        LedgerError, match=f"There is a {folder / NAME} already, which this job may not read; this one was"
    ):
        push(GOODS, FolderSink(folder))
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert (folder / GOODS.other_name).read_bytes() == CHAIN
    folder.chmod(0o777)
    with pytest.raises(LedgerError, match="Every user of this machine can write to the ledger's folder"):
        push(GOODS, FolderSink(folder))


def test_a_folder_that_cannot_be_used_is_that_of_ledger_push(chain: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    said = []
    for name in ("file", "dangling"):
        with pytest.raises(LedgerError) as caught:
            ship(chain, LedgerSettings(chain.parent, None, tmp_path / name), {}, SystemClock())
        said.append((caught.value.what, caught.value.cause, caught.value.fix, caught.value.docs))
    head = f"The ledger {NAME} could not be copied to its place: The ledger cannot use {tmp_path}"
    assert said == [
        (
            f"{head}/file: a part of that path is not a folder",
            "",
            "Set ledger.push in stepcreds.yml to a folder that this user can write to.",
            "ledger-push",
        ),
        (
            f"{head}/dangling: a symbolic link in that path leads nowhere",
            "The folder that it names was removed, or is not mounted here.",
            "Make that folder, or set ledger.push in stepcreds.yml to another.",
            "ledger-push",
        ),
    ]
    # What is wrong with the ledger's own file is about the ledger's own folder.
    chain.unlink()
    with pytest.raises(LedgerError) as caught:
        ship(chain, LedgerSettings(chain.parent, None, tmp_path / "kept"), {}, SystemClock())
    assert caught.value.fix == "Set ledger.path in stepcreds.yml to a folder outside the workspace."
    full = ledger_error(OSError(errno.ENOSPC, ""), tmp_path, "ledger.push")
    assert full.fix == "Make room on that disk, or set ledger.push in stepcreds.yml to a folder on another."


def test_nowhere_to_copy_it(chain: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ship(chain, LedgerSettings(chain.parent, None), {}, SystemClock())
    assert caught.value.what == "The configuration does not say where to copy the ledger"


def test_the_command(step: Step, config_file: Path, tmp_path: Path) -> None:
    assert step("exec", "verify", "--", "true").returncode == 0
    (file,) = (tmp_path / ".stepcreds").iterdir()
    run = step("ledger", "push")
    assert (run.returncode, run.stdout) == (0, f"{file.name}: is not closed, and not copied yet\n")
    assert step("revoke", "--all").returncode == 0
    run = step("ledger", "push")
    assert run.returncode == 2
    assert "The configuration does not say where to copy the ledger" in run.stderr
    config_file.write_text(config_file.read_text().replace("ledger:\n", "ledger:\n  push: kept\n"))
    run = step("ledger", "push")
    (copy,) = (tmp_path / "kept").iterdir()
    assert (run.returncode, run.stdout) == (0, f"{copy.name}: copied to {copy}\n"), run.stderr
    run = step("ledger", "push", str(tmp_path / ".stepcreds"))
    assert (run.returncode, run.stdout) == (0, f"{copy.name}: is there already\n")
    assert step("ledger", "verify", str(copy)).returncode == 0


@pytest.mark.parametrize(
    "place",
    ["https://example.com/x", "s3://KEY:secret@bucket/x", "gs://bucket/../x", "az://box/x?sig=secret", "S3://bucket"],
)
def test_places_that_there_are_not(step: Step, config_file: Path, place: str) -> None:
    config_file.write_text(config_file.read_text().replace("ledger:\n", f"ledger:\n  push: {place}\n"))
    run = step("config", "check")
    assert run.returncode == 2
    assert (
        "ledger.push: must be a folder, `artifact`, or an object store without keys in it: s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix\n" in run.stderr
    )
    assert "secret" not in run.stderr


class Service(ThreadingHTTPServer):
    """GitHub's artifact service, as far as an upload meets it; act's own, which the Action is tested with, never refuses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: set[str] = set()
        self.requests: list[tuple[str, str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.status = 200

    @property
    def environment(self) -> dict[str, str]:
        claims = urlsafe_b64encode(json.dumps({"scp": "Actions.Other Actions.Results:run-7:job-9"}).encode()).decode()
        header = urlsafe_b64encode(b'{"alg":"RS256"}').decode()
        token = ".".join(part.rstrip("=") for part in (header, claims, "c2ln"))
        return {"ACTIONS_RESULTS_URL": self.url + "/prefix/", "ACTIONS_RUNTIME_TOKEN": token}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self._body())
        method = self.path.rpartition("/")[2]
        self.server.requests.append((self.path, str(self.headers["Authorization"])[:10], body))
        if self.server.status != 200:
            self._answer(self.server.status, {"code": "internal", "msg": "quota\x1b[31m"})
        elif method == "CreateArtifact" and body["name"] in self.server.taken:
            self._answer(409, {"code": "already_exists", "msg": "an artifact with this name already exists"})
        elif method == "CreateArtifact":
            self.server.taken.add(body["name"])
            self._answer(200, {"ok": True, "signed_upload_url": f"{self.server.url}/blob/{body['name']}?sig=s3cr3t"})
        else:
            self._answer(200, {"ok": True, "artifact_id": "1"})

    def do_PUT(self) -> None:
        self.server.requests.append((self.path, str(self.headers["Authorization"]), None))
        name = self.path.split("?")[0].rpartition("/")[2]
        if "comp=blocklist" in self.path:
            self._body()
        else:
            self.server.blobs[name] = self._body()
        self._answer(201, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_artifact_of_the_run(chain: Path, service: Service) -> None:
    settings = LedgerSettings(chain.parent, None, ARTIFACT)
    name = f"stepcreds-{NAME.removesuffix('.jsonl')}"
    assert ship(chain, settings, service.environment, SystemClock()) == f"the artifact {name}"
    with ZipFile(io.BytesIO(service.blobs[name])) as archive:
        assert [(each, archive.read(each)) for each in archive.namelist()] == [(NAME, CHAIN)]
    base = "/twirp/github.actions.results.api.v1.ArtifactService"
    paths = [re.sub(r"blockid=.*", "blockid=…", path) for path, _, _ in service.requests]
    assert paths == [
        f"{base}/CreateArtifact",
        f"/blob/{name}?sig=s3cr3t&comp=block&blockid=…",
        f"/blob/{name}?sig=s3cr3t&comp=blocklist",
        f"{base}/FinalizeArtifact",
    ]
    # The run's token goes to the service alone.
    assert [authorization for _, authorization, _ in service.requests] == ["Bearer eyJ", "None", "None", "Bearer eyJ"]
    ids = {"workflow_run_backend_id": "run-7", "workflow_job_run_backend_id": "job-9", "name": name}
    assert service.requests[0][2] == {**ids, "version": 4}
    assert service.requests[3][2].items() >= {**ids, "size": str(len(service.blobs[name]))}.items()
    assert ship(chain, settings, service.environment, SystemClock()) == ""
    (chain.parent / SIGNED).write_bytes(CHECKPOINTS)
    service.taken.clear()
    assert ship(chain, settings, service.environment, SystemClock()) == f"the artifact {name}"
    with ZipFile(io.BytesIO(service.blobs[name])) as archive:
        assert [(each, archive.read(each)) for each in archive.namelist()] == [(SIGNED, CHECKPOINTS), (NAME, CHAIN)]


def test_an_artifact_of_that_name_is_there(chain: Path, service: Service) -> None:
    name = f"stepcreds-{NAME.removesuffix('.jsonl')}"
    service.taken.add(name)
    place = ship(chain, LedgerSettings(chain.parent, None, ARTIFACT), service.environment, SystemClock())
    assert re.fullmatch(rf"the artifact {name}-[0-9a-f]{{12}}", place)
    assert name not in service.blobs


def test_a_service_that_is_not_there_or_refuses(chain: Path, service: Service) -> None:
    settings = LedgerSettings(chain.parent, None, ARTIFACT)
    with pytest.raises(LedgerError) as caught:
        ship(chain, settings, {}, SystemClock())
    assert caught.value.what == (
        f"The ledger {NAME} could not be copied to its place: The runner offers no artifact service (ACTIONS_RESULTS_URL or "
        "ACTIONS_RUNTIME_TOKEN is not set)"
    )
    service.status = 403
    with pytest.raises(LedgerError) as caught:
        ship(chain, settings, service.environment, SystemClock())
    assert caught.value.what == (
        f"The ledger {NAME} could not be copied to its place: The runner's artifact service answered HTTP 403 to "
        r"CreateArtifact: quota\x1b[31m"
    )
    with pytest.raises(LedgerError, match="gave a token that names neither run nor job"):
        ship(chain, settings, service.environment | {"ACTIONS_RUNTIME_TOKEN": "opaque"}, SystemClock())
    assert chain.read_bytes() == CHAIN
