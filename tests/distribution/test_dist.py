"""`make dist`: the files of a release, the same bytes from every build, and what is in them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from trees import REPOSITORY, copied, started

from stepcreds import __version__

NAMES = [f"stepcreds-{__version__}-py3-none-any.whl", f"stepcreds-{__version__}.tar.gz", "stepcreds.pyz"]


def built(checkout: Path, folder: Path, **variables: str) -> Path:
    run = started([sys.executable, checkout / "tools/dist.py", folder], checkout, {"PATH": os.defpath, **variables})
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with everything that is here."""
    folder = copied(tmp_path_factory.mktemp("elsewhere") / "checkout")
    for arguments in (["init", "--quiet"], ["add", "--all", "--force"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(checkout, tmp_path_factory.mktemp("dist"))


def test_the_files_and_their_sums(dist: Path) -> None:
    assert sorted(path.name for path in dist.iterdir()) == ["SHA256SUMS", *NAMES]
    sums = (dist / "SHA256SUMS").read_text()
    assert sums == "".join(f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n" for name in NAMES)
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist, check=False).returncode == 0


def test_two_builds_are_the_same_bytes(checkout: Path, dist: Path, tmp_path: Path) -> None:
    """With files of another time, by another user's settings, over what an earlier build and a test run left."""
    for number, path in enumerate(sorted((checkout / "src").rglob("*"))):
        os.utime(path, (number, number))
    (checkout / "build/lib/stepcreds").mkdir(parents=True)
    (checkout / "build/lib/stepcreds/stale.py").write_text("")
    (checkout / "src/stepcreds/stray.py").write_text("")
    (tmp_path / "stepcreds-0.0.9.tar.gz").touch()
    old = os.umask(0o077)
    try:
        built(checkout, tmp_path, TZ="Asia/Kathmandu", LC_ALL="C", SOURCE_DATE_EPOCH="1", PYTHONHASHSEED="7")
    finally:
        os.umask(old)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in dist.iterdir()
    }


def test_the_wheel_has_the_package_and_no_more(checkout: Path, dist: Path) -> None:
    with ZipFile(dist / NAMES[0]) as wheel:
        names = {name for name in wheel.namelist() if not name.startswith(f"stepcreds-{__version__}.dist-info/")}
        assert {member.external_attr >> 16 for member in wheel.infolist()} == {0o100644}
    package = checkout / "src"
    wanted = {
        path.relative_to(package).as_posix()
        for path in (package / "stepcreds").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert names == wanted - {"stepcreds/stray.py"}


def test_the_sdist_is_the_checkout(checkout: Path, dist: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=checkout, capture_output=True, text=True, check=True)
    with tarfile.open(dist / NAMES[1]) as sdist:
        members = sdist.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    made = {name for name in names if name in {"PKG-INFO", "setup.cfg"} or ".egg-info/" in name}
    assert names - made == set(listed.stdout.splitlines())
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 315532800)}
    assert {member.mode for member in members} == {0o644, 0o755}


def test_what_is_installed_from_the_wheel_runs(dist: Path, tmp_path: Path) -> None:
    """Unpacked, beside the libraries that travel with the Action."""
    with ZipFile(dist / NAMES[0]) as wheel:
        wheel.extractall(tmp_path)  # noqa: S202 - a zip, and ours
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(REPOSITORY / 'vendor')!r}]; from stepcreds.cli import main; main()"
    run = started([sys.executable, "-I", "-S", "-B", "-c", script, "--version"], tmp_path, {})
    assert (run.stdout, run.stderr) == (f"stepcreds {__version__}\n", "")
