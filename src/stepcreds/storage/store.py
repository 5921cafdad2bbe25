"""What is asked of an object store, and which library asks it; what it means is decided elsewhere."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from stepcreds.config.store_url import StoreURL
from stepcreds.errors import UsageError
from stepcreds.storage.fault import StoreFault

# By scheme: our module, the library, and the extra that brings it.
_KINDS = {"s3": ("s3", "s3fs", "s3"), "gs": ("gcs", "gcsfs", "gcs"), "az": ("azure", "adlfs", "azure")}


MOST_EMPTY = 100  # pages in a row with nothing on them


class Version(NamedTuple):
    """One version of one object, or the mark that it was deleted."""

    key: str
    id: str  # the store's; "" where it keeps none ("null" is S3's name for what was written without versioning)
    rank: tuple[float, int]  # of an older version: less
    time: str  # RFC 3339
    size: int  # bytes
    md5: str = ""  # of the content, in hex; "" where the store does not say it, and where it may be something else
    owner: str = ""  # as the store calls it; "" where it does not say
    deleted: bool = False  # a mark: there is no content
    current: bool = False  # what a reader gets who names no version


class Pages:
    """The pages of a listing: some stores, and what answers in their place, would go on for ever."""

    def __init__(self) -> None:
        self._marker: object = None
        self._empty = 0

    def turn(self, marker: object, count: int) -> None:
        """There is another page behind one of `count` entries, at `marker`. Raises `StoreFault`."""
        self._empty = 0 if count else self._empty + 1
        if not marker or marker == self._marker or self._empty > MOST_EMPTY:
            raise StoreFault("endless")
        self._marker = marker


class Store(Protocol):
    """One bucket, as whoever the environment's credentials are. Every method raises `StoreFault`."""

    async def create(self, key: str, data: bytes) -> None:
        """A new object, whole, where there is none of that name: the store itself must see to that."""
        ...

    async def read(self, key: str, version: str, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`; `version` "" is the current one."""
        ...

    def versions(self, prefix: str) -> AsyncIterator[Version]:
        """Every version of every object whose key begins with `prefix`, and every mark of a deletion."""
        ...


def open_store(url: StoreURL) -> Store:
    """The store of `url`. Raises `UsageError` where its library is not installed, and `StoreFault`.

    Must not be called in the main thread: some libraries look for credentials at once, on the network.
    """
    if url.scheme == "file":
        from stepcreds.storage.folder import Folder

        return Folder(url)
    module, library, extra = _KINDS[url.scheme]
    try:
        importlib.import_module(library)
    except ImportError:
        raise missing(url, library, extra) from None
    store: Store = importlib.import_module(f"stepcreds.storage.{module}").open_bucket(url)
    return store


def installed(url: StoreURL) -> bool:
    """Whether the library for `url` is there; it is not imported."""
    from importlib.util import find_spec

    return find_spec(_KINDS[url.scheme][1]) is not None


def missing(url: StoreURL, library: str = "", extra: str = "") -> UsageError:
    """The error where it is not."""
    _, usual, usual_extra = _KINDS[url.scheme]
    return UsageError(
        f"{url} cannot be used from here: {library or usual} is not installed",
        cause="Clients of object stores are extras of the package; the Action, stepcreds.pyz and the image have none.",
        fix=f"Run: pip install 'stepcreds[{extra or usual_extra}]'\n"
        f"In a job with the Action: pipx run --spec 'stepcreds[{extra or usual_extra}]' stepcreds ledger push, as its "
        "last step, after `stepcreds revoke --all`; or set ledger.push to artifact.",
        docs="store-extra",
    )
