"""Workflows, the Action and shell scripts through the linters of their trades: actionlint, zizmor and shellcheck.

The examples stand where no linter looks for workflows, and name the Action by a tag that no linter knows. So actionlint
gets copies of them, in a repository where `stepcreds/stepcreds@v1` is `./`: then it knows the inputs and outputs.

    python tools/lint.py            # every finding, and status 1 when there is one
    python tools/lint.py --root .   # of another checkout
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OURS = "stepcreds/stepcreds@v1"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
VERSION = re.compile(r"\s+# v\d+(\.\d+)*$")
USES = re.compile(r"^\s*(?:- )?uses:[ \t]+(?P<action>[^\s#]+)(?P<comment>[^\n]*)$", re.MULTILINE)
SHELL_FILE = re.compile(r"#!\S*(/env )?\S*\b(sh|bash|dash)\b")
# What actionlint gives to shellcheck too: https://github.com/rhysd/actionlint/blob/main/docs/checks.md#check-shellcheck-integ
EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
MEANINGLESS_IN_STEPS = "SC1091,SC2194,SC2050,SC2153,SC2154,SC2157,SC2043"


class Script(NamedTuple):
    """A shell script within a workflow that actionlint does not look at."""

    where: str
    shell: str
    text: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout")
    root: Path = parser.parse_args().root
    own, examples = sorted(root.glob(".github/workflows/*.yml")), sorted(root.glob("examples/workflows/*.yml"))
    texts = [*own, *examples, *sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))]
    findings = [
        *actionlint(root, own),
        *actionlint(root, examples, "-ignore", "timeout-minutes"),  # left to those who copy an example
        *zizmor(root, [*own, *examples]),
        *(finding for path in texts for finding in unpinned(path.relative_to(root), path.read_text("utf-8"))),
        *(
            finding
            for path in [*own, *examples]
            for script in hidden_scripts(root, path)
            for finding in checked(script)
        ),
        *shell_files(root),
    ]
    print("\n".join(findings or [f"{len(own) + len(examples)} workflows, the Action and every shell script: clean"]))
    return 1 if findings else 0


def tool(name: str) -> str:
    """The linter that requirements.lock installed beside this Python; shellcheck may be the system's."""
    path = Path(sysconfig.get_path("scripts"), name)
    found = str(path) if path.is_file() else shutil.which(name) if name == "shellcheck" else None
    if found is None:
        fix = "apt-get install shellcheck (its wheel is for x86_64 only)" if name == "shellcheck" else "make venv"
        raise SystemExit(f"tools/lint.py: {name} is not installed: {fix}")
    return found


def actionlint(root: Path, workflows: list[Path], *options: str) -> Iterator[str]:
    """Its findings, with the Action's own inputs and outputs known."""
    if not workflows:
        return
    folder = workflows[0].parent.relative_to(root)
    with tempfile.TemporaryDirectory(prefix="stepcreds-lint-") as name:
        copy = Path(name)
        (copy / ".git").mkdir()
        (copy / ".github" / "workflows").mkdir(parents=True)
        shutil.copy(root / "action.yml", copy)
        shutil.copytree(root / "action", copy / "action")
        shutil.copy(root / ".github" / "actionlint.yaml", copy / ".github")
        for path in workflows:
            text = path.read_text("utf-8").replace(f"uses: {OURS}", "uses: ./")
            (copy / ".github" / "workflows" / path.name).write_text(text, "utf-8")
        command = [tool("actionlint"), "-no-color", "-pyflakes=", "-shellcheck", tool("shellcheck"), *options]
        yield from _findings(command, copy, {".github/workflows/": f"{folder}/"})


def zizmor(root: Path, workflows: Iterable[Path]) -> Iterator[str]:
    """Its findings, as the auditor who also wants to hear of what is probably all right."""
    options = ("--offline", "--quiet", "--no-progress", "--color=never", "--strict-collection", "--persona=auditor")
    configuration = ("--config", ".github/zizmor.yml")
    inputs = ["action.yml", *(str(path.relative_to(root)) for path in workflows)]
    inputs += [str(path.relative_to(root)) for path in root.glob(".github/dependabot.yml")]
    yield from _findings([tool("zizmor"), *options, *configuration, *inputs], root, {})


def unpinned(path: Path, text: str) -> Iterator[str]:
    """Actions that are named by something that can move, or whose version nobody can read."""
    for use in USES.finditer(text):
        action, comment = use["action"].strip("'\""), use["comment"].rstrip()
        line = text.count("\n", 0, use.start("action")) + 1
        if action.startswith(("./", "$/")) or action == OURS:
            continue
        if not PINNED.fullmatch(action):
            yield f"{path}:{line}: {action} can move: name a commit's 40 digits, and its version in a comment"
        elif not VERSION.match(comment):
            yield f"{path}:{line}: {action} says no version: write it behind, as in `# v1.2.3`"


def hidden_scripts(root: Path, path: Path) -> Iterator[Script]:
    """What runs in bash or sh behind `stepcreds exec`, or is an input of the Action."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    for job_name, job in workflow.get("jobs", {}).items():
        for number, step in enumerate(job.get("steps", []), 1):
            given: dict[str, Any] = step.get("with", {}) if step.get("uses") in (OURS, "./") else step
            line = str(given.get("shell") or ("bash" if given is not step else ""))
            shell = re.search(r"\b(bash|sh)\b", line)
            # Plain `bash` and `sh` of a `run:` step are actionlint's.
            if "run" in given and shell and (given is not step or "{0}" in line):
                where = f"{path.relative_to(root)}: job {job_name}, step {number}"
                yield Script(where, shell[1], EXPRESSION.sub(lambda match: "_" * len(match[0]), str(given["run"])))


def checked(script: Script) -> Iterator[str]:
    command = [tool("shellcheck"), "--norc", "--color=never", "--format=gcc", "--exclude", MEANINGLESS_IN_STEPS]
    yield from _findings([*command, "--shell", script.shell, "-"], Path.cwd(), {"-:": f"{script.where}: "}, script.text)


def shell_files(root: Path) -> Iterator[str]:
    """shellcheck on what git knows, or would, as a shell script; what travels in vendor/ is not ours."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    paths = [Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name and not name.startswith(b"vendor/")]
    scripts = [str(path) for path in paths if _is_shell(root / path)]
    if scripts:
        command = [tool("shellcheck"), "--norc", "--color=never", "--format=gcc", "--external-sources"]
        yield from _findings([*command, *scripts], root, {})


def _is_shell(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(100).decode("utf-8", "replace")
    return path.suffix in {".sh", ".bash"} or SHELL_FILE.match(start) is not None


def _findings(command: list[str], folder: Path, places: dict[str, str], text: str = "") -> Iterator[str]:
    """What a linter prints, each place in it named as it is here."""
    run = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=False)
    printed = (run.stdout + run.stderr).strip()
    if run.returncode != 0 and not printed:
        printed = f"{Path(command[0]).name} ended with status {run.returncode} and no word"
    if run.returncode != 0:
        for theirs, ours in places.items():
            printed = re.sub(rf"^{re.escape(theirs)}", ours.replace("\\", r"\\"), printed, flags=re.MULTILINE)
        yield printed


if __name__ == "__main__":
    sys.exit(main())
