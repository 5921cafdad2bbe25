"""Writes vendor/: the pure-Python third-party code that travels with the Action, out of requirements-vendor.lock.

    python tools/vendor.py            # write vendor/ anew
    python tools/vendor.py --check    # build it somewhere else, and fail where vendor/ differs by a byte

pip downloads one wheel for each line of the lock, by hash; wheels are unpacked here, and nothing of them is run. Kept
are Python sources, certifi's certificates, licences and METADATA (scanners of dependencies read that). Everything else
stays out: compiled extensions, tests, type stubs, scripts.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import ZipFile

REPOSITORY = Path(__file__).resolve().parent.parent
VENDOR = REPOSITORY / "vendor"
LOCK = REPOSITORY / "requirements-vendor.lock"
WHOLE_LOCK = REPOSITORY / "requirements.lock"

_MACHINE = "manylinux2014_x86_64"
# The wheels that any Python takes.
_PURE = ("--implementation", "py", "--abi", "none", "--platform", "any")
# No wheel of PyYAML is pure. Its parser in C is a module of its own, which is left out; the sources beside it are those
# of the source distribution. That itself is no way round it: pip runs its set-up code even to download it.
_COMPILED = ("--implementation", "cp", "--python-version", "3.10", "--abi", "cp310", "--platform", _MACHINE)
_ONLY_COMPILED = {"pyyaml"}

_SUFFIXES = {".py", ".pem"}
_TESTS = {"test", "tests"}
_METADATA = re.compile(r"METADATA|(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*|licenses/.+")

_README = """\
# vendor

Third-party code that travels with the Action: pure Python, unpacked from the wheels below, and not changed. Do not edit
it: `make vendor` writes this folder from `requirements-vendor.lock`, and `make vendor-check` (part of `make check`)
downloads the wheels by hash and fails where a byte differs. Licences are in each `*.dist-info`. Left out: compiled
extensions, tests, type stubs, scripts.

| wheel | SHA-256 |
|---|---|
"""


class Requirement(NamedTuple):
    """One entry of a lock file."""

    name: str
    version: str
    text: str  # the entry as it stands there, with its hashes


class NotDownloadedError(Exception):
    """pip could not fetch what the lock names."""


def requirements(lock: str) -> Iterator[Requirement]:
    """The entries of a lock file as uv writes it."""
    for match in re.finditer(r"^([A-Za-z0-9._-]+)==([^\s;\\]+).*\n(?:[ \t].*\n)*", lock, re.MULTILINE):
        yield Requirement(match[1], match[2], match[0])


def download(wanted: list[Requirement], selection: tuple[str, ...], folder: Path) -> None:
    """The wheels of `wanted`, in `folder`. Raises `NotDownloadedError` with pip's own words."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(requirement.text for requirement in wanted)
        file.flush()
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
        by_hash = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", file.name]
        done = subprocess.run(
            [*pip, *by_hash, *selection, "--dest", folder], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise NotDownloadedError(done.stderr)


def kept(wheel: ZipFile) -> Iterator[str]:
    """The files of a wheel that belong into vendor/."""
    for name in wheel.namelist():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.parts[0].endswith(".data"):
            sys.exit(f"vendor: {wheel.filename} has a file at a place that this tool does not know: {name}")
        if path.parts[0].endswith(".dist-info"):
            if _METADATA.fullmatch("/".join(path.parts[1:])):
                yield name
        elif path.suffix in _SUFFIXES and not _TESTS & set(path.parts[:-1]):
            yield name


def built() -> dict[str, bytes]:
    """All of vendor/ as the lock has it: bytes by path."""
    wanted = list(requirements(LOCK.read_text(encoding="utf-8")))
    files: dict[str, bytes] = {}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download([one for one in wanted if one.name not in _ONLY_COMPILED], _PURE, folder)
        download([one for one in wanted if one.name in _ONLY_COMPILED], _COMPILED, folder)
        for path in sorted(folder.iterdir()):
            rows.append(f"| {path.name} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |\n")
            with ZipFile(path) as wheel:
                for member in kept(wheel):
                    if member in files:
                        sys.exit(f"vendor: two wheels have a file {member}")
                    files[member] = wheel.read(member)
    if len(rows) != len(wanted):
        sys.exit(f"vendor: the lock names {len(wanted)} packages, and pip downloaded {len(rows)} wheels")
    files["README.md"] = (_README + "".join(rows)).encode()
    return files


def present() -> dict[str, bytes]:
    """vendor/ as it is, without what Python has cached in it."""
    paths = (path for path in VENDOR.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(VENDOR).as_posix(): path.read_bytes() for path in paths}


def differences(there: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    missing = [f"missing: vendor/{name}" for name in sorted(wanted.keys() - there.keys())]
    extra = [f"not from the lock: vendor/{name}" for name in sorted(there.keys() - wanted.keys())]
    changed = [
        f"differs: vendor/{name}" for name in sorted(there.keys() & wanted.keys()) if there[name] != wanted[name]
    ]
    return missing + extra + changed


def drift() -> list[str]:
    """Where requirements-vendor.lock has another version than requirements.lock, with which everything is tested."""
    tested = {(one.name, one.version) for one in requirements(WHOLE_LOCK.read_text(encoding="utf-8"))}
    ours = requirements(LOCK.read_text(encoding="utf-8"))
    return [
        f"{one.name} {one.version} of requirements-vendor.lock is not in requirements.lock; run: make lock"
        for one in ours
        if (one.name, one.version) not in tested
    ]


def write(files: Mapping[str, bytes]) -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for name, content in files.items():
        path = VENDOR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    print(f"vendor: {len(files)} files, {sum(map(len, files.values())) / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where vendor/ differs")
    options = parser.parse_args()
    try:
        files = built()
    except NotDownloadedError as error:
        what = "compared with" if options.check else "made from"
        print(
            f"vendor: nothing was {what} the wheels, because pip could not download them. It needs a network, and\n"
            f"each file must have a hash of requirements-vendor.lock. pip said:\n{error}",
            file=sys.stderr,
        )
        return 2
    if not options.check:
        write(files)
        return 0
    found = drift() + differences(present(), files)
    for line in found:
        print(f"vendor: {line}")
    if found:
        print("vendor: to write it anew: make vendor")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
