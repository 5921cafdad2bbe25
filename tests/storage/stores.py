"""Object stores on this machine, and stepcreds as a process that knows nothing of them but what is in its environment."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
from azure.storage.blob import BlobServiceClient
from ledger_samples import write_ledger

from warm import Warm

BUCKET = "audit-ledgers"
SECRET = "c4n4ry-of-a-secret-key"
ROOT = Path(__file__).parents[2]
AZURITE = Path(sys.prefix, "node/node_modules/azurite/dist/src/blob/main.js")
# Of Azurite, and printed in its documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONFIG = """\
version: 1
vault:
  address: https://vault.example.com:8200
ledger:
  path: .stepcreds
  push: {push}
  on_push_failure: fail
profiles:
  verify:
    creds: kv/verify
    revocation: none
    env: {{TOKEN: "{{token}}"}}
"""


@contextmanager
def server(*arguments: str, port: int, **variables: str) -> Iterator[None]:
    """A program that listens on `port` of 127.0.0.1."""
    environment = {**os.environ, **variables}  # noqa: TID251 - what this machine needs to start a program
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            deadline = time.monotonic() + 120
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None, arguments
                assert time.monotonic() < deadline, arguments
                time.sleep(0.1)
            yield
        finally:
            process.kill()


class S3:
    """One moto server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.client = self._client("s3")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="root",
            aws_secret_access_key=SECRET,
        )

    def environment(self, key: str = "root", secret: str = SECRET) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def bucket(self, name: str, *, versions: bool = True) -> None:
        region = {"LocationConstraint": "eu-central-1"}
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=versions, CreateBucketConfiguration=region)
        if versions:
            rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
            lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
            self.client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)

    def user(self, name: str, *actions: str) -> dict[str, str]:
        """The environment of a user who may do that with every object of `BUCKET`, and nothing else."""
        resources = [f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"]
        return self._who_may(name, [{"Effect": "Allow", "Action": list(actions), "Resource": resources}])

    def documented(self, role: str) -> dict[str, str]:
        """The environment of who has what the policy of docs/storage.md gives that role, and nothing else."""
        found = re.search(r"```json\n(.*?)```", (ROOT / "docs/storage.md").read_text(), re.DOTALL)
        assert found is not None
        statements = [
            {"Effect": "Allow", "Action": each["Action"], "Resource": each["Resource"]}
            for each in json.loads(found[1])["Statement"]
            if each["Effect"] == "Allow" and f":role/{role}" in json.dumps(each["Principal"])
        ]
        assert statements
        return self._who_may(role, statements)

    def _who_may(self, name: str, statements: list[dict[str, object]]) -> dict[str, str]:
        iam = self._client("iam")
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="ledgers", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.environment(key["AccessKeyId"], key["SecretAccessKey"])

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Policies count; without this moto lets everybody do everything."""
        self._enforce_after("0")
        try:
            yield
        finally:
            self._enforce_after("inf")

    def _enforce_after(self, requests: str) -> None:
        url, headers = f"{self.url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        asked = urllib.request.Request(url, requests.encode(), headers, method="POST")  # noqa: S310
        urllib.request.urlopen(asked).close()  # noqa: S310

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


class Azure:
    """One Azurite."""

    def __init__(self, port: int) -> None:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
        self.environment = {"AZURE_STORAGE_CONNECTION_STRING": text}
        self.container = BlobServiceClient.from_connection_string(text).get_container_client(BUCKET)


class Job:
    """The end of a job: a closed chain with checkpoints, and stepcreds in a process of its own."""

    def __init__(self, folder: Path, run: Warm) -> None:
        self.folder = folder
        self._run = run
        self.chain = write_ledger(folder / ".stepcreds")
        self.signed = self.chain.with_suffix(".checkpoints")
        self.signed.write_bytes(b'{"payloadType":"of no checkpoint"}\n')

    def configure(self, push: str, *, required: bool = True) -> None:
        text = CONFIG.format(push=push)
        if not required:
            text = text.replace("  on_push_failure: fail\n", "")
        (self.folder / "stepcreds.yml").write_text(text)

    def __call__(
        self, *arguments: str, variables: Mapping[str, str], code: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return self._run(*arguments, cwd=self.folder, env=self.environment(variables), code=code)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """HOME is empty: what the machine's own user has of credentials is not asked."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_GCE_CHECK": "true",
            **variables,
        }
