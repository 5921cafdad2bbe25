"""Builds stepcreds.pyz: src/ and vendor/ in one file for any Python 3.10 or newer, the same bytes wherever it is built.

    python tools/pyz.py [FILE]        # default: dist/stepcreds.pyz

A zip archive behind a few lines of shell (https://docs.python.org/3/library/zipapp.html). Its members are sorted, have
one time and one mode, and are stored: what a compressor writes depends on its version.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "dist/stepcreds.pyz"

# No `env -S`, which could pass Python's options: busybox has an env without it. $0 is the path of this file also when a
# shell found it on PATH: the kernel hands the interpreter of a script the path that it executes (execve(2)).
_PROLOGUE = b"""\
#!/bin/sh
command -v python3 >/dev/null 2>&1 && exec python3 -I -S "$0" "$@"
echo 'stepcreds: error: there is no python3 on PATH, and stepcreds needs Python 3.10 or newer
  fix: Add it to the image (Alpine: apk add python3; Debian: apt-get install python3), or use an image that has it.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#unsupported-machine' >&2
case "$1" in exec|action) exit 125 ;; esac
exit 2
"""
_PLACEHOLDER = 'BUILD = ""\n'


def contents() -> dict[str, bytes]:
    """The members by name; `__main__.py` is action/launch.py, with the digest of all others."""
    found = [*(REPOSITORY / "src/stepcreds").rglob("*"), *(REPOSITORY / "vendor").rglob("*")]
    paths = [path for path in found if path.is_file() and not any(map(_is_a_tools, path.relative_to(REPOSITORY).parts))]
    files = {path.relative_to(REPOSITORY).as_posix(): path.read_bytes() for path in [*paths, REPOSITORY / "LICENSE"]}
    launcher = (REPOSITORY / "action/launch.py").read_text(encoding="utf-8")
    before, after = launcher.split(_PLACEHOLDER)
    digest = hashlib.sha256(repr(sorted({**files, "__main__.py": launcher}.items())).encode()).hexdigest()
    files["__main__.py"] = f'{before}BUILD = "{digest}"\n{after}'.encode()
    return files


def _is_a_tools(name: str) -> bool:
    """Whether a tool keeps something there: Python's bytecode, a linter's cache."""
    return name == "__pycache__" or name.startswith(".")


def packed(files: Mapping[str, bytes]) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO(_PROLOGUE)
    buffer.seek(0, io.SEEK_END)
    with ZipFile(buffer, "a", ZIP_STORED) as archive:
        for name in sorted(files):
            member = ZipInfo(name)  # its time is 1980-01-01, the first that a zip can say
            member.external_attr = 0o100644 << 16
            member.create_system = 3  # Unix, also when it is built elsewhere
            archive.writestr(member, files[name])
    return buffer.getvalue()


def build(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed(contents()))
    target.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=TARGET)
    target: Path = parser.parse_args().file
    build(target)
    content = target.read_bytes()
    print(f"{target}: {len(content) / 1e6:.1f} MB, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
