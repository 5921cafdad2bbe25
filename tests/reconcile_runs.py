"""Steps on servers of their own, whose audit log is cut to what a test did, and `stepcreds ledger reconcile` over it."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from step_runs import STAYING, Running, reported, reporting, until

from stepcreds.devstack.stack import Stack
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.chain import Chain
from stepcreds.ledger.link import ZERO, line_hash
from warm import Warm

KEY = "transit/keys/stepcreds-{repository_id}"
CREDS = "database/creds/app-verify"
Record = dict[str, Any]


@functools.cache
def warm() -> Warm:
    """One for all tests of a process; it ends when that does."""
    return Warm("stepcreds.cli.ledger_reconcile", "stepcreds.cli.ledger_verify", "cryptography.hazmat.bindings._rust")


class Site:
    """One test's folder, with a stepcreds.yml and the ledgers in `.stepcreds`; and its part of the audit log."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.config = stack.write_config(folder)
        self.ledgers = folder / ".stepcreds"
        self.begin()

    def begin(self) -> None:
        """What is in the audit log by now is no part of it."""
        self.offset = self.stack.openbao.audit_log.stat().st_size
        self.passed: list[tuple[int, float]] = []

    def tune(self, path: str, *keys: str) -> None:
        """Have OpenBao log the request's `keys` at this mount in clear, and no others."""
        with self.stack.client() as vault:
            vault.write_data(f"sys/mounts/{path}/tune", data={"audit_non_hmac_request_keys": list(keys)})

    def step(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        run = self.stepcreds(*arguments, environment=self.stack.environment(**variables))
        assert run.returncode == 0, run.stderr
        return run

    def killed(self, profile: str) -> Record:
        """A step both halves of which were killed while its command ran, and the command with them: what is on record
        of its credential."""
        report = self.folder / f"report-{time.monotonic_ns()}"
        with Running(self.stack, self.config, "exec", profile, "--", *reporting(report, STAYING)) as step:
            command = int(reported(report)["own pid"])
            for pid in (step.worker, step.process.pid, command):
                os.kill(pid, signal.SIGKILL)
            step.wait()
        return [record for record in self.records() if record["kind"] == "credential.issued"][-1]

    def issue(self, creds: str = CREDS) -> str:
        """A credential that somebody with the root token gets, past every ledger: its lease."""
        with self.stack.client() as vault:
            return str(vault.read(creds)["lease_id"])

    def pass_by(self, seconds: float) -> None:
        """Have OpenBao log something, and from there on all, as if that were so much later."""
        self.passed.append((self.stack.openbao.audit_log.stat().st_size, seconds))
        self.touch()

    def touch(self) -> None:
        with self.stack.client() as vault:
            vault.auth.token.lookup_self()

    def audit(self, name: str = "audit.log") -> Path:
        """The audit log since the test began, in the test's folder."""
        with self.stack.openbao.audit_log.open("rb") as log:
            log.seek(self.offset)
            data = log.read()
        path = self.folder / name
        for where, seconds in self.passed:
            lines = data[where - self.offset :].splitlines(keepends=True)
            data = data[: where - self.offset] + b"".join(moved(line, seconds) for line in lines)
        path.write_bytes(data)
        return path

    def chains(self) -> list[Path]:
        return sorted(self.ledgers.glob("*.jsonl"))

    def records(self) -> list[Record]:
        return [json.loads(line) for chain in self.chains() for line in chain.read_bytes().split(b"\n") if line]

    def reconcile(
        self, *arguments: str, audit: str | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        log = str(self.audit()) if audit is None else audit
        return self.stepcreds("ledger", "reconcile", "--audit", log, *arguments, stdin=stdin)

    def found(self, *arguments: str, audit: str | None = None) -> list[dict[str, Any]]:
        """The findings, which the exit code has to fit to."""
        run = self.reconcile("--json", *arguments, audit=audit)
        assert run.returncode in (0, 1), run.stderr
        findings: list[dict[str, Any]] = json.loads(run.stdout)["findings"]
        assert run.returncode == bool(findings)
        return findings

    def stepcreds(
        self, *arguments: str, environment: dict[str, str] | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        if environment is None and not stdin:
            environment = {"HOME": str(self.folder), "LANG": "C.UTF-8"}
            return warm()(*arguments, cwd=self.folder, env=environment)
        run = subprocess.run(
            [sys.executable, "-m", "stepcreds", *arguments],
            cwd=self.folder,
            env={"HOME": str(self.folder), "LANG": "C.UTF-8"} if environment is None else environment,
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())

    def rewrite(self, chain: Path, records: Iterable[Record]) -> None:
        """What a forger leaves who knows the rules: the chain is linked anew, and `verify` finds nothing in its lines."""
        before, lines = ZERO, []
        for seq, record in enumerate(records):
            line = canonical({**record, "seq": seq, "prev": before})
            before = line_hash(line)
            lines.append(line + b"\n")
        chain.write_bytes(b"".join(lines))
        links = [each for each in Chain("").check(lines) if each.layer == "chain"]
        assert links == []


class Copy(Site):
    """What was left of `Site`, without servers: each test may do with it what it likes."""

    def __init__(self, folder: Path, source: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        self.folder = folder
        self.ledgers = folder / ".stepcreds"
        self.config = folder / "stepcreds.yml"
        self.config.write_text(self.config.read_text().replace(f"{source}/", f"{folder}/"))
        assert str(self.ledgers) in self.config.read_text()
        self.log = folder / "audit.log"

    def audit(self, name: str = "audit.log") -> Path:
        return self.folder / name

    @property
    def lines(self) -> list[bytes]:
        return self.log.read_bytes().split(b"\n")[:-1]

    def write(self, name: str, lines: list[bytes]) -> None:
        (self.folder / name).write_bytes(b"".join(line + b"\n" for line in lines))


def moved(line: bytes, seconds: float) -> bytes:
    """An entry of the audit log, as if it were of so many seconds later."""
    found = re.match(rb'\{"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)', line)
    assert found is not None
    then = datetime.fromisoformat(found[1].decode()) + timedelta(seconds=seconds)
    return line.replace(found[1], then.isoformat(timespec="seconds").encode(), 1)


def codes(findings: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each finding's code and how sure it is."""
    return [(finding["code"], finding["certainty"]) for finding in findings]


def normalised(text: str) -> str:
    """`text` with what differs from run to run replaced by a word for it."""
    for pattern, word in (
        (r"(?<=/)[A-Za-z0-9]{24}\b", "LEASE"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UID"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"(audit\.log|\.jsonl):\d+", r"\1:N"),
        (r"/\S*/\.stepcreds/\S+\.jsonl", "CHAIN.jsonl"),
        (r"/\S*/audit\.log", "audit.log"),
        (r"\b\d+ lines", "N lines"),
    ):
        text = re.sub(pattern, word, text)
    return text


__all__ = ["CREDS", "KEY", "Copy", "Record", "Site", "codes", "normalised", "until"]
