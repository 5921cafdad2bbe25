"""What a step's log shows: masks first on GitHub, redacted output elsewhere, the terminal untouched, and no secret."""

from __future__ import annotations

import base64
import os
import pty
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from step_runs import Oddities, masked, reconfigure, reported, reporting, root, said, started_by

from conftest import Step
from relay import Relay
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

# Prints the password in each form that a careless program would, on both streams, and in two writes.
SAY = """
import base64, urllib.parse
password = os.environ.get("PGPASSWORD") or os.environ["KEY"]
encoded = base64.b64encode(password.encode()).decode()
in_text = base64.b64encode(f"user:{password}".encode()).decode()
lines = ["begin", password, urllib.parse.quote(password, safe=""), encoded, in_text, f"<{password}>", "end"]
for stream in (sys.stdout, sys.stderr):
    for line in lines:
        print(line, file=stream, flush=True)
    half = len(password) // 2
    for part in ("split ", password[:half], password[half:], " whole\\n"):
        print(part, end="", file=stream, flush=True)
"""
QUIET = {"GITHUB_ACTIONS": None, "ACTIONS_ID_TOKEN_REQUEST_URL": None, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": None}


def elsewhere(stack: Stack) -> dict[str, str | None]:
    """The environment of a CI that hides nothing, where the token comes in a variable."""
    return {**QUIET, "STEPCREDS_ID_TOKEN": stack.issuer.token(stack.address).reveal()}


def forms(password: str) -> list[str]:
    return [
        password,
        quote(password, safe=""),
        base64.b64encode(password.encode()).decode().rstrip("="),
        base64.b64encode(f"user:{password}".encode()).decode()[8:].rstrip("="),
    ]


def test_on_github_masks_come_before_anything_else(step: Step, tmp_path: Path) -> None:
    run = step("exec", "verify", "--", *reporting(tmp_path / "report", SAY))
    assert run.returncode == 0, run.stderr
    password = reported(tmp_path / "report")["PGPASSWORD"]
    assert run.stderr.splitlines()[0] == f"::add-mask::{password}"
    assert run.stdout.splitlines()[0] == "begin"  # stdout is the command's alone: it may be a dump
    # What the command prints is GitHub's to hide: its terminal and its buffering stay as they are.
    assert password in run.stdout
    assert "***" not in run.stdout + run.stderr


def test_on_github_every_line_and_form_is_masked(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    """Of an engine that nobody knows, every field is a secret; a mask takes one line, and URLs escape."""
    with Oddities(stack, config_file) as odd:
        odd.mount("static", "kv")
        secret = {"key": "first line of it\nsecond/line of+it\n", "other": "100% other"}
        odd.write("static/app", secret, goes_with_its_mount=True)
        odd.secret("static", "static/app", env={"KEY": "{key}", "OTHER": "{other}"}, revocation="none")
        run = step("exec", "static", "--", "echo", "the command")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "the command\n"
    assert set(masked(run.stderr)) >= {
        "first line of it",
        "second/line of+it",
        "100%25 other",
        "100%2525%2520other",
    }


def test_elsewhere_the_output_is_redacted(stack: Stack, step: Step, tmp_path: Path) -> None:
    run = step("exec", "verify", "--", *reporting(tmp_path / "report", SAY), **elsewhere(stack))
    assert run.returncode == 0, run.stderr
    password = reported(tmp_path / "report")["PGPASSWORD"]
    for form in forms(password):
        assert form not in run.stdout + run.stderr
    # Of base64 there is left what its neighbours share with it: "user:" before (with two bits of the password), and
    # the padding.
    shown = ["begin", "***", "***", "***=", "dXNlcj?***==", "<***>", "end", "split *** whole"]
    said_by_command = [line for line in run.stderr.splitlines() if not line.startswith("stepcreds: ")]
    for lines in (run.stdout.splitlines(), said_by_command):
        assert [re.sub(r"^dXNlcj.\*", "dXNlcj?*", line) for line in lines] == shown
    assert masked(run.stdout + run.stderr) == []


def test_redaction_can_be_turned_off_and_on(stack: Stack, step: Step, tmp_path: Path) -> None:
    run = step("exec", "--no-redact", "verify", "--", *reporting(tmp_path / "report", SAY), **elsewhere(stack))
    assert reported(tmp_path / "report")["PGPASSWORD"] in run.stdout
    run = step("exec", "--redact", "verify", "--", *reporting(tmp_path / "again", SAY))
    password = reported(tmp_path / "again")["PGPASSWORD"]
    assert masked(run.stderr) == [password]
    assert password not in run.stdout + said(run.stderr)


def test_a_terminal_stays_one(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    """Nothing is redacted there, and the command owns the keyboard: it is in the foreground."""
    look = (
        "seen = [os.isatty(n) for n in range(3)], os.tcgetpgrp(0) == os.getpgrp()\n"
        "print(seen, os.environ['PGPASSWORD'], flush=True)\n"
        "print('read', input(), flush=True)\n"
    )
    environment = {k: v for k, v in {**stack.environment(), **elsewhere(stack)}.items() if v is not None}
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "stepcreds", "exec", "verify", "--", *reporting(tmp_path / "report", look)]
        os.chdir(config_file.parent)
        os.execve(sys.executable, command, environment)  # noqa: S606 - the first process of a new terminal
    os.write(terminal, b"typed\n")
    output = b""
    while chunk := read(terminal):
        output += chunk
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output
    password = reported(tmp_path / "report")["PGPASSWORD"]
    text = output.decode().replace("\r\n", "\n")
    assert f"([True, True, True], True) {password}\n" in text
    assert "read typed\n" in text


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody has the other end any more
        return b""


class Tap(Relay):
    """A relay that keeps what goes through it."""

    def __init__(self, port: int) -> None:
        self.seen = b""
        super().__init__(port)

    def _pump(self, source: socket.socket, sink: socket.socket, outward: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                self.seen += content
                sink.sendall(content)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


# What the lock sets is made of 32 random bytes and leaves the process as a verifier only: so it is made known here.
LOCK = b"canary of the lock's own passwor"
KNOWN = f"import os\nreal = os.urandom\nos.urandom = lambda size: {LOCK!r} if size == 32 else real(size)\n"


def test_no_secret_is_in_anything_that_stays(stack: Stack, config_file: Path, tmp_path: Path) -> None:
    """The identity's token, Vault's token, the issued password and the one of the lock, wherever a step leaves bytes."""
    runner = tmp_path / "runner"
    runner.mkdir()
    files = {
        name: str(runner / name.lower()) for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH")
    }
    token = stack.issuer.token(stack.address).reveal()
    variables: dict[str, str | None] = {
        **elsewhere(stack),
        **files,
        "STEPCREDS_ID_TOKEN": token,
        "RUNNER_TEMP": str(runner),
        "TMPDIR": str(runner),
    }

    def change(document: dict[str, Any]) -> None:
        document["vault"]["address"] = f"http://127.0.0.1:{tap.port}"
        document["profiles"]["verify"]["files"] = {"pgpass": "{password}"}

    with Tap(int(stack.address.rpartition(":")[2])) as tap:
        reconfigure(config_file, change)
        run = started_by(
            KNOWN, stack, config_file, "exec", "verify", "--", *reporting(tmp_path / "report"), **variables
        )
    assert run.returncode == 0, run.stderr
    secrets = {
        "identity": token,
        "password": reported(tmp_path / "report")["PGPASSWORD"],
        "lock password": LOCK.hex(),
        **{f"Vault token {n}": found for n, found in enumerate(set(re.findall(rb"X-Vault-Token: (\S+)", tap.seen)))},
    }
    assert len(secrets) == 4
    (tmp_path / "report").unlink()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if path.suffix == ".jsonl"]
    for name, secret in secrets.items():
        value = secret if isinstance(secret, bytes) else secret.encode()
        for form in (value, base64.b64encode(value).rstrip(b"=")):
            assert form.decode() not in run.stdout + run.stderr, name
            for path in kept:
                assert form not in path.read_bytes(), (name, path)


def test_a_step_that_fails_shows_no_secret_either(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    """A revocation that fails quotes what the database said; the messages are the longest that there are."""
    canary = "DO $$ BEGIN RAISE EXCEPTION 'not today, {{name}}'; END $$"
    with Oddities(stack, config_file) as odd:
        odd.profile("stuck", access="read-only", database_role={"revocation_statements": [canary]})
        run = step("exec", "stuck", "--", *reporting(tmp_path / "report"))
        odd.profile("stuck", access="read-only")
        for lease in stack.leases("database/creds/app-stuck"):
            assert root(stack, "POST", "sys/leases/revoke", lease_id=lease, sync=True) == 204
    assert run.returncode == 121
    password = reported(tmp_path / "report")["PGPASSWORD"]
    assert (run.stdout, masked(run.stderr)) == ("", [password])
    assert password not in said(run.stderr)
