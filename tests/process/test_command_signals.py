"""Signals on their way from the CI to the command: each once, a second one to kill, and none lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pair_runs import Starter, is_running, lines_of, pairs, signal_log, until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


ENDING = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]
PLAIN = ["SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH"]


def ready(log: Path) -> int:
    """The command's process id, once it handles signals."""
    return int(until(lambda: lines_of(log), "the command")[0].split()[1])


def logged(log: Path, name: str) -> list[str]:
    """All that was logged, once `name` was."""
    until(lambda: name in lines_of(log), f"{name} in the log")
    return lines_of(log)[1:]


@pytest.mark.parametrize("name", ENDING)
def test_a_request_is_passed_on_once(pair: Starter, tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGUSR2=9")}})
    ready(log)
    step.process.send_signal(signal.Signals[name])
    logged(log, name)
    step.process.send_signal(signal.SIGUSR1)  # whatever comes after it has overtaken nothing
    assert logged(log, "SIGUSR1") == [name, "SIGUSR1"]
    step.process.send_signal(signal.SIGUSR2)
    assert step.wait() == 9
    assert (step.outcome["cancelled_by"], step.outcome["reason"]) == (name, "exited")


@pytest.mark.parametrize("name", PLAIN)
def test_other_signals_are_passed_on_every_time(pair: Starter, tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGTERM=7")}})
    ready(log)
    for count in (1, 2, 3):
        step.process.send_signal(signal.Signals[name])
        until(lambda: lines_of(log)[1:] == [name] * count, f"{count} times {name}")  # noqa: B023 - called here
    step.process.terminate()
    assert step.wait() == 7
    assert step.outcome["cancelled_by"] == "SIGTERM"


def test_a_signal_for_the_whole_group_arrives_once(pair: Starter, tmp_path: Path) -> None:
    """GitLab's shell executor signals the process group of the script."""
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGUSR2=0")}}, start_new_session=True)
    ready(log)
    os.killpg(step.process.pid, signal.SIGTERM)
    logged(log, "SIGTERM")
    os.killpg(step.process.pid, signal.SIGUSR2)
    assert step.wait() == 0
    assert lines_of(log)[1:] == ["SIGTERM", "SIGUSR2"]


def test_a_burst_is_one_request(pair: Starter, tmp_path: Path) -> None:
    """timeout(1) signals its child and then the group; a service manager signals every process there is."""
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGUSR2=0")}})
    ready(log)
    step.process.terminate()
    os.kill(step.worker, signal.SIGTERM)
    step.process.send_signal(signal.SIGHUP)
    until(lambda: len(lines_of(log)) > 1, "the request")
    step.process.send_signal(signal.SIGUSR2)
    assert step.wait() == 0
    # Which of those that come in one moment is the first, nobody can tell.
    assert lines_of(log)[1:] in (["SIGTERM", "SIGUSR2"], ["SIGHUP", "SIGUSR2"])
    assert step.outcome["cancelled_by"] in ("SIGTERM", "SIGHUP")


def test_under_timeout_the_command_has_its_grace(pair: Starter, tmp_path: Path) -> None:
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGTERM=5")}}, before=["timeout", "300"])
    ready(log)
    step.process.send_signal(signal.SIGALRM)  # its own timer's: the time is over
    assert step.wait() == 124
    assert step.outcome["exit_code"] == 5
    assert [line for line in lines_of(log)[1:] if line != "SIGCONT"] == ["SIGTERM"]


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGINT", "SIGTERM"), ("SIGTERM", "SIGHUP")])
def test_a_second_request_kills_the_command_and_not_its_ending(
    pair: Starter, tmp_path: Path, first: str, second: str
) -> None:
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log)}}, {"note": "cleaning up"})
    command = ready(log)
    step.process.send_signal(signal.Signals[first])
    logged(log, first)

    def is_dead() -> bool:
        if step.process.poll() is None:
            step.process.send_signal(signal.Signals[second])
        return not is_running(command)

    until(is_dead, "the command's death")
    assert step.wait() == 137
    assert lines_of(log)[1:] == [first]
    assert (step.outcome["cancelled_by"], step.outcome["reason"]) == (first, "signalled")
    assert step.line("note", "cleaning up")["signal"] == first


def test_a_signal_in_the_last_moment_does_not_change_the_exit_code(pair: Starter, tmp_path: Path) -> None:
    """Python lets go of its handlers while it shuts down, some milliseconds before the process is gone."""
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log, "SIGTERM=9")}})
    ready(log)
    while step.process.poll() is None:
        step.process.terminate()
    assert step.wait() in (9, 137)  # 137 on a machine so slow that half a second passes


def test_the_grace_ends(pair: Starter, tmp_path: Path) -> None:
    log = tmp_path / "log"
    step = pair({"run": {"argv": signal_log(log), "grace": 0.3}})
    ready(log)
    step.process.terminate()
    assert step.wait() == 137
    assert lines_of(log)[1:] == ["SIGTERM"]
    assert step.outcome["end"] - step.outcome["start"] >= 0.3


def test_a_cancelled_command_takes_everything_it_started_with_it(pair: Starter, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >>{pids}; sleep 300; :' & echo $$ >>{pids}; wait"
    step = pair({"run": {"argv": ["sh", "-c", script], "grace": 0.2}})
    until(lambda: len(lines_of(pids)) == 2, "both processes")
    step.process.terminate()
    assert step.wait() == 137
    assert not any(is_running(int(pid)) for pid in lines_of(pids))
    assert step.outcome["descendants_ended"] == 2  # the shell in a session of its own, and its sleep


def test_nohup_is_respected(pair: Starter, tmp_path: Path) -> None:
    log, status = tmp_path / "log", tmp_path / "status"
    script = f"cat /proc/self/status >{status}; exec {' '.join(signal_log(log, 'SIGUSR1=3'))}"
    step = pair({"run": {"argv": ["sh", "-c", script]}}, before=["nohup"], stdout=-3, stderr=-3)
    ready(log)
    step.process.send_signal(signal.SIGHUP)
    step.process.send_signal(signal.SIGUSR1)
    assert step.wait() == 3
    assert lines_of(log)[1:] == ["SIGUSR1"]
    assert step.outcome["cancelled_by"] == ""
    assert _ignored(status) == {signal.SIGHUP}


ODD_START = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_an_odd_start_is_coped_with(pair: Starter, tmp_path: Path) -> None:
    """SIGCHLD ignored takes exit codes away, a full mask takes signals away; the command has neither."""
    log, status = tmp_path / "log", tmp_path / "status"
    script = f"cat /proc/self/status >{status}; exec {' '.join(signal_log(log, 'SIGTERM=3'))}"
    step = pair({"run": {"argv": ["sh", "-c", script]}}, before=[sys.executable, "-c", ODD_START])
    ready(log)
    step.process.terminate()
    assert step.wait() == 3
    assert step.outcome["cancelled_by"] == "SIGTERM"
    assert _ignored(status) == {signal.SIGTTOU}
    assert _set(status, "SigBlk") == set()


def test_the_command_finds_no_signal_ignored_or_blocked_by_us(pair: Starter, tmp_path: Path) -> None:
    status = tmp_path / "status"
    step = pair({"run": {"argv": ["sh", "-c", f"cat /proc/self/status >{status}"]}})
    assert step.wait() == 0
    assert _ignored(status) == set()
    assert _set(status, "SigBlk") == set()


def test_a_request_interrupts_what_may_be_interrupted(pair: Starter) -> None:
    step = pair({"wait_interruptible": "asking"}, {"wait_interruptible": "asking again"}, {"end": 5})
    step.line("note", "asking")
    step.process.send_signal(signal.SIGINT)
    assert step.wait() == 5
    assert [line for line in step.lines() if "worker" not in line] == [
        {"note": "asking"},
        {"cancelled": "SIGINT"},
        {"cancelled": "SIGINT"},  # at once: the second wait does not begin
    ]


def _ignored(status: Path) -> set[int]:
    return _set(status, "SigIgn") - {32, 33}  # glibc's own: posix_spawn(3) leaves them ignored


def _set(status: Path, field: str) -> set[int]:
    line = next(line for line in lines_of(status) if line.startswith(field))
    return {bit + 1 for bit in range(64) if int(line.split()[1], 16) >> bit & 1}
