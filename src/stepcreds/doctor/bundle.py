"""A support file: what doctor found and what it stands on, packed without known secrets; it writes no file."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from stepcreds.clock import Clock
from stepcreds.config.environment import own_environment
from stepcreds.config.model import Config
from stepcreds.deliver.environment import credential_like
from stepcreds.doctor import facts
from stepcreds.errors import LedgerError
from stepcreds.ledger.canonical import CanonicalError, loads
from stepcreds.ledger.folder import chain_files
from stepcreds.ledger.reading import stored_lines
from stepcreds.printable import one_line
from stepcreds.redact import Redactor
from stepcreds.review.sources import local
from stepcreds.review.verification import verify
from stepcreds.secret import Secret

CHAINS, RECORDS = 5, 200  # the newest chains of the ledger, and the last records of each
LARGEST = 1024 * 1024  # bytes of the records of one chain: whoever can write to the ledger can write long ones

# What each file holds, for whoever passes the bundle on. It is printed, and is in the bundle.
CONTENTS: Mapping[str, str] = {
    "doctor.json": "what doctor found: addresses, roles, policies, the job's repository and subject, database users",
    "versions.json": "of stepcreds, Python and its packages",
    "configuration.json": "stepcreds.yml as it is in effect, without the texts of templates",
    "environment.json": "the names of the environment's variables, no values",
    "machine.json": "kernel, container, limits, file systems",
    "ledger.json": f"`ledger verify`, and the last {RECORDS} records of the newest {CHAINS} chains: repository, run, "
    "actor, commit, lease ids",
}
_EXPLAINED = (
    "A support file of stepcreds. Known secrets, and what looked like one, were replaced by ***; of the environment\n"
    "it has the names alone. It does tell who and where: look through it before you pass it on.\n\n"
)
# What is known by its form, should it come from elsewhere than the environment.
_FORMS = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"  # JWT
    r"|\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}"  # tokens of Vault and OpenBao
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # of a URL
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


def bundle(
    name: str,
    document: object,
    *,
    config: Config | None,
    variables: Mapping[str, str],
    ci: str,
    clock: Clock,
    secrets: Iterable[Secret] = (),
) -> bytes:
    """A tar.gz with one folder, `name`. `document` is what `--json` prints; `config` is None where it cannot be read.

    `secrets` are those that are not in the environment. Raises nothing for what cannot be found out: it is left out.
    """
    veil = _Veil(variables, secrets)
    folders = [Path("/tmp"), Path("/dev/shm")]  # noqa: S108 - where a step has its files
    folders += [config.ledger.path] if config is not None else []
    files = {
        "doctor.json": document,
        "versions.json": facts.versions(),
        "configuration.json": facts.configuration(config) if config is not None else None,
        "environment.json": {"ci": ci, "names": sorted(map(one_line, variables))},
        "machine.json": facts.machine(folders, variables),
        "ledger.json": _ledger(config.ledger.path) if config is not None else None,
    }
    texts = {file: json.dumps(veil.over(content), indent=2) + "\n" for file, content in files.items()}
    texts["README.txt"] = _EXPLAINED + "".join(f"{file}: {text}\n" for file, text in CONTENTS.items())
    return _packed(name, texts, clock)


def _ledger(folder: Path) -> dict[str, object]:
    try:
        files = sorted(chain_files(folder), key=lambda file: file.stat().st_mtime)[-CHAINS:]
    except (LedgerError, OSError) as error:
        return {"error": error.what if isinstance(error, LedgerError) else error.strerror}
    found = []
    for result in verify(local(files)):
        records, others = _records(Path(result.file))
        found.append({**asdict(result), "records": records, "lines_that_are_no_records": others})
    return {"folder": str(folder), "chains": found}


def _records(file: Path) -> tuple[list[object], int]:
    """The last records; what is no record could hold anything, and is counted."""
    records: deque[tuple[int, object]] = deque()
    others = size = 0
    try:
        for line in stored_lines(file):
            try:
                record = loads(line)
            except CanonicalError:
                record = None
            if isinstance(record, dict) and isinstance(record.get("kind"), str):
                records.append((len(line), record))
                size += len(line)
                while len(records) > RECORDS or size > LARGEST:
                    size -= records.popleft()[0]
            else:
                others += 1
    except LedgerError:
        pass  # `verify` has said so
    return [record for _, record in records], others


class _Veil:
    """Takes out of a document what must not be seen, wherever it came from."""

    def __init__(self, variables: Mapping[str, str], secrets: Iterable[Secret]) -> None:
        # Its own as well: what the Action withholds from Python is one variable there.
        pairs = [*variables.items(), *own_environment().items()]
        hidden = {value for name, value in pairs if credential_like(name, value)}
        hidden |= {password for _, value in pairs for password in _PASSWORD_IN_URL.findall(value)}
        self._redactor = Redactor([*map(Secret, hidden), *secrets])

    def over(self, value: object) -> object:
        """A copy of JSON's kinds of values; texts only, so that it stays JSON whatever the secrets are."""
        if isinstance(value, dict):
            return {self._text(str(key)): self.over(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.over(each) for each in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            return "***" if self._redactor.suspicious(str(value).encode()) else value
        return self._text(str(value))

    def _text(self, text: str) -> str:
        clean = self._redactor.redacted(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
        return _FORMS.sub("***", clean)


def _packed(name: str, texts: Mapping[str, str], clock: Clock) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for file, text in texts.items():
            content = text.encode("utf-8", "replace")
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size, member.mode, member.mtime = len(content), 0o600, int(clock.now())
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()
