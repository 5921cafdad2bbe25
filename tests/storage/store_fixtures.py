"""The object stores that a test may ask for (`pytest_plugins = ("store_fixtures",)`), and the end of a job.

`s3`      moto's server, with a bucket `audit-ledgers` that keeps versions and locks objects for a day
`azure`   Azurite, Microsoft's emulator, with a container `audit-ledgers`; it keeps no versions (azure_versions.py does)
`google`  gcs_server.py
`job`     a closed chain with checkpoints, and stepcreds as a process
"""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcs_server import GoogleServer
from stores import AZURITE, BUCKET, S3, Azure, Job, server

from ci_tools import node
from stepcreds.devstack.process import free_port
from warm import Warm


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    port = free_port()
    with server(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port), port=port):
        yield str(port)


@pytest.fixture
def s3(s3_server: str) -> S3:
    url = f"http://127.0.0.1:{s3_server}/moto-api/reset"
    urllib.request.urlopen(urllib.request.Request(url, b"", method="POST")).close()  # noqa: S310
    store = S3(int(s3_server))
    store.bucket(BUCKET)
    return store


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    port = free_port()
    folder = str(tmp_path_factory.mktemp("azurite"))
    flags = ("--silent", "--skipApiVersionCheck", "--disableTelemetry")
    place = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder)
    with server(str(node()), str(AZURITE), *place, *flags, port=port):
        store = Azure(port)
        with store.container:
            store.container.create_container()
            yield store


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer() as store:
        yield store


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm("s3fs", "gcsfs", "adlfs", "stepcreds.cli.ledger_push", "stepcreds.cli.ledger_pull") as run:
        yield run


@pytest.fixture
def job(tmp_path: Path, warm: Warm) -> Job:
    return Job(tmp_path, warm)
