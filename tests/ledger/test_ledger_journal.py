"""Writing a chain: onto the disk, by several processes at once, over torn ends, and only into a file of our own."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ledger_samples import (
    JOB,
    NOW,
    STEP,
    UIDS,
    closed,
    issued,
    open_journal,
    records,
    requested,
    write_ledger,
)

from manual_clock import ManualClock
from stepcreds.errors import LedgerError
from stepcreds.ledger import checkpoint, credential
from stepcreds.ledger.chain import check
from stepcreds.ledger.faults import ledger_error
from stepcreds.ledger.file import LOCK_WAIT
from stepcreds.ledger.journal import Journal
from stepcreds.ledger.link import MAX_LINE
from stepcreds.ledger.reading import stored_lines
from stepcreds.ledger.record import Event
from stepcreds.model import Job

HERE = Path(__file__).parent
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
NAME = "4711-1-deploy-0eec0e3b3609.jsonl"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def refused(call: Callable[[], object]) -> tuple[str, str, str, str]:
    with pytest.raises(LedgerError) as caught:
        call()
    error = caught.value
    return error.what, error.cause, error.fix, error.docs


def codes(path: Path) -> list[str]:
    return [f"{finding.line} {finding.layer}/{finding.code}" for finding in check(stored_lines(path), str(path))]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def token_failed() -> Event:
    """An event that may stand anywhere in a chain, any number of times."""
    return credential.token_revoke_failed(STEP, UIDS[0], token_accessor="a", detail="503", expire_time=None)


def test_the_folder_and_the_file_are_for_their_user_alone(tmp_path: Path) -> None:
    with umask(0):
        path = open_journal(tmp_path / "deep" / "ledger").path
    assert path.name == NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir(0o750)
    assert stat.S_IMODE(open_journal(tmp_path / "ledger").path.parent.stat().st_mode) == 0o750


def test_the_steps_of_a_job_attempt_share_a_chain(tmp_path: Path) -> None:
    first, second = open_journal(tmp_path), open_journal(tmp_path)
    assert (first.path, first.chain_uid) == (second.path, second.chain_uid)
    assert [entry["kind"] for entry in records(first.path)] == ["chain.opened"]


@pytest.mark.parametrize(
    "other",
    [
        JOB._replace(iss="https://gitlab.example.com"),
        JOB._replace(repository_id="9"),
        JOB._replace(run_id="4712"),
        JOB._replace(run_attempt="2"),
        JOB._replace(job="deploy (eu)"),
        Job("none", "", "", "", "", "", "", {}),
        JOB._replace(job="../../etc/passwd"),
        JOB._replace(job="x" * 500),
        JOB._replace(job="d\udcff"),
    ],
)
def test_another_job_attempt_has_a_chain_of_its_own(other: Job, tmp_path: Path) -> None:
    one, two = open_journal(tmp_path), open_journal(tmp_path, other)
    assert one.path != two.path
    assert one.path.parent == two.path.parent == tmp_path
    assert len(two.path.name) < 100
    assert (codes(one.path), codes(two.path)) == ([], [])


def test_what_is_appended_is_returned_as_it_stands_in_the_file(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert [journal.append(requested()), journal.append(issued()), journal.close(STEP)] == records(journal.path)[1:]


def test_after_its_chain_was_closed_a_job_goes_on_in_another(tmp_path: Path) -> None:
    one = write_ledger(tmp_path, lives=1)
    two = write_ledger(tmp_path, lives=1)
    three = open_journal(tmp_path)
    assert open_journal(tmp_path).path == three.path
    assert [path.name for path in (one, two, three.path)] == [
        NAME,
        NAME.replace(".jsonl", ".2.jsonl"),
        NAME.replace(".jsonl", ".3.jsonl"),
    ]
    assert [codes(path) for path in (one, two, three.path)] == [[], [], []]
    assert len({records(path)[0]["chain_uid"] for path in (one, two, three.path)}) == 3


def test_a_closed_chain_takes_no_more(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.close(STEP)
    before = journal.path.read_bytes()
    expected = (
        f"The chain in the ledger file {journal.path} was closed while this step ran",
        "`stepcreds revoke --all`, or the end of the job, did not wait for the step.",
        "Run `stepcreds revoke --all` after every step that holds a credential.",
        "ledger",
    )
    assert refused(lambda: journal.append(requested())) == expected
    assert refused(lambda: journal.close(STEP)) == expected
    assert journal.path.read_bytes() == before


def test_a_journal_is_found_again_by_its_file(tmp_path: Path) -> None:
    path = open_journal(tmp_path).path
    journal = Journal.at(path, clock=ManualClock(NOW))
    journal.append(requested())
    assert journal.chain_uid == records(path)[1]["chain_uid"]
    assert codes(path) == ["2 order/unclosed"]


# Torn ends.


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a thousand recoveries of four fsyncs each take a disk half a minute."""
    shm = Path("/dev/shm")
    if not os.access(shm, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        yield Path(folder)


def test_a_line_torn_at_any_byte_is_kept_aside_and_put_on_record(memory: Path) -> None:
    path = write_ledger(memory / "ledger", lives=1, close=False)
    data = path.read_bytes()
    whole = data.rindex(b"\n", 0, -1) + 1
    for length in range(whole + 1, len(data)):
        torn = data[whole:length]
        path.write_bytes(data[:length])
        Journal.at(path, clock=ManualClock(NOW)).append(closed())
        assert path.read_bytes().startswith(data[:whole])
        recovered, again = records(path)[3:]
        digest = hashlib.sha256(torn).hexdigest()
        kept = path.parent / recovered["kept"]
        assert (recovered["kind"], recovered["bytes"], recovered["sha256"]) == ("chain.recovered", len(torn), digest)
        assert (kept.name, kept.read_bytes()) == (f"{path.name}.torn-{digest[:12]}", torn)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert again["kind"] == "credential.closed"
        assert codes(path) == []
        kept.unlink()


def test_a_first_line_torn_at_any_byte(memory: Path) -> None:
    path = open_journal(memory).path
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        open_journal(memory)
        kinds = [entry["kind"] for entry in records(path)]
        assert kinds == ["chain.opened", "chain.recovered"][: 2 if length else 1]
        assert codes(path) == []


def test_opening_a_journal_also_recovers_it(tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1, close=False)
    with path.open("ab") as file:
        file.write(b'{"chain_uid":')
    open_journal(tmp_path)
    assert [entry["kind"] for entry in records(path)][4:] == ["chain.recovered"]
    assert codes(path) == []


def test_the_end_of_a_chain_counts_what_was_recovered(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with journal.path.open("ab") as file:
        file.write(b"{")
    assert journal.close(STEP)["entries"] == 3
    assert codes(journal.path) == []


@pytest.mark.parametrize("overwritten", [0, 1, 200, 100_000])
def test_a_writer_that_was_killed_while_it_recovered(overwritten: int, tmp_path: Path) -> None:
    """The torn part is kept aside by then, and overwritten to some byte; it is longer than what overwrites it."""
    journal = open_journal(tmp_path)
    good = journal.path.read_bytes()
    torn = b'{"a":"' + b"x" * 9_000
    journal.path.write_bytes(good + torn)
    journal.append(token_failed())
    recovered = journal.path.read_bytes()[len(good) :]
    reached = min(overwritten, len(recovered))
    journal.path.write_bytes(good + recovered[:reached] + torn[reached:])
    journal.append(token_failed())
    assert codes(journal.path) == []
    kept = [entry for entry in records(journal.path) if entry["kind"] == "chain.recovered"]
    assert [entry["bytes"] for entry in kept] == (
        [len(torn)] if reached < len(recovered) else [len(torn), len(torn) - len(recovered)]
    )
    for entry in kept:
        assert hashlib.sha256((tmp_path / entry["kept"]).read_bytes()).hexdigest() == entry["sha256"]


# Several writers.


def entries_appended_by(path: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "append_entries.py"), str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def test_nothing_acknowledged_is_lost_when_writers_are_killed(tmp_path: Path) -> None:
    path = open_journal(tmp_path).path
    acknowledged: list[str] = []
    with entries_appended_by(path, 500) as one, entries_appended_by(path, 500) as two:
        for round_number in range(10):
            with entries_appended_by(path, 1_000_000) as victim:
                assert victim.stdout is not None
                said = [victim.stdout.readline() for _ in range(5 + 7 * round_number)]
                victim.send_signal(signal.SIGKILL)
                said += victim.stdout.readlines()
            acknowledged += [line[:-1] for line in said if line.endswith("\n")]
        acknowledged += one.communicate()[0].split() + two.communicate()[0].split()
        assert (one.returncode, two.returncode) == (0, 0)
    assert len(acknowledged) > 1000 + 10 * 5
    assert codes(path) == []
    written = [str(entry["event_uid"]) for entry in records(path)]
    assert set(acknowledged) <= set(written)
    assert len(written) == len(set(written))


def test_a_journal_goes_over_a_fork_and_both_halves_write(tmp_path: Path) -> None:
    """What one half of a pair holds, the other must not be able to write through."""
    program = (
        "import os, sys\n"
        "from ledger_samples import *\n"
        "from stepcreds.clock import SystemClock\n"
        "from stepcreds.ledger.record import new_uid\n"
        "journal = Journal.at(Path(sys.argv[1]), clock=SystemClock())\n"
        "child = os.fork()\n"
        "for _ in range(200):\n"
        "    journal.append(credential.token_revoke_failed(\n"
        "        STEP, new_uid(), token_accessor=str(child), detail='', expire_time=None))\n"
        "sys.exit(os.waitpid(child, 0)[1] if child else 0)\n"
    )
    path = open_journal(tmp_path).path
    run = subprocess.run([sys.executable, "-c", program, str(path)], env=ENVIRONMENT, check=False)
    assert run.returncode == 0
    assert len(records(path)) == 401
    assert codes(path) == []


def test_a_lock_that_is_held_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, clock=(clock := ManualClock(NOW)))
    with journal.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = refused(lambda: journal.append(requested()))
    assert said == (
        f"The ledger file {journal.path} was locked by process {os.getpid()} for 30 s",
        "Another step of the same job writes to it, or was stopped while it did.",
        "End or resume that process, and run the step again.",
        "ledger",
    )
    assert sum(clock.slept) == pytest.approx(LOCK_WAIT, abs=0.02)
    journal.append(requested())
    assert codes(journal.path) == ["2 order/unclosed"]


def test_the_checkpoints_are_not_waited_for_as_long(tmp_path: Path) -> None:
    """A neighbour who holds their lock would keep the step's token alive."""
    journal, clock = open_journal(tmp_path), ManualClock(NOW)
    checkpoint.keep(b"{}", journal.path, clock)
    there = checkpoint.beside(journal.path)
    with there.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        said = refused(lambda: checkpoint.keep(b"{}", journal.path, clock))
    assert said[0] == f"The ledger file {there} was locked by process {os.getpid()} for 5 s"
    assert sum(clock.slept) == pytest.approx(5, abs=0.02)
    assert there.read_bytes() == b"{}\n"


def test_a_file_that_is_removed_while_its_lock_is_waited_for(tmp_path: Path) -> None:
    """What went into a file without a name would be lost, and acknowledged."""

    class Checkout(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            journal.path.unlink()
            fcntl.flock(other, fcntl.LOCK_UN)

    journal = open_journal(tmp_path, clock=Checkout(NOW))
    with journal.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        what, *_ = refused(lambda: journal.append(requested()))
    assert what == f"The ledger cannot use {journal.path}: it is gone"


# Only a regular file of our own.

NOT_A_FILE = ("Something else was put in its place.", "Look at what it is, and remove it.", "ledger")
ANOTHER_FOLDER = "Set ledger.path in stepcreds.yml to a folder on a local disk that this user can write to."


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, at(path.parent):
        listener.bind(path.name)


@contextmanager
def at(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to("/dev/null"), "it is a symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "it is a symbolic link"),
        (os.mkfifo, "it is not a regular file"),
        (Path.mkdir, "it is not a regular file"),
        (make_socket, "it is not a regular file"),
    ],
    ids=["link", "dangling", "fifo", "folder", "socket"],
)
def test_something_else_in_the_place_of_the_file(make: Callable[[Path], None], what: str, tmp_path: Path) -> None:
    path = tmp_path / NAME
    make(path)
    expected = (f"The ledger cannot use {path}: {what}", *NOT_A_FILE)
    assert refused(lambda: open_journal(tmp_path)) == expected
    assert refused(lambda: Journal.at(path, clock=ManualClock(NOW))) == expected


def test_a_file_with_another_name_is_not_written_to(tmp_path: Path) -> None:
    other = tmp_path / "of-somebody"
    other.touch()
    path = tmp_path / NAME
    path.hardlink_to(other)
    expected = (
        f"The ledger file {path} has 2 names: it is a hard link",
        "Somebody linked another file there, which would be written to; or the ledger's folder was copied with hard links.",
        "Look at the file, and remove it from the folder; or copy it in place of the link: cp FILE NEW && mv NEW FILE",
        "ledger",
    )
    assert refused(lambda: open_journal(tmp_path)) == expected
    assert refused(lambda: Journal.at(path, clock=ManualClock(NOW))) == expected
    assert other.read_bytes() == b""
    other.unlink()
    open_journal(tmp_path)
    assert path.stat().st_size > 0


@AS_ROOT
def test_a_file_of_another_user(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    os.chown(journal.path, 65534, 65534)
    expected = (
        f"The ledger file {journal.path} belongs to user 65534; this step runs as user 0",
        "An earlier step ran as another user (a container, sudo), or somebody put the file there.",
        "Run the steps of a job as one user, or give each user its own ledger.path in stepcreds.yml.",
        "ledger",
    )
    assert refused(lambda: journal.append(requested())) == expected
    assert refused(lambda: open_journal(tmp_path)) == expected


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"")
    said = refused(lambda: open_journal(tmp_path / "ledger"))
    assert said == (
        f"The ledger cannot use {tmp_path}/ledger: a part of that path is not a folder",
        "",
        ANOTHER_FOLDER,
        "ledger",
    )


def test_a_folder_that_everybody_may_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert refused(lambda: open_journal(tmp_path)) == (
        f"Every user of this machine can write to the ledger's folder {tmp_path}",
        "Whoever can write to it can remove or replace what is on record.",
        f"Run: chmod 700 {tmp_path}",
        "ledger",
    )
    tmp_path.chmod(0o1777)
    assert codes(open_journal(tmp_path).path) == []


def test_a_file_that_something_removed(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.path.unlink()
    assert refused(lambda: journal.append(requested())) == (
        f"The ledger cannot use {journal.path}: it is gone",
        "Something removed it: a checkout with `clean: true`, say, deletes ignored folders of the workspace.",
        "Set ledger.path in stepcreds.yml to a folder outside the workspace.",
        "ledger",
    )
    assert not journal.path.exists()


def test_a_file_that_something_replaced(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.path.unlink()
    other = open_journal(tmp_path)
    before = other.path.read_bytes()
    assert refused(lambda: journal.append(requested())) == (
        f"The ledger file {journal.path} now holds another chain than when this step began",
        "Something replaced the file while the step ran.",
        "Keep the file as evidence; set ledger.path in stepcreds.yml to a folder nothing else uses.",
        "ledger",
    )
    assert other.path.read_bytes() == before


@pytest.mark.parametrize(
    "end",
    [
        b"garbage\n",
        b"\n",
        b"[]\n",
        b'{"seq":1}\n',
        b'{"chain_uid":"x","kind":"y","seq":true}\n',
        b"x" * (2 * MAX_LINE + 9),
    ],
    ids=["garbage", "empty", "array", "fields", "types", "endless"],
)
def test_a_file_that_something_else_wrote_to(end: bytes, tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with journal.path.open("ab") as file:
        file.write(end)
    before = journal.path.read_bytes()
    expected = (
        f"The ledger file {journal.path} does not end with a record of a ledger",
        "Something else has written to it.",
        f"Run `stepcreds ledger verify {journal.path}`, keep the file as evidence, and move it out of the folder.",
        "ledger",
    )
    assert refused(lambda: journal.append(requested())) == expected
    assert refused(lambda: open_journal(tmp_path)) == expected
    assert journal.path.read_bytes() == before


def test_a_record_that_is_too_large(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    event = replace_inherited([f"VARIABLE_{number}" for number in range(50_000)])
    with pytest.raises(LedgerError, match=r"^A record of \d+ bytes is more than the ledger takes \(262144\)$"):
        journal.append(event)
    assert codes(journal.path) == []


# A disk that does not take it.


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """As `ulimit -f`, in bytes: the kernel writes what still fits, and refuses the rest (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_fits_in_part_is_taken_back(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    before = journal.path.read_bytes()
    for more in (0, 1, 100):
        with file_size_limit(len(before) + more):
            said = refused(lambda: journal.append(requested()))
        assert said == (
            f"The ledger cannot use {journal.path}: the file may not grow any further",
            "A limit on the size of files (ulimit -f) is set.",
            "Raise the limit.",
            "ledger",
        )
        assert journal.path.read_bytes() == before
    journal.append(requested())
    assert codes(journal.path) == ["2 order/unclosed"]


def test_a_recovery_that_does_not_fit_leaves_a_torn_line(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with journal.path.open("ab") as file:
        file.write(b'{"torn"')
    size = journal.path.stat().st_size
    for more in (0, 100):
        with file_size_limit(size + more):
            what, *_ = refused(lambda: journal.append(requested()))
        assert what == f"The ledger cannot use {journal.path}: the file may not grow any further"
        assert codes(journal.path) == ["2 file/torn"]
    journal.append(requested())
    assert codes(journal.path) == ["3 order/unclosed"]


@pytest.mark.parametrize(
    ("number", "what", "fix"),
    [
        (
            errno.ENOSPC,
            "the disk is full",
            "Make room on that disk, or set ledger.path in stepcreds.yml to a folder on another.",
        ),
        (
            errno.EDQUOT,
            "the disk is full",
            "Make room on that disk, or set ledger.path in stepcreds.yml to a folder on another.",
        ),
        (errno.EROFS, "the disk is read-only", ANOTHER_FOLDER),
        (errno.EIO, "Input/output error", ANOTHER_FOLDER),
    ],
)
def test_what_a_disk_says(number: int, what: str, fix: str) -> None:
    error = ledger_error(OSError(number, os.strerror(number)), Path("/x/y.jsonl"))
    assert (error.what, error.cause, error.fix) == (f"The ledger cannot use /x/y.jsonl: {what}", "", fix)


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_that_may_not_be_written_to(mode: int) -> None:
    """As a user whom modes bind: to root they mean nothing."""
    program = (
        "import os, sys\n"
        "from ledger_samples import *\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([])\n"
        "    os.setresgid(65534, 65534, 65534)\n"
        "    os.setresuid(65534, 65534, 65534)\n"
        "try:\n"
        "    open_journal(Path(sys.argv[1]))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, vars(error))\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ledger"
        folder.mkdir()
        if os.geteuid() == 0:
            Path(name).chmod(0o755)
            os.chown(folder, 65534, 65534)
        folder.chmod(mode)
        run = subprocess.run(
            [sys.executable, "-c", program, str(folder)], env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        folder.chmod(0o700)
    path = folder / NAME if mode else folder
    expected = {
        "what": f"The ledger cannot use {path}: this user may not",
        "cause": "The folder or the file belongs to another user, or its mode forbids writing.",
        "fix": ANOTHER_FOLDER,
        "docs": "ledger",
    }
    assert (run.stdout, run.stderr) == (f"LedgerError {expected}\n", "")


def replace_inherited(names: list[str]) -> Event:
    event = requested(UIDS[0])
    return event._replace(fields={**event.fields, "inherited": names})
