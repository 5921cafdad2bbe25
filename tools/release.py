"""The parts of a release that need nothing but git and this checkout; docs/releasing.md says how they come together.

    python tools/release.py check-tag v1.2.3             # the tag, the version, the changelog and the branch agree
    python tools/release.py notes v1.2.3                 # what the changelog says of it
    python tools/release.py check-dist v1.2.3 dist       # every file of the release, each as SHA256SUMS has it
    python tools/release.py requirement v1.2.3 dist      # the line that makes pip take these very files
    python tools/release.py move-major v1.2.3            # v1 to v1.2.3, unless a newer v1.x.y is there

Status 1, and a sentence, when something does not hold.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TAG = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
SECTION = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?$", re.MULTILINE)
LINK = re.compile(r"^\[[^\]]+\]: ", re.MULTILINE)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
SUM = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[\w.-]+)")


class NotReady(Exception):  # noqa: N818 - it is no error of the program
    """What has to change before the release can go on."""


class Version(NamedTuple):
    """The numbers of a tag."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def of(cls, tag: str) -> Version:
        found = TAG.fullmatch(tag)
        if found is None:
            raise NotReady(f"{tag!r} is no tag of a release: they are v1.2.3, three numbers and nothing more")
        return cls(*map(int, found.groups()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check-tag", "notes", "check-dist", "requirement", "move-major"):
        command = commands.add_parser(name)
        command.add_argument("tag")
        if name == "check-tag":
            command.add_argument("--branch", default="origin/main", help="the branch that releases are made from")
        if name in {"check-dist", "requirement"}:
            command.add_argument("dist", type=Path)
        if name == "move-major":
            command.add_argument("--remote", default="origin")
    given = parser.parse_args()
    try:
        version = Version.of(given.tag)
        if given.command == "check-tag":
            print(check_tag(given.root, version, given.branch))
        elif given.command == "notes":
            print(notes(given.root, version))
        elif given.command == "check-dist":
            print(check_dist(version, given.dist))
        elif given.command == "requirement":
            print(requirement(version, given.dist))
        else:
            print(move_major(given.root, version, given.remote))
    except NotReady as reason:
        print(f"tools/release.py: {reason}", file=sys.stderr)
        return 1
    return 0


def check_tag(root: Path, version: Version, branch: str) -> str:
    """That whoever reads the tag, the package or the changelog reads of the same thing."""
    if (declared := _declared(root)) != str(version):
        raise NotReady(
            f"the tag says {version}, and src/stepcreds/__init__.py {declared}: delete the tag, or make the version"
            f" {version} in a commit and tag that"
        )
    notes(root, version)
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/v{version}^{{commit}}")
    if not commit:
        raise NotReady(f"there is no tag v{version} in this checkout: fetch the tags (fetch-depth: 0)")
    if commit != _git(root, "rev-parse", "HEAD"):
        raise NotReady(f"v{version} is commit {commit[:12]}, and another one is checked out: check out the tag")
    if _git(root, "merge-base", commit, branch) != commit:
        raise NotReady(f"v{version} is not on {branch}: a release is made from what was reviewed; tag a commit of it")
    return f"v{version} is stepcreds {version}, in the changelog, at {commit[:12]} of {branch}"


def notes(root: Path, version: Version) -> str:
    """The changelog's section of this version."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    for section in SECTION.finditer(text):
        if section["version"] == str(version):
            if not DATE.fullmatch(section["date"] or ""):
                raise NotReady(f"CHANGELOG.md has no date for {version}: write `## [{version}] - 2026-12-31`")
            following = SECTION.search(text, section.end()) or LINK.search(text, section.end())
            body = text[section.end() : following.start() if following else None].strip()
            if not body:
                raise NotReady(f"CHANGELOG.md says nothing of {version}")
            return body
    raise NotReady(
        f"CHANGELOG.md has no section of {version}: turn `## [Unreleased]` into `## [{version}] - 2026-12-31`"
    )


def check_dist(version: Version, dist: Path) -> str:
    """That the release is whole, and each file the one whose digest SHA256SUMS has."""
    sums = _sums(dist)
    there = {path.name for path in dist.iterdir()} - {"SHA256SUMS"}
    expected = {f"stepcreds-{version}.tar.gz", f"stepcreds-{version}-py3-none-any.whl", "stepcreds.pyz"}
    for names, what in ((there - set(sums), "not in SHA256SUMS"), (set(sums) - there, "only in SHA256SUMS")):
        if names:
            raise NotReady(f"{', '.join(sorted(names))}: {what}")
    if there != expected:
        raise NotReady(f"{dist} has {', '.join(sorted(there))}, and a release {', '.join(sorted(expected))}")
    for name, digest in sorted(sums.items()):
        if hashlib.sha256((dist / name).read_bytes()).hexdigest() != digest:
            raise NotReady(f"{name} is not what SHA256SUMS says")
    return f"{len(sums)} files, each as SHA256SUMS has it"


def requirement(version: Version, dist: Path) -> str:
    """For `pip install --require-hashes -r`."""
    sums = _sums(dist)
    packages = [digest for name, digest in sorted(sums.items()) if name.endswith((".whl", ".tar.gz"))]
    return f"stepcreds=={version} " + " ".join(f"--hash=sha256:{digest}" for digest in packages)


def move_major(root: Path, version: Version, remote: str) -> str:
    """The tag that workflows use, to this release; by one push, that fails if anybody else has moved it meanwhile."""
    name = f"v{version.major}"
    commit = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/v{version}^{{commit}}")
    tags = _remote_tags(root, remote)
    if not commit or tags.get(f"v{version}") != commit:
        raise NotReady(f"v{version} is not the same here and on {remote}: was the tag moved? Nothing was changed")
    released = [Version.of(tag) for tag in tags if TAG.fullmatch(tag)]
    newest = max(other for other in released if other.major == version.major)
    if newest != version:
        return f"{name} stays where it is: v{newest} is newer than v{version}"
    if tags.get(name) == commit:
        return f"{name} is at v{version} already"
    # What the remote has by that name: of an annotated tag, the tag's own object.
    before = _git(root, "ls-remote", remote, f"refs/tags/{name}").split("\t")[0]
    pushed = subprocess.run(
        [
            "git",
            "push",
            "--quiet",
            f"--force-with-lease=refs/tags/{name}:{before}",
            remote,
            f"{commit}:refs/tags/{name}",
        ],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
    )
    if pushed.returncode != 0:
        # https://github.com/github/docs/issues/41140: no workflow can ask for that permission.
        hint = "\nWhat a job may not push, a maintainer may: run the same command in a checkout of your own"
        hint = hint if "`workflows` permission" in pushed.stderr else ""
        raise NotReady(f"{remote} does not take {name}:\n{pushed.stderr.strip()}{hint}")
    return f"{name} is v{version} now, {commit[:12]}" + (f"; it was {before[:12]}" if before else "")


def _declared(root: Path) -> str:
    """`__version__`, without running anything."""
    for node in ast.parse((root / "src" / "stepcreds" / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise NotReady("src/stepcreds/__init__.py has no __version__")


def _sums(dist: Path) -> dict[str, str]:
    path = dist / "SHA256SUMS"
    if not path.is_file():
        raise NotReady(f"there is no {path}: make dist")
    sums = {}
    for line in path.read_text("utf-8").splitlines():
        found = SUM.fullmatch(line)
        if found is None:
            raise NotReady(f"{path} has a line that sha256sum does not write: {line!r}")
        sums[found["name"]] = found["digest"]
    return sums


def _remote_tags(root: Path, remote: str) -> dict[str, str]:
    """Tags and the commits they name."""
    listed = subprocess.run(
        ["git", "ls-remote", "--tags", remote], cwd=root, check=False, capture_output=True, text=True
    )
    if listed.returncode != 0:
        raise NotReady(f"{remote} cannot be read:\n{listed.stderr.strip()}")
    tags: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        commit, _, ref = line.partition("\t")
        # The line of an annotated tag comes first, and the commit's, with ^{} behind the name, stands for it.
        tags[ref.removeprefix("refs/tags/").removesuffix("^{}")] = commit
    return tags


def _git(root: Path, *arguments: str) -> str:
    """What git prints; nothing when it fails."""
    run = subprocess.run(["git", *arguments], cwd=root, check=False, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
