"""The linters see what `make check` says they see: workflows, examples, the Action's inputs, hidden scripts, pins."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CHECKED_OUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
WORKFLOW = """\
name: example
on: workflow_dispatch
permissions: {}
concurrency: { group: example, cancel-in-progress: false }
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
"""
Lint = Callable[[], tuple[int, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with the Action, the linters' configuration, and no workflow yet."""
    folder = tmp_path / "checkout"
    (folder / "examples" / "workflows").mkdir(parents=True)
    (folder / ".github" / "workflows").mkdir(parents=True)
    shutil.copytree(CHECKOUT / "action", folder / "action", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("action.yml", ".github/zizmor.yml", ".github/actionlint.yaml"):
        shutil.copy(CHECKOUT / name, folder / name)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


@pytest.fixture
def lint(root: Path) -> Lint:
    def run() -> tuple[int, str]:
        command: list[str | Path] = [sys.executable, CHECKOUT / "tools" / "lint.py", "--root", root]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run


def example(root: Path, *steps: str) -> None:
    lines = "".join(f"      {line}\n" for step in steps for line in step.splitlines())
    (root / "examples" / "workflows" / "example.yml").write_text(WORKFLOW + lines)


def test_what_is_clean(root: Path, lint: Lint) -> None:
    example(
        root,
        f"- uses: {CHECKED_OUT}\n  with: {{ persist-credentials: false }}",
        "- uses: stepcreds/stepcreds@v1\n  with: { profile: migrate, run: ./migrate.sh }",
        "- uses: stepcreds/stepcreds@v1",
        "- run: ./verify.sh\n  shell: stepcreds exec verify -- bash -eo pipefail {0}",
    )
    assert lint() == (0, "1 workflows, 0 in the documentation, the Action and every shell script: clean\n")


@pytest.mark.parametrize(
    ("step", "finding"),
    [
        (
            "- uses: stepcreds/stepcreds@v1\n  with: { profil: migrate }",
            'examples/workflows/example.yml:10:17: input "profil" is not defined in action "stepcreds" defined at "./".',
        ),
        (
            "- uses: stepcreds/stepcreds@v1\n  id: issued\n- run: echo '${{ steps.issued.outputs.pasword }}'",
            'examples/workflows/example.yml:11:24: property "pasword" is not defined in object type {',
        ),
        (
            "- uses: stepcreds/stepcreds@v1\n  with:\n    profile: migrate\n    run: cat $HOME/x",
            "examples/workflows/example.yml: job deploy, step 1: 1:5: note: Double quote to prevent globbing",
        ),
        (
            "- run: cat $HOME/x\n  shell: stepcreds exec verify -- sh -e {0}",
            "examples/workflows/example.yml: job deploy, step 1: 1:5: note: Double quote to prevent globbing",
        ),
        (
            "- run: cat $HOME/x",
            "examples/workflows/example.yml:9:18: shellcheck reported issue in this script: SC2086:info:1:5:",
        ),
        (
            "- uses: actions/checkout@v7\n  with: { persist-credentials: false }",
            "examples/workflows/example.yml:9: actions/checkout@v7 can move: name a commit's 40 digits, and its version"
            " in a comment\n",
        ),
        (
            f"- uses: {CHECKED_OUT.partition(' ')[0]}\n  with: {{ persist-credentials: false }}",
            "examples/workflows/example.yml:9: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 says no"
            " version: write it behind, as in `# v1.2.3`\n",
        ),
        (
            f"- uses: {CHECKED_OUT}",
            "warning[artipacked]: credential persistence through GitHub Actions artifacts\n",
        ),
        (
            "- run: echo ${{ github.head_ref }}",
            "error[template-injection]: code injection via template expansion\n",
        ),
    ],
    ids=[
        "an input that there is not",
        "an output that there is not",
        "a script of the Action",
        "a script of a shell of ours",
        "a script",
        "a tag",
        "no version",
        "zizmor",
        "zizmor, too",
    ],
)
def test_what_is_found_in_an_example(root: Path, lint: Lint, step: str, finding: str) -> None:
    example(root, step)
    status, text = lint()
    assert status == 1
    assert finding in text


def test_our_own_workflows_have_a_timeout(root: Path, lint: Lint) -> None:
    text = WORKFLOW + "      - run: 'true'\n"
    (root / "examples" / "workflows" / "example.yml").write_text(text)
    assert lint()[0] == 0
    (root / ".github" / "workflows" / "ci.yml").write_text(text)
    status, text = lint()
    assert status == 1
    assert text.startswith('.github/workflows/ci.yml:6:3: "timeout-minutes" is not set in job "deploy".')


PAGE = """\
# Page

One.

Two.

```yaml
- uses: stepcreds/stepcreds@v1
  with: { profil: migrate }
- uses: actions/checkout@main
- uses: somebody/action@…
```

1. In a list

   ```yaml
   jobs:
     one:
       runs-on: docker
       steps:
         - run: echo ${{ matrix.nothing }}
   ```

```yaml
jobs: [none, of, GitHub]
```

```yaml
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - shell: stepcreds exec verify -- sh -e {0}
        run: cat $HOME/x
```
"""


def test_what_a_page_shows_is_linted_and_pinned_too(root: Path, lint: Lint) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "page.md").write_text(PAGE)
    status, text = lint()
    assert status == 1
    findings = [line for line in text.splitlines() if line.startswith("docs/")]
    expected = [
        'docs/page.md:9:17: input "profil" is not defined in action "stepcreds" defined at "./".',
        'docs/page.md:10:15: the ref "main" of action "actions/checkout@main" is not a commit SHA.',
        'docs/page.md:21:23: property "nothing" is not defined in object type {} [expression]',
        "docs/page.md:10: actions/checkout@main can move: name a commit's 40 digits, and its version in a comment",
        "docs/page.md: job one, step 1: 1:5: note: Double quote to prevent globbing",
    ]
    assert [line[: len(start)] for line, start in zip(findings, expected, strict=True)] == expected


def test_shell_scripts_are_found_by_name_and_by_first_line(root: Path, lint: Lint) -> None:
    (root / "one.sh").write_text("# shellcheck shell=sh\ncat $1\n")
    (root / "two").write_text("#!/usr/bin/env bash\ncat $1\n")
    (root / "three").write_text("#!/usr/bin/env python3\ncat $1\n")
    (root / "vendor").mkdir()
    (root / "vendor" / "four.sh").write_text("cat $1\n")
    status, text = lint()
    assert status == 1
    assert sorted(line.partition(" ")[0] for line in text.splitlines()) == ["one.sh:2:5:", "two:2:5:"]


def test_a_broken_action_is_found(root: Path, lint: Lint) -> None:
    example(root, "- uses: stepcreds/stepcreds@v1")
    action = root / "action.yml"
    action.write_text(action.read_text().replace("icon: lock", "icon: key"))
    status, text = lint()
    assert status == 1
    assert 'incorrect icon name "key" at branding.icon' in text
