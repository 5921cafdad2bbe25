"""What a step finds around it: another user, no HOME, a umask, a working folder that is gone, no /proc, nothing writable."""

from __future__ import annotations

import os
import sys

import pytest
from chaos_table import Tell
from machine_runs import WHOLE, Machine, Namespace, complaint
from sweep_runs import DEAD, ENDED, ISSUED, PROVEN, outcome

NO_PROC = complaint(
    "/proc cannot be read: No such file or directory",
    cause="without it nobody can tell what a command leaves behind",
    fix="Mount a proc file system at /proc in the container or chroot that the step runs in.",
    docs="unsupported-machine",
)


def works(machine: Machine, row: Tell, fault: str, **variables: str | None) -> None:
    """It does not matter."""
    machine.forget()
    run = machine.run("exec", "migrate", "--", "/bin/sh", *machine.command[1:], **variables)
    assert (machine.worded(run), machine.vault.stages) == (ISSUED + PROVEN, WHOLE)
    machine.check(run, code=7, ran=True, verdicts=[DEAD])
    machine.tell(row, f"machine: {fault}", "any", run, machine.struck)


def test_a_user_without_privileges(nobody: Machine, row: Tell) -> None:
    works(nobody, row, "no privileges")
    assert nobody.ask_directly("doctor", "migrate").returncode == 0
    assert nobody.run("revoke", "--all").returncode == 0
    assert nobody.found() == (0, [])
    assert (
        nobody.ledger.stat().st_mode & 0o777,
        *(each.stat().st_mode & 0o777 for each in nobody.ledger.iterdir()),
    ) == (0o700, 0o600)


# Without PATH the command is named by its whole path; the rest is a user's who has nothing, or what is not there.
LACKS: list[tuple[str, dict[str, str | None]]] = [
    ("HOME unset", {"HOME": None}),
    ("HOME not there", {"HOME": "/nowhere"}),
    ("USER unset", {"USER": None, "LOGNAME": None}),
    ("LANG=C", {"LANG": "C", "LC_ALL": "C"}),
    ("no such locale", {"LANG": "tlh_KX.UTF-9", "LC_ALL": "tlh_KX.UTF-9"}),
    ("TMPDIR not there", {"TMPDIR": "/nowhere"}),
    ("RUNNER_TEMP not there", {"RUNNER_TEMP": "/nowhere"}),
]


@pytest.mark.parametrize(
    ("fault", "variables"),
    [pytest.param(*case, id=case[0], marks=[pytest.mark.chaos] * (number > 0)) for number, case in enumerate(LACKS)],
)
def test_a_variable_that_is_missing(nobody: Machine, row: Tell, fault: str, variables: dict[str, str | None]) -> None:
    works(nobody, row, fault, **variables)


@pytest.mark.chaos
def test_no_path(nobody: Machine, row: Tell) -> None:
    nobody.before = (*nobody.before, "/usr/bin/env", "--unset=PATH")
    works(nobody, row, "PATH unset")


@pytest.mark.chaos
def test_no_standard_file(nobody: Machine, row: Tell) -> None:
    nobody.before = (*nobody.before, "sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    run = nobody.run("exec", "migrate", "--", "sh", "-c", f"touch {nobody.marker}; exit 7")
    assert (run.stdout, run.stderr, nobody.vault.stages) == ("", "", WHOLE)
    nobody.check(run, code=7, ran=True, verdicts=[DEAD])
    nobody.tell(row, "machine: stdin, stdout, stderr closed", "any", run, nobody.struck)


@pytest.mark.parametrize("umask", ["000", "777"])
def test_a_umask(nobody: Machine, row: Tell, umask: str) -> None:
    """It takes nothing that we need, and gives others nothing: not even a folder above the ledger's."""
    text = nobody.config_file.read_text()
    nobody.config_file.write_text(text.replace(f"{nobody.ledger}", f"{nobody.folder}/above/.stepcreds"))
    nobody.change(files={"{dir}/deep/pgpass": "{password}"}, env={"PGPASSFILE": "{dir}/deep/pgpass"})
    nobody.before = (*nobody.before, "sh", "-c", f'umask {umask}; exec "$@"', "sh")
    run = nobody.run(
        "exec", "migrate", "--", "sh", "-c", f'test -s "$PGPASSFILE" && umask 022 && touch {nobody.marker} && exit 7'
    )
    assert (nobody.worded(run), run.returncode, nobody.ran) == (ISSUED + PROVEN, 7, True)
    above = nobody.folder / "above"
    assert above.stat().st_mode & 0o777 in ((0o755,) if umask == "000" else (0o700,))
    assert (above / ".stepcreds").stat().st_mode & 0o777 == 0o700
    assert [each.stat().st_mode & 0o777 for each in (above / ".stepcreds").iterdir()] == [0o600]
    (file,) = (above / ".stepcreds").iterdir()
    assert f'"verdict":"{DEAD}"' in file.read_text()
    row(f"machine: umask {umask}", "any", outcome(run, [DEAD]), None)


def test_a_working_folder_that_is_gone(nobody: Machine, row: Tell) -> None:
    nobody.before = (*nobody.before, "sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh")
    for words in (("exec", "migrate", "--", "true"), ("revoke", "--all"), ("doctor",)):
        run = nobody.run(*words, STEPCREDS_CONFIG=str(nobody.config_file))
        assert (run.returncode, nobody.vault.stages) == (125 if words[0] == "exec" else 2, [])
        assert nobody.worded(run) == complaint(
            "the current folder cannot be used: No such file or directory",
            fix="Change to a folder that exists.",
            docs="",
        ).replace("  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#\n", "")
        if words[0] == "exec":
            row("machine: working folder removed", "before the login", outcome(run, []), None)


@pytest.mark.chaos
def test_a_working_folder_that_cannot_be_read(nobody: Machine, row: Tell) -> None:
    dark = nobody.folder / "dark"
    dark.mkdir()
    dark.chmod(0o311)  # passed through, and not listed
    nobody.before = (*nobody.before, "env", f"--chdir={dark}")
    works(nobody, row, "working folder unreadable", STEPCREDS_CONFIG=str(nobody.config_file))


@pytest.mark.parametrize("is_root", [False, True], ids=["nobody", "root"])
def test_a_proc_that_hides_others(machine: Machine, nobody: Machine, row: Tell, is_root: bool) -> None:
    """hidepid=2, as hardened containers have it: one's own processes are still there."""
    of = machine if is_root else nobody
    with Namespace() as space:
        # In a namespace of its own a user cannot mount a proc file system; that of the machine can be mounted again.
        space.shell("mount -t proc -o hidepid=2 proc /proc")
        of.enter(space)
        works(of, row, f"hidepid=2{'' if is_root else ', no privileges'}")


def test_no_proc(machine: Machine, row: Tell) -> None:
    """Nobody could tell what a command leaves behind, so nothing begins."""
    # The mount has to come after the namespace is entered, which is found by /proc.
    mounts = 'mount -t tmpfs tmpfs /proc; exec "$@"'
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    machine.before = ("unshare", "--mount", *user, "sh", "-ec", mounts, "sh")
    for words, code in ((("exec", "migrate", "--", "true"), 125), (("revoke", "--all"), 1)):
        run = machine.run(*words)
        # Nor whether the CI's runner reads this: no annotation beside it.
        assert (run.returncode, run.stderr, machine.vault.stages) == (code, NO_PROC, [])
        if words[0] == "exec":
            row("machine: no /proc", "before the login", outcome(run, []), None)


@pytest.mark.parametrize("is_root", [False, True], ids=["nobody", "root"])
def test_a_read_only_machine(machine: Machine, nobody: Machine, row: Tell, is_root: bool) -> None:
    """As a container has it: the ledger's folder and one for temporary files can be written to, and nothing else."""
    of = machine if is_root else nobody
    of.ledger.mkdir(mode=0o700)
    if of is nobody and nobody.before:
        os.chown(of.ledger, 65534, 65534)
    of.change(files={"{dir}/pgpass": "{password}"}, env={"PGPASSFILE": "{dir}/pgpass"})
    with Namespace() as space:
        space.shell(
            'mount --bind "$1" "$1"; mount -t tmpfs -o mode=1777 tmpfs /dev/shm; mount -o remount,ro,bind /', of.ledger
        )
        of.enter(space)
        run = of.run("exec", "migrate", "--", "sh", "-c", 'touch here 2>/dev/null || test -s "$PGPASSFILE" && exit 7')
        assert of.worded(run) == ISSUED + PROVEN
        of.check(run, code=7, ran=False, verdicts=[DEAD])
        assert list(space.at("/dev/shm").iterdir()) == []
        assert of.run("revoke", "--all").returncode == 0
    assert of.found() == (0, [])
    of.tell(row, f"machine: read-only{'' if is_root else ', no privileges'}", "any", run, of.struck)


def test_no_shell(machine: Machine, row: Tell) -> None:
    """We need none; a command that does is told so, and its credential is ended."""
    with Namespace() as space:
        space.shell('for name in sh dash bash; do mount --bind /dev/null "$(readlink -f "/bin/$name")" || :; done')
        machine.enter(space)
        run = machine.run(
            "exec", "migrate", "--", sys.executable, "-c", f"open({str(machine.marker)!r}, 'w'); raise SystemExit(7)"
        )
        machine.check(run, code=7, ran=True, verdicts=[DEAD])
        machine.tell(row, "machine: no sh", "any", run, machine.struck)
        machine.forget()
        script = machine.folder / "script"
        script.write_text("exit 7\n")  # without "#!", which makes it /bin/sh's
        script.chmod(0o700)
        run = machine.run("exec", "migrate", "--", str(script))
        assert machine.worded(run) == ISSUED + ENDED + complaint(
            "the command 'FOLDER/script' cannot be run: Permission denied", docs="command-not-runnable"
        )
        machine.check(run, code=126, ran=False, verdicts=[DEAD])
        machine.tell(row, "machine: no sh", "the command runs", run, machine.struck)
