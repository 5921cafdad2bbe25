"""The private folder on a real file system: who may enter, what is written, and that all of it goes again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from deliveries import CANARY

from stepcreds.deliver import files
from stepcreds.deliver.files import DEEPEST, make_folder, remove_folder, write_files
from stepcreds.errors import DeliveryError
from stepcreds.model import DeliveredFile
from stepcreds.secret import Secret


def mode(path: str | Path) -> str:
    return oct(stat.S_IMODE(os.lstat(path).st_mode))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return make_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_a_folder_is_new_private_and_where_the_user_has_memory(tmp_path: Path) -> None:
    made = {make_folder({"XDG_RUNTIME_DIR": f"{tmp_path}/", "TMPDIR": "/nowhere"}) for _ in range(20)}
    assert len(made) == 20
    assert {str(Path(path).parent) for path in made} == {str(tmp_path)}
    assert {mode(path) for path in made} == {"0o700"}


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all"])
def test_without_a_runtime_folder_it_is_in_shared_memory(place: str) -> None:
    made = make_folder({"XDG_RUNTIME_DIR": place})
    try:
        assert Path(made).parent == Path("/dev/shm")
    finally:
        assert remove_folder(made) == []


def test_files_are_private_and_whole(folder: str) -> None:
    content = "line\nline ü \udcff\n"
    umask = os.umask(0)
    try:
        write_files(
            folder, [DeliveredFile(f"{folder}/a/b/pgpass", Secret(content)), DeliveredFile(f"{folder}/x", Secret(""))]
        )
    finally:
        os.umask(umask)
    assert Path(f"{folder}/a/b/pgpass").read_bytes() == "line\nline ü ".encode() + b"\xff\n"
    assert {mode(f"{folder}/{name}") for name in ("a/b/pgpass", "x")} == {"0o600"}
    assert {mode(f"{folder}/{name}") for name in ("", "a", "a/b")} == {"0o700"}


@pytest.mark.parametrize("is_link", [True, False])
def test_a_file_that_is_there_already_is_not_written_through(folder: str, tmp_path: Path, is_link: bool) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    if is_link:
        Path(f"{folder}/pgpass").symlink_to(target)
    else:
        os.link(target, f"{folder}/pgpass")
    with pytest.raises(DeliveryError) as caught:
        write_files(folder, [DeliveredFile(f"{folder}/pgpass", Secret(CANARY))])
    assert caught.value.what == "The file pgpass cannot be written: File exists"
    assert target.read_text() == "untouched"


def test_a_full_or_missing_folder_is_said_without_the_content(folder: str) -> None:
    remove_folder(folder)
    with pytest.raises(DeliveryError) as caught:
        write_files(folder, [DeliveredFile(f"{folder}/pgpass", Secret(CANARY))])
    assert caught.value.what == "The file pgpass cannot be written: No such file or directory"
    assert CANARY not in repr(caught.value) + str(caught.value) + caught.value.fix


def test_whatever_the_command_left_goes_and_nothing_else(folder: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    Path(f"{folder}/a/b/c").mkdir(parents=True)
    Path(f"{folder}/a/b/file").write_text("x")
    Path(f"{folder}/a/link").symlink_to(outside)
    Path(f"{folder}/a/b/c/link").symlink_to(outside / "file")
    Path(f"{folder}/dangling").symlink_to("/nowhere")
    os.mkfifo(f"{folder}/fifo")
    Path(f"{folder}/{chr(0xDCFF)}").touch()  # a name that is not UTF-8
    for closed in ("a/b/c", "a/b", "a", ""):
        Path(f"{folder}/{closed}").chmod(0)
    assert remove_folder(folder) == []
    assert not os.path.lexists(folder)
    assert (outside / "file").read_text() == "stays"
    assert mode(outside) != "0o0"


def test_a_folder_that_is_gone_is_removed(folder: str) -> None:
    assert remove_folder(folder) == []
    assert remove_folder(folder) == []


def test_a_link_in_the_folders_place_is_removed_and_not_followed(folder: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    Path(folder).rmdir()
    Path(folder).symlink_to(elsewhere)
    assert remove_folder(folder) == []
    assert (elsewhere / "file").exists()
    assert not os.path.lexists(folder)


def test_there_is_an_end_to_how_deep_it_goes(folder: str) -> None:
    deep = folder + "/d" * (DEEPEST + 2)
    Path(deep).mkdir(parents=True)
    left = remove_folder(folder)
    assert left[0] == folder + "/d" * DEEPEST
    assert left[-1] == folder
    assert Path(deep).is_dir()


def test_there_is_an_end_to_how_much_it_removes(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST", 10)
    for number in range(30):
        Path(f"{folder}/{number}").touch()
    assert remove_folder(folder) == [folder]
    assert 15 < len(list(Path(folder).iterdir())) < 30


def test_no_place_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, permissions: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DeliveryError) as caught:
        make_folder({"TMPDIR": "/scratch"})
    assert (caught.value.what, caught.value.cause, caught.value.fix) == (
        "There is no place for the step's private folder",
        "/dev/shm: Permission denied; /scratch: Permission denied; /tmp: Permission denied",
        "Make $TMPDIR or /dev/shm a folder that this user can write to, with room for a few files.",
    )
