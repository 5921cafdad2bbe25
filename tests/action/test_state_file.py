"""The file that the runner is told by is written to as a file: no link is followed, and nothing else takes its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepcreds.action.state import begin
from stepcreds.errors import StepcredsError


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "state"
    victim.write_text("")
    file.symlink_to(victim)
    with pytest.raises(StepcredsError, match=r"\(GITHUB_STATE\): Too many levels of symbolic links"):
        begin({"GITHUB_STATE": str(file)})
    assert victim.read_text() == ""


def test_nothing_but_a_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state")
    reader = os.open(tmp_path / "state", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(StepcredsError, match=r"\(GITHUB_STATE\): it is no regular file"):
        begin({"GITHUB_STATE": str(tmp_path / "state")})
    os.close(reader)


def test_a_file_is(tmp_path: Path) -> None:
    begin({"GITHUB_STATE": str(tmp_path / "state")})
    assert (tmp_path / "state").read_text() == "stepcreds_begun=true\n"
