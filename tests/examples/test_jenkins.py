"""Jenkins: the linter's word on the Groovy, the shell lines that the shared library makes of a block, and those lines run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipelines import EXAMPLES, Place

import ci_tools
from stepcreds.devstack.stack import Stack

JENKINS = EXAMPLES / "jenkins"
LINTER = Path(sys.prefix) / "node" / "node_modules" / "npm-groovy-lint"
SHELL = "#!/bin/sh\nexec stepcreds exec 'migrate' -- "


SHELLS = ("/usr/bin/env bash", "/bin/sh -e", "/usr/bin/zsh", "sh")
LANGUAGES = ("/usr/bin/env python3", "/usr/bin/perl -w", "/bin/sh; id", "/bin/sh $(id)", "")
PIPELINES = {
    "a block": """
        withStepcreds('migrate') {
          sh './migrate.sh'
          echo 'no credential here'
          sh "echo it's \\$HOME"
        }
    """,
    "arguments": """
        withStepcreds('migrate', credentialsId: 'other') {
          sh(script: '#!/bin/bash -eu\\necho 1', returnStdout: true, label: 'Count')
        }
    """,
    "an odd name": "withStepcreds('a; id') { sh 'true' }",
    "revoke": "withStepcreds.revoke()",
    "both": "withStepcreds('migrate') { sh './migrate.sh\\necho \"it\\'s\" done' }; withStepcreds.revoke()",
    **{f"shell {line}": f"withStepcreds('migrate') {{ sh '#!{line}\\ntrue' }}" for line in SHELLS},
    **{f"language {line}": f"withStepcreds('migrate') {{ sh '''#!{line}\\ntrue''' }}" for line in LANGUAGES},
}


@pytest.fixture(scope="module")
def played() -> dict[str, dict[str, Any]]:
    """What the lines of each of `PIPELINES` ask of Jenkins: `calls`, and what they `returned` or the `error` they ended
    with. A JVM for all: it takes seconds to start one."""
    jars = LINTER / "lib" / "java" / "groovy" / "lib" / "*"
    steps = Path(__file__).parent / "jenkins_steps.groovy"
    run = subprocess.run(
        [
            "java",
            *ci_tools.QUICK_JAVA,
            "-cp",
            str(jars),
            "groovy.ui.GroovyMain",
            str(steps),
            str(JENKINS),
            *PIPELINES.values(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(zip(PIPELINES, map(json.loads, run.stdout.splitlines()), strict=True))


def token(credential: str = "vault-id-token") -> dict[str, Any]:
    return {"step": "withCredentials", "arguments": [{"credentialsId": credential, "variable": "VAULT_ID_TOKEN"}]}


def sh(arguments: object) -> dict[str, Any]:
    return {"step": "sh", "arguments": arguments}


def test_each_sh_of_the_block_is_a_step_of_its_own_and_nothing_else_is(played: dict[str, dict[str, Any]]) -> None:
    assert played["a block"] == {
        "returned": "what sh returned",
        "calls": [
            token(),
            sh({"script": f"{SHELL}sh -xe -c './migrate.sh'"}),
            {"step": "echo", "arguments": "no credential here"},
            sh({"script": f"{SHELL}sh -xe -c 'echo it'\\''s $HOME'"}),
        ],
    }


def test_the_arguments_of_sh_stay_what_they_are(played: dict[str, dict[str, Any]]) -> None:
    assert played["arguments"]["calls"] == [
        token("other"),
        sh({"script": f"{SHELL}/bin/bash -eu -c '#!/bin/bash -eu\necho 1'", "returnStdout": True, "label": "Count"}),
    ]


@pytest.mark.parametrize("line", SHELLS)
def test_a_script_may_name_its_shell(played: dict[str, dict[str, Any]], line: str) -> None:
    (_, call) = played[f"shell {line}"]["calls"]
    assert call == sh({"script": f"{SHELL}{line} -c '#!{line}\ntrue'"})


@pytest.mark.parametrize("line", LANGUAGES)
def test_another_language_is_refused(played: dict[str, dict[str, Any]], line: str) -> None:
    found = played[f"language {line}"]
    assert found["calls"] == [token()]
    assert found["error"] == (
        f"withStepcreds runs scripts of a shell, and this one begins with #!{line}. Put it into a file and call that."
    )


def test_a_profiles_name_is_one_word_to_the_shell(played: dict[str, dict[str, Any]]) -> None:
    (_, call) = played["an odd name"]["calls"]
    assert call == sh({"script": "#!/bin/sh\nexec stepcreds exec 'a; id' -- sh -xe -c 'true'"})


def test_what_is_left_is_revoked_with_an_identity(played: dict[str, dict[str, Any]]) -> None:
    assert played["revoke"]["calls"] == [token(), sh("stepcreds revoke --all")]


# The lines, run.


@pytest.fixture
def place(stack: Stack, tmp_path: Path) -> Place:
    return Place(stack, tmp_path)


def ran(place: Place, script: str, claims: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """A script as the durable-task plugin runs it: in a file, by its own first line or by `sh -xe`."""
    file = place.reports / "script.sh"
    place.executable(file, script)
    variables = {
        "JENKINS_URL": "https://jenkins.example.com/",
        "JOB_URL": "https://jenkins.example.com/job/shop/job/main/",
        "JOB_NAME": "shop/main",
        "BUILD_NUMBER": "12",
        "BRANCH_NAME": "main",
        "GIT_COMMIT": "5e3f1c0",
        "BUILD_USER_ID": "octocat",
        "STAGE_NAME": "Migrate",
        "VAULT_ID_TOKEN": place.stack.issuer.token(place.stack.address, **claims).reveal(),
    }
    return place.run([str(file)] if script.startswith("#!") else ["sh", "-xe", str(file)], variables)


CLAIMS: dict[str, object] = {"sub": "https://jenkins.example.com/job/shop/job/main/", "build_number": 12}


@pytest.mark.usefixtures("alone")
def test_the_librarys_lines(place: Place, played: dict[str, dict[str, Any]]) -> None:
    scripts = [call["arguments"] for call in played["both"]["calls"] if call["step"] == "sh"]
    step = ran(place, scripts[0]["script"], CLAIMS)
    assert step.returncode == 0, step.stdout
    # As Jenkins would echo it, and nothing of what is around it.
    assert "+ ./migrate.sh\nmigrate has ***\n+ echo it's done\nit's done\n" in step.stdout
    assert "stepcreds exec" not in step.stdout
    place.assert_dead("migrate", step.stdout)
    ended = ran(place, scripts[1], CLAIMS)
    assert (ended.returncode, place.records()[-1]["kind"]) == (0, "chain.closed"), ended.stdout
    assert place.job() == {
        "ci": "jenkins",
        "run_id": "12",
        "run_attempt": "",
        "job": "shop/main",
        "actor": "octocat",
        "ref": "refs/heads/main",
        "commit": "5e3f1c0",
        "matrix": "",
    }


@pytest.mark.usefixtures("alone")
def test_the_plain_jenkinsfiles_lines(place: Place) -> None:
    (place.folder / ".venv" / "bin").mkdir(parents=True)
    (place.folder / ".venv" / "bin" / "stepcreds").symlink_to(Path(sys.executable).parent / "stepcreds")
    _, *scripts = re.findall(r"^ *sh '(.*)'$", (JENKINS / "Jenkinsfile").read_text(), re.MULTILINE)
    assert len(scripts) == 3
    logs = [ran(place, script, CLAIMS) for script in scripts]
    assert [log.returncode for log in logs] == [0, 0, 0], logs
    for name, log in zip(("migrate", "verify"), logs, strict=False):
        assert f"{name} has ***\n" in log.stdout
        place.assert_dead(name, log.stdout)
    assert place.records()[-1]["kind"] == "chain.closed"


# Seconds for each file, on a machine with other things to do.
@pytest.mark.timeout(900)
def test_the_linter_finds_nothing() -> None:
    run = subprocess.run(
        ci_tools.groovy_lint(
            *("--config", str(JENKINS / ".groovylintrc.json")),
            *("--path", str(JENKINS), "--files", "**/Jenkinsfile,**/*.groovy"),
        ),
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    found = json.loads(run.stdout[run.stdout.index("{") :])
    problems = {name: file["errors"] for name, file in found["files"].items() if file["errors"]}
    assert (problems, found["summary"]["totalFilesLinted"], run.returncode) == ({}, 4, 0), run.stderr
