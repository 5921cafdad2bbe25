"""Another process of the same user puts something else in the place of the files that a step writes: before it, and while it runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_table import Tell
from neighbour_runs import Neighbourhood
from step_runs import reconfigure, reported, said, until
from sweep_runs import DEAD, RUNS, of_nobody, outcome

from stepcreds.devstack.stack import Stack

VICTIM = "what somebody else wrote\n"
# What stands where "$1" was; "$2" is a file of the same user that must not change.
PLACED = {
    "a link to a file": 'ln -s "$2" "$1"',
    "a link to nothing": 'ln -s "$2.new" "$1"',
    "a link to a device": 'ln -s /dev/zero "$1"',
    "a hard link": 'ln "$2" "$1"',
    "a FIFO": 'mkfifo "$1"',
    "a socket": 'python3 -c "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])" "$1"',
    "a folder": 'mkdir "$1"',
    "a sparse file": 'truncate -s 1T "$1"',
}
ONE_EACH = [pytest.param(name, marks=() if name == "a FIFO" else pytest.mark.chaos) for name in PLACED]


@pytest.fixture
def place(place: Neighbourhood) -> Iterator[Neighbourhood]:
    (place.folder / "victim").write_text(VICTIM)
    place.as_user("cp", "victim", "theirs")  # a file of that user
    yield place
    assert (place.folder / "theirs").read_text() == VICTIM
    assert not (place.folder / "theirs.new").exists()


def put(place: Neighbourhood, name: str, path: Path) -> None:
    """Put that in the place of `path`, as the user of the step."""
    script = f'mkdir -p "${{1%/*}}"; rm -rf "$1"; {PLACED[name]}'.replace("python3", place.python)
    run = place.as_user(str(path), str(place.folder / "theirs"), script=script)
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def ledger_name(stack: Stack) -> str:
    """Of the job that all these steps belong to: whoever knows the job knows it."""
    with of_nobody(Neighbourhood, stack) as made:
        run = made.run()
        assert run.returncode == 7, run.stderr
        (file,) = made.folder.glob(".stepcreds/*.jsonl")
        return file.name


@pytest.mark.parametrize("name", ONE_EACH)
def test_in_place_of_the_ledger_before_a_step(place: Neighbourhood, ledger_name: str, name: str, row: Tell) -> None:
    file = place.folder / ".stepcreds" / ledger_name
    put(place, name, file)
    run = place.run()
    assert (run.returncode, place.ran) == (125, False), run.stderr
    assert "issue" not in place.vault.stages
    assert said(run.stderr).startswith(
        ("stepcreds: error: The ledger cannot use ", "stepcreds: error: The ledger file ")
    ), run.stderr
    assert "#ledger\n" in run.stderr
    row(f"neighbour: puts {name} for the ledger", "before the login", outcome(run, []), None)


@pytest.mark.parametrize("name", ONE_EACH)
def test_in_place_of_the_ledger_while_the_command_runs(place: Neighbourhood, name: str, row: Tell) -> None:
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        (file,) = place.folder.glob(".stepcreds/*.jsonl")
        put(place, name, file)
        moment = time.monotonic()
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 121, run.stderr
    until(lambda: not place.alive(), "the user is gone")
    assert "stepcreds: error: The ledger" in run.stderr
    assert "Traceback" not in run.stderr
    place.tell(row, f"neighbour: puts {name} for the ledger", RUNS, run, moment, ["dead", "not on record"])


FOLDERS = [
    pytest.param(name, marks=() if name == "a FIFO" else pytest.mark.chaos)
    for name in ("a link to a file", "a link to nothing", "a link to a device", "a FIFO", "a socket")
]


@pytest.mark.parametrize("name", FOLDERS)
def test_in_place_of_the_ledgers_folder(place: Neighbourhood, name: str, row: Tell) -> None:
    put(place, name, place.folder / ".stepcreds")
    run = place.run()
    assert (run.returncode, place.ran) == (125, False), run.stderr
    assert "issue" not in place.vault.stages
    assert said(run.stderr).startswith("stepcreds: error: The ledger cannot use "), run.stderr
    row(f"neighbour: puts {name} for the ledger's folder", "before the login", outcome(run, []), None)


RUNNER = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH")


def runner_files(place: Neighbourhood) -> dict[str, str]:
    """As the runner makes them, one for each of its variables."""
    files = {name: str(place.folder / "runner" / name.lower()) for name in RUNNER}
    run = place.as_user(*files.values(), script='mkdir -p runner; for file; do echo "{}" > "$file"; done')
    assert run.returncode == 0, run.stderr
    return files


@pytest.mark.parametrize("when", ["before the login", RUNS])
@pytest.mark.parametrize("name", ONE_EACH)
def test_in_place_of_the_runners_files(place: Neighbourhood, name: str, when: str, row: Tell) -> None:
    """All of them at once: the step comes to its end, and the credential with it."""
    files = runner_files(place)
    if when == "before the login":
        for path in files.values():
            put(place, name, Path(path))
    with place.start("exec", "migrate", "--", *place.staying(), **files) as step:
        given = reported(place.folder / "report")
        if when == RUNS:
            for path in files.values():
                put(place, name, Path(path))
        moment = time.monotonic()
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 143, run.stderr
    assert place.verdicts() == [DEAD]
    assert "Traceback" not in run.stderr
    place.vault.canaries -= {given["PGPASSWORD"]}
    assert place.seen() == []
    place.tell(row, f"neighbour: puts {name} for the runner's files", when, run, moment if when == RUNS else None)


def test_in_place_of_the_private_folder(place: Neighbourhood, row: Tell) -> None:
    """What stands there in the end is removed; what it leads to is not."""
    reconfigure(
        place.config_file,
        lambda document: document["profiles"]["migrate"].update(
            files={"{dir}/pgpass": "{password}"}, env={"PGPASSFILE": "{dir}/pgpass"}
        ),
    )
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        folder = Path(given["PGPASSFILE"]).parent
        put(place, "a link to a file", folder)
        moment = time.monotonic()
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 143, run.stderr
    assert not os.path.lexists(folder)
    assert place.seen() == []
    place.tell(row, "neighbour: puts a link to a file for the private folder", RUNS, run, moment)


@pytest.mark.chaos
def test_a_link_to_a_folder_in_the_private_folder(place: Neighbourhood, row: Tell) -> None:
    """The link is removed, and nothing of the folder that it leads to."""
    reconfigure(
        place.config_file,
        lambda document: document["profiles"]["migrate"].update(
            files={"{dir}/pgpass": "{password}"}, env={"PGPASSFILE": "{dir}/pgpass"}
        ),
    )
    place.as_user(script="mkdir kept; echo kept > kept/file; chmod 750 kept")
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        folder = Path(given["PGPASSFILE"]).parent
        run = place.as_user(
            str(folder),
            str(place.folder / "kept"),
            script='ln -s "$2" "$1/inside"; mv "$1" "$1.moved"; ln -s "$2" "$1"',
        )
        assert run.returncode == 0, run.stderr
        moment = time.monotonic()
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 143, run.stderr
    assert (place.folder / "kept/file").read_text() == "kept\n"
    assert (place.folder / "kept").stat().st_mode & 0o777 == 0o750
    assert not os.path.lexists(folder)
    place.as_user("rm", "-r", f"{folder}.moved")  # which nobody could find
    place.tell(row, "neighbour: puts a link to a folder for the private folder", RUNS, run, moment)
