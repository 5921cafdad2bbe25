"""What the two processes of a step tell each other: one line of JSON for everything that must not be left behind.

The lines carry secrets in clear, through a pipe that only these two processes hold; they are never stored or shown.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from stepcreds.errors import StepcredsError

if TYPE_CHECKING:
    from stepcreds.model import Holding  # the front needs it only when it has to take over


class Custody(NamedTuple):
    """What a worker that is gone still held, or one that is left alone still holds; in the order in which it came to
    hold it."""

    holdings: tuple[Holding, ...]
    folders: tuple[str, ...]  # private folders that are still there
    started: bool = False  # whether the command had been started
    # Why the worker could not end it: "the worker was killed by SIGKILL", "KeyError in session.py:97"; or what the step
    # was asked to end by: "SIGTERM".
    reason: str = ""
    code: int | None = None  # what the step was about to exit with; None: that was not known yet
    front_gone: bool = False  # whether the CI waits for nobody any more


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def encode_holding(holding: Holding) -> dict[str, Any]:
    """`holding` as JSON has it: its secrets in clear and marked as such, each value of `measurement` by its name."""
    from stepcreds.measurement import Finding, Measured, NotMeasured
    from stepcreds.secret import Secret

    def clear(value: object) -> object:
        if isinstance(value, (Measured, NotMeasured, Finding)):
            return {type(value).__name__: [clear(item) for item in value]}
        if isinstance(value, tuple):
            return [clear(item) for item in value]
        return {"secret": value.reveal()} if isinstance(value, Secret) else value

    return {name: clear(value) for name, value in holding._asdict().items()}


class Custodian:
    """Keeps account of what the worker holds, by what it says."""

    def __init__(self) -> None:
        self._holdings: dict[str, dict[str, Any]] = {}
        self._folders: dict[str, None] = {}
        self.started = False  # whether there was a command, or may have been
        self.ending = False  # whether nothing of the step is left to do but to end what is held
        self._code: int | None = None

    def note(self, message: dict[str, Any]) -> None:
        """Takes in one message of the kinds hold, release, keep_folder, forget_folder, started, ending; others are not
        ours."""
        match message:
            case {"hold": values}:
                self._holdings[values["credential_uid"]] = values
            case {"release": credential_uid}:
                self._holdings.pop(credential_uid, None)
            case {"keep_folder": path}:
                self._folders[path] = None
            case {"forget_folder": path}:
                self._folders.pop(path, None)
            case {"started": _}:
                self.started = True
            case {"ending": code}:
                self.ending = True
                self._code = code

    def custody(self, reason: str) -> Custody:
        """What is held now."""
        from stepcreds.measurement import Finding, Measured, NotMeasured
        from stepcreds.model import Holding
        from stepcreds.secret import Secret

        named = {each.__name__: each for each in (Measured, NotMeasured, Finding)}

        def revived(value: Any) -> Any:
            if isinstance(value, list):
                return tuple(map(revived, value))
            if not isinstance(value, dict):
                return value
            ((name, inner),) = value.items()
            return Secret(inner) if name == "secret" else named[name](*revived(inner))

        holdings = tuple(
            Holding(**{name: revived(value) for name, value in values.items()}) for values in self._holdings.values()
        )
        return Custody(holdings, tuple(self._folders), self.started, reason, self._code)


class Lines:
    """Cuts what arrives into messages; a line that never ends is what a dying process had no time to say."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


def describe(error: BaseException) -> str:
    """What went wrong and where, without the message of a foreign error: it may quote a secret."""
    if isinstance(error, StepcredsError):
        return error.what
    trace: TracebackType | None = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f" in {code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + where
