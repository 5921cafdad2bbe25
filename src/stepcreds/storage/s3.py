"""Amazon S3 and what speaks its protocol, by s3fs; with the credentials that the AWS CLI would take."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from botocore import exceptions
from s3fs import S3FileSystem

from stepcreds.config.store_url import StoreURL
from stepcreds.storage.fault import Kind, StoreFault, translated
from stepcreds.storage.store import Pages, Version

# A minute is all that the end of a job has for this.
_CLIENT = {"connect_timeout": 5, "read_timeout": 12, "retries": {"mode": "standard", "total_max_attempts": 3}}

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_CODES: dict[str, Kind] = {
    "PreconditionFailed": "exists",
    "412": "exists",
    "ConditionalRequestConflict": "busy",  # another conditional write of that key is under way
    "SlowDown": "busy",
    "OperationAborted": "busy",
    "NoSuchKey": "gone",
    "NoSuchVersion": "gone",
    "InvalidRange": "empty",
    "416": "empty",
    "NoSuchBucket": "no-bucket",
    "AccessDenied": "denied",
    "AllAccessDisabled": "denied",
    "403": "denied",
    "ExpiredToken": "credentials",
    "InvalidAccessKeyId": "credentials",
    "InvalidToken": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "RequestTimeTooSkewed": "credentials",
    "PermanentRedirect": "region",
    "TemporaryRedirect": "region",
    "AuthorizationHeaderMalformed": "region",
    "IllegalLocationConstraintException": "region",
    "301": "region",
    "NotImplemented": "unsupported",
}
# What botocore raises without an answer of the store.
_ERRORS: tuple[tuple[tuple[type[BaseException], ...], Kind], ...] = (
    ((exceptions.HTTPClientError, exceptions.ConnectionError, TimeoutError, ConnectionError), "unreachable"),
    ((exceptions.NoRegionError, exceptions.InvalidRegionError), "region"),
    (
        (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.ProfileNotFound,
            exceptions.NoAuthTokenError,
            exceptions.SSOError,
            exceptions.InvalidConfigError,
            exceptions.ConfigNotFound,
        ),
        "credentials",
    ),
)


class Bucket:
    """See `store.Store`."""

    def __init__(self, url: StoreURL) -> None:
        self._name = url.bucket
        self._fs: Any = S3FileSystem(config_kwargs=_CLIENT, use_listings_cache=False, skip_instance_cache=True)
        self._fs.retries = 1  # botocore does it already

    async def create(self, key: str, data: bytes) -> None:
        with translated(_fault):
            client = await self._fs.set_session()
            # s3fs leaves out parameters that its botocore does not know, and would then overwrite.
            if "IfNoneMatch" not in client.meta.service_model.operation_model("PutObject").input_shape.members:
                raise StoreFault("unsupported", "botocore")  # noqa: TRY301
            # One request, whatever the size: what is made of parts is not there at once.
            await self._fs._pipe_file(f"{self._name}/{key}", data, mode="create", chunksize=len(data) + 1)

    async def read(self, key: str, version: str, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        which = {"VersionId": version} if version else {}
        answer = await self._ask("get_object", Key=key, Range=f"bytes={start}-{end - 1}", **which)
        with translated(_fault):
            async with answer["Body"] as body:
                data = b""
                # Some servers give all of it, whatever was asked for.
                while len(data) <= end - start and (piece := await body.read(end - start + 1 - len(data))):
                    data += piece
        return data

    async def versions(self, prefix: str) -> AsyncIterator[Version]:
        pages, count = Pages(), 0
        marker: dict[str, str] = {}
        while True:
            try:
                page = await self._ask("list_object_versions", Prefix=prefix, **marker)
            except StoreFault as fault:
                if fault.kind != "unsupported" or count:
                    raise
                async for version in self._without_versions(prefix):
                    yield version
                return
            found = [(each, False) for each in page.get("Versions", [])]
            found += [(each, True) for each in page.get("DeleteMarkers", [])]
            for each, deleted in found:
                count += 1
                yield _version(each, count, deleted=deleted)
            if not page.get("IsTruncated"):
                return
            marker = {
                "KeyMarker": page.get("NextKeyMarker", ""),
                "VersionIdMarker": page.get("NextVersionIdMarker", ""),
            }
            pages.turn(marker["KeyMarker"] and marker, len(found))

    async def _without_versions(self, prefix: str) -> AsyncIterator[Version]:
        """Of a store that knows no versions, as Cloudflare's R2."""
        pages, count = Pages(), 0
        token: dict[str, str] = {}
        while True:
            page = await self._ask("list_objects_v2", Prefix=prefix, **token)
            found = page.get("Contents", [])
            for each in found:
                count += 1
                yield _version({"IsLatest": True, **each}, count, deleted=False)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page.get("NextContinuationToken", "")}
            pages.turn(token["ContinuationToken"], len(found))

    async def _ask(self, method: str, **parameters: object) -> Any:
        with translated(_fault):
            return await self._fs._call_s3(method, Bucket=self._name, **parameters)


open_bucket = Bucket


def _version(said: dict[str, Any], count: int, *, deleted: bool) -> Version:
    """Of one key the newest comes first, and times are whole seconds in some stores."""
    etag = str(said.get("ETag", "")).strip('"')
    owner = said.get("Owner") or {}
    if "Key" not in said or "LastModified" not in said:
        raise StoreFault("refused", "IncompleteAnswer")
    time = said["LastModified"]
    return Version(
        str(said["Key"]),
        str(said.get("VersionId") or ""),
        (time.timestamp(), -count),
        time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        int(said.get("Size", 0)),
        etag if re.fullmatch("[0-9a-f]{32}", etag) else "",
        str(owner.get("DisplayName") or owner.get("ID") or ""),
        deleted,
        bool(said.get("IsLatest")),
    )


def _fault(error: BaseException) -> StoreFault:
    """s3fs turns botocore's errors into those of the system, and keeps the first as their cause."""
    named = type(error).__name__
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, exceptions.ClientError):
            return _refusal(link)
        kind = next((kind for kinds, kind in _ERRORS if isinstance(link, kinds)), None)
        if kind is not None:
            return StoreFault(kind, type(link).__name__)
        link = link.__cause__
    return StoreFault("refused", named)


def _refusal(error: exceptions.ClientError) -> StoreFault:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    kind = _CODES.get(code) or _CODES.get(status) or ("busy" if status.startswith("5") else "refused")
    return StoreFault(kind, code)
