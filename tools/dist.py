"""Builds what a release gives away into dist/: sdist, wheel, stepcreds.pyz and SHA256SUMS, the same bytes every time.

    python tools/dist.py [FOLDER]        # default: dist

It builds from a copy of what git knows, as it stands here, so that nothing else that lies around gets in. What
setuptools leaves to the machine (times, owners, modes, order) is set afterwards. One thing is not: the wheel and the
sdist are compressed, and another zlib may compress differently; what is in them is the same.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "dist"
EPOCH = 315532800  # 1980-01-01, the first time that a zip can say

_BUILD = "import sys; from setuptools import build_meta as b; to = sys.argv[1]; b.build_sdist(to); b.build_wheel(to)"


def copied(target: Path) -> Path:
    """`target`, with what git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        sys.exit(f"dist: builds from what git knows, and git says: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
            path.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
    return target


def settled_sdist(content: bytes) -> bytes:
    """The archive with its members sorted, and nothing of this machine in them."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=EPOCH) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            if not member.isfile():
                continue  # folders come with what is in them
            settled = tarfile.TarInfo(member.name)
            settled.size, settled.mtime = member.size, EPOCH
            settled.mode = 0o755 if member.mode & 0o100 else 0o644
            new.addfile(settled, old.extractfile(member))
    return buffer.getvalue()


def settled_wheel(content: bytes) -> bytes:
    """The archive with its members in the order they have, and nothing of this machine in them."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as old, ZipFile(buffer, "w", ZIP_DEFLATED) as new:
        for member in old.infolist():
            settled = ZipInfo(member.filename)  # its time is EPOCH
            settled.compress_type = ZIP_DEFLATED
            settled.external_attr = 0o100644 << 16
            settled.create_system = 3  # Unix, also when it is built elsewhere
            new.writestr(settled, old.read(member))
    return buffer.getvalue()


def build(folder: Path) -> list[Path]:
    """The files of a release, in `folder`, with their sums last; those of an earlier one go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("stepcreds*"), *folder.glob("SHA256SUMS")):
        old.unlink()
    with tempfile.TemporaryDirectory() as name:
        copy, made = copied(Path(name, "checkout")), Path(name, "made")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "PYTHONHASHSEED": "0"}
        for arguments in (["-c", _BUILD, made], [copy / "tools/pyz.py", made / "stepcreds.pyz"]):
            done = subprocess.run(
                [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"dist: {done.stdout}{done.stderr}")
        for path in made.iterdir():
            content = path.read_bytes()
            settle = {".gz": settled_sdist, ".whl": settled_wheel}.get(path.suffix)
            (folder / path.name).write_bytes(settle(content) if settle else content)
    (folder / "stepcreds.pyz").chmod(0o755)
    files = sorted(folder.glob("stepcreds*"))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    return [*files, folder / "SHA256SUMS"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    for path in build(parser.parse_args().folder):
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path}")


if __name__ == "__main__":
    main()
