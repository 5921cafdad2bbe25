"""`run`, `shell` and `working-directory` mean what they mean on a plain `run:` step: each script is run both ways."""

from __future__ import annotations

import json
import shutil
from typing import NamedTuple

import pytest
from runner import Repository, Run, transcript
from transcripts import life

from stepcreds.devstack.stack import Stack


class Script(NamedTuple):
    """A step of a workflow, what it prints, and its exit code."""

    run: str
    prints: str
    code: int = 0
    shell: str = ""
    folder: str = ""


OPTIONS = 'case $- in *e*) echo "stops at errors";; esac; set -o | grep -q "pipefail.*on" && echo pipefail\n'

SCRIPTS = {
    "several lines, both streams, an exit code": Script(
        "cat <<'END'\n  $HOME \"quoted\" 'twice' \\ % ::  \nEND\nfor n in 1 2; do\n  echo \"line $n\" >&$n\ndone\nexit 42\n",
        "  $HOME \"quoted\" 'twice' \\ % ::  \nline 1\nline 2\n",
        42,
    ),
    "the default stops at errors, without pipefail": Script(
        OPTIONS + "false | true\necho on\nfalse\necho not reached\n", "stops at errors\non\n", 1
    ),
    "bash has pipefail": Script(
        OPTIONS + "false | true\necho not reached\n", "stops at errors\npipefail\n", 1, shell="bash"
    ),
    "sh, in a working directory": Script(
        'echo "${BASH_VERSION:-no bash}"\nbasename "$PWD"; cat there.txt\nfalse\necho not reached',
        "no bash\ndb\nit is there\n",
        1,
        shell="sh",
        folder="services/db",
    ),
    "python": Script(
        "import sys\nif __name__ == '__main__':\n    print(len(sys.argv))\n    sys.exit(3)\n", "1\n", 3, shell="python"
    ),
    "perl, with arguments": Script(
        'print join("|", @ARGV), "\\n"; exit 5;', "one|two words\n", 5, shell='perl -w {0} one "two words"'
    ),
}
# Where it is installed, which it is on GitHub's own runners.
POWERSHELL = {"pwsh": Script("Write-Output 'from pwsh'; exit 7", "from pwsh\n", 7, shell="pwsh")}


@pytest.fixture(scope="module")
def scripts() -> dict[str, Script]:
    return SCRIPTS | (POWERSHELL if shutil.which("pwsh") else {})


def workflow(scripts: dict[str, Script]) -> str:
    steps: list[dict[str, object]] = [{"uses": "actions/checkout@v4"}]
    for name, script in scripts.items():
        inputs = {"shell": script.shell, "working-directory": script.folder}
        given = {key: value for key, value in inputs.items() if value}
        common = {"if": "always()"}  # a step that fails does not end the job
        # act takes `bash` where no shell is named; GitHub takes what is written here.
        plain = {"shell": "bash -e {0}", **given}
        steps.append({"name": f"plain: {name}", "run": script.run, **plain, **common})
        use = {"uses": "stepcreds/stepcreds@v1", "with": {"profile": "verify", "run": script.run, **given}}
        steps.append({"name": f"stepcreds: {name}", **use, **common})
    return json.dumps({"on": "push", "jobs": {"deploy": {"runs-on": "ubuntu-latest", "steps": steps}}})


def own(log: str) -> str:
    """What the script printed, without the lines of stepcreds."""
    return "".join(line for line in log.splitlines(keepends=True) if not line.startswith("stepcreds: "))


def test_each_script_prints_and_ends_as_in_a_plain_step(
    stack: Stack, repository: Repository, scripts: dict[str, Script]
) -> None:
    repository.write("services/db/there.txt", "it is there\n")
    repository.workflow(workflow(scripts))
    since = len(stack.audit())
    run = repository.run()
    expected = {name: (script.prints, script.code) for name, script in scripts.items()}
    assert {name: outcome(run, f"plain: {name}") for name in scripts} == expected, run.shown()
    assert {name: outcome(run, f"stepcreds: {name}") for name in scripts} == expected, run.shown()
    for name, script in scripts.items():
        # What GitHub's runner says of a `run:` step, and act does not.
        said = [("error", f"::error::Process completed with exit code {script.code}.")] if script.code else []
        assert run.commands(f"stepcreds: {name}") == said
    dead = [record["verdict"] for record in run.records if record["kind"] == "credential.closed"]
    assert dead == ["proven dead"] * len(scripts)
    assert transcript(stack, since) == len(scripts) * life("verify")


def outcome(run: Run, step: str) -> tuple[str, int]:
    return own(run.log(step)), run.exit_code(step)


def test_what_a_script_hands_to_the_runner_arrives(stack: Stack, repository: Repository) -> None:
    repository.workflow("""\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Hand over
        id: migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: verify
          run: |
            echo "version=17" >> "$GITHUB_OUTPUT"
            echo "GREETING=hello" >> "$GITHUB_ENV"
            mkdir -p tools && printf '#!/bin/sh\\necho found\\n' > tools/findme && chmod +x tools/findme
            echo "$PWD/tools" >> "$GITHUB_PATH"
            echo "::warning title=Of the script::it is said"
      - name: Take over
        run: |
          echo "$GREETING ${{ steps.migrate.outputs.version }}"
          findme
""")
    since = len(stack.audit())
    run = repository.run()
    assert run.code == 0, run.shown()
    assert run.log("Take over") == "hello 17\nfound\n"
    assert run.commands("Hand over") == [("warning", "::warning title=Of the script::it is said")]
    assert transcript(stack, since) == life("verify")
