"""Files that changed since the command began are searched, within bounds, and whatever lies there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from leak_samples import PASSWORD, leak, search

from manual_clock import ManualClock
from stepcreds.clock import SystemClock
from stepcreds.leaks.changed_files import HOME_FILES, Bounds, Places, Seen, look

CLOCK = SystemClock()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def seen(*folders: Path, home: str = "", spared: tuple[Path, ...] = (), since: float = 0.0, **bounds: int) -> Seen:
    places = Places(tuple(map(str, folders)), home, frozenset(map(str, spared)))
    limits = Bounds(seconds=60)._replace(**bounds)
    return look(places, search(), since, clock=CLOCK, is_cancelled=lambda: False, bounds=limits)


def test_files_by_path_line_and_variable(workspace: Path) -> None:
    (workspace / "a/b").mkdir(parents=True)
    (workspace / ".env").write_text(f"A=1\nPGPASSWORD={PASSWORD}\n")
    (workspace / "a/b/log").write_text(f"connecting as {PASSWORD}\n")
    (workspace / "a/clean").write_text("nothing\n")
    assert seen(workspace) == Seen(
        (
            leak(f"{workspace}/.env", 2, "PGPASSWORD", removed=False),
            leak(f"{workspace}/a/b/log", 1, removed=False),
        )
    )
    assert PASSWORD in (workspace / ".env").read_text()


def test_only_what_changed_since(workspace: Path) -> None:
    (workspace / "old").write_text(PASSWORD)
    since = (workspace / "old").stat().st_ctime + 2
    assert seen(workspace, since=since) == Seen()
    while time.time() < since:  # noqa: TID251 - the file system's own clock
        time.sleep(0.05)
    (workspace / "old").chmod(0o600)
    os.utime(workspace / "old", (0, 0))  # a command may set the time back of what was written, not of the change
    assert seen(workspace, since=since).leaks == (leak(f"{workspace}/old", 1, removed=False),)


@pytest.mark.parametrize("name", [".pgpass", ".my.cnf", ".env", ".aws/credentials", ".netrc"])
def test_the_usual_places_of_the_home_folder(tmp_path: Path, name: str) -> None:
    assert name in HOME_FILES
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(PASSWORD)
    (tmp_path / "other").write_text(PASSWORD)  # somebody's home is not searched as a whole
    assert seen(home=str(tmp_path)).leaks == (leak(f"{tmp_path}/{name}", 1, removed=False),)


def test_links_pipes_and_devices_are_left_alone(workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text(PASSWORD)
    (workspace / "file").symlink_to(outside / "file")
    (workspace / "folder").symlink_to(outside)
    (workspace / "loop").symlink_to(workspace)
    (workspace / "zero").symlink_to("/dev/zero")
    os.mkfifo(workspace / "pipe")
    assert seen(workspace) == Seen()
    root = tmp_path / "root"
    root.symlink_to(outside)  # what was a folder is a link after the command
    assert seen(root) == Seen(unread=1)


def test_what_is_spared(workspace: Path) -> None:
    for name in ("ledger", ".git/objects", ".git/refs"):
        (workspace / name).mkdir(parents=True)
        (workspace / name / "file").write_text(PASSWORD)
    (workspace / "env").write_text(PASSWORD)
    found = seen(workspace, spared=(workspace / "ledger", workspace / "env"))
    assert [each.file for each in found.leaks] == [f"{workspace}/.git/refs/file"]


def test_a_folder_within_another_is_seen_once(workspace: Path) -> None:
    (workspace / "tmp").mkdir()
    (workspace / "tmp/file").write_text(PASSWORD)
    assert len(seen(workspace / "tmp", workspace).leaks) == 1


def test_hostile_names(workspace: Path) -> None:
    (workspace / "::error::\n\x1b[31mred").write_text(PASSWORD)
    (workspace / f"is {PASSWORD}").write_text("")
    Path(os.fsdecode(os.fsencode(str(workspace)) + b"/\xff")).write_text(PASSWORD)
    assert sorted(seen(workspace).leaks) == sorted([
        leak(f"{workspace}/::error::\\n\\x1b[31mred", 1, removed=False),
        leak(f"{workspace}/is ***", 0, removed=False),
        leak(f"{workspace}/\\udcff", 1, removed=False),
    ])  # fmt: skip


def test_the_beginning_of_a_large_file(workspace: Path) -> None:
    (workspace / "early").write_text(PASSWORD + "x" * 100)
    (workspace / "late").write_text("x" * 100 + PASSWORD)
    found = seen(workspace, file=100)
    assert found == Seen((leak(f"{workspace}/early", 1, removed=False),), partly=2)


def test_so_much_and_no_more(workspace: Path) -> None:
    for number in range(5):
        (workspace / str(number)).write_bytes(bytes(1 << 19))
    assert seen(workspace, total=1 << 20) == Seen(cut="1 MiB were looked at")


def test_so_many_places_and_no_more(workspace: Path) -> None:
    (workspace / "a").write_text(f"{PASSWORD}\n" * 3)
    (workspace / "b").write_text(f"{PASSWORD}\n" * 3)
    found = seen(workspace, leaks=3)
    assert (len(found.leaks), found.cut) == (3, "3 places were found")


def test_so_long_and_no_longer(workspace: Path) -> None:
    class Slow(ManualClock):
        def monotonic(self) -> float:
            self.sleep(0.3)
            return super().monotonic()

    for number in range(10):
        (workspace / str(number)).write_text("x")
    places = Places((str(workspace),), "")
    found = look(places, search(), 0.0, clock=Slow(), is_cancelled=lambda: False)
    assert found.cut == "1 s were up"


def test_a_step_that_is_cancelled_meanwhile(workspace: Path) -> None:
    (workspace / "file").write_text(PASSWORD)
    found = look(Places((str(workspace),), ""), search(), 0.0, clock=CLOCK, is_cancelled=lambda: "SIGINT")
    assert found == Seen(cut="the step was cancelled")


def test_what_is_near_the_top_comes_first_and_other_peoples_code_last(workspace: Path) -> None:
    for name in ("node_modules/x", "src/deep/er"):
        (workspace / name).mkdir(parents=True)
        (workspace / name / "file").write_text(PASSWORD)
    (workspace / "z").write_text(PASSWORD)
    files = [Path(each.file).relative_to(workspace) for each in seen(workspace).leaks]
    assert files == [Path("z"), Path("src/deep/er/file"), Path("node_modules/x/file")]


def test_what_is_not_there(tmp_path: Path) -> None:
    assert seen(tmp_path / "none", home=str(tmp_path / "none")) == Seen()
