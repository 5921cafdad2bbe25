"""What the runner remembers of one step and hands to the step's `post`: how it is written, and how it is read again.

The runner keeps it in its own memory and hands it to the `post` of the same step as `STATE_<name>`. A later step of the
job can change the workspace, the ledger and the environment, and cannot change this. No secret is in it.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#sending-values-to-the-pre-and-post-actions
"""

from __future__ import annotations

import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stepcreds.config.address import AddressError, parse_address
from stepcreds.config.model import VaultSettings
from stepcreds.recovery.task import Remembered

BEGUN, CONFIG, VAULT, LEDGER = "stepcreds_begun", "stepcreds_config", "stepcreds_vault", "stepcreds_ledger"
CREDENTIAL, FILE = "stepcreds_credential_", "stepcreds_file_"  # and a number, or the credential's uid
# One variable holds 128 KiB at most (MAX_ARG_STRLEN, execve(2)), its name and what is around the text included.
LONGEST_TEXT = 100_000  # characters, packed
MOST_BYTES = 8 * 1024 * 1024  # unpacked


class Saved(NamedTuple):
    """What the runner remembers of one step."""

    begun: bool = False  # the step said so before anything else
    path: str = ""  # of the configuration; "" where the step did not get as far as to read one
    text: bytes | None = None  # what it said; None where it was too long to keep
    digest: str = ""  # of what it said, SHA-256
    vault: VaultSettings | None = None  # which Vault it was, whatever the environment says now; without proxies
    files: Mapping[str, bytes] = {}  # path -> the certificates in the file of CAs that the step had there
    ledger: str = ""  # the file of the chain that the step wrote to, "" where it wrote nothing
    chain_uid: str = ""
    credentials: tuple[Remembered, ...] = ()  # what it held when it was last heard of


def saved(environment: Mapping[str, str]) -> Saved:
    """What this step told the runner; whatever is no such thing is left out."""
    config, ledger = _object(environment.get(f"STATE_{CONFIG}")), _object(environment.get(f"STATE_{LEDGER}"))
    credentials = [_object(value) for name, value in environment.items() if name.startswith(f"STATE_{CREDENTIAL}")]
    files = [_object(value) for name, value in environment.items() if name.startswith(f"STATE_{FILE}")]
    contents = {_text(file, "path"): unpacked(file.get("text")) for file in files}
    return Saved(
        begun=bool(environment.get(f"STATE_{BEGUN}")),
        path=_text(config, "path"),
        text=unpacked(config.get("text")),
        digest=_text(config, "sha256"),
        vault=_vault(_object(environment.get(f"STATE_{VAULT}"))),
        files={path: content for path, content in contents.items() if path and content is not None},
        ledger=_text(ledger, "file"),
        chain_uid=_text(ledger, "chain_uid"),
        credentials=tuple(map(_remembered, filter(None, credentials))),
    )


def packed(data: bytes) -> str | None:
    """`data` in few characters; None where it is too long all the same."""
    text = binascii.b2a_base64(zlib.compress(data, 9), newline=False).decode("ascii")
    return text if len(text) <= LONGEST_TEXT else None


def unpacked(text: object) -> bytes | None:
    """What `packed` made `text` of; None where it is no such text."""
    if not isinstance(text, str):
        return None
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(binascii.a2b_base64(text.encode()), MOST_BYTES)
    except (ValueError, zlib.error):
        return None
    return data if stream.eof else None


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def vault_record(settings: VaultSettings) -> dict[str, object]:
    """`settings` as they are kept: without the proxies, whose URLs may hold passwords."""
    values = {name: value for name, value in settings._asdict().items() if name != "proxies"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _vault(value: Mapping[str, object]) -> VaultSettings | None:
    addresses = value.get("addresses")
    if not isinstance(addresses, list) or not addresses:
        return None
    try:
        texts = tuple(parse_address(str(address)).text for address in addresses)
    except AddressError:
        return None
    timeout = value.get("timeout")
    return VaultSettings(
        addresses=texts,
        namespace=_text(value, "namespace") or None,
        ca_cert=_path(value, "ca_cert"),
        client_cert=_path(value, "client_cert"),
        client_key=_path(value, "client_key"),
        skip_verify=value.get("skip_verify") is True,
        mount=_text(value, "mount"),
        audience=_text(value, "audience"),
        id_token_variable=_text(value, "id_token_variable"),
        timeout=timeout if isinstance(timeout, float) else None,
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


def _path(value: Mapping[str, object], name: str) -> Path | None:
    text = _text(value, name)
    return Path(text) if text else None
