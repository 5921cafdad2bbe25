"""Azure Blob Storage, by adlfs; with the credentials of Azure's SDK, and the account of the URL or of a variable."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from adlfs import AzureBlobFileSystem
from azure.core import exceptions

from stepcreds.config.store_url import StoreURL
from stepcreds.storage.fault import Kind, StoreFault, translated
from stepcreds.storage.store import Pages, Version

# Of each request; Azure's own would wait for minutes. Before it asks again it waits for a quarter of one.
_PATIENCE = {"retry_total": 1, "connection_timeout": 5, "read_timeout": 20}
_AT_ONCE = {**_PATIENCE, "retry_total": 0}
_PAUSE = 1.0  # seconds

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_CODES: dict[str, Kind] = {
    "BlobAlreadyExists": "exists",
    "BlobImmutableDueToPolicy": "exists",
    "ConditionNotMet": "exists",
    "ContainerNotFound": "no-bucket",
    "BlobNotFound": "gone",
    "AuthorizationPermissionMismatch": "denied",
    "AuthorizationFailure": "denied",
    "AuthorizationSourceIPMismatch": "denied",
    "InsufficientAccountPermissions": "denied",
    "AuthenticationFailed": "credentials",
    "NoAuthenticationInformation": "credentials",
    "InvalidAuthenticationInfo": "credentials",
    "InvalidRange": "empty",
    "ServerBusy": "busy",
}


class Bucket:
    """See `store.Store`."""

    def __init__(self, url: StoreURL) -> None:
        self._name = url.bucket
        # A ValueError: there is neither an account nor a connection string.
        with translated(lambda error: StoreFault("credentials") if isinstance(error, ValueError) else _fault(error)):
            # Not as nobody, whatever AZURE_STORAGE_ANON says.
            self._fs: Any = AzureBlobFileSystem(
                account_name=url.account or None,
                anon=False,
                assume_container_exists=True,
                use_listings_cache=False,
                skip_instance_cache=True,
            )

    async def create(self, key: str, data: bytes) -> None:
        try:
            await self._create(key, data)
        except StoreFault as fault:
            if fault.kind != "unreachable":
                raise
            await asyncio.sleep(_PAUSE)
            await self._create(key, data)

    async def _create(self, key: str, data: bytes) -> None:
        with translated(_fault):
            await self._fs._pipe_file(f"{self._name}/{key}", data, mode="create", **_AT_ONCE)

    async def read(self, key: str, version: str, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        with translated(_fault):
            async with self._fs.service_client.get_blob_client(self._name, key) as blob:
                stream = await blob.download_blob(
                    offset=start, length=end - start, version_id=version or None, **_PATIENCE
                )
                return bytes(await stream.readall())

    async def versions(self, prefix: str) -> AsyncIterator[Version]:
        with translated(_fault):
            async with self._fs.service_client.get_container_client(self._name) as container:
                listing = container.list_blobs(name_starts_with=prefix, include=["versions"], **_PATIENCE).by_page()
                pages = Pages()
                async for page in listing:
                    count = 0
                    async for each in page:
                        count += 1
                        yield _version(each)
                    if listing.continuation_token:
                        pages.turn(listing.continuation_token, count)


open_bucket = Bucket


def _version(said: Any) -> Version:
    identifier = str(said.version_id or "")  # a time with seven digits behind its point
    md5 = said.content_settings.content_md5
    return Version(
        str(said.name),
        identifier,
        (0.0, int(re.sub(r"\D", "", identifier) or 0)),
        said.last_modified.strftime("%Y-%m-%dT%H:%M:%SZ"),
        int(said.size),
        bytes(md5).hex() if md5 else "",
        current=not identifier or bool(said.is_current_version),
    )


def _fault(error: BaseException) -> StoreFault:
    named = type(error).__name__
    if isinstance(error, FileExistsError):  # of adlfs
        return StoreFault("exists")
    if isinstance(error, exceptions.ClientAuthenticationError) and error.status_code is None:
        return StoreFault("credentials", named)
    if isinstance(error, exceptions.HttpResponseError):
        code = getattr(error, "error_code", None)
        code = str(getattr(code, "value", code) or "")
        status = error.status_code or 0
        kind = _CODES.get(code) or ("denied" if status in (401, 403) else "busy" if status >= 500 else "refused")
        return StoreFault(kind, code or f"HTTP_{status}")
    if isinstance(error, exceptions.AzureError):  # without an answer
        return StoreFault("unreachable", named)
    return StoreFault("unreachable" if isinstance(error, (TimeoutError, ConnectionError)) else "refused", named)
