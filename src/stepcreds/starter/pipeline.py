"""The text of a first pipeline: migrate, then verify, each with a credential of its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from stepcreds.ci.wording import scalar
from stepcreds.starter.configuration import ADDRESS, Choice
from stepcreds.starter.dependencies import Runner, dependencies
from stepcreds.starter.repository import Repository
from stepcreds.starter.text import fill, template

# What a shell would read itself instead of handing it on.
_SPECIAL = re.compile(r"[$`\"\\|&;<>()*?#~\n]")


def pipeline(choice: Choice) -> str:
    """The whole file for the chosen CI."""
    assert choice.system is not None  # noqa: S101 - without a CI there is no pipeline
    runner = dependencies(choice.folder, choice.tool.language, choice.working)
    migrate, verify = runner.call(choice.tool.migrate), runner.call(choice.tool.verify)
    exec_migrate = f"{_enter(choice)}exec {_exec('migrate', migrate)}"
    exec_verify = f"{_enter(choice)}exec {_exec('verify', verify)}"
    text = fill(
        template(choice.system.template),
        {
            "address": scalar(choice.address or ADDRESS),
            "branch": scalar(choice.branch),
            "branch_name": choice.branch,
            "package": "stepcreds[mysql]" if choice.engine in ("mysql", "mariadb") else "stepcreds",
            "migrate": migrate,
            "verify": verify,
            "migrate_says": _says(choice, _migrate_says(choice)),
            "verify_says": _says(choice, _verify_says(choice)),
            "working_directory": f"working-directory: {scalar(choice.working)}" if choice.working else "",
            "enter_item": f"- {_enter(choice).removesuffix(' && ')}" if choice.working else "",
            "exec_migrate": exec_migrate,
            "exec_verify": exec_verify,
            "broken_migrate": _broken(exec_migrate),
            "broken_verify": _broken(exec_verify),
            "call_migrate": _exec("migrate", migrate),
            "call_verify": _exec("verify", verify),
            "setup_github": _github(choice, runner.setup),
            "setup_items": _lines("- {}", runner.setup),
            "setup_root_items": _lines("- {}", _as_root(choice, runner)),
            "setup_runs": _lines("- run: {}", runner.setup),
            "setup_scripts": _lines("- script: {}", runner.setup),
            "setup_lines": _lines("{}", runner.setup),
            "stage": _stage(choice.folder),
            "needs": _needs(choice),
        },
    )
    return text.replace("$", "$$") if choice.system.fills_in else text


def _enter(choice: Choice) -> str:
    return f"cd {shlex.quote(choice.working)} && " if choice.working else ""


def _exec(profile: str, command: str) -> str:
    """The call of stepcreds; what only the command's own environment can tell is left to a shell inside."""
    if _SPECIAL.search(command) is None:
        return f"stepcreds exec {profile} -- {command}"
    return f"stepcreds exec {profile} -- sh -ec {shlex.quote(command)}"


def _broken(line: str) -> str:
    """For a file whose linter counts: Groovy joins the lines again, or else the shell does."""
    return line if len(line) <= 108 else line.replace(" -- ", " -- \\\n  ", 1)


def _says(choice: Choice, text: str) -> str:
    assert choice.system is not None  # noqa: S101 - as above
    return f"{'//' if choice.system.name == 'jenkins' else '#'} {text}" if text else ""


def _migrate_says(choice: Choice) -> str:
    return (
        f"change: no migrations of {choice.tool.title} were found; this names their folder." if choice.guessed else ""
    )


def _verify_says(choice: Choice) -> str:
    """What the command can be relied on for."""
    tool = choice.tool
    if tool.name == "script":
        return "change: this is to fail unless all is well: whether every migration was applied, and what else matters."
    if not tool.fails:
        return f"change: this only prints what {tool.title} has applied, and is green whatever that is: add what fails."
    since = f" ({tool.title} {tool.since} or newer)" if tool.since else ""
    return f"change: this fails while a migration is pending{since}; add what else has to be true."


def _as_root(choice: Choice, runner: Runner) -> Sequence[str]:
    """The same in a container of Python's own image, whose user is root, and which has neither Node nor Ruby."""
    packages = {"node": "npm", "ruby": "ruby-dev bundler"}.get(choice.tool.language)
    if packages is None:
        return runner.setup
    return (f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}", *runner.setup)


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
