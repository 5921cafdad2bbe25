"""How a command ends, and how one that cannot be started does not begin: real processes, real exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pair_runs import Starter, is_running, lines_of, pairs, signal_log, until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


def run(*argv: str, **options: object) -> dict[str, object]:
    return {"run": {"argv": list(argv), **options}}


@pytest.mark.parametrize("code", [0, 1, 3, 121, 125, 255])
def test_the_exit_code_is_the_commands_own(pair: Starter, code: int) -> None:
    step = pair(run("sh", "-c", f"exit {code}"))
    assert step.wait() == code
    outcome = step.outcome
    assert outcome.pop("end") >= outcome.pop("start") > 1.7e9
    assert outcome == {
        "exit_code": code,
        "reason": "exited",
        "cancelled_by": "",
        "descendants_ended": 0,
        "survivors": [],
        "output_lost": "",
    }


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("KILL", 137), ("SEGV", 139), ("HUP", 129), ("INT", 130)])
def test_a_command_ended_by_a_signal_gives_128_and_its_number(pair: Starter, name: str, code: int) -> None:
    step = pair(run("sh", "-c", f"ulimit -c 0; kill -{name} $$"))
    assert step.wait() == code
    assert (step.outcome["reason"], step.outcome["descendants_ended"]) == ("signalled", 0)


def test_max_ttl_ends_a_command_that_obeys(pair: Starter, tmp_path: Path) -> None:
    log = tmp_path / "log"
    step = pair(run(*signal_log(log, "SIGTERM=0"), max_ttl=1.0))
    assert step.wait() == 124
    assert (step.outcome["exit_code"], step.outcome["reason"], step.outcome["cancelled_by"]) == (124, "max_ttl", "")
    assert lines_of(log)[1:] == ["SIGTERM"]


def test_max_ttl_kills_a_command_that_does_not_obey_after_the_grace(pair: Starter, tmp_path: Path) -> None:
    log = tmp_path / "log"
    step = pair(run(*signal_log(log), max_ttl=1.0, grace=0.2))
    assert step.wait() == 124
    assert (step.outcome["reason"], step.outcome["descendants_ended"]) == ("max_ttl", 0)
    assert lines_of(log)[1:] == ["SIGTERM"]


def test_max_ttl_reaches_a_command_that_is_stopped(pair: Starter, tmp_path: Path) -> None:
    step = pair(run("sh", "-c", "trap 'exit 9' TERM; kill -STOP $$", max_ttl=0.5))
    assert step.wait() == 124
    assert step.outcome["end"] - step.outcome["start"] < 30  # not the grace of a minute


def test_a_request_from_before_the_start_means_that_nothing_is_started(pair: Starter, tmp_path: Path) -> None:
    marker = tmp_path / "started"
    step = pair({"wait_for_request": "waiting"}, run("touch", str(marker)))
    step.line("note", "waiting")
    step.process.terminate()
    assert step.wait() == 143
    assert (step.outcome["reason"], step.outcome["cancelled_by"]) == ("not_started", "SIGTERM")
    assert not marker.exists()


def test_the_command_is_looked_for_in_its_own_path(pair: Starter, tmp_path: Path) -> None:
    program = tmp_path / "their-program"
    program.write_text("#!/bin/sh\nexit 42\n")
    program.chmod(0o755)
    step = pair(run("their-program", environment={"PATH": f"/nowhere:{tmp_path}"}))
    assert step.wait() == 42


def test_an_empty_folder_in_path_is_the_current_one(pair: Starter, tmp_path: Path) -> None:
    program = tmp_path / "here"
    program.write_text('#!/bin/sh\ntest "$0" = ./here\n')
    program.chmod(0o755)
    assert pair(run("here", environment={"PATH": "/nowhere:"}), cwd=tmp_path).wait() == 0


def test_a_command_gets_its_name_as_typed_and_its_environment_and_no_other(pair: Starter, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f'tr "\\0" "\\n" </proc/self/environ >{seen}; tr "\\0" "\\n" </proc/$$/cmdline >>{seen}'
    environment = {"PATH": "/usr/bin:/bin", "ONLY": "this"}
    step = pair(run("sh", "-c", script, environment=environment), environment={"NOT": "it"})
    assert step.wait() == 0
    lines = lines_of(seen)
    assert "ONLY=this" in lines
    assert "NOT=it" not in lines
    assert "sh" in lines


def test_a_script_without_an_interpreter_is_run_by_sh(pair: Starter, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('test "$0" = "$1" || exit 1\nexit $2\n')
    script.chmod(0o755)
    assert pair(run(str(script), str(script), "17")).wait() == 17


def test_not_found_in_path(pair: Starter) -> None:
    step = pair(run("no-such-command", environment={"PATH": "/usr/bin:/bin"}))
    assert step.wait() == 127
    assert step.line("refused")["refused"] == [
        "the command 'no-such-command' was not found",
        "no folder of the command's PATH holds it: /usr/bin:/bin",
        "Check the spelling, install it in an earlier step, or give its whole path.",
        "command-not-found",
    ]


def test_not_found_without_path(pair: Starter) -> None:
    step = pair(run("no-such-command", environment={}))
    assert step.wait() == 127
    assert step.line("refused")["refused"][1] == (
        f"the command's environment has no PATH, and it is not in {os.defpath}"
    )


@pytest.mark.parametrize("name", ["/no/such/command", "./no-such-command", ""])
def test_not_found_by_its_path(pair: Starter, name: str) -> None:
    step = pair(run(name))
    assert step.wait() == 127
    assert step.line("refused")["refused"] == [
        f"the command {name!r} was not found",
        "there is no such file",
        "Check the spelling, install it in an earlier step, or give its whole path.",
        "command-not-found",
    ]


def test_a_name_cannot_steer_the_terminal(pair: Starter) -> None:
    step = pair(run("\x1b]0;owned\x07", environment={"PATH": "/bin"}))
    assert step.wait() == 127
    assert step.line("refused")["refused"][0] == r"the command '\\x1b]0;owned\\x07' was not found"


def test_a_file_that_is_not_executable(pair: Starter, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    step = pair(run("script", environment={"PATH": str(tmp_path)}))
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        f"the command 'script' cannot be run: {script} is not executable for this user",
        "its mode or the file system's (noexec) forbids it",
        f"Run `chmod +x {script}`, or name its interpreter.",
        "command-not-runnable",
    ]


def test_a_folder(pair: Starter, tmp_path: Path) -> None:
    step = pair(run(str(tmp_path)))
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        f"the command {str(tmp_path)!r} cannot be run: {tmp_path} is a folder",
        "",
        "Name a program.",
        "command-not-runnable",
    ]


def test_a_script_whose_interpreter_is_missing(pair: Starter, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    step = pair(run(str(script)))
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        f"the command {str(script)!r} cannot be run: No such file or directory",
        "the file is there, but the interpreter in its first line, or the loader it was linked for, is not",
        "Install the interpreter, or correct the line that begins with #!.",
        "command-not-runnable",
    ]


def test_a_program_for_another_machine(pair: Starter, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    program.chmod(0o755)
    step = pair(run(str(program)))
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        f"the command {str(program)!r} cannot be run: Exec format error",
        "it is a program for another kind of processor or system",
        "Install the build for this machine.",
        "command-not-runnable",
    ]


def test_arguments_that_are_too_long(pair: Starter) -> None:
    step = pair({"run": {"argv": ["/bin/true"], "padding": 200_000}})  # the kernel's limit for one is 128 KiB
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        "the command '/bin/true' cannot be run: Argument list too long",
        "its arguments and environment are longer than the system allows",
        "Pass a file instead, or fewer arguments.",
        "command-not-runnable",
    ]


@pytest.mark.parametrize(
    "environment",
    [{"PGPASSWORD": "canary\0canary"}, {"PGPASSWORD": "canary\ud800"}, {"A=B": "canary"}],
    ids=["NUL", "surrogate", "name"],
)
def test_a_variable_that_cannot_be_passed(pair: Starter, environment: dict[str, str]) -> None:
    step = pair(run("/bin/true", environment=environment))
    assert step.wait() == 126
    assert step.line("refused")["refused"] == [
        "the command '/bin/true' cannot be run: an argument or a variable holds a NUL byte, or is not text, "
        "or a variable's name holds '='",
        "",
        "Deliver such a value as a file, or with {…:base64}.",
        "command-not-runnable",
    ]
    assert "canary" not in step.report.read_text()


def test_leftovers_that_are_about_to_end_are_let_end(pair: Starter, tmp_path: Path) -> None:
    late = tmp_path / "late"
    step = pair(run("bash", "-c", f"echo said > >(sleep 0.02; cat >{late})"))
    assert step.wait() == 0
    assert lines_of(late) == ["said"]
    assert step.outcome["descendants_ended"] == 0


def test_orphans_are_waited_for_while_the_command_runs(pair: Starter, tmp_path: Path) -> None:
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    orphan = f'(sh -c "echo \\$\\$ >>{pids}" &)'
    script = f"{orphan}; {orphan}; until test -e {gate}; do sleep 0.01; done"
    step = pair(run("sh", "-c", script))
    until(lambda: len(lines_of(pids)) == 2, "two orphans")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in lines_of(pids)), "no zombies")
    gate.touch()
    assert step.wait() == 0


def test_every_file_of_ours_stays_ours(pair: Starter, tmp_path: Path) -> None:
    """The command has the three standard files, and whatever the CI passed on; nothing of ours."""
    seen = tmp_path / "seen"
    read, write = os.pipe()
    try:
        script = f"import os; found = os.listdir('/proc/self/fd'); print(*found, file=open({str(seen)!r}, 'w'))"
        argv = [sys.executable, "-c", script]
        step = pair({"run": {"argv": argv}}, pass_fds=(write,))
        assert step.wait() == 0
    finally:
        os.close(read)
        os.close(write)
    inherited = {"0", "1", "2", str(write)}
    listed = set(lines_of(seen)[0].split())
    assert inherited <= listed
    assert len(listed - inherited) == 1  # the folder that is being listed


def test_nothing_is_left_running(pair: Starter, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    step = pair(run("sh", "-c", f"sleep 300 & echo $! >{pid}; exit 5"))
    assert step.wait() == 5
    assert not is_running(int(lines_of(pid)[0]))
    assert step.outcome["descendants_ended"] == 1
