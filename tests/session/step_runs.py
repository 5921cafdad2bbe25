"""What the tests of whole steps share: steps in the background, commands that report, the records that steps leave, and
profiles whose roles at OpenBao are not as they should be."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pg8000.exceptions
import yaml

from annotations import unannotated
from processes import descendants
from stepcreds.config.model import Access, Profile
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret
from stepcreds.setup import postgresql, vault

DEADLINE = 60.0  # seconds; for what happens at once unless something is wrong

T = TypeVar("T")

_NAMES = (
    (r"v-[0-9a-f]{12}-[a-z0-9-]{1,12}-\w{12}", "USER"),
    (r"(?<=/)[A-Za-z0-9]{24}\b", "LEASE"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
    (r"\d+\.\d\d s after", "N s after"),
    (r"(?<=measured )([^|\n]*?) in \d+ ms", r"\1 in N ms"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"jwt-acme/shop-[0-9a-f-]{36}", "USER"),
)


MASK = "::add-mask::"


def normalised(text: str) -> str:
    """What is `said` in `text`, with what differs from run to run replaced by a word for it."""
    text = said(text)
    for pattern, word in _NAMES:
        text = re.sub(pattern, word, text)
    return text


def said(text: str) -> str:
    """`text` without the masking commands, and without the annotations: each error and warning must have its own."""
    return unannotated("".join(line for line in text.splitlines(keepends=True) if not line.startswith(MASK)))


def masked(text: str) -> list[str]:
    """The values that the masking commands of `text` name, as these escape them."""
    return [line.removeprefix(MASK) for line in text.splitlines() if line.startswith(MASK)]


def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`; fails after a minute."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)
    return value


def reporting(report: Path, then: str = "") -> list[str]:
    """A command that writes its environment to `report`, as JSON, and then runs the Python in `then`."""
    script = (
        "import json, os, sys\n"
        "with open(sys.argv[1] + '.part', 'w') as file:\n"
        "    json.dump({**os.environ, 'own pid': str(os.getpid())}, file)\n"
        "os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
    )
    return [sys.executable, "-c", script + then, str(report)]


STAYING = "import signal\nsignal.pause()\n"  # for `reporting`: the command stays until it is ended


def reported(report: Path) -> dict[str, str]:
    """What `reporting` wrote, as soon as it is there."""
    until(report.exists, f"a report of the command at {report}")
    values: dict[str, str] = json.loads(report.read_text())
    return values


class Running:
    """`with Running(stack, config_file, "exec", …) as step:` is a step that is not waited for."""

    def __init__(
        self,
        stack: Stack,
        config_file: Path,
        *arguments: str,
        before: Sequence[str] | None = None,
        **variables: str | None,
    ) -> None:
        """`before` is put in front of the command line, as `timeout` would be."""
        line = (*(before or ()), sys.executable, "-m", "stepcreds", *arguments)
        self._start(stack, config_file.parent, line, variables)

    def _start(
        self, stack: Stack, folder: Path, command_line: Sequence[str], variables: Mapping[str, str | None]
    ) -> None:
        merged: dict[str, str | None] = {**stack.environment(), **variables}
        self.process = subprocess.Popen(
            command_line,
            cwd=folder,
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def worker(self) -> int:
        return int(descendants(self.process.pid)[0])

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def wait(self, seconds: float = 2 * DEADLINE) -> subprocess.CompletedProcess[str]:
        stdout, stderr = self.process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, stdout, stderr)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=2 * DEADLINE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class Placed(Running):
    """A step whose command line is whole: with what stands before stepcreds, setpriv(1), nsenter(1), prlimit(1)."""

    def __init__(self, stack: Stack, folder: Path, *command_line: str, **variables: str | None) -> None:
        self._start(stack, folder, command_line, variables)


def started_by(
    code: str, stack: Stack, config_file: Path, *arguments: str, **variables: str | None
) -> subprocess.CompletedProcess[str]:
    """A step whose Python runs `code` first: what the environment names for that, stepcreds does not let in."""
    start = f"{code}\nfrom stepcreds.cli import main\nmain()\n"
    merged: dict[str, str | None] = {**stack.environment(), **variables}
    return subprocess.run(
        [sys.executable, "-I", "-c", start, *arguments],
        cwd=config_file.parent,
        env={name: value for name, value in merged.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


def records(config_file: Path) -> list[dict[str, Any]]:
    """All records of the ledger beside `config_file`, in order, of all its chains."""
    folder = config_file.parent / ".stepcreds"
    files = sorted(folder.glob("*.jsonl"), key=lambda path: (len(path.name), path.name))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def kinds(config_file: Path) -> list[str]:
    return [str(record["kind"]) for record in records(config_file)]


def of_kind(config_file: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(config_file) if record["kind"] == kind]


def verdicts(config_file: Path) -> list[str]:
    return [str(record["verdict"]) for record in of_kind(config_file, "credential.closed")]


def refusal(stack: Stack, user: str, password: str) -> str:
    """The SQLSTATE with which PostgreSQL refuses this login; "" if it does not."""
    try:
        stack.connect(user, Secret(password)).close()
    except pg8000.exceptions.DatabaseError as error:
        return str(error.args[0]["C"])
    return ""


def token_is_gone(stack: Stack, accessor: str) -> bool:
    """Whether OpenBao knows no token of this accessor (any longer)."""
    return root(stack, "POST", "auth/token/lookup-accessor", accessor=accessor) == 400


def root(stack: Stack, method: str, path: str, **body: object) -> int:
    """The status of what OpenBao answers to a request with the root token."""
    with stack.client() as client:
        answer = client.adapter.session.request(
            method, f"{client.url}/v1/{path}", headers={"X-Vault-Token": client.token}, json=body or None, timeout=60
        )
        return int(answer.status_code)


def audited(stack: Stack, since: int = 0) -> list[tuple[str, str]]:
    """Operation and path of every request that OpenBao was asked after the first `since` entries of its audit log."""
    return [
        (str(entry["request"]["operation"]), str(entry["request"]["path"]))
        for entry in stack.audit()[since:]
        if entry["type"] == "request"
    ]


def reconfigure(config_file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the stepcreds.yml in place."""
    document = yaml.safe_load(config_file.read_text())
    change(document)
    config_file.write_text(yaml.safe_dump(document, sort_keys=False))


class Oddities:
    """`with Oddities(stack, config_file) as odd:` adds profiles with roles of their own; these go with the block."""

    def __init__(self, stack: Stack, config_file: Path) -> None:
        self._stack = stack
        self._config_file = config_file
        self._paths: list[str] = []

    def profile(
        self,
        name: str,
        *,
        access: Access = "ddl",
        policy: Callable[[str], str] = lambda text: text,
        jwt_role: Mapping[str, object] | None = None,
        database_role: Mapping[str, object] | None = None,
        **text: object,
    ) -> None:
        """A profile `name` like one of the shop's, but with these changes to its policy, its two roles and its text."""
        stack = self._stack
        profile = Profile(name, f"app-{name}", f"database/creds/app-{name}", stack.database, access, ("app",))
        ddl = access == "ddl"
        creation = (
            postgresql.ddl_creation(provision.OWNER, provision.DATABASE)
            if ddl
            else postgresql.read_only_creation(provision.GROUP)
        )
        revocation = postgresql.revocation(provision.OWNER if ddl else None)
        role = vault.database_role(profile, connection=provision.DATABASE, creation=creation, revocation=revocation)
        self.write(f"database/roles/{profile.role}", {**role, **(database_role or {})})
        self._log_in(profile, policy, jwt_role or {})
        document = yaml.safe_load(self._config_file.read_text())
        original = document["profiles"]["migrate" if ddl else "verify"]
        self._add(name, {**original, "role": profile.role, "creds": profile.creds, **text})

    def secret(self, name: str, creds: str, **text: object) -> None:
        """A profile `name` of an engine that is no database: what it takes to log in and ask, and its text."""
        profile = Profile(name, f"app-{name}", creds, None, None)
        self._log_in(profile, lambda text: text, {})
        self._add(name, {"role": profile.role, "creds": creds, **text})

    def mount(self, path: str, engine: str) -> None:
        """A secrets engine at `path`; its leases are revoked when it goes."""
        self.write(f"sys/mounts/{path}", {"type": engine})

    def write(self, path: str, data: Mapping[str, object], *, goes_with_its_mount: bool = False) -> None:
        """Something at OpenBao that is deleted in the end."""
        with self._stack.client() as client:
            client.write_data(path, data=dict(data))
        if not goes_with_its_mount:
            self._paths.append(path)

    def _log_in(self, profile: Profile, policy: Callable[[str], str], jwt_role: Mapping[str, object]) -> None:
        stack = self._stack
        role = vault.jwt_role(
            profile,
            audience=stack.address,
            bound_claims={"repository_id": stack.issuer.claims["repository_id"]},
            policies=[profile.role],
        )
        self.write(f"sys/policies/acl/{profile.role}", {"policy": policy(vault.policy(profile))})
        self.write(f"auth/{provision.MOUNT}/role/{profile.role}", {**role, **jwt_role})

    def _add(self, name: str, text: Mapping[str, object]) -> None:
        known = {key: value for key, value in text.items() if value is not None}
        reconfigure(self._config_file, lambda document: document["profiles"].update({name: known}))

    def __enter__(self) -> Oddities:
        self._allow(["*"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack.client() as client:
            for path in reversed(self._paths):
                client.delete(path)
        self._allow([profile.role for profile in self._stack.profiles.values()])

    def _allow(self, roles: list[str]) -> None:
        with self._stack.client() as client:
            client.write_data(f"database/config/{provision.DATABASE}", data={"allowed_roles": roles})
