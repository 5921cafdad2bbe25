"""Object stores that refuse, are away or hang: the step's own words, the local file as it was, and never a key."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gcs_server import GoogleServer
from stores import ACCOUNT_KEY, BUCKET, ROOT, S3, SECRET, Azure, Job

from relay import Relay
from stepcreds.config.model import LedgerSettings
from stepcreds.config.store_url import store_url
from stepcreds.doctor.machine import ledger
from stepcreds.errors import LedgerError
from stepcreds.shipping import ship
from stepcreds.storage.bounded import within

pytest_plugins = ("store_fixtures",)

SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store\n"


def failed(job: Job, run: subprocess.CompletedProcess[str], url: str, what: str, cause: str, fix: str) -> bool:
    """Whether that is all that `ledger push` said."""
    assert (run.returncode, run.stdout) == (1, ""), run.stderr
    assert run.stderr == (
        f"stepcreds: error: The ledger {job.chain.name} could not be copied to its place: {url}/{job.signed.name} could not be "
        f"written: {what}\n" + (f"  cause: {cause}\n" if cause else "") + f"  fix: {fix}\n{SEE}"
    )
    return job.chain.exists() and not (job.chain.parent / f"{job.chain.name}.pushed").exists()


NO_BUCKET = (
    "The name is another, or the credentials are of another account.",
    "Check the URL, and which account and region this process asks.",
)
DENIED = "What this process is to the store may not do that there."


def test_no_bucket(s3: S3, azure: Azure, google: GoogleServer, job: Job) -> None:
    for url, variables, code in (
        ("s3://no-such-bucket/shop", s3.environment(), " (NoSuchBucket)"),
        ("az://no-such-bucket/shop", azure.environment, " (ContainerNotFound)"),
        ("gs://no-such-bucket/shop", google.environment(job.folder), ""),
    ):
        job.configure(url)
        run = job("ledger", "push", variables=variables)
        assert failed(job, run, url, f"there is no such bucket{code}", *NO_BUCKET)
        for command in ("pull", "verify"):
            run = job("ledger", command, url, variables=variables)
            assert (run.returncode, run.stdout) == (2, "")
            assert run.stderr.startswith(
                f"stepcreds: error: {url} could not be listed: there is no such bucket{code}\n"
            )


def test_a_store_that_refuses_fails_no_step_that_did_not_ask_for_it(s3: S3, job: Job) -> None:
    url = "s3://no-such-bucket/shop"
    job.configure(url, required=False)
    run = job("ledger", "push", variables=s3.environment())
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == (
        f"stepcreds: warning: The ledger {job.chain.name} could not be copied to its place: {url}/{job.signed.name} could not be "
        f"written: there is no such bucket (NoSuchBucket)\n    {NO_BUCKET[0]}\n    {NO_BUCKET[1]}\n"
    )
    assert job.chain.exists()
    assert not (job.chain.parent / f"{job.chain.name}.pushed").exists()


def test_access_denied(s3: S3, google: GoogleServer, job: Job) -> None:
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    variables = s3.user("reader", "s3:ListBucket")
    with s3.enforced():
        run = job("ledger", "push", variables=variables)
        fix = "Allow it s3:PutObject there, and kms:GenerateDataKey where the bucket encrypts with a key of KMS."
        assert failed(job, run, url, "access is denied (AccessDenied)", DENIED, fix)
        run = job("ledger", "pull", url, variables=variables)
        # Where nobody could look, nothing was found: that is no 1.
        assert job("ledger", "verify", url, variables=variables).returncode == 2
    assert run.returncode == 2
    assert run.stderr == (
        f"stepcreds: error: {url} could not be listed: access is denied (AccessDenied)\n"
        f"  cause: {DENIED}\n  fix: Allow it s3:ListBucketVersions on the bucket.\n{SEE}"
    )
    url = f"gs://{BUCKET}/shop"
    job.configure(url)
    run = job("ledger", "push", variables=google.environment(job.folder, "reviewer"))
    assert run.returncode == 1
    # It is said of the second name that was tried: of the first, Google might have said the same for another reason.
    assert " could not be written: access is denied\n" in run.stderr
    assert "  fix: Give it the role roles/storage.objectCreator on the bucket.\n" in run.stderr
    run = job("ledger", "pull", url, variables=google.environment(job.folder, "ci"))
    assert run.stderr == (
        f"stepcreds: error: {url} could not be listed: access is denied\n"
        f"  cause: {DENIED}\n  fix: Give it the role roles/storage.objectViewer on the bucket.\n{SEE}"
    )


def test_no_credentials(s3: S3, google: GoogleServer, job: Job) -> None:
    """The libraries would go on as nobody, or with a pickled file of the user's."""
    what = "there are no credentials for it, or they are not taken"
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    run = job("ledger", "push", variables={"AWS_ENDPOINT_URL": s3.url, "AWS_REGION": "eu-central-1"})
    fix = (
        "On GitHub let aws-actions/configure-aws-credentials come before it; elsewhere set AWS_ROLE_ARN and "
        "AWS_WEB_IDENTITY_TOKEN_FILE, or whatever else the AWS CLI takes."
    )
    assert failed(job, run, url, f"{what} (NoCredentialsError)", "", fix)
    url = f"gs://{BUCKET}/shop"
    job.configure(url)
    nobody = {"STORAGE_EMULATOR_HOST": google.url, "GCE_METADATA_HOST": "127.0.0.1:1", "GCE_METADATA_IP": "127.0.0.1:1"}
    run = job("ledger", "push", variables={**nobody, "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"})
    assert run.returncode == 1
    assert f": gs://{BUCKET}/shop could not be written: {what} (DefaultCredentialsError)\n" in run.stderr
    assert google.requests == []
    job.configure("az://box/shop")
    run = job("ledger", "push", variables={"AZURE_STORAGE_ANON": "true"})
    assert run.returncode == 1
    assert f": az://box/shop could not be written: {what}\n" in run.stderr
    assert (
        "  fix: Set AZURE_STORAGE_ACCOUNT_NAME; on GitHub let azure/login come before it, elsewhere set AZURE_CLIENT_ID, "
        "AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE.\n" in run.stderr
    )


def test_wrong_keys_are_in_no_message(s3: S3, azure: Azure, job: Job) -> None:
    """Azure answers a wrong signature with that signature."""
    url = f"az://{BUCKET}/shop"
    job.configure(url)
    wrong = azure.environment["AZURE_STORAGE_CONNECTION_STRING"].replace(ACCOUNT_KEY, "c2VjcmV0" * 8)
    run = job("ledger", "push", variables={"AZURE_STORAGE_CONNECTION_STRING": wrong})
    what = "there are no credentials for it, or they are not taken"
    assert run.returncode == 1
    assert f" could not be written: {what} (" in run.stderr or " could not be written: access is denied (" in run.stderr
    assert "c2VjcmV0" not in run.stderr
    assert "SharedKey" not in run.stderr
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    with s3.enforced():
        run = job("ledger", "push", variables=s3.environment("AKIAWRONG", SECRET))
    assert run.returncode == 1
    assert f"{what} (InvalidAccessKeyId)" in run.stderr
    assert SECRET not in run.stderr
    assert "AKIAWRONG" not in run.stderr


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_network_that_is_away(s3: S3, azure: Azure, job: Job) -> None:
    cause = (
        "The network or a proxy is away, or a variable names another endpoint (AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST, "
        "AZURE_STORAGE_CONNECTION_STRING)."
    )
    fix = "Look whether this machine reaches it; then run the same command again, which does nothing twice."
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    run = job("ledger", "push", variables={**s3.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{closed_port()}"})
    assert failed(job, run, url, "it could not be reached (EndpointConnectionError)", cause, fix)
    url = f"az://{BUCKET}/shop"
    job.configure(url)
    port = (
        azure.environment["AZURE_STORAGE_CONNECTION_STRING"]
        .split("BlobEndpoint=http://127.0.0.1:")[1]
        .partition("/")[0]
    )
    text = azure.environment["AZURE_STORAGE_CONNECTION_STRING"].replace(f":{port}/", f":{closed_port()}/")
    run = job("ledger", "push", variables={"AZURE_STORAGE_CONNECTION_STRING": text})
    assert failed(job, run, url, "it could not be reached (ServiceRequestError)", cause, fix)


def test_a_bucket_in_another_region(job: Job) -> None:
    """As S3 answers whoever asks in the wrong one, also where the library tried the right one; moto does not mind."""
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    body = b"<Error><Code>PermanentRedirect</Code><Message>use the other</Message></Error>"
    with Answering(301, body) as store:
        variables = {**S3(store.port).environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}"}
        run = job("ledger", "push", variables=variables)
    what = "the bucket is in another region than was asked (PermanentRedirect)"
    assert failed(job, run, url, what, "", "Set AWS_REGION to the bucket's region.")


class Answering(ThreadingHTTPServer):
    """Answers every request alike, whatever it is."""

    def __init__(self, status: int, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # which knows Expect: 100-continue

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"] or 0))
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("x-amz-bucket-region", "us-west-2")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command != "HEAD" else b"")

            do_HEAD = do_GET = do_PUT  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Silent(Relay):
    """Takes connections, and never answers."""

    def __init__(self) -> None:
        super().__init__(0)

    def _connected(self, near: socket.socket) -> None:
        pass


IMPATIENT = "from stepcreds.shipping import ship; ship.__defaults__ = (2.5,); from stepcreds.cli import main; main()"


def test_a_store_that_hangs_holds_nobody(job: Job) -> None:
    """When its minute is over, here of seconds, the command is over, whatever threads the library still has."""
    assert ship.__defaults__ == (60.0,)
    url = f"s3://{BUCKET}/shop"
    job.configure(url)
    with Silent() as store:
        variables = {**S3(store.port).environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}"}
        run = job("ledger", "push", variables=variables, code=IMPATIENT)
        assert store.connections == 1  # the library still waited for the first answer
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == (
        f"stepcreds: error: The ledger {job.chain.name} could not be copied to its place: {url} gave no answer within 2.5 s\n"
        "  cause: The network, a proxy or the store hangs. What was under way may have arrived.\n"
        "  fix: Look whether this machine reaches it; then run the same command again, which does nothing twice.\n"
        + SEE
    )
    assert (job.chain.exists(), (job.chain.parent / f"{job.chain.name}.pushed").exists()) == (True, False)


def test_work_that_gets_nowhere_is_given_up() -> None:
    """Also work that nothing can interrupt, as the requests with which some libraries ask for credentials."""
    with pytest.raises(LedgerError) as caught:
        within(0.3, store_url("gs://box/shop"), lambda _: time.sleep(600))
    assert caught.value.what == "gs://box/shop gave no answer within 0.3 s"
    # Whoever gets further has more time.
    assert within(1, store_url("gs://box/shop"), slowly) == "done"


def slowly(beat: Callable[[], None]) -> str:
    until = time.monotonic() + 1.3
    while time.monotonic() < until:
        time.sleep(0.01)
        beat()
    return "done"


WITHOUT = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("s3fs", "gcsfs", "adlfs"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nothing())
sys.argv[0] = "stepcreds"
from stepcreds.cli import _run
_run()
"""


@pytest.mark.parametrize(
    ("scheme", "library", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")]
)
def test_an_extra_that_is_missing(job: Job, scheme: str, library: str, extra: str) -> None:
    url = f"{scheme}://{BUCKET}/shop"
    job.configure(url)
    expected = (
        f"stepcreds: error: {url} cannot be used from here: {library} is not installed\n"
        "  cause: Clients of object stores are extras of the package; the Action, stepcreds.pyz and the image have none.\n"
        f"  fix: Run: pip install 'stepcreds[{extra}]'\n"
        f"    In a job with the Action: pipx run --spec 'stepcreds[{extra}]' stepcreds ledger push, as its last step, after "
        "`stepcreds revoke --all`; or set ledger.push to artifact.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#store-extra\n"
    )
    for arguments in (("push",), ("pull", url), ("verify", url)):
        run = subprocess.run(
            [sys.executable, "-I", "-c", WITHOUT, "ledger", *arguments],
            cwd=job.folder,
            env=job.environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stdout, run.stderr) == (2, "", expected)


def test_doctor_misses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LedgerSettings(tmp_path / ".stepcreds", None, store_url(f"s3://{BUCKET}/shop"))
    assert ledger(settings, {}).status == "ok"
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as Python itself notes that there is none
    found = ledger(settings, {})
    assert found.status == "warning"
    assert found.error is not None
    assert (found.error.cause, found.error.docs) == (
        f"s3://{BUCKET}/shop cannot be used from here: s3fs is not installed. Clients of object stores are extras of the "
        "package; the Action, stepcreds.pyz and the image have none.",
        "store-extra",
    )


@pytest.mark.parametrize("url", ["https://example.com/x", "s3://KEY:secret@box/x", "s3://box/x?sig=secret", "s3://b"])
def test_urls_that_are_none(job: Job, url: str) -> None:
    run = job("ledger", "pull", url, variables={})
    assert run.returncode == 2
    scheme = url.partition(":")[0]
    assert run.stderr == (
        f"stepcreds: error: This is no URL of an object store that stepcreds can use: {scheme}://…\n"
        "  cause: There is another kind of store, a character that names there do not have, or something before an @ or "
        "behind a ?.\n"
        "  fix: Write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. Keys and signatures have no place in "
        "it: see docs/storage.md.\n" + SEE
    )


def test_urls_as_they_are_shown() -> None:
    for text, shown in (
        ("s3://box", "s3://box"),
        ("s3://box/a/b/", "s3://box/a/b"),
        ("abfs://box/a", "az://box/a"),
        ("abfss://box@shop.dfs.core.windows.net/a", "abfss://box@shop.dfs.core.windows.net/a"),
        ("abfss://box@shop.blob.core.windows.net", "abfss://box@shop.dfs.core.windows.net"),
    ):
        assert str(store_url(text)) == shown
    assert store_url("abfss://box@shop.dfs.core.windows.net/a").account == "shop"
    assert (ROOT / "docs/storage.md").exists()
