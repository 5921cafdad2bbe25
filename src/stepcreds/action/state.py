"""Tells the runner, for the end of the job, what a step goes by and each credential that it holds.

`saved.py` says what is kept. The file is the script's as much as ours: so the script is shown another one, and when it
has ended the file is made again of what this process knows.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from stepcreds.action.saved import (
    BEGUN,
    CONFIG,
    CREDENTIAL,
    FILE,
    LEDGER,
    VAULT,
    digest,
    packed,
    vault_record,
)
from stepcreds.config.model import Config, Profile
from stepcreds.errors import StepcredsError
from stepcreds.ledger.credential import server_of
from stepcreds.model import Holding
from stepcreds.recovery.task import Remembered

VARIABLE = "GITHUB_STATE"
_LARGEST = 16 * 1024 * 1024  # bytes
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Nothing else of such a file is kept: it may hold a key as well.
_CERTIFICATE = re.compile(
    rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----.*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.S
)


class State:
    """`session.step.Notebook`, on the file that the runner reads when the step is over, however it ended.

    Made before there is a command: from then on what it knows counts, and not what the file says.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._file = environment.get(VARIABLE, "")
        self._chain = ""
        self._written = _read(self._file)
        self._lines = {line.partition(b"=")[0]: line for line in self._written.splitlines()}

    def note(self, holding: Holding, profile: Profile, delivery: str, step_uid: str, *, asked: bool) -> None:
        """Raises `StepcredsError`: what cannot be noted is not asked for."""
        if self._chain != holding.chain_uid:
            self._save(LEDGER, {"file": holding.ledger, "chain_uid": holding.chain_uid})
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
        self._save(CREDENTIAL + holding.credential_uid, remembered._asdict())

    def strike(self, credential_uid: str) -> None:
        with suppress(StepcredsError):  # the end of the job then looks once more
            self._save(CREDENTIAL + credential_uid, None)

    def restore(self) -> bool:
        """Make the file again where it is not what was written; whether that was so. Raises `StepcredsError`."""
        if not self._file or _read(self._file) == self._written:
            return False
        text = b"".join(line + b"\n" for line in self._lines.values())
        try:
            _replace(self._file, text)
        except OSError as error:
            raise _unwritable(error) from None
        self._written = text
        return True

    def _save(self, name: str, value: object) -> None:
        line = _line(name, value)
        self._lines[name.encode()] = line
        self._written += _append(self._file, line)


def begin(environment: Mapping[str, str]) -> None:
    """Before anything else: what the end of the job finds of this step cannot be nothing. Raises `StepcredsError`."""
    _append(environment.get(VARIABLE, ""), _line(BEGUN, True))


def save_text(source: Path, environment: Mapping[str, str]) -> None:
    """The step goes by the configuration in this file. Raises `StepcredsError`."""
    try:
        data = source.read_bytes()
    except OSError:
        return  # whoever has to read it says so
    value = {"path": str(source), "text": packed(data), "sha256": digest(data)}
    _append(environment.get(VARIABLE, ""), _line(CONFIG, value))


def save_config(config: Config, environment: Mapping[str, str]) -> None:
    """`save_text`, and what the environment made of it: which Vault, and by which CAs. Raises `StepcredsError`."""
    save_text(config.source, environment)
    file = environment.get(VARIABLE, "")
    _append(file, _line(VAULT, vault_record(config.vault)))
    urls = [profile.database for profile in config.profiles.values() if profile.database is not None]
    paths = dict.fromkeys(path for path in (config.vault.ca_cert, *(url.sslrootcert for url in urls)) if path)
    for number, path in enumerate(paths):
        text = packed(b"\n".join(_certificates(path)))
        if text is not None:
            _append(file, _line(f"{FILE}{number}", {"path": str(path), "text": text}))


def _certificates(path: Path) -> list[bytes]:
    """Those in the file, or in the files of the folder, `path`."""
    found: list[bytes] = []
    with suppress(OSError):  # whoever needs them says so
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                found += [match.group() for match in _CERTIFICATE.finditer(file.read_bytes())]
    return found


def _line(name: str, value: object) -> bytes:
    return f"{name}={json.dumps(value, separators=(',', ':'))}".encode()


def _read(file: str) -> bytes:
    """What stands in the file; nothing where it is no file, or not to be read."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as stream:  # noqa: PTH123 - pathlib has no O_NOFOLLOW
            return stream.read(_LARGEST) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""


def _append(file: str, line: bytes) -> bytes:
    """Add `line`, on a line of its own; what was added. Raises `StepcredsError`."""
    if not file:
        return b""
    try:
        fd = os.open(file, _APPEND, 0o600)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(22, "it is no regular file")
            size = status.st_size
            # Where a write was cut short, or something else wrote here, the last line may have no end.
            data = (b"" if size == 0 or os.pread(fd, 1, size - 1) == b"\n" else b"\n") + line + b"\n"
            if os.write(fd, data) != len(data):
                raise OSError(28, "No space left on device")
        finally:
            os.close(fd)
    except OSError as error:
        raise _unwritable(error) from None
    return data


def _replace(path: str, text: bytes) -> None:
    """Put a new file with `text` in the place of whatever is at `path`. Raises OSError."""
    new = f"{path}.{os.urandom(8).hex()}"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as stream:  # noqa: PTH123
            with suppress(OSError):  # in a container: the runner's user, who is another
                before = os.lstat(path)  # noqa: PTH116
                os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, 0o644)  # as the runner makes them
            stream.write(text)
        os.rename(new, path)  # noqa: PTH104
    except OSError:
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108
        raise


def _unwritable(error: OSError) -> StepcredsError:
    return StepcredsError(
        f"The runner cannot be told what this step holds (GITHUB_STATE): {error.strerror}",
        cause="The file is the runner's own.",
        fix="Check the space on its disk, and what an earlier step may have put in its place.",
        docs="post",
    )
