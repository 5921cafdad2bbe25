"""Another process of the same user looks into stepcreds, makes it crash, stops it: at each stage of a step."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path

import neighbour
import pytest
from chaos_table import Tell
from neighbour_runs import Neighbourhood
from step_runs import Running, reconfigure, reported, until
from sweep_runs import DEAD, RUNS, outcome

from faulty_vault import Fault
from processes import descendants

STAGES = {  # of Vault's answers: what the step waits for then
    "login": "login",
    "probe": "probe",
    "issue": "issue",
    "revoke": "revoke",
    "lookup": "lookup",
    "revoke-self": "give back",
}
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


def halves(step: Running) -> list[int]:
    return [step.process.pid, *descendants(step.process.pid)[:1]]


def test_a_neighbour_gets_what_the_kernel_gives_of_a_program_that_does_not_forbid_it(place: Neighbourhood) -> None:
    """Or the other tests would prove nothing."""
    script = f'sleep 100 & "$1" -I {neighbour.__file__} $!; kill $!'
    run = place.as_user(place.python, script=script)
    got = {name.split()[0] for name in json.loads(run.stdout)}
    kept = set(neighbour.ATTACHES) if YAMA.exists() and YAMA.read_text().strip() != "0" else {"stack", "timerslack_ns"}
    assert got | kept >= {*neighbour.FILES, *neighbour.LINKS, "fd", "ptrace", "process_vm_readv", "pidfd_getfd"}


def test_a_neighbour_looks_into_both_halves_at_each_stage(place: Neighbourhood, row: Tell) -> None:
    got: dict[str, list[str]] = {}
    seen: dict[str, list[str]] = {}

    def look(stage: str) -> None:
        pids = halves(step)
        assert len(pids) == 2
        got[stage], seen[stage] = place.attack(*pids), place.seen()

    for stage in STAGES:
        place.vault.fail(stage, Fault("pass", then=lambda stage=stage: look(stage)))  # type: ignore[misc]
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        got["command"] = place.attack(*halves(step))
        place.vault.canaries -= {given["PGPASSWORD"]}  # the command itself wrote it into that file
        seen["command"] = place.seen()
        own = place.attack(int(given["own pid"]))
        (place.folder / "report").unlink()
        place.vault.canaries |= {given["PGPASSWORD"]}
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 143, run.stderr
    assert set(got) == {*STAGES, "command"}
    assert {stage: found for stage, found in got.items() if found} == {}
    assert {stage: found for stage, found in seen.items() if found} == {}
    assert place.seen() == []
    assert f"environ {given['own pid']}" in own  # which docs/neighbours.md says
    place.check_secrets(run)
    for stage in (*STAGES.values(), RUNS):
        row("neighbour: reads, traces, attaches", stage, f"{outcome(run, place.verdicts())}, no secret seen", None)


ANSWERS = ("--ci", "github", "--repository-id", "71717171", "--environment", "production")


def test_a_neighbour_looks_into_an_administrators_command(place: Neighbourhood) -> None:
    """It is no pair of processes, and holds the token of somebody who may do more than any step."""
    got: list[list[str]] = []
    place.vault.fail(
        "issue", Fault("pass", then=lambda: got.append([*place.attack(command.process.pid), *place.seen()]))
    )
    token = place.stack.openbao.root_token.reveal()
    with place.start(
        "setup", "check", "--without-databases", *ANSWERS, VAULT_TOKEN=token, VAULT_ADDR=place.vault.address
    ) as command:
        run = command.wait()
    assert got == [[]], run.stderr
    assert token in place.vault.canaries


@pytest.mark.chaos
def test_a_neighbour_looks_into_scope(place: Neighbourhood) -> None:
    got: list[list[str]] = []
    place.vault.fail("login", Fault("pass", then=lambda: got.append([*place.attack(*halves(command)), *place.seen()])))
    with place.start("scope", "migrate") as command:
        run = command.wait()
    assert got == [[]], run.stderr


@pytest.mark.parametrize(
    ("half", "number"),
    [
        ("front", signal.SIGABRT),
        pytest.param("worker", signal.SIGSEGV),
        pytest.param("front", signal.SIGSEGV, marks=pytest.mark.chaos),
        pytest.param("worker", signal.SIGABRT, marks=pytest.mark.chaos),
    ],
)
def test_a_crash_leaves_no_core(place: Neighbourhood, row: Tell, half: str, number: signal.Signals) -> None:
    """Also where a core may be as large as it likes, and the folder is one that it can be written to."""
    place.before = (*place.before, "prlimit", "--core=unlimited")
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        pid = halves(step)[half == "worker"]
        moment = time.monotonic()
        assert place.as_user("kill", f"-{int(number)}", str(pid)).returncode == 0
        if half == "front":
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            assert ended is not None
            assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, number)
        run = step.wait()
    assert run.returncode == (-number if half == "front" else 137), run.stderr
    assert (f"was lost: the worker was killed by {number.name}\n" in run.stderr) == (half == "worker")
    until(lambda: not place.alive(), "the user is gone")
    until(lambda: place.verdicts() == [DEAD], "the proof is on record")
    place.vault.canaries -= {given["PGPASSWORD"]}
    assert list(place.folder.rglob("*core*")) == []
    assert place.seen() == []
    place.tell(row, f"{half}: {number.name}, cores unlimited", RUNS, run, moment)


def test_a_program_that_does_not_forbid_it_leaves_one(place: Neighbourhood) -> None:
    """Or the tests above would prove nothing."""
    code = "import os, sys; pid = os.fork(); pid or os.abort(); _, status = os.waitpid(pid, 0); sys.exit(os.WCOREDUMP(status))"
    place.before = (*place.before, "prlimit", "--core=unlimited")
    assert place.as_user(place.python, "-c", code).returncode == 1


@pytest.mark.chaos
@pytest.mark.parametrize("stopped", ["the worker", "both halves"])
def test_a_half_is_stopped_for_ever(place: Neighbourhood, row: Tell, stopped: str) -> None:
    """Nobody renews, and nobody revokes: lease and token end by themselves, and `revoke` finds what is left."""
    reconfigure(place.config_file, lambda document: document["profiles"]["migrate"].update(ttl=15))
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        pids = halves(step)
        moment = time.monotonic()
        for pid in pids if stopped != "the worker" else pids[1:]:
            assert place.as_user("kill", "-STOP", str(pid)).returncode == 0
        until(lambda: given["PGUSER"] not in place.stack.issued_roles(), "it has expired")
        assert place.deaths.after(moment) is not None
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        os.kill(pids[0], signal.SIGTERM)
        run = step.wait()
    assert run.returncode in (121, 143), run.stderr
    place.tell(row, f"neighbour: stops {stopped}", RUNS, run, moment)


def test_the_files_of_a_step_are_those_it_asked_for(place: Neighbourhood, row: Tell) -> None:
    """0600, in a folder of 0700, and gone with the step."""
    reconfigure(
        place.config_file,
        lambda document: document["profiles"]["migrate"].update(
            files={"{dir}/deep/pgpass": "*:*:*:*:{password}"}, env={"PGPASSFILE": "{dir}/deep/pgpass"}
        ),
    )
    with place.start("exec", "migrate", "--", *place.staying()) as step:
        given = reported(place.folder / "report")
        file = Path(given["PGPASSFILE"])
        modes = [stat.S_IMODE(path.lstat().st_mode) for path in (file, file.parent, file.parent.parent)]
        found = place.seen()
        os.kill(int(given["own pid"]), signal.SIGTERM)
        run = step.wait()
    assert run.returncode == 143, run.stderr
    assert modes == [0o600, 0o700, 0o700]
    assert found == [str(file)]
    assert place.seen() == []
    assert not file.parent.parent.exists()
    row("neighbour: searches files", RUNS, f"{outcome(run, place.verdicts())}, a secret in its own files alone", None)
