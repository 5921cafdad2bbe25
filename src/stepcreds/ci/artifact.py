"""Uploads files as an artifact of a GitHub run, by the runner's artifact service of version 4; it downloads none.

As packages/artifact/src/internal/upload of https://github.com/actions/toolkit has it: CreateArtifact, an upload to the
signed URL of a block blob (https://learn.microsoft.com/rest/api/storageservices/put-block), FinalizeArtifact. The
service is there for actions only, not for `run:` steps, and GitHub Enterprise Server has none.
"""

from __future__ import annotations

import hashlib
import io
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from stepcreds import foreign_json
from stepcreds.ci.http import Answer
from stepcreds.ci.jwt import TokenShapeError, read
from stepcreds.errors import LedgerError
from stepcreds.printable import one_line
from stepcreds.secret import Secret

_URL, _TOKEN = "ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_TOKEN"  # noqa: S105 - names of variables
_SERVICE = "twirp/github.actions.results.api.v1.ArtifactService"
_VERSION = 4  # of the artifact's format: a zip
CONFLICT = 409


class Sender(Protocol):
    """What is used of HTTP; see `http.PatientHTTP`."""

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer: ...


class ExistsError(Exception):
    """The run has an artifact of that name already, and artifacts are never overwritten."""


def upload(name: str, files: Mapping[str, bytes], environment: Mapping[str, str], http: Sender) -> None:
    """The artifact `name`, a zip with `files` in it, by name. Raises `LedgerError`, `ExistsError`."""
    url, token = environment.get(_URL, ""), environment.get(_TOKEN, "")
    if not url or not token:
        raise _error(
            f"The runner offers no artifact service ({_URL} or {_TOKEN} is not set)",
            "It does so for actions alone, and not for run: steps; GitHub Enterprise Server has no such service.",
            "Leave it to the Action, which does so at the end of the job; or set ledger.push to a folder.",
        )
    service = _Service(url, token, http)
    ids = _ids(token)
    answer = service.call("CreateArtifact", {**ids, "name": name, "version": _VERSION})
    signed = answer.get("signed_upload_url") or answer.get("signedUploadUrl")
    if answer.get("ok") is not True or not isinstance(signed, str):
        raise _refused("did not take the artifact", "")
    zipped = _zip(files)
    _put_blob(signed, zipped, http)
    sha256 = hashlib.sha256(zipped).hexdigest()
    done = {**ids, "name": name, "size": str(len(zipped)), "hash": f"sha256:{sha256}"}
    if service.call("FinalizeArtifact", done).get("ok") is not True:
        raise _refused("did not confirm the artifact", "")


class _Service:
    """The artifact service, with the run's own token."""

    def __init__(self, url: str, token: str, http: Sender) -> None:
        parts = urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc}/{_SERVICE}"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._http = http

    def call(self, method: str, request: Mapping[str, object]) -> Mapping[str, object]:
        body = json.dumps(request).encode()
        answer = self._http.ask("POST", f"{self._base}/{method}", self._headers, body)
        if answer.status == CONFLICT:
            raise ExistsError
        value = foreign_json.read(answer.body) if answer.status == 200 else None
        if not isinstance(value, dict):
            raise _refused(f"answered {answer.in_words()} to {method}", _said(answer.body))
        return value


def _put_blob(url: str, data: bytes, http: Sender) -> None:
    """One block, then the list of it: what a client for streams sends, and every server of this protocol takes."""
    block = b64encode(hashlib.sha256(data).digest()[:16]).decode()
    commit = f'<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>{block}</Latest></BlockList>'.encode()
    version = {"x-ms-version": "2020-10-02"}
    parts = (
        (f"comp=block&blockid={block.replace('+', '%2B').replace('=', '%3D')}", data, version),
        ("comp=blocklist", commit, {**version, "x-ms-blob-content-type": "application/zip"}),
    )
    for query, body, headers in parts:
        # The URL is as good as a password for the blob: it is in no message.
        answer = http.ask("PUT", f"{url}{'&' if '?' in url else '?'}{query}", headers, body)
        if answer.status not in (200, 201):
            raise _refused(f"answered {answer.in_words()} to the upload", "")


def _ids(token: str) -> dict[str, str]:
    """What the service calls this run and this job, from the scope of the token: `Actions.Results:<run>:<job>`."""
    try:
        scopes = str(read(Secret(token)).claims.get("scp") or "").split()
    except TokenShapeError:
        scopes = []
    for scope in scopes:
        name, _, ids = scope.partition(":")
        run, _, job = ids.partition(":")
        if name == "Actions.Results" and run and job:
            return {"workflow_run_backend_id": run, "workflow_job_run_backend_id": job}
    raise _refused("gave a token that names neither run nor job", "")


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # A time of its own would make another artifact of the same ledger.
            archive.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return stream.getvalue()


def _said(body: bytes) -> str:
    said = foreign_json.read(body)
    message = said.get("msg") if isinstance(said, dict) else None
    return one_line(message) if isinstance(message, str) else ""


def _refused(what: str, said: str) -> LedgerError:
    return _error(
        f"The runner's artifact service {what}" + (f": {said}" if said else ""),
        "The service is away or its storage quota is used up.",
        "Look at https://www.githubstatus.com and the usage of storage; or set ledger.push to a folder.",
    )


def _error(what: str, cause: str, fix: str) -> LedgerError:
    return LedgerError(what, cause=cause, fix=fix, docs="ledger-push")
