"""An object store as a place that ledgers are copied to: it needs the right to create objects there, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from stepcreds.config.store_url import StoreURL
from stepcreds.ledger.push import PATIENCE, Offered, Shipment, push
from stepcreds.storage.bounded import Beat, within
from stepcreds.storage.fault import StoreFault, ledger_error
from stepcreds.storage.store import Store, open_store

TRIES = 3  # where somebody else writes there at the same moment

T = TypeVar("T")


def push_to_store(goods: Shipment, url: StoreURL, seconds: float = PATIENCE) -> str:
    """Copy `goods` to `url` within `seconds`; where its chain is now. As `push` has it, and raises `UsageError`."""

    def work(_: Beat) -> str:
        return push(goods, _opened(url))

    return within(seconds, url, work)


def offer_to_store(name: str, data: bytes, url: StoreURL, seconds: float = PATIENCE) -> Offered:
    """Make one new object `name` in `url` within `seconds`, as `Sink.offer` has it; and raises `UsageError`."""

    def work(_: Beat) -> Offered:
        return _opened(url).offer(name, data)

    return within(seconds, url, work)


def _opened(url: StoreURL) -> _StoreSink:
    try:
        return _StoreSink(url, open_store(url))
    except StoreFault as fault:
        raise ledger_error(url, "written", fault) from None


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """On the loop of all stores' libraries, which has a thread of its own."""
    from fsspec.asyn import get_loop

    return asyncio.run_coroutine_threadsafe(coroutine, get_loop()).result()


class _StoreSink:
    """See `ledger.push.Sink`."""

    def __init__(self, url: StoreURL, store: Store) -> None:
        self._url = url
        self._store = store

    def offer(self, name: str, data: bytes, *, is_new: bool = False) -> Offered:
        return run(self._offer(self._url.key(name), data, is_new))

    def shown(self, name: str) -> str:
        return str(self._url.at(self._url.key(name)))

    async def _offer(self, key: str, data: bytes, is_new: bool) -> Offered:
        fault = await self._create(key, data)
        if fault is None:
            return "there"
        # Google says of an object that is there that it may not be replaced, before it says that it is there.
        maybe_there = fault.kind == "denied" and self._url.scheme == "gs" and not is_new
        if fault.kind != "exists" and not maybe_there:
            raise ledger_error(self._url.at(key), "written", fault)
        try:
            held = await self._store.read(key, "", 0, len(data) + 1)
        except StoreFault as reading:
            if reading.kind != "empty":
                return "unknown"
            held = b""
        return "there" if held == data else "another"

    async def _create(self, key: str, data: bytes) -> StoreFault | None:
        for attempt in range(1, TRIES + 1):
            try:
                await self._store.create(key, data)
                return None
            except StoreFault as fault:
                if fault.kind != "busy" or attempt == TRIES:
                    return fault
                await asyncio.sleep(0.5 * attempt)
        raise AssertionError("the last try returns")
