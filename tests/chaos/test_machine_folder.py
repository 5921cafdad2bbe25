"""Where a step's private folder may not be made, or takes no file: /dev/shm missing, full, read-only; no other place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from chaos_table import Tell
from machine_runs import (
    WHOLE,
    Machine,
    Namespace,
    complaint,
    fill,
)
from sweep_runs import DEAD, ENDED, ISSUED, PROVEN

CHECKOUT = Path(__file__).resolve().parents[2]
SHM = "/dev/shm"
TEMPORARY = "/var/tmp"  # what TMPDIR says: nobody's tests are there
OPEN = "mode=1777"


@pytest.fixture
def machine(nobody: Machine) -> Machine:
    """Its profile asks for a file; as a user whom modes bind."""
    nobody.change(files={"{dir}/pgpass": "{host}:{port}:*:{username}:{password}\n"}, env={"PGPASSFILE": "{dir}/pgpass"})
    return nobody


def run(machine: Machine) -> subprocess.CompletedProcess[str]:
    """A step whose command says where its file is, if that holds a password."""
    script = f'grep -q :v- "$PGPASSFILE" && echo "$PGPASSFILE"; touch {machine.marker}; exit 7'
    return machine.run("exec", "--no-redact", "migrate", "--", "sh", "-c", script, TMPDIR=TEMPORARY)


# Where the folder then is; without /dev/shm there is still the rest of /dev.
MISSING = (
    'mount -t tmpfs -o mode=755 tmpfs /mnt; for name in null zero full random urandom tty; do : > "/mnt/$name"; '
    'mount --bind "/dev/$name" "/mnt/$name"; done; mount --move /mnt /dev'
)
PLACES = [
    ("no /dev/shm", MISSING, TEMPORARY),
    ("/dev/shm full", f"mount -t tmpfs -o {OPEN},size=4k tmpfs {SHM}; head -c 4096 /dev/zero > {SHM}/fill", TEMPORARY),
    ("/dev/shm out of inodes", f"mount -t tmpfs -o {OPEN},nr_inodes=2 tmpfs {SHM}", TEMPORARY),
    ("/dev/shm read-only", f"mount -t tmpfs -o {OPEN},ro tmpfs {SHM}", TEMPORARY),
    ("/dev/shm noexec", f"mount -t tmpfs -o {OPEN},noexec tmpfs {SHM}", SHM),
]


@pytest.mark.parametrize(
    ("fault", "script", "place"),
    [pytest.param(*case, id=case[0], marks=[pytest.mark.chaos] * (number > 1)) for number, case in enumerate(PLACES)],
)
def test_the_next_place_is_taken(machine: Machine, row: Tell, fault: str, script: str, place: str) -> None:
    with Namespace() as space:
        space.shell(script)
        machine.enter(space)
        step = run(machine)
        machine.check(step, code=7, ran=True, verdicts=[DEAD])
        assert step.stdout.startswith(f"{place}/stepcreds-")
        assert not space.at(step.stdout.strip()).exists()
        machine.tell(row, f"machine: {fault}", "hand over", step, machine.struck)


def test_no_place_at_all(machine: Machine, row: Tell) -> None:
    """Before anything is issued."""
    with Namespace() as space:
        for place in (SHM, TEMPORARY):
            fill(space.mount(place, f"{OPEN},size=4k"))
        # The test's folder stays, and the checkout if it is there, in a /tmp that cannot be written to.
        script = """
            mount -t tmpfs tmpfs /mnt
            for path; do mkdir "/mnt/${path##*/}"; mount --bind "$path" "/mnt/${path##*/}"; done
            mount -t tmpfs tmpfs /tmp
            for path; do mkdir -p "$path"; mount --move "/mnt/${path##*/}" "$path"; done
            mount -o remount,ro /tmp
        """
        space.shell(script, *{path for path in (machine.folder, CHECKOUT) if path.is_relative_to("/tmp")})
        machine.enter(space)
        step = run(machine)
        assert machine.worded(step) == complaint(
            "There is no place for the step's private folder",
            cause="/dev/shm: No space left on device; /var/tmp: No space left on device; /tmp: Read-only file system",
            fix="Make $TMPDIR or /dev/shm a folder that this user can write to, with room for a few files.",
            docs="delivery",
        )
        assert (step.returncode, machine.ran, machine.vault.stages, machine.found()) == (125, False, [], (0, []))
        for place in (SHM, TEMPORARY):
            assert [path.name for path in space.at(place).iterdir()] == ["fill"]
        machine.tell(row, "machine: no place for files", "before the login", step, machine.struck)


def test_the_place_fills_once_it_was_tried(machine: Machine, row: Tell) -> None:
    """Then the credential is there already: it is ended first, and the place complained of then."""
    with Namespace() as space:
        place = space.mount(SHM, f"{OPEN},size=128k")
        machine.enter(space)
        machine.at("issue", lambda: fill(place))
        step = run(machine)
        assert machine.worded(step) == ENDED + complaint(
            "The file pgpass cannot be written: No space left on device",
            fix="Look at the space and the limits of the file system that holds the step's private folder.",
            docs="delivery",
        )
        assert (machine.vault.stages, [path.name for path in place.iterdir()]) == (WHOLE, ["fill"])
        machine.check(step, code=125, ran=False, verdicts=[DEAD])
        machine.tell(row, "machine: no place for files", "hand over", step, machine.struck)


def test_the_folder_is_taken_away_in_mid_step(machine: Machine, row: Tell, tmp_path: Path) -> None:
    """A command, or a cleaner of temporary files, removes it; nobody needs it for the end."""
    step = machine.run(
        "exec", "migrate", "--", "sh", "-c", f'touch {machine.marker}; rm -r "$(dirname "$PGPASSFILE")"; exit 7'
    )
    assert machine.worded(step) == ISSUED + PROVEN
    machine.check(step, code=7, ran=True, verdicts=[DEAD])
    machine.tell(row, "command: removes the private folder", "the command runs", step, machine.struck)
