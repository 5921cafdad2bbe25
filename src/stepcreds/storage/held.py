"""What a store holds under each name: the oldest version counts, and what came after it is told; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stepcreds.config.store_url import StoreURL
from stepcreds.ledger.chain import Certainty, Finding
from stepcreds.printable import one_line
from stepcreds.storage.store import Version

LONGEST_NAME = 255  # bytes of a part of a path
LONGEST_PATH = 1024
# A file of a million records has 1.1 GB.
LARGEST = 4 * 1024 * 1024 * 1024
_FILES = (".jsonl", ".checkpoints", ".json", ".parquet")  # what ledgers, seals and their tables are called


class Held(NamedTuple):
    """One object. It has a version that is no mark of a deletion."""

    url: StoreURL
    path: str  # relative to the folder that was asked for
    first: Version  # the oldest, which is the one to read
    later: tuple[Version, ...]  # oldest first, marks of deletions among them

    @property
    def current(self) -> bool:
        """Whether the store still gives it to whoever names no version, or another version in its place."""
        return self.first.current or any(each.current and not each.deleted for each in self.later)


def held(versions: Iterable[Version], url: StoreURL) -> tuple[list[Held], list[Finding]]:
    """What is below `url`, by name; and what is there that cannot be taken."""
    by_key: dict[str, list[Version]] = {}
    for version in versions:
        by_key.setdefault(version.key, []).append(version)
    objects: list[Held] = []
    findings: list[Finding] = []
    for key in sorted(by_key):
        found = sorted(by_key[key], key=lambda each: each.rank)
        first = next((each for each in found if not each.deleted), None)
        place = url.at(key)
        if first is None:
            findings.append(finding(place, "deleted", f"deleted at {found[-1].time}, and no version of it is left"))
            continue
        if key.endswith("/") and not first.size:  # how consoles of stores make a folder
            continue
        path = key.removeprefix(f"{url.prefix}/") if url.prefix else key
        wrong = _wrong(path, first)
        if wrong:
            findings.append(finding(place, "refused", f"not fetched: {wrong}"))
            continue
        objects.append(Held(place, path, first, tuple(each for each in found if each is not first)))
    return _apart(objects, findings), findings


def _apart(objects: list[Held], findings: list[Finding]) -> list[Held]:
    """Those that can be files of one folder. A store has objects below another object; a ledger or a seal must not
    depend on which of them came first, so what lies below one is left out, or else what has others below it."""
    files = {each.path for each in objects if each.path.endswith(_FILES)}
    folders = {above for each in objects for above in _above(each.path)}
    kept = []
    for each in objects:
        if any(above in files for above in _above(each.path)):
            findings.append(finding(each.url, "refused", "not fetched: a part of its name is another object's"))
        elif each.path in folders and each.path not in files:
            findings.append(finding(each.url, "refused", "not fetched: other objects lie below its name"))
        else:
            kept.append(each)
    return kept


def _above(path: str) -> Iterator[str]:
    """The folders that a file of this path is in: "a", "a/b" of "a/b/c"."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def history(one: Held) -> list[Finding]:
    """What happened to an object after it was written."""
    first, found = one.first, []
    for each in one.later:
        if each.deleted:
            continue
        if each.md5 and (each.md5, each.size) == (first.md5, first.size):
            meaning = f"written again at {each.time}{_owner(each)}, with the same in it"
            found.append(finding(one.url, "written-again", meaning))
        else:
            meaning = f"overwritten at {each.time}{_owner(each)}; the oldest version, of {first.time}, is read"
            found.append(finding(one.url, "overwritten", meaning, "tampered"))
    if not one.current:
        mark = next((each for each in reversed(one.later) if each.deleted), None)
        when = f"deleted at {mark.time}{_owner(mark)}" if mark else "deleted"
        meaning = f"{when}, by hand or by a rule of the bucket; the oldest version, of {first.time}, is still there"
        found.append(finding(one.url, "deleted", meaning))
    return found


def _owner(version: Version) -> str:
    """Whom the store names: mostly the bucket's owner. Who it really was, only its own log tells."""
    return f" (owner: {one_line(version.owner)})" if version.owner else ""


def finding(url: StoreURL, code: str, meaning: str, certainty: Certainty = "unknown") -> Finding:
    return Finding("store", str(url), 0, code, meaning, certainty)


def _wrong(path: str, version: Version) -> str:
    """Why an object cannot be a file here, "" where it can."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        return "its name leads elsewhere, or to a hidden file"
    if not path.isprintable() or "\\" in path:
        return "its name has characters that no ledger's name has"
    if len(path.encode(errors="replace")) > LONGEST_PATH or any(
        len(part.encode(errors="replace")) > LONGEST_NAME for part in parts
    ):
        return "its name is longer than that of a file may be"
    if version.size > LARGEST:
        return f"it has {version.size:,} bytes, which is no ledger's size"
    return ""
