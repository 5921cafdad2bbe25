"""What came back from one request to one address of Vault: an answer, or the lack of one; neither is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from stepcreds.errors import VaultError


class Answer(NamedTuple):
    """What one address of Vault answered to one request."""

    address: str
    status: int
    body: Mapping[str, Any] | None  # the JSON object, None where there was none; holds secrets
    errors: tuple[str, ...] = ()  # Vault's own texts, as they came
    content_type: str = ""
    location: str = ""
    retry_after: str = ""
    repeated: bool = False  # an earlier request of the same call may have been carried out, its answer lost

    def __repr__(self) -> str:
        return f"Answer({self.address!r}, {self.status}, ***)"


class NoAnswerError(Exception):
    """There was no answer, or none that could be read. Never leaves `vault`.

    `sent` says whether Vault may have carried out the request. `final` is what to raise where trying again cannot
    help, None where it can.
    """

    def __init__(self, address: str, reason: str, *, sent: bool, final: VaultError | None = None) -> None:
        super().__init__(reason)
        self.address = address
        self.reason = reason
        self.sent = sent
        self.final = final
