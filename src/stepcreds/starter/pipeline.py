"""The text of a first pipeline: migrate, then verify, each with a credential of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stepcreds.ci.wording import scalar
from stepcreds.starter.configuration import ADDRESS, Choice
from stepcreds.starter.repository import Repository
from stepcreds.starter.text import fill, template

# What a shell would read itself instead of handing it on.
_SPECIAL = re.compile(r"[$`\"'\\|&;<>()*?#~\n]")


def pipeline(choice: Choice) -> str:
    """The whole file for the chosen CI."""
    assert choice.system is not None  # noqa: S101 - without a CI there is no pipeline
    address = choice.address or ADDRESS
    setup = _setup(choice)
    return fill(
        template(choice.system.template),
        {
            "address": scalar(address),
            "branch": scalar(choice.branch),
            "branch_name": choice.branch,
            "package": "stepcreds[mysql]" if choice.engine in ("mysql", "mariadb") else "stepcreds",
            "migrate": choice.tool.migrate,
            "verify": choice.tool.verify,
            "exec_migrate": _exec("migrate", choice.tool.migrate),
            "exec_verify": _exec("verify", choice.tool.verify),
            "setup_github": _github(choice, setup),
            "setup_items": _lines("- {}", setup),
            "setup_root_items": _lines("- {}", _as_root(choice, setup)),
            "setup_runs": _lines("- run: {}", setup),
            "setup_scripts": _lines("- script: {}", setup),
            "setup_lines": _lines("{}", setup),
            "stage": _stage(choice.folder),
            "needs": _needs(choice),
        },
    )


def _exec(profile: str, command: str) -> str:
    """The call of stepcreds; what only the command's own environment can tell is left to a shell inside."""
    if _SPECIAL.search(command) is None:
        return f"stepcreds exec {profile} -- {command}"
    return f"stepcreds exec {profile} -- sh -ec '{command}'"


def _setup(choice: Choice) -> Sequence[str]:
    """What installs the program's own dependencies, as far as the repository says."""
    files = choice.folder.files
    if choice.tool.language == "python" and "requirements.txt" in files:
        return ("pip install --quiet -r requirements.txt",)
    if choice.tool.language == "python" and "pyproject.toml" in files:
        return ("pip install --quiet .",)
    if choice.tool.language == "node":
        return ("npm ci",) if "package-lock.json" in files else ("npm install",)
    if choice.tool.language == "ruby":
        return ("bundle install",)
    return ()


def _as_root(choice: Choice, setup: Sequence[str]) -> Sequence[str]:
    """The same in a container of Python's own image, whose user is root, and which has neither Node nor Ruby."""
    packages = {"node": "npm", "ruby": "ruby-dev bundler"}.get(choice.tool.language)
    if packages is None:
        return setup
    return (f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}", *setup)


def _lines(form: str, commands: Sequence[str]) -> str:
    return "\n".join(form.format(command) for command in commands)


def _github(choice: Choice, setup: Sequence[str]) -> str:
    if not setup:
        return "# change: what your migrations need is installed here."
    lines = []
    if choice.tool.language == "python":
        lines = [
            "- uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
            '  with: { python-version: "3.13" }',
        ]
    return "\n".join([*lines, *(f"- run: {line}" for line in setup)])


def _needs(choice: Choice) -> str:
    """A line that says what the image lacks; "" where it has all that is known of."""
    if choice.tool.language or choice.tool.name == "script":
        return ""
    return f"# change: {choice.tool.title} has to be in the image."


def _stage(repository: Repository) -> str:
    """The last stage that .gitlab-ci.yml names, else GitLab's own `deploy`."""
    text = repository.text(".gitlab-ci.yml") if ".gitlab-ci.yml" in repository.files else ""
    flow = re.search(r"^stages:[ \t]*\[([^\]]*)\]", text, re.MULTILINE)
    block = re.search(r"^stages:[ \t]*(?:#.*)?\n((?:[ \t]*(?:-.*|#.*)?\n)+)", text + "\n", re.MULTILINE)
    items: Sequence[str] = ()
    if flow is not None:
        items = flow[1].split(",")
    elif block is not None:
        items = re.findall(r"^[ \t]*-[ \t]*(.*?)[ \t]*(?:#.*)?$", block[1], re.MULTILINE)
    names = [item.strip().strip("'\"") for item in items]
    plain = [name for name in names if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9 ._-]*", name)]
    return plain[-1] if plain and "deploy" not in plain else "deploy"
