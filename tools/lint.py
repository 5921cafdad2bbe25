"""Workflows, the Action and shell scripts through the linters of their trades: actionlint, zizmor and shellcheck.

The examples, and what the documentation shows, stand where no linter looks for workflows, and name the Action by a tag
that no linter knows. So actionlint gets copies of them, in a repository where `stepcreds/stepcreds@v1` is `./`: then it
knows the inputs and outputs.

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

from workflows import OURS, Script, Workflow, documented, hidden_scripts, in_folder, unpinned

SHELL_FILE = re.compile(r"#!\S*(/env )?\S*\b(sh|bash|dash)\b")
ELSEWHERE = 'timeout-minutes|label ".+" is unknown'
# What actionlint leaves out of what it gives to shellcheck, for what is no finding in a step.
MEANINGLESS_IN_STEPS = "SC1091,SC2194,SC2050,SC2153,SC2154,SC2157,SC2043"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout")
    root: Path = parser.parse_args().root
    pages = {
        path.relative_to(root): path.read_text("utf-8")
        for path in (*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md")))
    }
    own, examples = in_folder(root, ".github/workflows"), in_folder(root, "examples/workflows")
    shown = [workflow for path, text in pages.items() for workflow in documented(path, text)]
    texts = [*((workflow.path, workflow.text) for workflow in (*own, *examples)), *pages.items()]
    findings = [
        *actionlint(root, own),
        # Timeouts are left to those who copy an example; what a page shows may be for another forge, with its runners.
        *actionlint(root, examples, "-ignore", "timeout-minutes"),
        *(found for one in shown for found in actionlint(root, [one], "-ignore", ELSEWHERE)),
        *zizmor(root, [*own, *examples]),
        *(found for path, text in texts for found in unpinned(path, text)),
        *(found for one in (*own, *examples, *shown) for script in hidden_scripts(one) for found in checked(script)),
        *shell_files(root),
    ]
    count = f"{len(own) + len(examples)} workflows, {len(shown)} in the documentation"
    print("\n".join(findings or [f"{count}, the Action and every shell script: clean"]))
    return 1 if findings else 0


def tool(name: str) -> str:
    """The linter that requirements.lock installed beside this Python; shellcheck may be the system's."""
    path = Path(sysconfig.get_path("scripts"), name)
    found = str(path) if path.is_file() else shutil.which(name) if name == "shellcheck" else None
    if found is None:
        fix = "apt-get install shellcheck (its wheel is for x86_64 only)" if name == "shellcheck" else "make venv"
        raise SystemExit(f"tools/lint.py: {name} is not installed: {fix}")
    return found


def actionlint(root: Path, workflows: list[Workflow], *options: str) -> Iterator[str]:
    """Its findings on workflows of one folder, with the Action's own inputs and outputs known."""
    if not workflows:
        return
    with tempfile.TemporaryDirectory(prefix="stepcreds-lint-") as name:
        copy = Path(name)
        (copy / ".git").mkdir()
        (copy / ".github" / "workflows").mkdir(parents=True)
        shutil.copy(root / "action.yml", copy)
        shutil.copytree(root / "action", copy / "action")
        shutil.copy(root / ".github" / "actionlint.yaml", copy / ".github")
        places = {}
        for workflow in workflows:
            place = copy / ".github" / "workflows" / workflow.path.with_suffix(".yml").name
            place.write_text(workflow.text.replace(f"uses: {OURS}", "uses: ./"), "utf-8")
            places[str(place.relative_to(copy))] = str(workflow.path)
        command = [tool("actionlint"), "-no-color", "-pyflakes=", "-shellcheck", tool("shellcheck"), *options]
        yield from _findings(command, copy, places)


def zizmor(root: Path, workflows: Iterable[Workflow]) -> Iterator[str]:
    """Its findings, as the auditor who also wants to hear of what is probably all right."""
    options = ("--offline", "--quiet", "--no-progress", "--color=never", "--strict-collection", "--persona=auditor")
    configuration = ("--config", ".github/zizmor.yml")
    inputs = ["action.yml", *(str(workflow.path) for workflow in workflows)]
    inputs += [str(path.relative_to(root)) for path in root.glob(".github/dependabot.yml")]
    yield from _findings([tool("zizmor"), *options, *configuration, *inputs], root, {})


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
