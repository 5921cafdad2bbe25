"""Copies the ledger of a job to where the configuration says, once; for the end of a job and for a command."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stepcreds.clock import Clock
from stepcreds.config.model import LedgerSettings
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger.push import content, digest, is_pushed, note_pushed, push_to_folder


def ship(file: Path, settings: LedgerSettings, environment: Mapping[str, str], clock: Clock) -> str:
    """Copy the chain in `file`; where it went, in words, "" where it was there already.

    Raises `LedgerError`, and `UsageError` where the configuration names no place.
    """
    if settings.push is None:
        raise UsageError(
            "The configuration does not say where to copy the ledger",
            fix="Set ledger.push in stepcreds.yml to a folder, or on GitHub to artifact.",
            docs="ledger-push",
        )
    data = content(file)
    if is_pushed(file, data):
        return ""
    try:
        if isinstance(settings.push, Path):
            place = str(push_to_folder(file.name, data, settings.push))
        else:
            place = f"the artifact {_upload(file, data, environment, clock)}"
    except LedgerError as error:
        raise LedgerError(
            f"The ledger {file.name} was not copied in order: {error.what}",
            cause=error.cause,
            fix=error.fix,
            docs="ledger-push",
        ) from None
    note_pushed(file, data)
    return place


def _upload(file: Path, data: bytes, environment: Mapping[str, str], clock: Clock) -> str:
    """Each chain has a name of its own, so that the jobs of a matrix do not collide."""
    from stepcreds.ci.artifact import ExistsError, upload
    from stepcreds.ci.http import PatientHTTP

    http = PatientHTTP(environment, clock)
    name = f"stepcreds-{file.stem}"
    try:
        upload(name, file.name, data, environment, http)
        return name
    except ExistsError:
        pass
    # Another step put something there under that name, or the job went on after its ledger had been copied.
    name = f"{name}-{digest(data)[:12]}"
    with suppress(ExistsError):  # the name tells what is in it
        upload(name, file.name, data, environment, http)
    return name
