"""Copies the ledger of a job to where the configuration says, once; for the end of a job and for a command."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stepcreds.clock import Clock
from stepcreds.config.model import LedgerSettings
from stepcreds.config.store_url import StoreURL
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.push import PATIENCE, FolderSink, Shipment, is_pushed, note_pushed, push, shipment


def ship(
    file: Path, settings: LedgerSettings, environment: Mapping[str, str], clock: Clock, seconds: float = PATIENCE
) -> str:
    """Copy the chain in `file`, and its checkpoints; where it went, in words, "" where that was done before.

    A folder is looked into; of other places a note beside `file` is believed, because a job may not read there.

    `seconds`: how long an object store is waited for. Raises `LedgerError`, and `UsageError` where the configuration
    names no place, or one whose library is not installed.
    """
    if settings.push is None:
        raise UsageError(
            "The configuration does not say where to copy the ledger",
            fix="Set ledger.push in stepcreds.yml to a folder, to an object store, or on GitHub to artifact.",
            docs="ledger-push",
        )
    try:
        goods = shipment(file)
        where = str(settings.push)
        is_folder = isinstance(settings.push, Path)
        if is_pushed(file, goods, where) and (not is_folder or FolderSink(Path(where)).holds(goods)):
            return ""
        if isinstance(settings.push, Path):
            place = push(goods, FolderSink(settings.push))
        elif isinstance(settings.push, StoreURL):
            from stepcreds.storage.push import push_to_store

            place = push_to_store(goods, settings.push, seconds)
        else:
            place = f"the artifact {_upload(goods, environment, clock)}"
    except LedgerError as error:
        raise LedgerError(
            f"The ledger {file.name} could not be copied to its place: {error.what}",
            cause=error.cause,
            fix=error.fix,
            docs=error.docs if error.docs == "store" else "ledger-push",
        ) from None
    note_pushed(file, goods, where)
    return place


def _upload(goods: Shipment, environment: Mapping[str, str], clock: Clock) -> str:
    """Each chain has a name of its own, so that the jobs of a matrix do not collide."""
    from stepcreds.ci.artifact import ExistsError, upload
    from stepcreds.ci.http import PatientHTTP

    http = PatientHTTP(environment, clock)
    name = f"stepcreds-{Path(goods.name).stem}"
    files = dict(goods.files(goods.name))
    try:
        upload(name, files, environment, http)
        return name
    except ExistsError:
        pass
    # Another step put something there under that name, or the job went on after its ledger had been copied.
    name = f"{name}-{goods.digest[:12]}"
    with suppress(ExistsError):  # the name tells what is in it
        upload(name, files, environment, http)
    return name
