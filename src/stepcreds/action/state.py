"""What a step tells the runner for the end of its job: the configuration it went by, and each credential that it holds.

The runner keeps it in its own memory and hands it to the `post` of the same step as `STATE_<name>`. A later step of the
job can change the workspace and the ledger, and cannot change this. No secret is in it.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#sending-values-to-the-pre-and-post-actions
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from stepcreds.config.model import Profile
from stepcreds.errors import StepcredsError
from stepcreds.ledger.credential import server_of
from stepcreds.model import Holding
from stepcreds.recovery.task import Remembered

CONFIG, LEDGER, CREDENTIAL = "stepcreds_config", "stepcreds_ledger", "stepcreds_credential_"
# One variable holds 128 KiB at most (MAX_ARG_STRLEN, execve(2)), and JSON may make six characters of one.
LONGEST_TEXT = 20_000  # bytes


class Saved(NamedTuple):
    """What the runner remembers of one step."""

    path: str = ""  # of the configuration; "" where the step did not get as far as to read one
    text: str | None = None  # what it said; None where it was too long to keep
    ledger: str = ""  # the file of the chain that the step wrote to, "" where it wrote nothing
    chain_uid: str = ""
    credentials: tuple[Remembered, ...] = ()  # what it held when it was last heard of


class State:
    """`session.step.Notebook`, on the file that the runner reads when the step is over, however it ended."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._file = environment.get("GITHUB_STATE", "")
        self._chain = ""

    def note(self, holding: Holding, profile: Profile, delivery: str, step_uid: str, *, asked: bool) -> None:
        """Raises `StepcredsError`: what cannot be noted is not asked for."""
        if self._chain != holding.chain_uid:
            _save(self._file, LEDGER, {"file": holding.ledger, "chain_uid": holding.chain_uid})
            self._chain = holding.chain_uid
        remembered = Remembered(
            credential_uid=holding.credential_uid,
            profile=profile.name,
            role=profile.role,
            creds=profile.creds,
            server=server_of(profile.database) if profile.database is not None else "",
            accessor=holding.accessor,
            lease_id=holding.lease_id,
            username=holding.username,
            issue_time=holding.issue_time,
            expire_time=holding.expire_time if holding.expire_time < float("inf") else 0.0,
            step_uid=step_uid,
            delivery=delivery,
            asked=asked,
        )
        _save(self._file, CREDENTIAL + holding.credential_uid, remembered._asdict())

    def strike(self, credential_uid: str) -> None:
        with suppress(StepcredsError):  # the end of the job then looks once more
            _save(self._file, CREDENTIAL + credential_uid, None)


def save_config(source: Path, environment: Mapping[str, str]) -> None:
    """The step goes by the configuration in this file. Raises `StepcredsError`."""
    try:
        text = source.read_bytes()
    except OSError:
        return  # whoever has to read it says so
    kept = text.decode("utf-8", "replace") if len(text) <= LONGEST_TEXT else None
    _save(environment.get("GITHUB_STATE", ""), CONFIG, {"path": str(source), "text": kept})


def saved(environment: Mapping[str, str]) -> Saved:
    """What this step told the runner; whatever is no such thing is left out."""
    config, ledger = _object(environment.get(f"STATE_{CONFIG}")), _object(environment.get(f"STATE_{LEDGER}"))
    text = config.get("text")
    credentials = [_object(value) for name, value in environment.items() if name.startswith(f"STATE_{CREDENTIAL}")]
    return Saved(
        _text(config, "path"),
        text if isinstance(text, str) else None,
        _text(ledger, "file"),
        _text(ledger, "chain_uid"),
        tuple(map(_remembered, filter(None, credentials))),
    )


_NO_TEXT = ("issue_time", "expire_time", "asked")


def _remembered(value: Mapping[str, object]) -> Remembered:
    times = {name: number for name in _NO_TEXT if isinstance(number := value.get(name), float)}
    texts = {name: _text(value, name) for name in Remembered._fields if name not in _NO_TEXT}
    return Remembered(
        issue_time=times.get("issue_time", 0.0),
        expire_time=times.get("expire_time", 0.0),
        asked=value.get("asked") is not False,
        **texts,
    )


def _object(text: str | None) -> dict[str, object]:
    try:
        value = json.loads(text or "null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Mapping[str, object], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _save(file: str, name: str, value: object) -> None:
    if not file:
        return
    line = f"{name}={json.dumps(value, separators=(',', ':'))}\n".encode()
    try:
        fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
    except OSError as error:
        raise StepcredsError(
            f"The runner cannot be told what this step holds (GITHUB_STATE): {error.strerror}",
            cause="The file is the runner's own.",
            fix="Check the space on its disk.",
            docs="post",
        ) from None
