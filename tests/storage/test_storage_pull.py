"""Ledgers fetched out of an object store: the oldest version of each, once, and never outside of the folder."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from azure_versions import BlobVersion, VersionedContainer
from gcs_server import GoogleServer
from stores import BUCKET, S3, Azure, Job

from relay import Relay
from stepcreds.config.store_url import store_url
from stepcreds.storage.held import LARGEST, held, history
from stepcreds.storage.store import Version

pytest_plugins = ("store_fixtures",)

URL = f"s3://{BUCKET}/shop"
WRITTEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(store: S3, key: str, data: bytes) -> str:
    time.sleep(0.01)  # moto orders versions by time, and not by their order
    return str(store.client.put_object(Bucket=BUCKET, Key=key, Body=data)["VersionId"])


def test_everything_below_a_prefix(s3: S3, job: Job) -> None:
    files = {"a/one.jsonl": b"1\n", "two.jsonl": b"2\n", "two.checkpoints": b"", "seals/seal-000001.json": b"{}"}
    for name, data in files.items():
        put(s3, f"shop/{name}", data)
    put(s3, "shop-of-others/three.jsonl", b"3\n")
    put(s3, "shop/a/", b"")  # as consoles make folders
    run = job("ledger", "pull", URL, "here", variables=s3.environment())
    assert (run.returncode, run.stdout, run.stderr) == (0, "here: 4 files fetched, 0 there already\n", "")
    assert contents(job.folder / "here") == files
    assert (job.folder / "here").stat().st_mode & 0o777 == 0o700
    # What is there stays, and a file that went missing comes again.
    (job.folder / "here" / "two.jsonl").unlink()
    before = (job.folder / "here" / "a" / "one.jsonl").stat().st_ino
    run = job("ledger", "pull", URL, "here", variables=s3.environment())
    assert (run.returncode, run.stdout) == (0, "here: 1 file fetched, 3 there already\n")
    assert contents(job.folder / "here") == files
    assert (job.folder / "here" / "a" / "one.jsonl").stat().st_ino == before


def test_the_oldest_version_wins_at_amazon(s3: S3, job: Job) -> None:
    first = put(s3, "shop/one.jsonl", b"true\n")
    second = put(s3, "shop/one.jsonl", b"forged\n")
    put(s3, "shop/two.jsonl", b"kept\n")
    s3.client.delete_object(Bucket=BUCKET, Key="shop/two.jsonl")
    put(s3, "shop/three.jsonl", b"same\n")
    put(s3, "shop/three.jsonl", b"same\n")
    # Deleted, and written anew: a create is possible then.
    put(s3, "shop/four.jsonl", b"before\n")
    s3.client.delete_object(Bucket=BUCKET, Key="shop/four.jsonl")
    put(s3, "shop/four.jsonl", b"after\n")
    run = job("ledger", "pull", URL, "here", "--json", variables=s3.environment())
    assert run.returncode == 1, run.stderr
    document = json.loads(run.stdout)
    assert contents(job.folder / "here") == {
        "one.jsonl": b"true\n",
        "two.jsonl": b"kept\n",
        "three.jsonl": b"same\n",
        "four.jsonl": b"before\n",
    }
    assert document["versions"] is True
    (one,) = [each for each in document["files"] if each["name"] == "one.jsonl"]
    assert (one["version"], one["fetched"], one["url"], one["size"]) == (first, True, f"{URL}/one.jsonl", 5)
    assert second != first
    found = [(each["file"], each["code"], each["certainty"]) for each in document["findings"]]
    assert found == [
        (f"{URL}/four.jsonl", "overwritten", "tampered"),
        (f"{URL}/one.jsonl", "overwritten", "tampered"),
        (f"{URL}/three.jsonl", "written-again", "unknown"),
        (f"{URL}/two.jsonl", "deleted", "unknown"),
    ]
    assert {each["layer"] for each in document["findings"]} == {"store"}


def test_the_oldest_version_wins_at_google(google: GoogleServer, job: Job) -> None:
    google.write("shop/one.jsonl", b"true\n")
    google.write("shop/one.jsonl", b"forged\n")
    google.write("shop/two.jsonl", b"kept\n")
    google.delete("shop/two.jsonl")
    run = job("ledger", "pull", f"gs://{BUCKET}/shop", "here", variables=google.environment(job.folder, "reviewer"))
    when = google.blobs[0].created[:19] + "Z"
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout == (
        f"gs://{BUCKET}/shop/one.jsonl:\n"
        f"  store/overwritten (tampered): overwritten at {google.blobs[1].created[:19]}Z; the oldest version, of {when}, "
        "is read\n"
        f"gs://{BUCKET}/shop/two.jsonl:\n"
        f"  store/deleted (unknown): deleted, by hand or by a rule of the bucket; the oldest version, of "
        f"{google.blobs[2].created[:19]}Z, is still there\n"
        "here: 2 files fetched, 0 there already\n"
    )
    assert contents(job.folder / "here") == {"one.jsonl": b"true\n", "two.jsonl": b"kept\n"}


def test_the_oldest_version_wins_at_azure(job: Job) -> None:
    first, second, third = (f"2026-11-22T08:26:4{digit}.1234567Z" for digit in range(3))
    versions = (
        BlobVersion("shop/one.jsonl", first, b"true\n", False),
        BlobVersion("shop/one.jsonl", second, b"forged\n", False),
        BlobVersion("shop/one.jsonl", third, b"forged again\n", True),
        BlobVersion("shop/two.jsonl", first, b"kept\n", False),
    )
    with VersionedContainer(*versions) as store:
        run = job("ledger", "pull", "az://led/shop", "here", "--json", variables=store.environment)
    assert run.returncode == 1, run.stderr
    document = json.loads(run.stdout)
    assert contents(job.folder / "here") == {"one.jsonl": b"true\n", "two.jsonl": b"kept\n"}
    assert [(each["file"], each["code"]) for each in document["findings"]] == [
        ("az://led/shop/one.jsonl", "overwritten"),
        ("az://led/shop/one.jsonl", "overwritten"),
        ("az://led/shop/two.jsonl", "deleted"),
    ]


def test_a_folder_of_copies(job: Job) -> None:
    """What `ledger.push` copied into a folder is fetched out of it, as out of a store; without the library of any."""
    job.configure("copies")
    assert job("ledger", "push", variables={}).returncode == 0
    copies = job.folder / "copies"
    (copies / ".part.jsonl.0a1b2c3d").write_bytes(b"of a copy that was killed")
    (copies / "deep").mkdir()
    (copies / "deep" / "one.jsonl").write_bytes(b"1\n")
    names = {job.chain.name: job.chain.read_bytes(), job.signed.name: job.signed.read_bytes(), "deep/one.jsonl": b"1\n"}
    run = job("ledger", "pull", "copies", "here", variables={}, code=f"{NO_LIBRARY}{MAIN}")
    no_versions = (
        "A folder keeps no versions of what is there: what was overwritten or deleted before now, nobody sees. See "
        "docs/storage.md.\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "here: 3 files fetched, 0 there already\n", no_versions)
    assert contents(job.folder / "here") == names
    # What is there stays; what is not, or is another, is told.
    (job.folder / "here" / "deep" / "one.jsonl").unlink()
    (copies / job.chain.name).write_bytes(b"forged\n")
    run = job("ledger", "pull", "copies", "here", variables={})
    assert (run.returncode, run.stderr) == (1, no_versions)
    assert run.stdout == (
        f"copies/{job.chain.name}:\n  store/conflict (unknown): not fetched: here/{job.chain.name} holds something else, "
        "and nothing is overwritten\nhere: 1 file fetched, 1 there already\n"
    )
    assert contents(job.folder / "here") == names
    # One chain, with its checkpoints.
    run = job("ledger", "pull", f"copies/{job.chain.name}", "one", "--json", variables={})
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert sorted(each["url"] for each in document["files"]) == [
        f"copies/{job.signed.name}",
        f"copies/{job.chain.name}",
    ]
    assert document["versions"] is False


MAIN = "from stepcreds.cli import main; main()"
NO_LIBRARY = "import sys; sys.modules.update(dict.fromkeys(('fsspec', 's3fs', 'gcsfs', 'adlfs')));"


def test_what_is_no_file_in_a_folder_of_copies(job: Job) -> None:
    copies = job.folder / "copies"
    copies.mkdir()
    os.mkfifo(copies / "fifo.jsonl")
    (copies / "link.jsonl").symlink_to(job.chain)
    (copies / "links").symlink_to(job.chain.parent)
    (copies / ".hidden.jsonl").write_bytes(b"x")
    (copies / "empty.jsonl").touch()
    run = job("ledger", "pull", "copies", "here", "--json", variables={})
    assert run.returncode == 1, run.stderr
    no_file = "could not be read: it is a link, or no file"
    assert [(each["file"], each["code"], each["meaning"]) for each in json.loads(run.stdout)["findings"]] == [
        ("copies/.hidden.jsonl", "refused", "not fetched: its name leads elsewhere, or to a hidden file"),
        ("copies/fifo.jsonl", "unreadable", no_file),
        ("copies/link.jsonl", "unreadable", no_file),
        ("copies/links", "unreadable", no_file),
    ]
    assert contents(job.folder / "here") == {"empty.jsonl": b""}


def test_a_folder_that_nothing_can_be_fetched_out_of(job: Job) -> None:
    (job.folder / "copies").mkdir()
    for place, target, what, fix in (
        (
            "nowhere",
            "here",
            "There is no folder nowhere to fetch out of",
            "Name the folder that ledger.push copies to, or ",
        ),
        (
            "copies",
            "copies/new",
            "copies/new lies in copies, out of which is fetched",
            "Name another folder to fetch into: ",
        ),
        (".", "here", "here lies in ., out of which is fetched", "Name another folder to fetch into: "),
        ("copies", "here", "There is no ledger at copies", "Check ledger.push of the pipeline's stepcreds.yml."),
    ):
        run = job("ledger", "pull", place, target, variables={})
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"stepcreds: error: {what}\n")
        assert f"  fix: {fix}" in run.stderr
        assert not (job.folder / target).exists()


def test_a_store_without_versions_says_so(azure: Azure, job: Job) -> None:
    azure.container.get_blob_client("versionless/one.jsonl").upload_blob(b"1\n")
    run = job("ledger", "pull", f"az://{BUCKET}/versionless", "here", variables=azure.environment)
    assert (run.returncode, run.stdout) == (0, "here: 1 file fetched, 0 there already\n")
    assert run.stderr == (
        "This store keeps no versions of what is there: what was overwritten or deleted before now, nobody sees. See "
        "docs/storage.md.\n"
    )


def test_a_bucket_whose_versions_began_later(s3: S3, job: Job) -> None:
    """The version from before has the name "null", and is not the one that a reader gets who names none."""
    s3.client.create_bucket(Bucket="later-on", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.client.put_object(Bucket="later-on", Key="shop/one.jsonl", Body=b"true\n")
    s3.client.put_bucket_versioning(Bucket="later-on", VersioningConfiguration={"Status": "Enabled"})
    time.sleep(0.01)
    s3.client.put_object(Bucket="later-on", Key="shop/one.jsonl", Body=b"forged\n")
    run = job("ledger", "pull", "s3://later-on/shop", "here", variables=s3.environment())
    assert run.returncode == 1, run.stderr
    assert contents(job.folder / "here") == {"one.jsonl": b"true\n"}


def test_names_that_lead_elsewhere(s3: S3, job: Job) -> None:
    for key in ("shop/../../out.jsonl", "shop//etc/x.jsonl", "shop/.hidden.jsonl", "shop/a\\b.jsonl"):
        put(s3, key, b"x")
    put(s3, f"shop/{'n' * 300}.jsonl", b"x")
    put(s3, "shop/good.jsonl", b"x")
    # No folder has both. What a ledger is called is a file, also if the other was there first.
    put(s3, "shop/taken", b"x")
    put(s3, "shop/taken/one.jsonl", b"x")
    put(s3, "shop/two.jsonl/x.jsonl", b"before")
    put(s3, "shop/two.jsonl", b"x")
    run = job("ledger", "pull", URL, "deep/here", "--json", variables=s3.environment())
    assert run.stderr == ""
    assert run.returncode == 1, run.stderr
    findings = [
        (each["file"].removeprefix(URL), each["code"], each["meaning"]) for each in json.loads(run.stdout)["findings"]
    ]
    elsewhere = "not fetched: its name leads elsewhere, or to a hidden file"
    characters = "not fetched: its name has characters that no ledger's name has"
    assert sorted(findings)[:5] == [
        ("/../../out.jsonl", "refused", elsewhere),
        ("/.hidden.jsonl", "refused", elsewhere),
        ("//etc/x.jsonl", "refused", elsewhere),
        ("/a\\b.jsonl", "refused", characters),
        (f"/{'n' * 300}.jsonl", "refused", "not fetched: its name is longer than that of a file may be"),
    ]
    assert sorted(findings)[5:] == [
        ("/taken", "refused", "not fetched: other objects lie below its name"),
        ("/two.jsonl/x.jsonl", "refused", "not fetched: a part of its name is another object's"),
    ]
    assert {name for name in contents(job.folder) if not name.startswith(".stepcreds/")} == {
        "deep/here/good.jsonl",
        "deep/here/taken/one.jsonl",
        "deep/here/two.jsonl",
    }
    again = job("ledger", "pull", URL, "deep/here", "--json", variables=s3.environment())
    assert again.stderr == ""
    assert json.loads(again.stdout)["findings"] == json.loads(run.stdout)["findings"]


def test_a_folder_that_another_process_fetches_into(s3: S3, job: Job) -> None:
    put(s3, "shop/one.jsonl", b"1\n")
    here = job.folder / "here"
    here.mkdir(0o700)
    fd = os.open(here, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        run = job("ledger", "pull", URL, "here", variables=s3.environment())
    finally:
        os.close(fd)
    assert run.returncode == 2
    assert run.stderr == (
        "stepcreds: error: Another process is fetching into here\n"
        "  fix: Wait for it, or name another folder.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )


def test_a_name_that_steers_a_terminal(google: GoogleServer, job: Job) -> None:
    google.write("shop/a\x1b[2J.jsonl", b"x")
    run = job("ledger", "pull", f"gs://{BUCKET}/shop", "here", variables=google.environment(job.folder, "reviewer"))
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout == (
        f"gs://{BUCKET}/shop/a\\x1b[2J.jsonl:\n  store/refused (unknown): not fetched: its name has characters that no "
        "ledger's name has\nhere: 0 files fetched, 0 there already\n"
    )


def test_a_size_that_no_ledger_has() -> None:
    one = Version("shop/one.jsonl", "1", (1.0, 0), "2026-11-22T08:26:40Z", LARGEST + 1, current=True)
    objects, (finding,) = held([one], store_url(URL))
    assert objects == []
    assert finding.meaning == "not fetched: it has 4,294,967,297 bytes, which is no ledger's size"


def test_an_object_of_which_nothing_is_left() -> None:
    mark = Version("shop/one.jsonl", "1", (1.0, 0), "2026-11-22T08:26:40Z", 0, deleted=True, current=True)
    objects, (finding,) = held([mark], store_url(URL))
    assert objects == []
    assert finding.meaning == "deleted at 2026-11-22T08:26:40Z, and no version of it is left"


def test_whom_the_store_names() -> None:
    versions = [
        Version("shop/one.jsonl", "1", (1.0, 0), "2026-11-22T08:26:40Z", 4, "aa"),
        Version("shop/one.jsonl", "2", (2.0, 0), "2026-11-22T09:00:00Z", 4, "bb", "mallory\x1b[2J", current=True),
    ]
    (one,), _ = held(versions, store_url(URL))
    (finding,) = history(one)
    assert finding.meaning == (
        "overwritten at 2026-11-22T09:00:00Z (owner: mallory\\x1b[2J); the oldest version, of 2026-11-22T08:26:40Z, is read"
    )


def test_nothing_here_is_overwritten(s3: S3, job: Job) -> None:
    put(s3, "shop/one.jsonl", b"theirs\n")
    put(s3, "shop/two.jsonl", b"theirs\n")
    here = job.folder / "here"
    here.mkdir(0o700)
    (here / "one.jsonl").write_bytes(b"my own\n")
    (here / "two.jsonl").symlink_to(job.folder / "precious")
    run = job("ledger", "pull", URL, "here", variables=s3.environment())
    assert run.returncode == 1, run.stderr
    assert run.stdout == (
        f"{URL}/one.jsonl:\n  store/conflict (unknown): not fetched: here/one.jsonl holds something else, and nothing is "
        f"overwritten\n{URL}/two.jsonl:\n  store/conflict (unknown): not fetched: here/two.jsonl holds something else, and "
        "nothing is overwritten\nhere: 0 files fetched, 0 there already\n"
    )
    assert (here / "one.jsonl").read_bytes() == b"my own\n"
    assert not (job.folder / "precious").exists()


class Dripping(Relay):
    """Passes everything on to the store, and of its answers no more than a megabyte in all."""

    def __init__(self, port: int) -> None:
        self.full = threading.Event()
        self._passed = 0
        super().__init__(port)

    def _pump(self, source, sink, outward):  # type: ignore[no-untyped-def]
        try:
            while content := source.recv(65536):
                self._passed += 0 if outward else len(content)
                if self._passed > 1_000_000:
                    self.full.set()
                    continue
                sink.sendall(content)
        except OSError:
            pass


def test_a_pull_that_is_killed_is_gone_on_with(s3: S3, job: Job) -> None:
    files = {f"{number}.jsonl": bytes([65 + number]) * 400_000 for number in range(8)}
    for name, data in files.items():
        put(s3, f"shop/{name}", data)
    with Dripping(int(s3.url.rpartition(":")[2])) as relay:
        variables = {**s3.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{relay.port}"}
        arguments = [sys.executable, "-m", "stepcreds", "ledger", "pull", URL, "here"]
        with subprocess.Popen(arguments, cwd=job.folder, env=job.environment(variables)) as process:
            assert relay.full.wait(60)
            time.sleep(0.2)
            process.kill()
    here = job.folder / "here"
    # What has a name is whole; what is not whole has none that anybody takes for a ledger's.
    assert all(files[path.name] == path.read_bytes() for path in here.glob("*.jsonl"))
    whole = len(list(here.glob("*.jsonl")))
    run = job("ledger", "pull", URL, "here", variables=s3.environment())
    assert (run.returncode, run.stdout) == (
        0,
        f"here: {8 - whole} {'file' if whole == 7 else 'files'} fetched, {whole} there already\n",
    )
    assert contents(here) == files


SMALL_DISK = """
import os, subprocess, sys
folder = sys.argv[1]
os.mkdir(folder, 0o700)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", folder], check=True)
sys.exit(subprocess.run([sys.executable, "-m", "stepcreds", *sys.argv[2:]]).returncode)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_disk_without_room(s3: S3, job: Job) -> None:
    put(s3, "shop/one.jsonl", b"x" * 2_000_000)
    here = str(job.folder / "here")
    arguments = ["unshare", "--mount", sys.executable, "-c", SMALL_DISK, here, "ledger", "pull", URL, here]
    environment = {**job.environment(s3.environment()), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    run = subprocess.run(arguments, cwd=job.folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    free = run.stderr.split(" are free")[0].rpartition(" ")[2]
    assert run.stderr == (
        f"stepcreds: error: There is no room in {here}: 2,000,000 bytes are to be fetched, and {free} are free\n"
        "  fix: Name a folder on another disk, or a longer prefix.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )


def test_a_disk_that_fills_meanwhile(s3: S3, job: Job) -> None:
    """As a limit on the size of files has it, which a disk that somebody else fills has in common with it."""
    put(s3, "shop/one.jsonl", b"x" * 2_000_000)
    arguments = [
        "sh",
        "-c",
        'ulimit -f 500; exec "$@"',
        "sh",
        sys.executable,
        "-m",
        "stepcreds",
        "ledger",
        "pull",
        URL,
        "here",
    ]
    environment = job.environment(s3.environment())
    run = subprocess.run(arguments, cwd=job.folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == (
        "stepcreds: error: The ledger cannot use here/one.jsonl: the file may not grow any further\n"
        "  cause: A limit on the size of files (ulimit -f) is set.\n"
        "  fix: Make room there, or name another folder. What is there already is not fetched again.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )
    assert contents(job.folder / "here") == {}


def test_a_place_is_an_object_store(s3: S3, job: Job) -> None:
    """`ledger verify s3://…`: fetched, checked under its URL, and gone afterwards."""
    put(s3, f"shop/{job.chain.name}", job.chain.read_bytes())
    put(s3, f"shop/{job.chain.name}", b"forged\n")
    put(s3, "shop/.hidden.jsonl", b"x\n")
    temporary = job.folder / "tmp"
    temporary.mkdir()
    variables = {**s3.environment(), "TMPDIR": str(temporary)}
    run = job("ledger", "verify", URL, "--json", variables=variables)
    assert run.returncode == 1, run.stderr
    hidden, chain = json.loads(run.stdout)["files"]
    assert (hidden["file"], hidden["entries"]) == (f"{URL}/.hidden.jsonl", 0)
    assert [each["code"] for each in hidden["findings"]] == ["refused"]
    assert (chain["file"], chain["closed"]) == (f"{URL}/{job.chain.name}", True)
    assert [(each["layer"], each["code"], each["file"]) for each in chain["findings"]] == [
        ("store", "overwritten", f"{URL}/{job.chain.name}")
    ]
    assert list(temporary.iterdir()) == []
    run = job("ledger", "show", f"{URL}/{job.chain.name}", "--json", variables=variables)
    assert (run.returncode, run.stderr) == (0, "")
    assert [each["file"] for each in json.loads(run.stdout)] == 3 * [f"{URL}/{job.chain.name}"]
    run = job("ledger", "show", f"s3://{BUCKET}", "--json", variables=variables)
    assert (run.returncode, len(json.loads(run.stdout))) == (1, 3)
    assert run.stderr == (
        f"stepcreds: error: {URL}/.hidden.jsonl: not fetched: its name leads elsewhere, or to a hidden file\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )
    assert list(temporary.iterdir()) == []


def test_how_far_it_is_on_a_terminal(s3: S3, job: Job) -> None:
    put(s3, "shop/one.jsonl", b"1\n")
    near, far = os.openpty()
    environment = job.environment(s3.environment())
    arguments = [sys.executable, "-m", "stepcreds", "ledger", "pull", URL, "here"]
    with subprocess.Popen(arguments, cwd=job.folder, env=environment, stdout=subprocess.DEVNULL, stderr=far) as process:
        assert process.wait(60) == 0
    os.close(far)
    shown = os.read(near, 10_000)
    os.close(near)
    assert shown == b"\r\x1b[KFetching 1 of 1\r\x1b[K"


def test_nothing_is_there(s3: S3, job: Job) -> None:
    run = job("ledger", "verify", URL, variables=s3.environment())
    assert run.returncode == 2
    assert run.stderr == (
        f"stepcreds: error: There is no ledger at {URL}\n"
        "  cause: Nothing was copied there yet, or the prefix is another.\n"
        "  fix: Check ledger.push of the pipeline's stepcreds.yml.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"
    )
