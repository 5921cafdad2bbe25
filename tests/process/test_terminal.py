"""A terminal stays a terminal: keys reach the command, Ctrl-Z and fg work under a real bash, and it is given back."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pair_driver import TAKEN_OVER
from pair_runs import Report, is_running, is_stopped, lines_of, signal_log, until
from terminals import CTRL_C, CTRL_D, CTRL_Z, Terminal

READER = 'echo "I am $$"; while read line; do echo "got <$line>"; done; echo end; exit 7'


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Report]:
    report = Report(tmp_path)
    yield report
    report.clean_up()
    report.kill_all()


def alone(report: Report, *steps: dict[str, Any]) -> Terminal:
    """The driver as the only program on a terminal, as in `docker run -t`: nobody could continue it after a stop."""
    return Terminal(report.command_line(steps), report.environment)


def shell(report: Report, *steps: dict[str, Any]) -> Terminal:
    """A bash at its first prompt, in which typing `job` starts the driver."""
    script = report.folder / "job"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(report.command_line(steps))}\n")
    script.chmod(0o755)
    environment = {**report.environment, "PATH": f"{report.folder}:/usr/bin:/bin", "PS1": "bash> "}
    terminal = Terminal(["bash", "--norc", "--noprofile", "-i"], environment)
    terminal.expect(b"bash> ")
    return terminal


def run(script: str, **options: object) -> dict[str, Any]:
    # Not dash: it starts programs with vfork(2), and cannot stop while what it is starting has been stopped.
    return {"run": {"argv": ["bash", "-c", script], **options}}


def reader(terminal: Terminal) -> int:
    """The id of `READER`, once it has read a line: nobody types as fast as a program starts."""
    terminal.expect(b"I am ")
    command = int(terminal.expect(b"\r\n"))
    until(lambda: terminal.foreground == command, "the foreground")
    terminal.type(b"first\n")
    terminal.expect(b"got <first>\r\n")
    return command


def test_the_command_has_the_terminal(report: Report) -> None:
    with alone(
        report, run("test -t 0 && test -t 1 && test -t 2 && echo size $(stty size) foreground $(ps -o tpgid= $$)")
    ) as tty:
        tty.expect(b"size 0 0 foreground ")
        assert tty.process.wait() == 0


def test_what_is_typed_reaches_the_command(report: Report) -> None:
    with alone(report, run(READER)) as tty:
        reader(tty)
        tty.type(CTRL_D)
        tty.expect(b"end")
        assert tty.process.wait() == 7


def test_ctrl_c_reaches_the_command_once_and_is_its_own_affair(report: Report, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    with alone(report, {"run": {"argv": signal_log(log, "SIGQUIT=5")}}, {"wait_for": str(gate)}) as tty:
        command = int(until(lambda: lines_of(log), "the command")[0].split()[1])
        until(lambda: tty.foreground == command, "the foreground")
        tty.type(CTRL_C)
        until(lambda: "SIGINT" in lines_of(log), "Ctrl-C")
        tty.type(b"\x1c")
        assert report.outcome["exit_code"] == 5
        assert lines_of(log)[1:] == ["SIGINT", "SIGQUIT"]
        assert report.outcome["cancelled_by"] == ""
        assert tty.foreground == tty.process.pid
        gate.touch()
        assert tty.process.wait() == 5


def test_ctrl_c_before_the_command_runs_cancels_the_step(report: Report) -> None:
    with alone(report, {"wait_interruptible": "asking"}, {"end": 3}) as tty:
        report.line("note", "asking")
        tty.type(CTRL_C)
        assert report.line("cancelled") == {"cancelled": "SIGINT"}
        assert tty.process.wait() == 3


def test_ctrl_z_and_fg(report: Report) -> None:
    with shell(report, run(READER)) as tty:
        tty.type(b"job\n")
        command = reader(tty)
        for _ in range(3):
            until(lambda: tty.foreground == command, "the foreground")
            tty.type(CTRL_Z)
            tty.expect(b"Stopped")
            tty.expect(b"bash> ")
            assert is_stopped(command)
            assert is_stopped(report.front)
            assert tty.foreground == tty.process.pid
            tty.type(b"echo bash is here $((6*7))\n")
            tty.expect(b"bash is here 42")
            tty.expect(b"bash> ")
            tty.type(b"fg\n")
            until(lambda: tty.foreground == command, "the foreground after fg")
            tty.type(b"again\n")
            tty.expect(b"got <again>")
        tty.type(CTRL_D)
        tty.expect(b"end")
        tty.expect(b"bash> ")
        tty.type(b"echo code $?\n")
        tty.expect(b"code 7")


def test_ctrl_z_and_bg(report: Report, tmp_path: Path) -> None:
    """In the background it goes on until it wants the keyboard; then it stops as any job does."""
    gate, passed = tmp_path / "gate", tmp_path / "passed"
    script = f"echo started; until test -e {gate}; do sleep 0.01; done; >{passed}; {READER}"
    with shell(report, run(script)) as tty:
        tty.type(b"job\n")
        tty.expect(b"started")
        tty.type(CTRL_Z)
        tty.expect(b"bash> ")
        tty.type(b"bg\n")
        tty.expect(b"bash> ")
        gate.touch()
        until(passed.exists, "it goes on in the background")
        tty.expect(b"I am ")
        command = int(tty.expect(b"\r\n"))
        until(lambda: is_stopped(command) and is_stopped(report.front), "it wants the keyboard")
        assert tty.foreground == tty.process.pid
        tty.type(b"fg\n")
        until(lambda: tty.foreground == command, "the foreground after fg")
        tty.type(b"hello\n")
        tty.expect(b"got <hello>")
        tty.type(CTRL_D)
        tty.expect(b"end")


def test_a_background_job_that_is_brought_to_the_front(report: Report) -> None:
    """bash sends no SIGCONT to a job that runs: it is the command's wish to read that says it."""
    with shell(report, run(f"sleep 0.3; {READER}")) as tty:
        tty.type(b"job &\n")
        report.line("worker")
        tty.type(b"fg\n")
        command = reader(tty)
        tty.type(b"hello\n")
        tty.expect(b"got <hello>")
        assert tty.foreground == command
        tty.type(CTRL_D)
        tty.expect(b"end")
        tty.expect(b"bash> ")


def test_ctrl_z_where_no_shell_could_continue_it(report: Report) -> None:
    with alone(report, run(READER)) as tty:
        command = reader(tty)
        for _ in range(2):
            until(lambda: tty.foreground == command, "the foreground")
            tty.type(CTRL_Z)
            tty.type(b"still here\n")
            tty.expect(b"got <still here>")
        tty.type(CTRL_D)
        assert tty.process.wait() == 7


def test_in_a_pipeline_the_others_keep_the_terminal(report: Report) -> None:
    """`stepcreds exec … | less`: less needs the keyboard more than the command does."""
    with shell(report, run("echo started >&2; while sleep 0.01; do echo $$; done")) as tty:
        tty.type(b"job | (trap '' INT; cat >/dev/null); echo codes ${PIPESTATUS[@]}\n")
        tty.expect(b"started")
        assert tty.foreground == os.getpgid(report.front)
        tty.type(CTRL_Z)
        tty.expect(b"Stopped")
        tty.expect(b"bash> ")
        assert is_stopped(report.front)
        tty.type(b"fg\n")
        until(lambda: tty.foreground == os.getpgid(report.front), "the pipeline in the foreground")
        until(lambda: not is_stopped(report.front), "it goes on")
        tty.type(CTRL_C)
        tty.expect(b"bash> ")
        assert report.outcome["cancelled_by"] == "SIGINT"
        assert report.outcome["exit_code"] == 130


def test_in_a_pipeline_the_command_can_still_ask(report: Report) -> None:
    """`stepcreds exec psql | tee log`: whoever reads the keyboard gets it."""
    with shell(report, run(f"exec 3>&1 >/dev/tty; {READER}")) as tty:
        tty.type(b"job | cat\n")
        reader(tty)
        tty.type(CTRL_D)
        tty.expect(b"end")
        tty.expect(b"bash> ")


BARE = """
import os, signal, sys, termios, tty
tty.setraw(0)
modes = termios.tcgetattr(0)
modes[3] &= ~termios.ECHO
termios.tcsetattr(0, termios.TCSANOW, modes)
open(sys.argv[1], "w").close()
signal.pause()
"""


def test_a_killed_command_leaves_the_terminal_as_it_was(report: Report, tmp_path: Path) -> None:
    bare, gate = tmp_path / "bare", tmp_path / "gate"
    barely = {"run": {"argv": [sys.executable, "-c", BARE, str(bare)]}}
    with alone(report, barely, {"wait_for": str(gate)}) as tty:
        until(bare.exists, "a terminal without echo")
        assert not tty.echoes
        os.kill(report.front, signal.SIGTERM)
        assert report.outcome["exit_code"] == 143
        assert tty.echoes
        assert tty.foreground == report.front
        gate.touch()
        tty.process.wait()


def test_a_command_that_changes_the_terminal_on_purpose_may(report: Report) -> None:
    with alone(report, run("stty -echo")) as tty:
        assert tty.process.wait() == 0
        assert not tty.echoes


def test_the_terminal_is_taken_back_when_the_worker_is_killed(report: Report) -> None:
    with alone(report, run(READER)) as tty:
        command = reader(tty)
        until(lambda: tty.foreground == command, "the foreground")
        os.kill(report.worker, signal.SIGKILL)
        assert tty.process.wait() == TAKEN_OVER
        assert not is_running(command)


def test_the_shell_has_its_terminal_when_the_worker_is_killed(report: Report) -> None:
    with shell(report, run(READER)) as tty:
        tty.type(b"job; echo code $?\n")
        reader(tty)
        os.kill(report.worker, signal.SIGKILL)
        tty.expect(b"code %d" % TAKEN_OVER)
        tty.expect(b"bash> ")


def test_a_prompt_without_a_newline_is_seen_at_once(report: Report) -> None:
    """Also through the redactor: standard error is a pipe then, and a question waits for its answer on it."""
    script = 'printf "Your name? " >&2; read name; echo "got <$name>"'
    with shell(report, run(script, redact=["hunter2-secret"])) as tty:
        tty.type(b"job 2>&1 | cat\n")
        tty.expect(b"Your name? ")
        tty.type(b"Ada\n")
        tty.expect(b"got <Ada>")
        tty.expect(b"bash> ")


def test_a_closed_window_ends_everything(report: Report) -> None:
    with shell(report, run(f"trap '' HUP; {READER}", grace=0.2)) as tty:
        tty.type(b"job\n")
        command = reader(tty)
        tty.process.send_signal(signal.SIGHUP)
        until(lambda: not is_running(command) and not is_running(report.worker), "the end of it")
        assert report.outcome["cancelled_by"] == "SIGHUP"
