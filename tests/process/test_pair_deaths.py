"""Killing either process of the pair, or what is around it: the tree dies, and what was held is ended by the other."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pair_driver import TAKEN_OVER
from pair_runs import DEADLINE, Run, Starter, is_running, is_stopped, lines_of, pairs, pairs_of_nobody, until

from stepcreds.model import NOT_YET


@pytest.fixture
def nobody() -> Iterator[Starter]:
    with pairs_of_nobody() as starter:
        yield starter


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Starter]:
    with pairs(tmp_path) as starter:
        yield starter


CANARY = "canary-7f3a"
FIRST: dict[str, Any] = {
    "credential_uid": "c1",
    "profile": "migrate",
    "token": f"{CANARY}-token",
    "accessor": "accessor-1",
    "lease_id": "database/creds/migrate/1",
    "username": "v-migrate",
    "password": f"{CANARY}-pässwörd \"'\\\n",
    "lock_password": f"{CANARY}-lock",
    "secrets": [f"{CANARY}-key", f"{CANARY}-token of two\nlines"],
    "issue_time": 1.5,
    "expire_time": 2.5,
    "ledger": "",
    "chain_uid": "",
}
SECOND = {**FIRST, "credential_uid": "c2", "profile": "verify"}
UNMEASURED = {"measurement": [NOT_YET.reason]}


def tree(pids: Path) -> dict[str, Any]:
    """A command with a child in its group, one in a session of its own, and one that is an orphan; none obeys."""
    sleeper = f"sh -c 'trap \"\" TERM INT HUP; echo $$ >>{pids}; sleep 300; :'"
    script = (
        f"trap '' TERM INT HUP; {sleeper} & setsid {sleeper} & (setsid {sleeper} &); echo $$ >>{pids}; wait; sleep 300"
    )
    return {"run": {"argv": ["sh", "-c", script]}}


def grown(pids: Path) -> list[int]:
    """The ids of all four, once they are there."""
    until(lambda: len(lines_of(pids)) == 4, "four processes")
    return [int(line) for line in lines_of(pids)]


def test_the_front_ends_the_tree_and_takes_over_when_the_worker_is_killed(pair: Starter, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    renewed = {**FIRST, "expire_time": 9.5}
    step = pair(
        {"hold": FIRST}, {"hold": SECOND}, {"keep_folder": "/a"}, {"keep_folder": "/b"},
        {"hold": renewed}, {"release": "c2"}, {"forget_folder": "/a"}, tree(pids),
    )  # fmt: skip
    below = grown(pids)
    os.kill(step.worker, signal.SIGKILL)
    assert step.wait() == TAKEN_OVER
    assert not any(map(is_running, below))
    taken = step.line("taken_over_by")
    assert taken.pop("taken_over_by") == step.front
    shown = taken.pop("shown")
    assert taken == {
        "holdings": [{**renewed, **UNMEASURED}],
        "folders": ["/b"],
        "reason": "the worker was killed by SIGKILL",
        "front_gone": False,
    }
    assert CANARY not in shown
    assert "accessor-1" in shown


def test_the_worker_ends_the_tree_and_finishes_when_the_front_is_killed(pair: Starter, tmp_path: Path) -> None:
    """The CI sees its front gone and the end of its pipes at once, while the worker goes on in the background."""
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    step = pair(
        {"hold": FIRST}, tree(pids), {"say": "into nowhere"}, {"wait_for": str(gate)}, {"note": "finished"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    below = grown(pids)
    step.process.kill()
    assert step.process.communicate(timeout=DEADLINE) == (b"", b"")
    assert step.wait() == -signal.SIGKILL
    step.line("note", "waiting for gate")
    assert not any(map(is_running, below))
    assert is_running(step.worker)
    gate.touch()
    note = step.line("note", "finished")
    assert (note["front_gone"], note["signal"]) == (True, "SIGKILL")
    until(lambda: not is_running(step.worker), "the worker's end")
    assert (step.outcome["exit_code"], step.outcome["cancelled_by"]) == (137, "SIGKILL")
    assert "taken_over_by" not in step.report.read_text()


def test_killing_the_whole_group_spares_the_worker(pair: Starter, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    step = pair({"hold": FIRST}, tree(pids), {"note": "finished"}, start_new_session=True)
    below = grown(pids)
    os.killpg(step.process.pid, signal.SIGKILL)
    assert step.line("note", "finished")["front_gone"]
    assert not any(map(is_running, below))


def test_the_fronts_death_interrupts_what_may_be_interrupted(pair: Starter) -> None:
    step = pair({"wait_interruptible": "asking"}, {"note": "finished"})
    step.line("note", "asking")
    step.process.kill()
    assert step.line("cancelled") == {"cancelled": "SIGKILL"}
    assert step.line("note", "finished")["front_gone"]


def test_a_file_that_the_ci_opened_for_us_is_let_go_of_as_well(pair: Starter, tmp_path: Path) -> None:
    """`exec 3>&1` in a script makes a copy of the CI's pipe that every process below inherits."""
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    read, write = os.pipe()
    step = pair(tree(pids), {"wait_for": str(gate)}, pass_fds=(write,))
    os.close(write)
    grown(pids)
    step.process.kill()
    assert select.select([read], [], [], DEADLINE) == ([read], [], [])
    assert os.read(read, 1) == b""
    os.close(read)
    assert is_running(step.worker)
    gate.touch()
    until(lambda: not is_running(step.worker), "the worker's end")


def test_it_is_let_go_of_while_python_runs_no_signal_handler(pair: Starter) -> None:
    step = pair({"compute": 2_000_000_000}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    step.line("note", "computing")
    step.process.kill()
    assert step.process.communicate(timeout=DEADLINE) == (b"", b"")
    assert is_running(step.worker)
    os.kill(step.worker, signal.SIGKILL)


COOKIES = {"RUNNER_TRACKING_ID": "github_2f1e", "BUILD_ID": "17"}


def tether_of(worker: int) -> int:
    """The only child of the worker, whichever of its threads has it, once it is a program of its own."""

    def found() -> int:
        pids = "".join(file.read_text() for file in Path(f"/proc/{worker}/task").glob("*/children")).split()
        return next((int(pid) for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "sh\n"), 0)

    return until(found, "a tether")


def test_a_runner_finds_the_worker_by_what_it_gave_the_job(nobody: Starter) -> None:
    """The command ends first; then a process is there whose environment may be read, and with it the worker ends."""
    pids, gate = nobody.folder / "pids", nobody.folder / "gate"
    step = nobody(tree(pids), {"wait_for": str(gate)}, environment=COOKIES)
    below = grown(pids)
    step.process.kill()
    step.line("note", "waiting for gate")
    assert not any(map(is_running, below))
    tether = tether_of(step.worker)
    given = until(lambda: Path(f"/proc/{tether}/environ").read_bytes(), "its environment")
    assert dict(text.split("=") for text in given.decode().rstrip("\0").split("\0")) == COOKIES
    os.kill(tether, signal.SIGTERM)
    until(lambda: not is_running(step.worker), "the worker's end")
    assert "taken_over_by" not in step.report.read_text()


def test_what_the_runner_finds_does_not_outlive_the_worker(pair: Starter, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    step = pair({"wait_for": str(gate)}, environment=COOKIES)
    step.line("note", "waiting for gate")
    step.process.kill()
    tether = tether_of(step.worker)
    gate.touch()
    until(lambda: not is_running(step.worker), "the worker's end")
    until(lambda: not is_running(tether), "the end of the tether")


def test_a_tether_that_ends_by_itself_says_nothing_about_the_job(pair: Starter, tmp_path: Path) -> None:
    """A shell that a sandbox or a broken image ends at once, as one does that has something to read."""
    gate = tmp_path / "gate"
    step = pair({"wait_for": str(gate)}, {"note": "finished"}, environment=COOKIES)
    step.line("note", "waiting for gate")
    step.process.kill()
    tether = tether_of(step.worker)
    Path(f"/proc/{tether}/fd/0").write_text("\n")
    until(lambda: not is_running(tether), "the end of the tether")
    time.sleep(0.2)
    gate.touch()
    assert step.line("note", "finished")["front_gone"]


def test_a_worker_that_fails_is_taken_over_from(pair: Starter) -> None:
    step = pair({"hold": FIRST}, {"fail": CANARY})
    assert step.wait() == TAKEN_OVER
    taken = step.line("taken_over_by")
    assert taken["taken_over_by"] == step.front
    assert taken["holdings"] == [{**FIRST, **UNMEASURED}]
    name, _, line = taken["reason"].rpartition(":")
    assert name == "RuntimeError in pair_driver.py"
    assert line.isdigit()


def test_a_worker_that_fails_without_a_front_takes_over_itself(pair: Starter, tmp_path: Path) -> None:
    step = pair({"hold": FIRST}, {"wait_for_request": "waiting"}, {"fail": CANARY})
    step.line("note", "waiting")
    step.process.kill()
    taken = step.line("taken_over_by")
    assert (taken["taken_over_by"], taken["front_gone"]) == (step.worker, True)
    assert taken["holdings"] == [{**FIRST, **UNMEASURED}]
    assert taken["reason"].startswith("RuntimeError in pair_driver.py:")


def every_signal(pair: Starter, folder: Path, victim: str) -> Iterator[tuple[int, Run]]:
    """A step for each signal that there is, whose `victim` has got it just before the step is to go on."""
    numbers = range(1, 65)
    for batch in (numbers[start : start + 8] for start in range(0, 64, 8)):
        gate = folder / f"gate {batch[0]}"
        steps = {n: pair({"hold": FIRST}, {"wait_for": str(gate)}, {"note": "finished"}) for n in batch}
        for number, step in steps.items():
            step.line("note", f"waiting for {gate.name}")
            pid = step.worker if victim == "worker" else step.front
            os.kill(pid, number)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)  # some only stop it
        gate.touch()
        yield from steps.items()


def name_of(number: int) -> str:
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")


def test_no_signal_to_the_worker_leaves_anything_alive(pair: Starter, tmp_path: Path) -> None:
    """Real-time signals are what containers and service managers ask their processes to stop by."""
    killed = []
    for number, step in every_signal(pair, tmp_path, "worker"):
        code = step.wait()
        if code == 0:
            assert step.line("note", "finished")["front_gone"] is False
            continue
        assert code == TAKEN_OVER, number
        taken = step.line("taken_over_by")
        assert taken["taken_over_by"] == step.front
        assert taken["holdings"] == [{**FIRST, **UNMEASURED}]
        assert taken["reason"] == f"the worker was killed by {name_of(number)}"
        killed.append(number)
    assert {signal.SIGKILL, signal.SIGALRM, *range(35, 65)} <= set(killed)


def test_no_signal_to_the_front_leaves_anything_alive(pair: Starter, tmp_path: Path) -> None:
    killed = []
    for number, step in every_signal(pair, tmp_path, "front"):
        code = step.wait()
        assert code in (0, -number)
        assert step.line("note", "finished")["front_gone"] in (False, code != 0)
        until(lambda: not is_running(step.worker), "the worker's end")  # noqa: B023 - called here
        killed += [number] if code else []
    assert {signal.SIGKILL, signal.SIGALRM, *range(34, 65)} <= set(killed)


def test_a_worker_that_is_stopped_goes_on_when_the_step_is_to_end(pair: Starter, tmp_path: Path) -> None:
    step = pair({"run": {"argv": ["sh", "-c", f"echo >{tmp_path / 'runs'}; exec sleep 300"]}})
    until(lambda: lines_of(tmp_path / "runs"), "the command")
    os.kill(step.worker, signal.SIGSTOP)
    until(lambda: is_stopped(step.worker), "a worker that stands still")
    step.process.terminate()
    assert step.wait() == 143


def test_nothing_held_is_taken_over_as_well(pair: Starter, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    step = pair({"wait_for": str(gate)})
    step.line("note", "waiting for gate")
    os.kill(step.worker, signal.SIGSEGV)
    assert step.wait() == TAKEN_OVER
    taken = step.line("taken_over_by")
    assert (taken["holdings"], taken["folders"]) == ([], [])
    assert taken["reason"] == "the worker was killed by SIGSEGV"


def test_signals_do_not_interrupt_the_front_while_it_takes_over(pair: Starter, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    step = pair({"hold": FIRST}, tree(pids))
    grown(pids)
    os.kill(step.worker, signal.SIGKILL)
    while step.process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            step.process.send_signal(number)
    assert step.wait() == TAKEN_OVER


def test_children_from_before_are_spared(pair: Starter, tmp_path: Path) -> None:
    """`exec stepcreds … > >(tee log)`: bash has become the front, and its tee is the front's child."""
    pids, before = tmp_path / "pids", tmp_path / "before"
    script = f'sleep 300 & echo $! >{before}; exec "$@"'
    step = pair(tree(pids), before=["sh", "-c", script, "sh"])
    below = grown(pids)
    os.kill(step.worker, signal.SIGKILL)
    assert step.wait() == TAKEN_OVER
    assert not any(map(is_running, below))
    spared = int(lines_of(before)[0])
    assert is_running(spared)
    os.kill(spared, signal.SIGKILL)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_stay_closed_for_the_command(pair: Starter, tmp_path: Path, closed: str) -> None:
    seen = tmp_path / "seen"
    script = f"read line; echo out || echo no-out >>{seen}; echo err >&2 || echo no-err >>{seen}; exit 4"
    step = pair(
        {"say": "hello"}, {"run": {"argv": ["bash", "-c", script]}},
        before=["sh", "-c", f'exec "$@" {closed}', "sh"],
    )  # fmt: skip
    assert step.wait() == 4
    assert lines_of(seen) == ["no-out"] * (">&-" in closed.split()) + ["no-err"] * ("2>&-" in closed.split())


def test_nobody_else_can_look_into_the_pair(nobody: Starter) -> None:
    """Another process of the same user; root can."""
    step = nobody({"wait_for": str(nobody.folder / "gate")})
    step.line("note", "waiting for gate")
    script = "import sys\nfor path in sys.argv[1:]:\n    try: open(path, 'rb')\n    except PermissionError: print(path)"
    paths = [f"/proc/{pid}/{name}" for pid in (step.front, step.worker) for name in ("mem", "environ", "fd/1", "maps")]
    looker = [*nobody.before, nobody.python, "-c", script, *paths]
    assert subprocess.run(looker, capture_output=True, text=True, check=True).stdout.split() == paths
    (nobody.folder / "gate").touch()
    assert step.wait() == 0


def test_what_the_front_was_told_is_ended_for_a_user_without_privileges(nobody: Starter) -> None:
    pids = nobody.folder / "pids"
    argv = ["sh", "-c", f"setsid sleep 300 & echo $! $$ >{pids}; wait"]
    for victim, code in (("worker", 77), ("front", -9)):
        step = nobody({"keep_folder": "/a"}, {"run": {"argv": argv}}, {"note": "finished"})
        until(lambda: lines_of(pids), "the command's child")
        os.kill(step.worker if victim == "worker" else step.front, 9)
        assert step.wait() == code
        if victim == "front":
            assert step.line("note", "finished")["front_gone"]
        else:
            assert step.line("taken_over_by")["folders"] == ["/a"]
        until(lambda: not step.all_running(), "nothing left")  # noqa: B023 - called here
        pids.unlink()
