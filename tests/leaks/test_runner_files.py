"""The files of the runner are cleaned whatever the command put in their place, and nothing else is touched."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest
from leak_samples import OTHER, PASSWORD, leak, runner_file, search

from stepcreds.leaks.runner_files import LARGEST, Cleaned, Misplaced, clean

TEXT = f"A=1\r\nURL<<EOF\npostgresql://u:{PASSWORD}@h/d\nEOF\n\xff\n".encode("latin-1")
CLEAN = TEXT.replace(PASSWORD.encode(), b"***")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "_runner_file_commands"
    folder.mkdir()
    file = folder / "set_env_1"
    file.write_bytes(b"")
    return file


def test_the_rest_of_the_file_stays(path: Path) -> None:
    file = runner_file(path)
    path.write_bytes(TEXT)
    path.chmod(0o640)
    assert clean([file], search()) == Cleaned((leak("GITHUB_ENV", 3, "URL"),))
    assert path.read_bytes() == CLEAN
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_a_file_without_a_credential_is_not_written(path: Path) -> None:
    file = runner_file(path)
    path.write_text(f"A={OTHER}\n")
    before = path.stat()
    assert clean([file], search()) == Cleaned()
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_several_files(tmp_path: Path) -> None:
    files = []
    for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH"):
        (tmp_path / name).write_text(f"{name}={PASSWORD}\n" if name != "GITHUB_OUTPUT" else "x=1\n")
        files.append(runner_file(tmp_path / name, name))
    cleaned = clean(files, search())
    assert cleaned.leaks == (leak("GITHUB_ENV", 1, "GITHUB_ENV"), leak("GITHUB_PATH", 1, "GITHUB_PATH"))
    assert [path.read_text() for path in map(Path, (file.path for file in files))] == [
        "GITHUB_ENV=***\n",
        "x=1\n",
        "GITHUB_PATH=***\n",
    ]


def test_a_file_that_was_removed(path: Path) -> None:
    file = runner_file(path)
    path.unlink()
    assert clean([file], search()) == Cleaned()
    assert not path.exists()


def test_a_link_is_replaced_and_what_it_leads_to_stays(path: Path, tmp_path: Path) -> None:
    file = runner_file(path)
    target = tmp_path / "pgpass"
    target.write_text(PASSWORD)
    path.unlink()
    path.symlink_to(target)
    assert clean([file], search()) == Cleaned((), (Misplaced("GITHUB_ENV", "is a symbolic link now", ""),))
    assert (path.is_symlink(), path.read_bytes(), target.read_text()) == (False, b"", PASSWORD)


def test_a_link_that_was_there_before_the_command_stays(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    file = runner_file(link)
    path.write_bytes(TEXT)
    assert clean([file], search()) == Cleaned((leak("GITHUB_ENV", 3, "URL"),))
    assert (link.is_symlink(), path.read_bytes()) == (True, CLEAN)


def test_a_link_in_the_place_of_the_folder(path: Path, tmp_path: Path) -> None:
    file = runner_file(path)
    elsewhere = tmp_path / "elsewhere"
    path.parent.rename(tmp_path / "moved")
    elsewhere.mkdir()
    (elsewhere / path.name).write_text(PASSWORD)
    path.parent.symlink_to(elsewhere)
    assert clean([file], search()) == Cleaned((), (Misplaced("GITHUB_ENV", "leads elsewhere now", ""),))
    assert path.read_bytes() == b""


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "no such file", "set_env_1"])
def test_a_link_to_anything(path: Path, target: str) -> None:
    file = runner_file(path)
    path.unlink()
    path.symlink_to(target)
    cleaned = clean([file], search())
    assert cleaned.misplaced == (Misplaced("GITHUB_ENV", "is a symbolic link now", ""),)
    assert (path.is_symlink(), path.read_bytes()) == (False, b"")


def test_a_pipe_that_somebody_writes_to(path: Path) -> None:
    file = runner_file(path)
    path.unlink()
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, PASSWORD.encode())
    thread = threading.Thread(target=clean, args=([file], search()), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for the pipe"
    os.close(writer)
    assert (path.is_file(), path.read_bytes()) == (True, b"")


def test_a_socket(path: Path) -> None:
    file = runner_file(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(path.parent)  # a socket's path is short
        try:
            listener.bind(path.name)
        finally:
            os.chdir("/")
        cleaned = clean([file], search())
    assert cleaned.misplaced == (Misplaced("GITHUB_ENV", "cannot be read: No such device or address", ""),)
    assert path.read_bytes() == b""


def test_a_folder_stays_and_is_said(path: Path) -> None:
    file = runner_file(path)
    path.unlink()
    path.mkdir()
    (path / "x").write_text(PASSWORD)
    assert clean([file], search()).misplaced == (
        Misplaced("GITHUB_ENV", "is no regular file any more", "Is a directory"),
    )
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_hard_link_keeps_its_other_name(path: Path, tmp_path: Path) -> None:
    file = runner_file(path)
    other = tmp_path / "precious"
    other.write_bytes(TEXT)
    path.unlink()
    path.hardlink_to(other)
    assert clean([file], search()) == Cleaned((leak("GITHUB_ENV", 3, "URL"),))
    assert (path.read_bytes(), other.read_bytes()) == (CLEAN, TEXT)


def test_a_file_that_must_not_be_written(path: Path) -> None:
    file = runner_file(path)
    path.write_bytes(TEXT)
    path.chmod(0o400)
    assert clean([file], search()) == Cleaned((leak("GITHUB_ENV", 3, "URL"),))
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (CLEAN, 0o400)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0, 0o755), (0o400, 0o555), (0o600, 0), (0, 0)])
def test_rights_that_were_taken_away(path: Path, file_mode: int, folder_mode: int) -> None:
    """Root is not stopped by them; anybody else gets them back, and there nothing but an empty file is left."""
    file = runner_file(path)
    path.write_bytes(TEXT)
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    cleaned = clean([file], search())
    path.parent.chmod(0o755)
    path.chmod(0o600)
    assert cleaned.leaks or cleaned.misplaced
    assert all(leak.removed for leak in cleaned.leaks)
    assert path.read_bytes() in (CLEAN, b"")


def test_a_file_of_enormous_size(path: Path) -> None:
    file = runner_file(path)
    with path.open("wb") as stream:
        stream.seek(100 * 1024 * 1024)
        stream.write(PASSWORD.encode())
    assert clean([file], search()) == Cleaned((), (Misplaced("GITHUB_ENV", "is larger than 16 MiB", ""),))
    assert path.read_bytes() == b""


def test_a_file_of_the_largest_size(path: Path) -> None:
    file = runner_file(path)
    path.write_bytes(b"A=1\n" * (LARGEST // 4 - 8) + PASSWORD.encode())
    (found,) = clean([file], search()).leaks
    assert found.line == LARGEST // 4 - 7
    assert path.read_bytes().endswith(b"A=1\n***")


def test_a_file_full_of_it(path: Path) -> None:
    file = runner_file(path)
    path.write_bytes(f"{PASSWORD}\n".encode() * 100_000)
    assert len(clean([file], search()).leaks) == 20
    assert path.read_bytes() == b"***\n" * 100_000


class Elsewhere:
    """Makes `os.rename` fail, as a file that is mounted into a container does (EBUSY)."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(16, "Device or resource busy")

        patch.setattr("stepcreds.leaks.runner_files.os.rename", refuse)


def test_a_file_that_nothing_can_take_the_place_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = runner_file(path)
    path.write_bytes(TEXT)
    inode = path.stat().st_ino
    Elsewhere(monkeypatch)
    assert clean([file], search()) == Cleaned((leak("GITHUB_ENV", 3, "URL"),))
    assert (path.read_bytes(), path.stat().st_ino, len(list(path.parent.iterdir()))) == (CLEAN, inode, 1)


def test_a_hard_link_that_nothing_can_take_the_place_of(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write into it would be to write into the other file; that is said, and the credential is on record."""
    file = runner_file(path)
    other = tmp_path / "precious"
    other.write_bytes(TEXT)
    path.unlink()
    path.hardlink_to(other)
    Elsewhere(monkeypatch)
    what = "holds the credential, and is one with a file elsewhere (a hard link)"
    assert clean([file], search()) == Cleaned(
        (leak("GITHUB_ENV", 3, "URL", removed=False),), (Misplaced("GITHUB_ENV", what, "Device or resource busy"),)
    )
    assert other.read_bytes() == TEXT
