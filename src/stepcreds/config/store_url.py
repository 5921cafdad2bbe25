"""The URL of a place in an object store, as stepcreds.yml and the command line name it; it connects to none.

A folder of this machine that is read like a store has one as well, which nobody writes and everybody sees as its path.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, NamedTuple

from stepcreds.errors import UsageError

Scheme = Literal["s3", "gs", "az", "file"]

# A container of Azure may name its account: adlfs has that from Hadoop's driver. Nothing else may stand before an `@`,
# and nothing behind a `?`: those are where people put keys and signatures.
_PLACE = (
    r"(?:(?:s3|gs|az|abfss?)://{bucket}|abfss?://{bucket}@{account}\.(?:dfs|blob)\.core\.windows\.net)"
    r"(?:/(?!\.{{1,2}}(?:/|$))[A-Za-z0-9_.=+@-]+)*/?"
)
_BUCKET, _ACCOUNT = r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]", r"[a-z0-9]{3,24}"
PATTERN: Final = _PLACE.format(bucket=_BUCKET, account=_ACCOUNT)
FORMS: Final = "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
_PARTS = rf"(?P<scheme>[a-z0-9]+)://(?P<bucket>{_BUCKET})(?:@(?P<account>{_ACCOUNT})\.[a-z.]+)?(?:/(?P<prefix>.*))?"


class StoreURL(NamedTuple):
    """A folder of an object store, or an object."""

    scheme: Scheme
    bucket: str  # Azure: the container; a folder: its path
    prefix: str  # without slashes at its ends; "": the whole bucket
    account: str = ""  # Azure's; "": the one that AZURE_STORAGE_ACCOUNT_NAME names

    def __str__(self) -> str:
        where = f"abfss://{self.bucket}@{self.account}.dfs.core.windows.net" if self.account else self._short
        return f"{where}/{self.prefix}" if self.prefix else where

    @property
    def _short(self) -> str:
        return self.bucket if self.scheme == "file" else f"{self.scheme}://{self.bucket}"

    def key(self, name: str) -> str:
        """What the object `name` in this folder is called."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def at(self, key: str) -> StoreURL:
        """The object that is called `key`."""
        return self._replace(prefix=key)


def folder_url(folder: Path) -> StoreURL:
    """`folder` as what is fetched from, or the one file that it is."""
    if folder.is_dir():
        return StoreURL("file", str(folder), "")
    return StoreURL("file", str(folder.parent), folder.name)


def is_url(text: str) -> bool:
    """Whether `text` is meant as a URL, of whatever kind, and not as a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def store_url(text: str) -> StoreURL:
    """What `text` says. Raises `UsageError`, which does not repeat it: people put keys into URLs."""
    parts = re.fullmatch(_PARTS, text) if re.fullmatch(PATTERN, text) else None
    if parts is None:
        raise UsageError(
            f"This is no URL of an object store that stepcreds can use: {text.partition(':')[0]}://…",
            cause="There is another kind of store, a character that names there do not have, or something before an @ "
            "or behind a ?.",
            fix=f"Write {FORMS}. Keys and signatures have no place in it: see docs/storage.md.",
            docs="store",
        )
    scheme: Scheme = "s3" if parts["scheme"] == "s3" else "gs" if parts["scheme"] == "gs" else "az"
    return StoreURL(scheme, parts["bucket"], (parts["prefix"] or "").strip("/"), parts["account"] or "")
