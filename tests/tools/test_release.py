"""What a release is checked by and how v1 moves, in real git repositories with a real remote."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "tools" / "release.py"
CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Added

- A thing.

## [1.1.0] - 2026-11-01

- Another.

[1.2.0]: https://example.com/compare
"""
FILES = ("stepcreds-1.2.0-py3-none-any.whl", "stepcreds-1.2.0.tar.gz", "stepcreds.pyz")
Release = Callable[..., tuple[int, str]]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    run = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def commit(checkout: Path, version: str, changelog: str = CHANGELOG) -> str:
    package = checkout / "src" / "stepcreds"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(f'"""One."""\n\n__version__ = "{version}"\n')
    (checkout / "CHANGELOG.md").write_text(changelog)
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", version)
    return git(checkout, "rev-parse", "HEAD")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def checkout(tmp_path: Path, remote: Path) -> Path:
    git(tmp_path, "init", "--quiet", "checkout")
    folder = tmp_path / "checkout"
    git(folder, "remote", "add", "origin", str(remote))
    commit(folder, "1.2.0")
    git(folder, "push", "--quiet", "origin", "main")
    return folder


@pytest.fixture
def release(checkout: Path) -> Release:
    def run(*arguments: str | Path) -> tuple[int, str]:
        command = [sys.executable, PROGRAM, "--root", checkout, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, (done.stdout + done.stderr).strip().replace(str(checkout.parent), "…")

    return run


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(name)
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    files = [path for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def tagged(checkout: Path, tag: str, *options: str) -> str:
    git(checkout, "tag", *options, tag)
    git(checkout, "push", "--quiet", "origin", tag)
    return git(checkout, "rev-parse", f"{tag}^{{commit}}")


@pytest.mark.parametrize("options", [(), ("--annotate", "--message", "1.2.0")], ids=["light", "annotated"])
def test_a_tag_of_what_was_reviewed(release: Release, checkout: Path, options: tuple[str, ...]) -> None:
    made = tagged(checkout, "v1.2.0", *options)
    assert release("check-tag", "v1.2.0") == (
        0,
        f"v1.2.0 is stepcreds 1.2.0, in the changelog, at {made[:12]} of origin/main",
    )


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.2.0-rc.1", "v01.2.0", "v1.2.0\n", "v1.2.0 --force", ""])
def test_a_tag_of_another_form(release: Release, tag: str) -> None:
    assert release("check-tag", tag) == (
        1,
        f"tools/release.py: {tag!r} is no tag of a release: they are v1.2.3, three numbers and nothing more",
    )


def test_a_tag_that_says_another_version(release: Release) -> None:
    assert release("check-tag", "v1.3.0") == (
        1,
        "tools/release.py: the tag says 1.3.0, and src/stepcreds/__init__.py 1.2.0: delete the tag, or make the version"
        " 1.3.0 in a commit and tag that",
    )


@pytest.mark.parametrize(
    ("changelog", "message"),
    [
        (
            "## [Unreleased]\n\n- A thing.\n",
            "CHANGELOG.md has no section of 1.2.0: turn `## [Unreleased]` into `## [1.2.0] - 2026-12-31`",
        ),
        (
            "## [1.2.0]\n\n- A thing.\n",
            "CHANGELOG.md has no date for 1.2.0: write `## [1.2.0] - 2026-12-31`",
        ),
        (
            "## [1.2.0] - soon\n\n- A thing.\n",
            "CHANGELOG.md has no date for 1.2.0: write `## [1.2.0] - 2026-12-31`",
        ),
        ("## [1.2.0] - 2026-12-01\n\n## [1.1.0] - 2026-11-01\n\n- A thing.\n", "CHANGELOG.md says nothing of 1.2.0"),
    ],
    ids=["no section", "no date", "no real date", "nothing"],
)
def test_a_changelog_that_does_not_have_it(release: Release, checkout: Path, changelog: str, message: str) -> None:
    commit(checkout, "1.2.0", changelog)
    assert release("check-tag", "v1.2.0") == (1, f"tools/release.py: {message}")


def test_a_tag_that_was_not_fetched(release: Release) -> None:
    assert release("check-tag", "v1.2.0") == (
        1,
        "tools/release.py: there is no tag v1.2.0 in this checkout: fetch the tags (fetch-depth: 0)",
    )


def test_a_tag_of_another_commit(release: Release, checkout: Path) -> None:
    made = tagged(checkout, "v1.2.0")
    commit(checkout, "1.2.0")
    assert release("check-tag", "v1.2.0") == (
        1,
        f"tools/release.py: v1.2.0 is commit {made[:12]}, and another one is checked out: check out the tag",
    )


def test_a_tag_of_what_nobody_reviewed(release: Release, checkout: Path) -> None:
    git(checkout, "switch", "--quiet", "--create", "mine")
    commit(checkout, "1.2.0")
    tagged(checkout, "v1.2.0")
    assert release("check-tag", "v1.2.0") == (
        1,
        "tools/release.py: v1.2.0 is not on origin/main: a release is made from what was reviewed; tag a commit of it",
    )


def test_the_notes_are_the_changelogs(release: Release, checkout: Path) -> None:
    assert release("notes", "v1.2.0") == (0, "### Added\n\n- A thing.")
    commit(checkout, "1.1.0")
    assert release("notes", "v1.1.0") == (0, "- Another.")


def test_a_whole_release(release: Release, dist: Path) -> None:
    assert release("check-dist", "v1.2.0", dist) == (0, "3 files, each as SHA256SUMS has it")


def test_releases_that_are_not_whole(release: Release, dist: Path) -> None:
    (dist / "stepcreds.pyz").write_text("other")
    assert release("check-dist", "v1.2.0", dist) == (1, "tools/release.py: stepcreds.pyz is not what SHA256SUMS says")
    (dist / "stepcreds.pyz").unlink()
    assert release("check-dist", "v1.2.0", dist) == (1, "tools/release.py: stepcreds.pyz: only in SHA256SUMS")
    write_sums(dist)
    assert release("check-dist", "v1.2.0", dist) == (
        1,
        "tools/release.py: …/dist has stepcreds-1.2.0-py3-none-any.whl, stepcreds-1.2.0.tar.gz, and a release"
        " stepcreds-1.2.0-py3-none-any.whl, stepcreds-1.2.0.tar.gz, stepcreds.pyz",
    )
    (dist / "more").write_text("")
    assert release("check-dist", "v1.2.0", dist) == (1, "tools/release.py: more: not in SHA256SUMS")
    (dist / "SHA256SUMS").write_text("../../etc/passwd\n")
    assert release("check-dist", "v1.2.0", dist) == (
        1,
        "tools/release.py: …/dist/SHA256SUMS has a line that sha256sum does not write: '../../etc/passwd'",
    )
    (dist / "SHA256SUMS").unlink()
    assert release("check-dist", "v1.2.0", dist) == (1, "tools/release.py: there is no …/dist/SHA256SUMS: make dist")


def test_sha256sum_reads_the_same_file(dist: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=dist, check=True)


def test_the_requirement_holds_pip_to_these_files(release: Release, dist: Path) -> None:
    wheel, sdist = (hashlib.sha256(name.encode()).hexdigest() for name in FILES[:2])
    assert release("requirement", "v1.2.0", dist) == (
        0,
        f"stepcreds==1.2.0 --hash=sha256:{wheel} --hash=sha256:{sdist}",
    )


def remote_tag(remote: Path, name: str) -> str:
    return git(remote, "rev-parse", f"refs/tags/{name}^{{commit}}")


def test_v1_is_made_and_moves_forward(release: Release, checkout: Path, remote: Path) -> None:
    first = tagged(checkout, "v1.2.0")
    assert release("move-major", "v1.2.0") == (0, f"v1 is v1.2.0 now, {first[:12]}")
    assert release("move-major", "v1.2.0") == (0, "v1 is at v1.2.0 already")
    commit(checkout, "1.10.0")
    second = tagged(checkout, "v1.10.0", "--annotate", "--message", "1.10.0")
    assert release("move-major", "v1.10.0") == (0, f"v1 is v1.10.0 now, {second[:12]}; it was {first[:12]}")
    assert remote_tag(remote, "v1") == second
    # 10 is more than 9, and a release of an older line, or one that is run again, leaves v1 where it is.
    commit(checkout, "1.9.9")
    tagged(checkout, "v1.9.9")
    assert release("move-major", "v1.9.9") == (0, "v1 stays where it is: v1.10.0 is newer than v1.9.9")
    assert release("move-major", "v1.2.0") == (0, "v1 stays where it is: v1.10.0 is newer than v1.2.0")
    assert remote_tag(remote, "v1") == second
    commit(checkout, "2.0.0")
    third = tagged(checkout, "v2.0.0")
    assert release("move-major", "v2.0.0") == (0, f"v2 is v2.0.0 now, {third[:12]}")
    assert remote_tag(remote, "v1") == second


def test_an_annotated_v1_moves_too(release: Release, checkout: Path, remote: Path) -> None:
    tagged(checkout, "v1", "--annotate", "--message", "1")
    commit(checkout, "1.2.0")
    made = tagged(checkout, "v1.2.0")
    status, text = release("move-major", "v1.2.0")
    assert (status, text.partition(";")[0]) == (0, f"v1 is v1.2.0 now, {made[:12]}")
    assert remote_tag(remote, "v1") == made


def test_v1_stays_when_the_release_is_not_the_remotes(release: Release, checkout: Path, remote: Path) -> None:
    before = tagged(checkout, "v1")
    git(checkout, "tag", "v1.2.0")
    message = "tools/release.py: v1.2.0 is not the same here and on origin: was the tag moved? Nothing was changed"
    assert release("move-major", "v1.2.0") == (1, message)
    git(checkout, "push", "--quiet", "origin", "v1.2.0")
    commit(checkout, "1.2.0")
    git(checkout, "tag", "--force", "v1.2.0")
    assert release("move-major", "v1.2.0") == (1, message)
    assert remote_tag(remote, "v1") == before


REFUSALS = (
    "protected",
    "refusing to allow a GitHub App to create or update workflow `x.yml` without `workflows` permission",
)


@pytest.mark.parametrize("reason", REFUSALS)
def test_v1_stays_when_the_remote_refuses(release: Release, checkout: Path, remote: Path, reason: str) -> None:
    before = tagged(checkout, "v1")
    commit(checkout, "1.2.0")
    tagged(checkout, "v1.2.0")
    hook = remote / "hooks" / "update"
    hook.write_text(f"#!/bin/sh\necho '{reason}' >&2\nexit 1\n")
    hook.chmod(0o755)
    status, text = release("move-major", "v1.2.0")
    assert status == 1
    assert text.startswith(f"tools/release.py: origin does not take v1:\nremote: {reason}")
    assert text.endswith("checkout of your own") == ("`workflows`" in reason)
    assert remote_tag(remote, "v1") == before


def test_a_remote_that_is_not_there(release: Release, checkout: Path) -> None:
    git(checkout, "tag", "v1.2.0")
    git(checkout, "remote", "set-url", "origin", str(checkout / "nowhere"))
    status, text = release("move-major", "v1.2.0")
    assert (status, text.splitlines()[0]) == (1, "tools/release.py: origin cannot be read:")


def test_this_checkout_says_one_version() -> None:
    """What the next release will be checked by reads today's files."""
    run = subprocess.run(
        [sys.executable, PROGRAM, "check-tag", "v999.0.0"], capture_output=True, text=True, check=False
    )
    assert run.stderr.startswith("tools/release.py: the tag says 999.0.0, and src/stepcreds/__init__.py ")
