"""The command's output on its way through the redactor: complete, in order, and never a reason to hang."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pair_runs import DEADLINE, Starter, is_running, lines_of, pairs, until

SECRET = "canary-hunter2-secret"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


def sh(script: str, **options: object) -> dict[str, object]:
    return {"run": {"argv": ["sh", "-c", script], "redact": [SECRET], **options}}


def test_a_secret_that_is_written_in_pieces_is_gone_in_both_streams(pair: Starter) -> None:
    step = pair(
        sh(
            f"printf 'out: {SECRET[:9]}'; printf 'err: {SECRET[:5]}' >&2; sleep 0.1; echo '{SECRET[9:]}.'; "
            f"echo '{SECRET[5:]}.' >&2; printf %s {SECRET} | base64; exit 3"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = step.process.communicate(timeout=DEADLINE)
    assert (out, err) == (b"out: ***.\n***\n", b"err: ***.\n")
    assert step.wait() == 3


def test_what_is_written_first_comes_first(pair: Starter) -> None:
    """A CI's log is both streams in one pipe: they stay in one."""
    script = "import sys\nfor n in range(2000): print(n, file=(sys.stdout, sys.stderr)[n % 2], flush=True)"
    argv = [sys.executable, "-c", script]
    step = pair({"run": {"argv": argv, "redact": [SECRET]}}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = step.process.communicate(timeout=DEADLINE)
    assert out.split() == [b"%d" % number for number in range(2000)]


def test_much_of_it_arrives_complete(pair: Starter, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 24)
    step = pair(sh(f"cat {big}; printf {SECRET}"), stdout=subprocess.PIPE)
    out, _ = step.process.communicate(timeout=DEADLINE)
    assert out[-3:] == b"***"
    assert hashlib.sha256(out[:-3]).digest() == hashlib.sha256(big.read_bytes()).digest()
    assert step.outcome["output_lost"] == ""


def test_a_reader_that_has_seen_enough_ends_the_command_as_it_would_without_us(pair: Starter) -> None:
    step = pair(sh("exec yes"), stdout=subprocess.PIPE)
    assert step.process.stdout is not None
    assert step.process.stdout.read(2) == b"y\n"
    step.process.stdout.close()
    assert step.wait() == 128 + signal.SIGPIPE
    assert step.outcome["output_lost"] == ""


def test_a_full_disk_costs_the_output_and_not_the_command(pair: Starter, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        step = pair(sh(f"head -c 3000000 /dev/zero && >{done}; exit 4"), stdout=full)
    assert step.wait() == 4
    assert done.exists()
    assert step.outcome["output_lost"] == "No space left on device"


def test_a_closed_output_costs_the_output_and_not_the_command(pair: Starter, tmp_path: Path) -> None:
    done = tmp_path / "done"
    step = pair(sh(f"head -c 3000000 /dev/zero && >{done}; exit 4"), before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])
    assert step.wait() == 4
    assert done.exists()
    assert step.outcome["output_lost"] == "Bad file descriptor"


def test_an_output_that_somebody_made_non_blocking(pair: Starter) -> None:
    """Node does that to pipes that it shares with others."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    step = pair(sh("head -c 3000000 /dev/zero"), stdout=write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        until(lambda: len(pipe.peek()) > 0, "the first of it")
        assert len(pipe.read()) == 3000000
    assert step.wait() == 0


def test_a_reader_that_does_not_read_cannot_hold_the_step(pair: Starter, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    step = pair(sh(f"echo $$ >{pid}; exec cat /dev/zero"), {"note": "finished"}, stdout=subprocess.PIPE)
    command = int(until(lambda: lines_of(pid), "the command")[0])

    def has_filled_every_pipe() -> bool:
        counts = dict(line.split(": ") for line in lines_of(Path(f"/proc/{command}/io")))
        return int(counts["wchar"]) > 3 * 65536

    until(has_filled_every_pipe, "more than the pipes hold")
    step.process.terminate()
    step.line("note", "finished")
    assert not is_running(command)
    assert step.outcome["exit_code"] == 143
    assert step.outcome["output_lost"] == "nobody read it, or a process that could not be ended kept the pipe"


def test_the_fronts_death_ends_the_output(pair: Starter, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    step = pair(sh("exec yes"), {"wait_for": str(gate)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert step.process.stdout is not None
    assert step.process.stdout.read(2) == b"y\n"
    step.process.kill()
    while step.process.stdout.read(1 << 16):
        pass  # until its end
    step.line("note", "waiting for gate")
    assert is_running(step.worker)
    gate.touch()
    until(lambda: not is_running(step.worker), "the worker's end")


def test_no_file_left_for_a_pipe(pair: Starter) -> None:
    argv = ["echo", "never"]
    step = pair(
        {"run": {"argv": argv, "redact": [SECRET]}},
        before=["prlimit", "--nofile=9"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        "the output of '/usr/bin/echo' cannot be read to take secrets out of it: Too many open files",
        "the process, the user or the container has no file or thread left to give",
        "Look at `ulimit -n` and `ulimit -u`, or pass --no-redact.",
        "command-not-runnable",
    ]
