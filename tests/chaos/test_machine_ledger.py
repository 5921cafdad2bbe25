"""The ledger's place fails: full, read-only, not there, locked, torn, replaced. Before anything is issued nothing is;
after it the credential is ended first, and the ledger complained of then."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from chaos_table import Tell
from machine_runs import (
    BEFORE_THE_ISSUE,
    WHOLE,
    Machine,
    Namespace,
    complaint,
    fill,
)
from step_runs import kinds, until
from sweep_runs import DEAD, ENDED, ISSUED, PROVEN, RUNS, outcome

from stepcreds.devstack.stack import Stack

ANOTHER = "Set ledger.path in stepcreds.yml to a folder on a local disk that this user can write to."
FULL = complaint(
    "The ledger cannot use FOLDER/.stepcreds/LEDGER: the disk is full",
    fix="Make room on that disk, or set ledger.path in stepcreds.yml to a folder on another.",
)
READ_ONLY = complaint("The ledger cannot use FOLDER/.stepcreds/LEDGER: the disk is read-only", fix=ANOTHER)
UNSEEN = (DEAD, "not on record")  # as the step itself says it
PAGE = 4096  # bytes; what tmpfs counts in
SLACK = 100  # bytes that are free in the file's last page when the disk is full: less than any record


def on_a_disk_that_fills(machine: Machine, place: Path, written: int, stage: str) -> subprocess.CompletedProcess[str]:
    """A step that finds the disk full after `stage`, with `written` records on it and no room for the next one.

    How long they are an earlier step tells, and `--reason` makes them end where a page does.
    """

    def words(reason: str) -> tuple[str, ...]:
        return ("exec", "migrate", "--reason", reason, "--", *machine.command)

    assert machine.run(*words("x")).returncode == 7
    (file,) = place.glob("*.jsonl")
    length = sum(len(line) for line in file.read_bytes().splitlines(keepends=True)[:written])
    file.unlink()
    machine.forget()
    machine.at(stage, lambda: fill(place))
    return machine.run(*words("x" * (1 + -(length + SLACK) % PAGE)))


def test_a_disk_that_is_full_from_the_start(machine: Machine, row: Tell) -> None:
    with Namespace() as space:
        place = space.mount(machine.ledger, "size=64k")
        fill(place)
        machine.enter(space)
        run = machine.run()
        assert (run.returncode, machine.ran, machine.vault.stages) == (125, False, [])
        assert machine.worded(run) == FULL
        machine.bring_out(place)
        assert machine.found() == (1, ["file/empty"])
        machine.tell(row, "machine: disk full", "before the login", run, machine.struck)
        looked = machine.ask_directly("doctor", "migrate")
        assert (looked.returncode, "the disk is full" in looked.stdout) == (1, True)
        assert machine.run("revoke", "--all").returncode == 0  # there is nothing to write down
        # What was left there is no hindrance once there is room.
        (place / "fill").unlink()
        run = machine.run()
        machine.bring_out(place)
        machine.check(run, code=7, ran=True, verdicts=[DEAD])


@pytest.mark.parametrize(
    ("written", "stage", "named"),
    [
        pytest.param(1, "probe", "probe", marks=pytest.mark.chaos),
        (2, "issue", "issue"),
        pytest.param(3, "revoke", "record", marks=pytest.mark.chaos),
    ],
    ids=["requested", "issued", "closed"],
)
def test_a_disk_that_fills(machine: Machine, row: Tell, written: int, stage: str, named: str) -> None:
    with Namespace() as space:
        place = space.mount(machine.ledger, "size=64k")
        machine.enter(space)
        if written == 1:  # no reason is on record yet: its own length is what does not fit
            machine.at(stage, lambda: fill(place))
            run = machine.run("exec", "migrate", "--reason", "x" * PAGE, "--", *machine.command)
        else:
            run = on_a_disk_that_fills(machine, place, written, stage)
        expected = {1: FULL, 2: ENDED + FULL, 3: ISSUED + FULL + PROVEN}[written]
        assert machine.worded(run) == expected
        code, stages = (121 if written == 3 else 125), (BEFORE_THE_ISSUE if written == 1 else WHOLE)
        assert (run.returncode, machine.ran, machine.vault.stages) == (code, written == 3, stages)
        assert machine.alive() == set()
        machine.bring_out(place)
        # What did not fit is not there in part; that nothing was issued fits.
        kept = ["chain.opened", "credential.requested", "credential.issued"]
        assert kinds(machine.config_file) == (kept[:written] if written > 1 else [kept[0], "credential.closed"])
        assert machine.found() == ((0, []) if written == 1 else (1, ["order/unclosed"]))
        machine.tell(row, "machine: disk full", named, run, machine.struck, UNSEEN if written > 1 else None)
        if written == 1:
            return
        # It is ended, as far as the disk allows, and said what cannot be written down.
        stuck = machine.run("revoke", "--all")
        assert (stuck.returncode, FULL in machine.worded(stuck)) == (1, True)
        (place / "fill").unlink()
        # Of what was issued, and is on record as asked for alone, nobody can prove more than that its token is gone.
        assert machine.run("revoke", "--all").returncode == (1 if written == 2 else 0)
        assert machine.run("revoke", "--all").returncode == 0
        machine.bring_out(place)
        assert machine.found() == (0, [])


@pytest.mark.chaos
def test_no_inode_is_left(machine: Machine, row: Tell) -> None:
    with Namespace() as space:
        space.mount(machine.ledger, "nr_inodes=1")
        machine.enter(space)
        run = machine.run()
    assert (run.returncode, machine.ran, machine.vault.stages) == (125, False, [])
    assert machine.worded(run) == FULL
    machine.tell(row, "machine: no inode left", "before the login", run, machine.struck)


MAKE_READ_ONLY = 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"'


@pytest.mark.parametrize(
    ("stage", "code", "named"),
    [
        pytest.param("", 125, "before the login", marks=pytest.mark.chaos),
        pytest.param("issue", 125, "issue", marks=pytest.mark.chaos),
        pytest.param("revoke", 121, "record", marks=pytest.mark.chaos),
    ],
    ids=["start", "issued", "closed"],
)
def test_a_disk_that_is_read_only(machine: Machine, row: Tell, stage: str, code: int, named: str) -> None:
    machine.ledger.mkdir(mode=0o700)
    with Namespace() as space:
        machine.enter(space)
        if stage:
            machine.at(stage, lambda: space.shell(MAKE_READ_ONLY, machine.ledger))
        else:
            space.shell(MAKE_READ_ONLY, machine.ledger)
        run = machine.run()
        said = {"": READ_ONLY, "issue": ENDED + READ_ONLY, "revoke": ISSUED + READ_ONLY + PROVEN}[stage]
        assert machine.worded(run) == said
        assert (run.returncode, machine.ran) == (code, code == 121)
        assert machine.vault.stages == (WHOLE if stage else [])
        assert machine.alive() == set()
        machine.tell(row, "machine: disk read-only", named, run, machine.struck, UNSEEN if stage else None)
        if stage:
            assert machine.found() == (1, ["order/unclosed"])
            stuck = machine.run("revoke", "--all")
            assert (stuck.returncode, READ_ONLY in machine.worded(stuck)) == (1, True)
            space.shell('umount "$1"', machine.ledger)
            assert machine.run("revoke", "--all").returncode == (1 if stage == "issue" else 0)  # as on a full disk
            assert machine.run("revoke", "--all").returncode == 0
            assert machine.found() == (0, [])


def test_where_no_ledger_can_be(nobody: Machine, row: Tell) -> None:
    """By a user whom modes bind."""
    nobody.folder.chmod(0o755)
    closed = nobody.folder / "closed"
    closed.mkdir(mode=0o755)
    (nobody.folder / "file").touch()
    (nobody.folder / "dangling").symlink_to(nobody.folder / "gone")
    if not nobody.before:  # the folder is our own
        closed.chmod(0o555)
    nowhere = {
        "cause": "The folder that it names was removed, or is not mounted here.",
        "fix": "Make that folder, or set ledger.path in stepcreds.yml to another.",
    }
    may_not = {
        "cause": "The folder or the file belongs to another user, or its mode forbids writing.",
        "fix": ANOTHER,
    }
    for path, what, rest in (
        ("closed/ledger", "this user may not", may_not),
        ("file/ledger", "a part of that path is not a folder", {"fix": ANOTHER}),
        ("dangling", "a symbolic link in that path leads nowhere", nowhere),
        ("dangling/ledger", "a symbolic link in that path leads nowhere", nowhere),
    ):
        text = nobody.config_file.read_text()
        nobody.config_file.write_text(text.replace(f"{nobody.folder}/.stepcreds", f"{nobody.folder}/{path}"))
        run = nobody.run()
        nobody.config_file.write_text(text)
        assert (run.returncode, nobody.ran, nobody.vault.stages) == (125, False, [])
        assert nobody.worded(run) == complaint(f"The ledger cannot use FOLDER/{path}: {what}", **rest)
        nobody.tell(row, f"ledger: {what}", "before the login", run, nobody.struck)


HOLD = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"


class Holder:
    """Another process, which has locked the ledger's file."""

    def __init__(self, machine: Machine) -> None:
        (file,) = machine.ledger.glob("*.jsonl")
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_who_locked_the_ledger_is_killed(machine: Machine, row: Tell) -> None:
    """A lock ends with its process. A step that waited for it would end with 125 after half a minute."""
    machine.run()
    machine.marker.unlink()
    holder = Holder(machine)
    with machine.start() as step:
        until(lambda: Path(f"/proc/{step.process.pid}/task/{step.process.pid}/children").read_text(), "the worker")
        assert step.process.poll() is None
        holder.kill()
        run = step.wait()
    machine.check(run, code=7, ran=True, verdicts=[DEAD, DEAD])
    machine.tell(row, "ledger: locked, until its holder is killed", "before the login", run, machine.struck)


@pytest.mark.chaos
def test_who_locked_the_ledger_lives(stack: Stack, tmp_path: Path, row: Tell) -> None:
    """Bounded, and said. Both at once: each waits for half a minute."""
    with ExitStack() as scope:
        at_start, at_end = (tmp_path / "start", tmp_path / "end")
        machines, holders = [], []
        for folder in (at_start, at_end):
            folder.mkdir()
            machines.append(scope.enter_context(Machine(stack, folder)))
            machines[-1].run()
            machines[-1].marker.unlink()
        first, second = machines
        holders.append(Holder(first))
        second.at("revoke", lambda: holders.append(Holder(second)))
        steps = [scope.enter_context(each.start()) for each in machines]
        runs = [step.wait() for step in steps]
        for holder, each, run, code, said in zip(
            holders, machines, runs, (125, 121), ("{}", ISSUED + "{}" + PROVEN), strict=True
        ):
            locked = complaint(
                f"The ledger file FOLDER/.stepcreds/LEDGER was locked by process {holder.process.pid} for 30 s",
                cause="Another step of the same job writes to it, or was stopped while it did.",
                fix="End or resume that process, and run the step again.",
            )
            assert each.worded(run) == said.format(locked)
            assert (run.returncode, each.ran, each.alive()) == (code, code == 121, set())
            holder.kill()
            assert each.found() == ((0, []) if code == 125 else (1, ["order/unclosed"]))
            stage, ended = ("before the login", ()) if code == 125 else ("record", UNSEEN)
            each.tell(row, "ledger: locked, for good", stage, run, each.struck, ended)
        assert second.run("revoke", "--all").returncode == 0
        assert second.found() == (0, [])


def test_a_torn_last_line(machine: Machine, row: Tell) -> None:
    """As a writer leaves it that was killed, or a machine that lost its power; cut anywhere."""
    machine.run()
    (file,) = machine.ledger.glob("*.jsonl")
    line = file.read_bytes().splitlines()[-1]
    tears = [line[:1], line[: len(line) // 2], line[:-1], line, bytes(PAGE)]
    for torn in tears:
        with file.open("ab") as ledger:
            ledger.write(torn)
        run = machine.run()
    machine.check(run, code=7, ran=True, verdicts=[DEAD] * (1 + len(tears)))
    recovered = [
        record for record in map(json.loads, file.read_text().splitlines()) if record["kind"] == "chain.recovered"
    ]
    assert [record["bytes"] for record in recovered] == list(map(len, tears))
    assert [(file.parent / record["kept"]).read_bytes() for record in recovered] == tears
    machine.tell(row, "ledger: torn last line", "before the login", run, machine.struck)


@pytest.mark.parametrize(
    ("fault", "script", "said"),
    [
        (
            "command: empties the ledger",
            ': > "$1"',
            complaint(
                "The ledger file FOLDER/.stepcreds/LEDGER does not end with a record of a ledger",
                cause="Something else has written to it.",
                fix="Run `stepcreds ledger verify FOLDER/.stepcreds/LEDGER`, keep the file as evidence, and move it out of the folder.",
            ),
        ),
        pytest.param(
            "command: puts an empty file for the ledger",
            'rm "$1"; : > "$1"',
            complaint(
                "The ledger file FOLDER/.stepcreds/LEDGER does not end with a record of a ledger",
                cause="Something else has written to it.",
                fix="Run `stepcreds ledger verify FOLDER/.stepcreds/LEDGER`, keep the file as evidence, and move it out of the folder.",
            ),
            marks=pytest.mark.chaos,
        ),
        pytest.param(
            "command: moves the ledger's folder away",
            'mv "$(dirname "$1")" "$(dirname "$1")-elsewhere"',
            complaint(
                "The ledger cannot use FOLDER/.stepcreds/LEDGER: it is gone",
                cause="Something removed it: a checkout with `clean: true`, say, deletes ignored folders of the workspace.",
                fix="Set ledger.path in stepcreds.yml to a folder outside the workspace.",
            ),
            marks=pytest.mark.chaos,
        ),
        pytest.param(
            "command: puts a file for the ledger's folder",
            'rm -r "$(dirname "$1")"; : > "$(dirname "$1")"',
            complaint(
                "The ledger cannot use FOLDER/.stepcreds/LEDGER: a part of that path is not a folder", fix=ANOTHER
            ),
            marks=pytest.mark.chaos,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("command") else "",
)
def test_something_happens_to_the_ledger_in_mid_step(
    machine: Machine, row: Tell, fault: str, script: str, said: str
) -> None:
    run = machine.run(
        "exec",
        "migrate",
        "--",
        "sh",
        "-c",
        f"echo > {machine.marker}; set -- {machine.ledger}/*.jsonl; {script}; exit 7",
    )
    assert machine.worded(run) == ISSUED + said + PROVEN
    assert (run.returncode, machine.ran, machine.vault.stages, machine.alive()) == (121, True, WHOLE, set())
    assert machine.verify().returncode in (1, 2)
    row(fault, RUNS, outcome(run, UNSEEN), None)
