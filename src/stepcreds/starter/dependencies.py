"""What a program needs before its migrations can run, and how its package manager calls what it installed.

From pnpm.io/cli/install ("--frozen-lockfile"), classic.yarnpkg.com/en/docs/cli/install, yarnpkg.com/cli/install
("--immutable"; its lock file has an entry `__metadata`), docs.npmjs.com/cli ("npm ci"), bundler.io/man/bundle-install.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from stepcreds.starter.repository import Repository


class Runner(NamedTuple):
    """The commands that install it, from the root; and what stands in front of a program of Node's."""

    setup: tuple[str, ...] = ()
    node: str = "npx"

    def call(self, command: str) -> str:
        """`command`, by this package manager if it is npm's."""
        return self.node + command[3:] if command.startswith("npx ") else command


def dependencies(repository: Repository, language: str, folder: str) -> Runner:
    """As far as the files say that are in `folder`, and else the nearest above it."""
    if language == "python":
        return Runner(_python(repository, folder))
    if language == "ruby":
        return Runner((_inside(_nearest(repository, folder, "Gemfile"), "bundle install"),))
    return _node(repository, folder) if language == "node" else Runner()


def _python(repository: Repository, folder: str) -> tuple[str, ...]:
    for above in _upward(folder):
        if _in(above, "requirements.txt") in repository.files:
            return (f"pip install --quiet -r {shlex.quote(_in(above, 'requirements.txt'))}",)
        if _in(above, "pyproject.toml") in repository.files:
            return (f"pip install --quiet {shlex.quote('./' + above) if above else '.'}",)
    return ()


def _node(repository: Repository, folder: str) -> Runner:
    for above in _upward(folder):
        if _in(above, "pnpm-lock.yaml") in repository.files:
            install = _inside(above, "pnpm install --frozen-lockfile")
            return Runner(("command -v pnpm || npm install --global pnpm", install), "pnpm exec")
        if _in(above, "yarn.lock") in repository.files:
            modern = "__metadata:" in repository.text(_in(above, "yarn.lock"))
            install = _inside(above, f"yarn install {'--immutable' if modern else '--frozen-lockfile'}")
            return Runner(("command -v yarn || npm install --global yarn", install), "yarn run")
        if _in(above, "package-lock.json") in repository.files:
            return Runner((_inside(above, "npm ci"),))
    return Runner((_inside(_nearest(repository, folder, "package.json"), "npm install"),))


def _nearest(repository: Repository, folder: str, name: str) -> str:
    return next((above for above in _upward(folder) if _in(above, name) in repository.files), folder)


def _upward(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _in(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _inside(folder: str, command: str) -> str:
    # A shell of its own: in some CIs all lines are one shell's, and the next is to begin at the root again.
    return f"(cd {shlex.quote(folder)} && {command})" if folder else command
