"""What there is of GitHub workflows in this checkout: our own, the examples, and those that the documentation shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OURS = "stepcreds/stepcreds@v1"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
VERSION = re.compile(r"\s+# v\d+(\.\d+)*$")
USES = re.compile(r"^\s*(?:- )?uses:[ \t]+(?P<action>[^\s#]+)(?P<comment>[^\n]*)$", re.MULTILINE)
BLOCK = re.compile(r"^(?P<indent> *)```ya?ml\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
# Of an action that is nobody's, in the documentation.
NOBODYS, SOME_COMMIT = "@…", "@" + 40 * "0"
STEPS = "on: push\njobs:\n  job:\n    runs-on: ubuntu-latest\n    steps:\n"


class Workflow(NamedTuple):
    """A workflow, whole or made whole."""

    path: Path  # of the file that it is in, relative to the checkout
    text: str  # each line has the number that it has in that file


class Script(NamedTuple):
    """A shell script within a workflow that actionlint does not look at."""

    where: str
    shell: str
    text: str


def in_folder(root: Path, folder: str) -> list[Workflow]:
    return [
        Workflow(path.relative_to(root), path.read_text("utf-8"))
        for pattern in ("*.yml", "*.yaml")
        for path in sorted((root / folder).glob(pattern))
    ]


def documented(path: Path, text: str) -> Iterator[Workflow]:
    """The workflows, jobs and steps of GitHub among a page's blocks of YAML."""
    for block in BLOCK.finditer(text):
        block_text = block["text"].replace(NOBODYS, SOME_COMMIT)
        lines = [line.removeprefix(block["indent"]) for line in block_text.splitlines(keepends=True)]
        try:
            value = yaml.safe_load("".join(lines))
        except yaml.YAMLError:
            continue  # of another language, or with an ellipsis
        head = _head(value)
        if head is not None:
            indent = "      " if head is STEPS else ""
            before = text.count("\n", 0, block.start("text")) - head.count("\n")
            yield Workflow(path, "\n" * before + head + "".join(indent + line for line in lines))


def _head(value: Any) -> str | None:
    """What makes a whole workflow of it; nothing, if it is none of GitHub's."""
    if isinstance(value, list):
        steps = all(isinstance(step, dict) for step in value)
        return STEPS if steps and any("uses" in step or {"run", "shell"} <= set(step) for step in value) else None
    jobs = value.get("jobs") if isinstance(value, dict) else None
    if isinstance(jobs, dict) and any("runs-on" in job or "uses" in job for job in jobs.values() if job):
        # YAML 1.1 reads the key `on` as true.
        return "" if {"on", True} & set(value) else "on: push\n"
    return None


def unpinned(path: Path, text: str) -> Iterator[str]:
    """Actions that are named by something that can move, or whose version nobody can read."""
    for use in USES.finditer(text):
        action, comment = use["action"].strip("'\""), use["comment"].rstrip()
        line = text.count("\n", 0, use.start("action")) + 1
        if action.startswith(("./", "$/")) or action == OURS or (action.endswith(NOBODYS) and path.suffix == ".md"):
            continue
        if not PINNED.fullmatch(action):
            yield f"{path}:{line}: {action} can move: name a commit's 40 digits, and its version in a comment"
        elif not VERSION.match(comment):
            yield f"{path}:{line}: {action} says no version: write it behind, as in `# v1.2.3`"


def hidden_scripts(workflow: Workflow) -> Iterator[Script]:
    """What runs in bash or sh behind `stepcreds exec`, or is an input of the Action."""
    for job_name, job in yaml.safe_load(workflow.text).get("jobs", {}).items():
        for number, step in enumerate(job.get("steps", []), 1):
            given: dict[str, Any] = step.get("with", {}) if step.get("uses") in (OURS, "./") else step
            line = str(given.get("shell") or ("bash" if given is not step else ""))
            shell = re.search(r"\b(bash|sh)\b", line)
            # Plain `bash` and `sh` of a `run:` step are actionlint's.
            if "run" in given and shell and (given is not step or "{0}" in line):
                where = f"{workflow.path}: job {job_name}, step {number}"
                yield Script(where, shell[1], EXPRESSION.sub(lambda match: "_" * len(match[0]), str(given["run"])))
