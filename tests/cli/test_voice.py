"""What a step says in a CI's log: annotations with the words of the error, folds, and neither of them anywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stepcreds.cli.messages import annotation, render_error, render_warning
from stepcreds.errors import ConfigError, Problem, StepcredsError

SPEAK = """
import os, sys, time
from stepcreds.ci.detect import detect
from stepcreds.cli.voice import LogVoice
from stepcreds.errors import StepcredsError
class Clock:
    times = iter([1795336000.25, 1795336002.5, 1795336003.5, 1795336004.5])
    def now(self): return next(self.times)
    def monotonic(self): return time.monotonic()
voice = LogVoice(detect({name: "true" for name in sys.argv[2:]}), Clock(), started_by=os.getppid())
ERROR = StepcredsError("100% failed: a, b", cause="one\\ntwo", fix="Run:\\n  it", docs="vault-down")
exec(sys.argv[1])
"""
PLAIN = (
    "stepcreds: error: 100% failed: a, b\n"
    "  cause: one\n"
    "    two\n"
    "  fix: Run:\n"
    "      it\n"
    "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-down\n"
)
GITHUB = (
    "::error title=stepcreds%3A 100%25 failed%3A a%2C b::"
    "cause: one%0A  two%0Afix: Run:%0A    it%0Asee: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-down\n"
)
AZURE = (
    "##vso[task.logissue type=error]stepcreds: 100%AZP25 failed: a, b%0A"
    "cause: one%0A  two%0Afix: Run:%0A    it%0Asee: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-down\n"
)


def speak(program: str, *markers: str, shell: str = "") -> str:
    """What `program` says on a CI with `markers`; `shell` starts it, and has `$@` for its command line."""
    command = [sys.executable, "-c", SPEAK, program, *markers]
    if shell:
        command = ["bash", "-c", f"{shell}; true", "bash", *command]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return run.stdout


@pytest.mark.parametrize(
    ("marker", "command"), [("GITHUB_ACTIONS", GITHUB), ("TF_BUILD", AZURE), ("GITLAB_CI", ""), ("NONE", "")]
)
def test_an_error_says_in_its_annotation_what_it_says_in_the_log(marker: str, command: str) -> None:
    assert speak("voice.fail(ERROR)", marker) == PLAIN + command
    assert speak("voice.fail(ERROR)", marker, shell='"$@"') == PLAIN + command


def test_a_warning_too() -> None:
    assert speak("voice.warn('it is old\\nMend it.')", "GITHUB_ACTIONS") == (
        "stepcreds: warning: it is old\n    Mend it.\n::warning title=stepcreds%3A it is old::  Mend it.\n"
    )
    assert speak("voice.warn('it is old')", "GITHUB_ACTIONS") == (
        "stepcreds: warning: it is old\n::warning title=stepcreds%3A it is old::it is old\n"
    )


def test_the_same_warning_is_said_once() -> None:
    """As that a ledger is not signed, which each credential of a step would say twice."""
    said = speak("voice.warn('a'); voice.warn('b'); voice.warn('a')", "NONE")
    assert said == "stepcreds: warning: a\nstepcreds: warning: b\n"


@pytest.mark.parametrize("mark", [":", ";"])
def test_the_title_of_a_warning_is_its_first_part(mark: str) -> None:
    said = f"it is old{mark} it ended at 12:00; mend it"
    assert speak(f"voice.warn({said!r})", "GITHUB_ACTIONS") == (
        f"stepcreds: warning: {said}\n::warning title=stepcreds%3A it is old::{said}\n"
    )
    assert speak(f"voice.warn({said!r} + '\\nNow.')", "GITHUB_ACTIONS") == (
        f"stepcreds: warning: {said}\n    Now.\n::warning title=stepcreds%3A it is old::{said}%0A  Now.\n"
    )


@pytest.mark.parametrize("redirected", ['"$@" 2>&1 | cat', 'x=$("$@" 2>&1); echo "$x"', '"$@" > FILE 2>&1; cat FILE'])
def test_what_only_the_runner_understands_goes_nowhere_else(tmp_path: Path, redirected: str) -> None:
    program = "\nwith voice.folded('stepcreds: revoke'):\n    voice.say('a')\n    voice.fail(ERROR)\n"
    shell = redirected.replace("FILE", str(tmp_path / "file"))
    assert speak(program, "GITHUB_ACTIONS", shell=shell) == "stepcreds: a\n" + PLAIN


@pytest.mark.parametrize(
    "nested", ['( ( "$@" ) )', 'sh -c \'"$@"; true\' sh "$@"', 'if true; then "$@"; fi 2>&1 | cat']
)
def test_shells_within_shells(nested: str) -> None:
    """A script that calls a script has the runner's log as well, unless one of them was given something else."""
    expected = PLAIN if "|" in nested else PLAIN + GITHUB
    assert speak("voice.fail(ERROR)", "GITHUB_ACTIONS", shell=nested) == expected


FOLDED = """
with voice.folded("stepcreds: what earlier steps left"):
    voice.say("a")
    voice.say("b")
    voice.fail(ERROR)
    voice.say("c")
voice.say("d")
"""


def test_what_is_ordinary_is_folded_and_an_error_never_is() -> None:
    assert speak(FOLDED, "GITHUB_ACTIONS") == (
        "::group::stepcreds: what earlier steps left\nstepcreds: a\nstepcreds: b\n::endgroup::\n"
        + PLAIN
        + GITHUB
        + "::group::stepcreds: what earlier steps left\nstepcreds: c\n::endgroup::\n"
        "stepcreds: d\n"
    )
    assert speak(FOLDED, "NONE") == "stepcreds: a\nstepcreds: b\n" + PLAIN + "stepcreds: c\nstepcreds: d\n"


def test_gitlab_is_told_when_a_fold_begins_and_ends() -> None:
    program = "\nwith voice.folded('title'):\n    voice.say('a')\n    voice.warn('b')\n    voice.say('c')\n"
    assert speak(program, "GITLAB_CI") == (
        "\x1b[0Ksection_start:1795336000:stepcreds_1795336000250[collapsed=true]\r\x1b[0Ktitle\n"
        "stepcreds: a\n"
        "\x1b[0Ksection_end:1795336002:stepcreds_1795336000250\r\x1b[0K\n"
        "stepcreds: warning: b\n"
        "\x1b[0Ksection_start:1795336004:stepcreds_1795336003500[collapsed=true]\r\x1b[0Ktitle\n"
        "stepcreds: c\n"
        "\x1b[0Ksection_end:1795336004:stepcreds_1795336003500\r\x1b[0K\n"
    ).replace("\r", "\n")


@pytest.mark.parametrize(
    "program",
    [
        "\nwith voice.folded('title'):\n    pass\n",
        "\nvoice._quiet = True\nwith voice.folded('title'):\n    voice.say('a')\n",
    ],
)
def test_there_is_no_fold_around_nothing(program: str) -> None:
    assert speak(program, "GITHUB_ACTIONS") == ""


def test_a_long_title_is_cut_and_the_text_has_all_of_it() -> None:
    said = speak(f"voice.fail(StepcredsError({'x' * 400!r}))", "GITHUB_ACTIONS").splitlines()[1]
    title, _, text = said.removeprefix("::error title=").partition("::")
    assert (len(title) - len("%3A") + 1, title[-1], text) == (255, "…", "x" * 400)


def test_no_text_becomes_a_command() -> None:
    said = speak(
        "voice.fail(StepcredsError('a\\n::add-mask::e', cause='##vso[task.complete]\\n::debug::'))", "GITHUB_ACTIONS"
    )
    assert [line for line in said.splitlines() if line.lstrip().startswith("::")] == [
        "::error title=stepcreds%3A a::  \\::add-mask::e%0Acause: #\\#vso[task.complete]%0A  \\::debug::"
    ]
    assert "##vso" not in said


def test_the_problems_of_a_configuration_are_annotated() -> None:
    error = ConfigError([Problem("stepcreds.yml:12:5", "profiles.migrate.ttl", "it is too long", "Lower it.")])
    assert annotation(render_error(error, False)) == (
        "stepcreds: 1 problem in the configuration",
        "stepcreds.yml:12:5: profiles.migrate.ttl: it is too long\n"
        "fix: Lower it.\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration",
    )
    assert annotation(render_error(StepcredsError("a: b: c"), False)) == ("stepcreds: a: b: c", "a: b: c")
    assert annotation(render_warning("a: b: c", False)) == ("stepcreds: a", "a: b: c")


FILL = """
os.set_blocking(2, False)
for size in (4096, 1):
    try:
        while True:
            os.write(2, b"x" * size)
    except BlockingIOError:
        pass
"""


def speak_to_nobody(program: str) -> subprocess.Popen[bytes]:
    """A process whose stderr is full, and which says so before it goes on with `program`."""
    program = f"{FILL}\nprint('full', flush=True)\n{program}"
    command = [sys.executable, "-c", SPEAK, program]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"full\n"
    return process


def test_a_log_that_a_command_has_made_non_blocking_is_waited_for() -> None:
    """As Node does with a pipe that it shares."""
    process = speak_to_nobody("voice.fail(ERROR)")
    time.sleep(0.3)
    said = process.communicate(timeout=60)[1]
    assert said.lstrip(b"x").decode() == PLAIN


def test_a_log_that_is_not_read_holds_nobody_and_may_be_read_again() -> None:
    program = (
        "os.set_blocking(2, True)\nvoice.hurry()\nwith voice.held(): voice.fail(ERROR)\nprint('lost', flush=True)\n"
    )
    process = speak_to_nobody(program + "sys.stdin.read(1)\nvoice.say('here again')")
    assert process.stdout is not None
    assert process.stdout.readline() == b"lost\n"
    assert process.stderr is not None
    os.read(process.stderr.fileno(), 1 << 20)
    assert process.communicate(b".", timeout=60)[1].lstrip(b"x") == b"stepcreds: here again\n"


def test_what_is_held_back_is_said_in_its_order() -> None:
    said = speak(
        "with voice.held():\n  voice.warn('one'); os.write(2, b'first\\n'); voice.say('two')\nvoice.say('three')"
    )
    assert said == "first\nstepcreds: warning: one\nstepcreds: two\nstepcreds: three\n"
