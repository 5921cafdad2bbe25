"""Google Cloud Storage, by gcsfs; with Google's application default credentials."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import google.auth.exceptions
import requests.exceptions

# Not the class that the package exports: that one first asks another service, by gRPC, whether the bucket is zonal.
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError, NonRetryableError

from stepcreds.config.store_url import StoreURL
from stepcreds.storage.fault import Kind, StoreFault, translated
from stepcreds.storage.store import Pages, Version

_FIELDS = "nextPageToken,items(name,generation,size,md5Hash,timeCreated,timeDeleted,owner)"
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_connect=5, sock_read=20)


class Bucket:
    """See `store.Store`."""

    def __init__(self, url: StoreURL) -> None:
        self._name = url.bucket
        with translated(_fault):
            # Not gcsfs's own order, which ends with a pickled file and with nobody's name.
            self._fs: Any = GCSFileSystem(
                token="google_default",  # noqa: S106 - the name of a method
                access="read_write",
                requests_timeout=_TIMEOUT,
                session_kwargs={"trust_env": True},  # proxies
                use_listings_cache=False,
                skip_instance_cache=True,
            )

    async def create(self, key: str, data: bytes) -> None:
        with translated(_fault):
            # One request, whatever the size: ifGenerationMatch=0 is asked of that alone.
            await self._fs._pipe_file(f"{self._name}/{key}", data, mode="create", chunksize=len(data) + 1)

    async def read(self, key: str, version: str, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        _, data = await self._ask(
            "b/{}/o/{}", key, headers={"Range": f"bytes={start}-{end - 1}"}, alt="media", generation=version or None
        )
        return bytes(data)

    async def versions(self, prefix: str) -> AsyncIterator[Version]:
        pages, token = Pages(), None
        while True:
            _, said = await self._ask("b/{}/o", prefix=prefix, versions="true", pageToken=token, fields=_FIELDS)
            try:
                page = json.loads(said)
                found = [_version(each) for each in page.get("items", [])]
                token = page.get("nextPageToken")
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise StoreFault("refused", "IncompleteAnswer") from None
            for each in found:
                yield each
            if not token:
                return
            pages.turn(token, len(found))

    async def _ask(self, path: str, *parts: str, **parameters: object) -> Any:
        with translated(_fault):
            return await self._fs._call("GET", path, self._name, *parts, **parameters)


open_bucket = Bucket


def _version(said: dict[str, Any]) -> Version:
    generation = str(said["generation"])
    time = datetime.fromisoformat(str(said["timeCreated"]).replace("Z", "+00:00"))
    try:
        md5 = b64decode(said.get("md5Hash", "")).hex()
    except Base64Error:
        md5 = ""
    return Version(
        str(said["name"]),
        generation,
        (0.0, int(generation)),
        time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        int(said.get("size", 0)),
        md5,
        str((said.get("owner") or {}).get("entity") or ""),
        current="timeDeleted" not in said,
    )


def _fault(error: BaseException) -> StoreFault:
    """gcsfs has no one kind of error: what it makes of which status is in gcsfs/retry.py, `validate_response`."""
    named = type(error).__name__
    kinds: tuple[tuple[bool, Kind], ...] = (
        (isinstance(error, FileExistsError), "exists"),  # 412
        # 404: of a listing or an upload the bucket is missing, of a read the object.
        (isinstance(error, FileNotFoundError), "gone" if "/o/" in str(error) else "no-bucket"),
        (isinstance(error, OSError) and str(error).startswith("Forbidden"), "denied"),
        (isinstance(error, (google.auth.exceptions.TransportError, aiohttp.ClientError)), "unreachable"),
        (isinstance(error, (TimeoutError, requests.exceptions.RequestException)), "unreachable"),
        (isinstance(error, (google.auth.exceptions.GoogleAuthError, NonRetryableError)), "credentials"),
    )
    for fits, kind in kinds:
        if fits:
            return StoreFault(kind, "" if kind in ("exists", "no-bucket", "denied", "gone") else named)
    if isinstance(error, HttpError):
        status = str(error.code or "")
        kinds_of: dict[str, Kind] = {"401": "credentials", "416": "empty", "429": "busy"}
        return StoreFault(kinds_of.get(status) or ("busy" if status.startswith("5") else "refused"), f"HTTP_{status}")
    return StoreFault("refused", named)
