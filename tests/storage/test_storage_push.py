"""A ledger's way into an object store: only where nothing is yet, as each store itself sees to."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from azure.core.exceptions import ResourceNotFoundError
from gcs_server import GoogleServer
from stores import BUCKET, S3, Azure, Job

from relay import Relay

pytest_plugins = ("store_fixtures",)


class Place(Protocol):
    """A store, whichever it is."""

    url: str
    environment: dict[str, str]

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, data: bytes) -> None: ...


class InS3:
    def __init__(self, store: S3) -> None:
        self.url, self.environment, self._store = f"s3://{BUCKET}/shop", store.environment(), store

    def get(self, name: str) -> bytes | None:
        return self._store.get(f"shop/{name}") if f"shop/{name}" in self._store.keys() else None  # noqa: SIM118

    def put(self, name: str, data: bytes) -> None:
        self._store.client.put_object(Bucket=BUCKET, Key=f"shop/{name}", Body=data)


class InGoogle:
    def __init__(self, store: GoogleServer, folder: Path) -> None:
        self.url, self.environment, self._store = f"gs://{BUCKET}/shop", store.environment(folder), store

    def get(self, name: str) -> bytes | None:
        blob = self._store.live(f"shop/{name}")
        return blob.data if blob else None

    def put(self, name: str, data: bytes) -> None:
        self._store.write(f"shop/{name}", data)


class InAzure:
    def __init__(self, store: Azure, prefix: str) -> None:
        self.url, self.environment, self._container = f"az://{BUCKET}/{prefix}", store.environment, store.container
        self._prefix = prefix

    def get(self, name: str) -> bytes | None:
        try:
            return self._container.get_blob_client(f"{self._prefix}/{name}").download_blob().readall()
        except ResourceNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        self._container.get_blob_client(f"{self._prefix}/{name}").upload_blob(data)


@pytest.fixture(params=["s3", "google", "azure"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    store = request.getfixturevalue(request.param)
    if isinstance(store, S3):
        return InS3(store)
    return InGoogle(store, tmp_path) if isinstance(store, GoogleServer) else InAzure(store, tmp_path.name.strip("_"))


def test_a_ledger_and_its_checkpoints(place: Place, job: Job) -> None:
    job.configure(place.url)
    run = job("ledger", "push", variables=place.environment)
    assert (run.returncode, run.stdout, run.stderr) == (
        0,
        f"{job.chain.name}: copied to {place.url}/{job.chain.name}\n",
        "",
    )
    assert place.get(job.chain.name) == job.chain.read_bytes()
    assert place.get(job.signed.name) == job.signed.read_bytes()
    run = job("ledger", "push", variables=place.environment)
    assert (run.returncode, run.stdout) == (
        0,
        f"{job.chain.name}: was copied before, as the note beside it says; nobody has looked there\n",
    )
    # Another process, that does not know of it: the same is there.
    (job.chain.parent / f"{job.chain.name}.pushed").unlink()
    run = job("ledger", "push", variables=place.environment)
    assert (run.returncode, run.stdout) == (0, f"{job.chain.name}: copied to {place.url}/{job.chain.name}\n")


@pytest.mark.parametrize("theirs", [b"somebody else's\n", b""], ids=["bytes", "empty"])
def test_something_else_has_its_name(place: Place, job: Job, theirs: bytes) -> None:
    place.put(job.chain.name, theirs)
    job.configure(place.url)
    run = job("ledger", "push", variables=place.environment)
    assert run.returncode == 1
    (other,) = re.findall(rf"{job.chain.stem}\.[0-9a-f]{{12}}\.jsonl", run.stderr)
    where = f"{place.url}/{job.chain.name}"
    assert run.stderr == (
        f"stepcreds: error: The ledger {job.chain.name} could not be copied to its place: {where} holds another ledger than this "
        f"job's; this one was copied to {other} beside it\n"
        "  cause: The job went on after its ledger had been copied; or somebody else put a file there under that name.\n"
        "  fix: Compare the two: stepcreds ledger verify names what was changed.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-push\n"
    )
    assert place.get(job.chain.name) == theirs
    assert place.get(other) == job.chain.read_bytes()
    assert place.get(other.replace(".jsonl", ".checkpoints")) == job.signed.read_bytes()


CREATE = """
import sys
from importlib import import_module
from stepcreds.config.store_url import store_url
from stepcreds.storage.fault import StoreFault
from stepcreds.storage.push import run
from stepcreds.storage.store import open_store
url = store_url(sys.argv[1])
try:
    run(open_store(url).create(url.key("race"), sys.argv[2].encode()))
    print("mine")
except StoreFault as fault:
    print(fault.kind)
import os; sys.stdout.flush(); os._exit(0)
"""


def test_of_many_writers_one_wins(place: Place, job: Job) -> None:
    """At once, each with bytes of its own: the library's condition reaches the store, and the store keeps it."""

    def write(number: int) -> str:
        run = job(place.url, f"writer {number}", variables=place.environment, code=CREATE)
        assert run.stderr == ""
        return run.stdout.strip()

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(write, range(4)))
    assert sorted(results) == ["exists", "exists", "exists", "mine"]
    assert place.get("race") == f"writer {results.index('mine')}".encode()


def test_with_the_right_to_create_and_no_other(s3: S3, job: Job) -> None:
    """No HEAD, no GET, no LIST: the job can neither read what others put there, nor remove what it put there."""
    variables = s3.user("ci", "s3:PutObject")
    job.configure(f"s3://{BUCKET}/shop")
    with s3.enforced():
        run = job("ledger", "push", variables=variables)
        assert (run.returncode, run.stderr) == (0, "")
        (job.chain.parent / f"{job.chain.name}.pushed").unlink()
        run = job("ledger", "push", variables=variables)
    assert run.returncode == 1
    (other,) = [key for key in s3.keys() if key.endswith(".jsonl") and key != f"shop/{job.chain.name}"]  # noqa: SIM118
    assert run.stderr == (
        f"stepcreds: error: The ledger {job.chain.name} could not be copied to its place: There is a s3://{BUCKET}/shop/"
        f"{job.chain.name} already, which this job may not read; this one was copied to {other[5:]} beside it\n"
        "  cause: It was copied before, and the note beside the ledger that says so is lost, or the store's answer was. Or "
        "somebody else put a file there under that name.\n"
        "  fix: Have somebody who may read them compare the two: stepcreds ledger verify names what was changed.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-push\n"
    )
    assert s3.get(other) == job.chain.read_bytes()


@pytest.mark.parametrize("store", ["s3", "google"])
def test_a_copy_that_was_killed_in_the_middle_is_gone_on_with(
    store: str, request: pytest.FixtureRequest, job: Job
) -> None:
    """The checkpoints are there, the chain is not, and the job may not read what it put there: the pair is whole again."""
    held: S3 | GoogleServer = request.getfixturevalue(store)
    place: Place = InS3(held) if isinstance(held, S3) else InGoogle(held, job.folder)
    place.put(job.signed.name, job.signed.read_bytes())
    job.configure(place.url)
    if isinstance(held, S3):
        variables = held.user("ci", "s3:PutObject")
        with held.enforced():
            run = job("ledger", "push", variables=variables)
    else:
        run = job("ledger", "push", variables=held.environment(job.folder, "ci"))
    assert run.returncode == 1
    assert f"There is a {place.url}/{job.signed.name} already, which this job may not read; this one " in run.stderr
    assert place.get(job.chain.name) == job.chain.read_bytes()
    (other,) = re.findall(rf"{job.chain.stem}\.[0-9a-f]{{12}}\.jsonl", run.stderr)
    assert place.get(other) == job.chain.read_bytes()
    assert place.get(other.replace(".jsonl", ".checkpoints")) == job.signed.read_bytes()


class Forgetful(Relay):
    """Passes on what is asked of the store, and hangs up on the first answer."""

    def __init__(self, port: int) -> None:
        self.lost = 0
        super().__init__(port)

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                if not outward and not self.lost:
                    self.lost += 1
                    break
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_an_answer_that_is_lost(s3: S3, job: Job) -> None:
    """The library asks again, and is told that there is one: its own."""
    job.configure(f"s3://{BUCKET}/shop")
    with Forgetful(int(s3.url.rpartition(":")[2])) as relay:
        variables = {**s3.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{relay.port}"}
        run = job("ledger", "push", variables=variables)
        assert relay.lost == 1
    assert (run.returncode, run.stderr) == (0, "")
    assert s3.keys() == [f"shop/{job.signed.name}", f"shop/{job.chain.name}"]


def test_with_the_documented_policy(s3: S3, job: Job) -> None:
    variables = s3.documented("ci-ledgers")
    for prefix, code in (("chains/shop", 0), ("chains/other", 1), ("seals", 1)):
        job.configure(f"s3://{BUCKET}/{prefix}")
        with s3.enforced():
            run = job("ledger", "push", variables=variables)
            assert run.returncode == code, run.stderr
            assert job("ledger", "pull", f"s3://{BUCKET}/{prefix}", "here", variables=variables).returncode == 2
    assert s3.keys() == [f"chains/shop/{job.signed.name}", f"chains/shop/{job.chain.name}"]


@pytest.mark.parametrize("hides", [False, True], ids=["412", "403"])
def test_the_same_at_google(google: GoogleServer, job: Job, hides: bool) -> None:
    """Whichever Google looks at first: the precondition, or the right to replace what is there."""
    variables = google.environment(job.folder, "ci")
    google.hide = hides
    job.configure(f"gs://{BUCKET}/shop")
    assert job("ledger", "push", variables=variables).returncode == 0
    assert [each for each in google.requests if each.startswith("GET")] == []
    (job.chain.parent / f"{job.chain.name}.pushed").unlink()
    run = job("ledger", "push", variables=variables)
    assert run.returncode == 1
    assert f"There is a gs://{BUCKET}/shop/{job.chain.name} already, which this job may not read" in run.stderr
    assert len(google.blobs) == 4


def test_what_is_locked_cannot_be_removed(s3: S3, job: Job) -> None:
    job.configure(f"s3://{BUCKET}/shop")
    assert job("ledger", "push", variables=s3.environment()).returncode == 0
    (version,) = s3.client.list_object_versions(Bucket=BUCKET, Prefix=f"shop/{job.chain.name}")["Versions"]
    head = s3.client.head_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    assert head["ObjectLockMode"] == "COMPLIANCE"
    with pytest.raises(s3.client.exceptions.ClientError, match="AccessDenied"):
        s3.client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])


def test_a_library_that_would_overwrite_is_not_used(s3: S3, job: Job) -> None:
    """s3fs leaves out parameters that its botocore does not know. An old one has no IfNoneMatch."""
    code = (
        "import botocore.loaders as l; old = l.Loader.load_service_model\n"
        "def load(self, *a, **k):\n"
        "    model = old(self, *a, **k)\n"
        "    model.get('shapes', {}).get('PutObjectRequest', {}).get('members', {}).pop('IfNoneMatch', None)\n"
        "    return model\n"
        "l.Loader.load_service_model = load\n"
        "from stepcreds.cli import main; main()\n"
    )
    job.configure(f"s3://{BUCKET}/shop")
    run = job("ledger", "push", variables=s3.environment(), code=code)
    assert run.returncode == 1
    assert run.stderr == (
        f"stepcreds: error: The ledger {job.chain.name} could not be copied to its place: s3://{BUCKET}/shop/{job.signed.name} "
        "could not be written: this store, or the library for it, cannot write only where nothing is yet (botocore)\n"
        "  cause: Without that a second writer could replace what is there.\n"
        "  fix: Update the library (pip install -U 'stepcreds[s3]'), or take a store with conditional writes.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )
    assert s3.keys() == []


class Swallowing(Relay):
    """Passes on the first million bytes of a connection to the store, and keeps the rest."""

    def __init__(self, port: int) -> None:
        self.full = threading.Event()
        super().__init__(port)

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        passed = 0
        with suppress(OSError):
            while content := source.recv(65536):
                passed += len(content) if outward else 0
                if passed > 1_000_000:
                    self.full.set()
                else:
                    sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def test_a_push_that_is_killed_leaves_nothing_half_there(s3: S3, job: Job) -> None:
    """Killed while the store has a part of the bytes: there is no object then, and the next push makes it."""
    job.signed.write_bytes(b"x" * 30_000_000)
    job.configure(f"s3://{BUCKET}/shop")
    with Swallowing(int(s3.url.rpartition(":")[2])) as relay:
        environment = job.environment({**s3.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{relay.port}"})
        arguments = [sys.executable, "-m", "stepcreds", "ledger", "push"]
        with subprocess.Popen(arguments, cwd=job.folder, env=environment) as process:
            assert relay.full.wait(60)
            process.kill()
    assert s3.keys() == []
    assert job("ledger", "push", variables=s3.environment()).returncode == 0
    assert s3.get(f"shop/{job.signed.name}") == job.signed.read_bytes()
    assert s3.get(f"shop/{job.chain.name}") == job.chain.read_bytes()
