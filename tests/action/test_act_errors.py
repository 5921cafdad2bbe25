"""What is wrong with a use of the Action is said whole: in the log, and as an annotation with the same text."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from runner import Repository, Run, Step, transcript
from step_runs import normalised
from transcripts import life

from stepcreds.devstack.stack import Stack


class Wrong(NamedTuple):
    """Inputs that cannot work, and the message."""

    inputs: dict[str, str]
    what: str
    rest: str = ""
    code: int = 125
    before: str = ""  # what stands before and after it
    after: str = ""


INPUTS = {
    "no profile": Wrong(
        {"run": "true"},
        "The input run is given without profile",
        "cause: Nothing says which credential the script is to get.\n"
        "fix: Add profile: with the name of a profile of stepcreds.yml; or make it an ordinary run: step.\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs",
    ),
    "run and outputs": Wrong(
        {"profile": "verify", "run": "true", "outputs": "true"},
        "The inputs run and outputs: true stand together",
        "cause: With run the credential is dead when the step ends, so that there is nothing to hand out.\n"
        "fix: Leave out outputs: true, which is for an action that has to be given values.\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs",
    ),
    "an unknown profile": Wrong(
        {"profile": "verfy", "run": "true"},
        "There is no profile verfy in WORKSPACE/stepcreds.yml",
        "fix: The profiles there are: migrate, verify.\nsee: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration",
    ),
    "a shell that cannot be": Wrong(
        {"profile": "verify", "run": "true", "shell": "zsh"},
        "The shell 'zsh' is neither one that GitHub knows nor a command line with {0}",
        "cause: Nothing says where the script's file belongs.\n"
        "fix: Use bash, sh, python, pwsh, or a command line with {0} for the script's file: perl {0}\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs",
    ),
    "a shell that is not there": Wrong(
        {"profile": "verify", "run": "true", "shell": "fishy {0}"},
        "the command 'fishy' was not found",
        "cause: no folder of the command's PATH holds it: PATH\n"
        "fix: Check the spelling, install it in an earlier step, or give its whole path.\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#command-not-found",
        code=127,
        before="stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n",
        after="stepcreds: verify: proven dead (lease lookup and refused logins)\n",
    ),
    "no such folder": Wrong(
        {"profile": "verify", "run": "true", "working-directory": "services/none"},
        "The folder WORKSPACE/services/none cannot be used: No such file or directory",
        "cause: The input working-directory names it, relative to the workspace.\n"
        "fix: Check the name, and that actions/checkout comes before this step.\n"
        "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#action-inputs",
    ),
}


def workflow(wrong: dict[str, Wrong]) -> str:
    steps: list[dict[str, object]] = [{"uses": "actions/checkout@v4"}]
    for name, each in wrong.items():
        steps.append({"name": name, "if": "always()", "uses": "stepcreds/stepcreds@v1", "with": each.inputs})
    return json.dumps({"on": "push", "jobs": {"deploy": {"runs-on": "ubuntu-latest", "steps": steps}}})


NO_PERMISSION = Wrong(
    {"profile": "migrate", "run": "true"},
    "GitHub Actions gives this job no ID token",
    "cause: The job lacks the permission id-token: write. A permissions: block of the job replaces the workflow's, and a "
    "reusable workflow has at most what its caller grants.\n"
    "fix: Add to the job (and to the job that calls it, if it is a reusable workflow):\n"
    "    permissions:\n"
    "      contents: read\n"
    "      id-token: write\n"
    "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#id-token-permission",
)
FORK = Wrong(
    {"profile": "migrate", "run": "true"},
    "GitHub Actions gives no ID token to a pull request from a fork (somebody/shop into acme/shop)",
    "cause: Anyone can open one, so it runs without the permissions of this repository.\n"
    "fix: Leave the step out of such runs, and run it after the merge, on push:\n"
    "    if: github.event_name != 'pull_request' || github.event.pull_request.head.repo.full_name == github.repository\n"
    "  Do not turn to pull_request_target: it would give the code of the fork this repository's permissions.\n"
    "see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#fork-pull-request",
)


def test_inputs(stack: Stack, repository: Repository) -> None:
    repository.workflow(workflow(INPUTS))
    since = len(stack.audit())
    run = repository.run()
    for name, wrong in INPUTS.items():
        check(run, name, wrong)
    # Of all these, only the one whose shell is not there comes as far as a credential.
    assert transcript(stack, since) == life("verify")
    # What went wrong is over: the end of the job has nothing to add.
    assert {step.result for step in run.steps() if step.stage == "Post"} == {"success"}, run.shown()


def test_no_identity(stack: Stack, repository: Repository) -> None:
    repository.workflow(workflow({"migrate": NO_PERMISSION}))
    since = len(stack.audit())
    run = repository.run(identity=False)
    check(run, "migrate", NO_PERMISSION)
    assert run.steps()[-1] == Step("Post", "migrate", "success"), run.shown()
    assert run.chains == []

    repository.workflow(workflow({"migrate": FORK}).replace('"push"', '"pull_request"'))
    head = {"repo": {"full_name": "somebody/shop"}, "ref": "main"}
    pull = {"number": 1, "head": head, "base": {"ref": "main"}}
    run = repository.run(identity=False, event="pull_request", payload={"pull_request": pull})
    check(run, "migrate", FORK)
    assert run.steps()[-1] == Step("Post", "migrate", "success"), run.shown()
    assert transcript(stack, since) == []


def check(run: Run, name: str, wrong: Wrong) -> None:
    """What the step `name` said, which its annotations repeat, and its exit code."""
    message = f"stepcreds: error: {wrong.what}\n" + "".join(f"  {line}\n" for line in wrong.rest.splitlines())
    said = re.sub(r"/[^\s:]*/hostexecutor", "WORKSPACE", normalised(run.output(name)))
    said = re.sub(r"PATH holds it: .+", "PATH holds it: PATH", said)
    assert said == wrong.before + wrong.after + message  # what went wrong is said once everything is dead
    assert run.exit_code(name) == wrong.code
