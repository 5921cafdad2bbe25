"""vendor/: what is taken out of a wheel, and what a check says. `make vendor-check` itself downloads, and is not run here."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from trees import REPOSITORY, copied, started

TOOL = runpy.run_path(str(REPOSITORY / "tools/vendor.py"))  # its functions


def test_what_is_taken_out_of_a_wheel(tmp_path: Path) -> None:
    wanted = [
        "shop/__init__.py",
        "shop/deep/er.py",
        "shop/testing.py",
        "shop/ca.pem",
        "single.py",
        "shop-1.0.dist-info/METADATA",
        "shop-1.0.dist-info/LICENSE.txt",
        "shop-1.0.dist-info/COPYING",
        "shop-1.0.dist-info/NOTICE",
        "shop-1.0.dist-info/AUTHORS.rst",
        "shop-1.0.dist-info/licenses/src/LICENSE-MIT",
    ]
    unwanted = [
        "shop/py.typed",
        "shop/__init__.pyi",
        "shop/_speed.cpython-310-x86_64-linux-gnu.so",
        "shop/tests/test_all.py",
        "shop/test/__init__.py",
        "shop/data.js",
        "shop-1.0.dist-info/RECORD",
        "shop-1.0.dist-info/WHEEL",
        "shop-1.0.dist-info/entry_points.txt",
    ]
    with ZipFile(tmp_path / "shop.whl", "w") as wheel:
        for name in (*wanted, *unwanted):
            wheel.writestr(name, "")
    with ZipFile(tmp_path / "shop.whl") as wheel:
        assert list(TOOL["kept"](wheel)) == wanted


@pytest.mark.parametrize("name", ["/etc/evil.py", "../evil.py", "shop/../../evil.py", "shop-1.0.data/scripts/evil.py"])
def test_a_wheel_with_files_at_other_places_is_refused(tmp_path: Path, name: str) -> None:
    with ZipFile(tmp_path / "shop.whl", "w") as wheel:
        wheel.writestr(name, "")
    with ZipFile(tmp_path / "shop.whl") as wheel, pytest.raises(SystemExit) as caught:
        list(TOOL["kept"](wheel))
    assert caught.value.code == (
        f"vendor: {tmp_path}/shop.whl has a file at a place that this tool does not know: {name}"
    )


def test_what_a_check_finds() -> None:
    there = {"same.py": b"1", "changed.py": b"1", "extra.py": b""}
    wanted = {"same.py": b"1", "changed.py": b"2", "gone.py": b""}
    assert TOOL["differences"](there, wanted) == [
        "missing: vendor/gone.py",
        "not from the lock: vendor/extra.py",
        "differs: vendor/changed.py",
    ]


def test_the_lock_names_what_is_there_and_what_is_tested() -> None:
    assert TOOL["drift"]() == []
    lock = {(one.name.replace("-", "_"), one.version) for one in TOOL["requirements"](TOOL["LOCK"].read_text())}
    there = {
        tuple(path.name.removesuffix(".dist-info").split("-")) for path in (REPOSITORY / "vendor").glob("*.dist-info")
    }
    assert there == lock
    for folder in (REPOSITORY / "vendor").glob("*.dist-info"):
        assert list(folder.rglob("LICEN[CS]E*")), f"{folder.name} has no licence"


def test_nothing_in_it_is_compiled_or_larger_than_thought() -> None:
    """What every use of the Action downloads: think before this grows."""
    files = [path for path in (REPOSITORY / "vendor").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.suffix for path in files} <= {".py", ".pem", ".md", ".txt", ""}
    assert len(files) < 200
    assert sum(path.stat().st_size for path in files) < 3_000_000


@pytest.mark.parametrize("check", [True, False])
def test_without_a_network_it_says_so_and_changes_nothing(tmp_path: Path, check: bool) -> None:
    checkout = copied(tmp_path / "checkout")
    before = {path: path.stat().st_mtime_ns for path in (checkout / "vendor").rglob("*")}
    run = started(
        [sys.executable, checkout / "tools/vendor.py", *(["--check"] if check else [])],
        tmp_path,
        {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1"},
    )
    assert run.returncode == 2
    assert run.stdout == ""
    first, second, third, *_ = run.stderr.splitlines()
    assert first == (
        f"vendor: nothing was {'compared with' if check else 'made from'} the wheels, because pip could not download "
        "them. It needs a network, and"
    )
    assert second == "each file must have a hash of requirements-vendor.lock. pip said:"
    assert third.startswith("ERROR: Could not find a version that satisfies the requirement certifi==")
    assert {path: path.stat().st_mtime_ns for path in (checkout / "vendor").rglob("*")} == before
