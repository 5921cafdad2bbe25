"""Where the promise cannot be kept, nothing is started, and the message says what to change."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pair_runs import HERE, Starter, pairs, pairs_of_nobody

from stepcreds.errors import UnsupportedError
from stepcreds.process.kernel import require_linux

NAMESPACES = ("unshare", "--user", "--map-root-user")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


@pytest.fixture
def nobody() -> Iterator[Starter]:
    with pairs_of_nobody() as starter:
        yield starter


def refusal(start: Starter, before: Sequence[str]) -> list[str]:
    """The error that comes before anything is held or run."""
    step = start({"note": "held something"}, before=before)
    assert step.wait() == 125
    assert len(step.lines()) == 1
    return list(step.line("unsupported")["unsupported"])


def test_anything_but_linux() -> None:
    with pytest.raises(UnsupportedError) as caught:
        require_linux("darwin")
    assert caught.value.what == "stepcreds runs commands on Linux only; this is darwin"
    assert caught.value.cause == "only Linux can promise that nothing the command started outlives the step"
    assert caught.value.fix == "Run the step on a Linux runner, or in a Linux container."


def test_no_proc(pair: Starter) -> None:
    script = 'mount -t tmpfs none /proc && exec "$@"'
    assert refusal(pair, [*NAMESPACES, "--mount", "sh", "-c", script, "sh"]) == [
        "UnsupportedError",
        "/proc cannot be read: No such file or directory",
        "without it nobody can tell what a command leaves behind",
        "Mount a proc file system at /proc in the container or chroot that the step runs in.",
        "unsupported-machine",
    ]


def test_the_proc_of_another_namespace(pair: Starter) -> None:
    assert refusal(pair, [*NAMESPACES, "--pid", "--fork"])[:2] == [
        "UnsupportedError",
        "the /proc that is mounted here belongs to another PID namespace",
    ]


@pytest.mark.parametrize("option", [36, 4, 1], ids=["in the front", "in the front, too", "in the worker"])
def test_a_sandbox_without_prctl(pair: Starter, option: int) -> None:
    before = [sys.executable, str(HERE / "without_prctl.py"), str(option)]
    assert refusal(pair, before) == [
        "UnsupportedError",
        f"the kernel refused prctl({option}): Operation not permitted",
        "a sandbox or a seccomp filter forbids it, or the kernel is older than 3.4",
        "Allow prctl(2): without it a process that the command leaves behind could outlive the step.",
        "unsupported-machine",
    ]


@pytest.mark.parametrize("limit", [1, 2], ids=["for the worker", "for the worker's thread"])
def test_no_process_left(nobody: Starter, limit: int) -> None:
    assert refusal(nobody, ["prlimit", f"--nproc={limit}"]) == [
        "StepcredsError",
        "the worker process cannot be started: Resource temporarily unavailable",
        "the machine, the container or the user has no process, file or memory left to give",
        "Look at `ulimit -u`, `ulimit -n` and the container's limit of processes. Nothing was issued.",
        "worker-not-started",
    ]


@pytest.mark.parametrize("limit", [5, 7], ids=["for the channel", "for the lifeline"])
def test_no_file_left(pair: Starter, limit: int) -> None:
    told = refusal(pair, ["prlimit", f"--nofile={limit}"])
    assert told[1] == "the worker process cannot be started: Too many open files"
