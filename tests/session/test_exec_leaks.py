"""A command that leaves its credential where the CI hands it on: taken out, said, recorded, nowhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from leaving_job import FILES, ISSUED, PROVEN, Job, handed_on, places, ready
from step_runs import (
    STAYING,
    Oddities,
    Running,
    kinds,
    normalised,
    of_kind,
    reported,
    until,
    verdicts,
)

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


@pytest.fixture
def nothing_leaks(job: Job, config_file: Path) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Put the run into this list: after the test its password must be nowhere."""
    runs: list[subprocess.CompletedProcess[str]] = []
    yield runs
    for run in runs:
        job.check(run, config_file)


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_the_runner(
    step: Step, config_file: Path, job: Job, nothing_leaks: list[subprocess.CompletedProcess[str]], name: str
) -> None:
    then = f"put({name!r}, 'BEFORE=1\\nDATABASE_URL=' + env['DATABASE_URL'] + '\\nAFTER=2\\n')"
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 1
    assert normalised(run.stderr) == ISSUED + handed_on(f"{name}, line 2 (DATABASE_URL)") + PROVEN
    url = reported(job.report)["DATABASE_URL"]
    assert job.content(name) == f"BEFORE=1\nDATABASE_URL={url.replace(job.password, '***')}\nAFTER=2\n"
    assert kinds(config_file)[-2:] == ["credential.leaked", "credential.closed"]
    (record,) = of_kind(config_file, "credential.leaked")
    (closed,) = of_kind(config_file, "credential.closed")
    assert (record["credential_uid"], record["profile"], record["more"]) == (closed["credential_uid"], "verify", 0)
    assert record["places"] == [{"file": name, "line": 2, "name": "DATABASE_URL", "removed": True}]
    assert (closed["verdict"], closed["step"]["exit_code"]) == ("proven dead", 0)


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("'X=' + urllib.parse.quote(password, safe='')", "X=***"),
        ("'X=' + base64.b64encode(password.encode()).decode()", "X=***"),
        ("'X=' + base64.urlsafe_b64encode(b'user:' + password.encode()).decode()", None),
        ("'A=1\\nX<<EOF\\none\\n' + password + '\\nEOF\\nB=2'", "A=1\nX<<EOF\none\n***\nEOF\nB=2"),
        ("'X=' + json.dumps({'password': password})", 'X={"password": "***"}'),
    ],
)
def test_each_encoding(
    step: Step,
    config_file: Path,
    job: Job,
    nothing_leaks: list[subprocess.CompletedProcess[str]],
    written: str,
    left: str | None,
) -> None:
    run = step("exec", "verify", "--", *job.command(f"put('GITHUB_OUTPUT', {written})"), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 1
    line = 4 if "EOF" in written else 1
    assert places(config_file) == [("GITHUB_OUTPUT", line, "X", True)]
    if left is not None:
        assert job.content("GITHUB_OUTPUT").rstrip("=") == left
    else:
        assert "***" in job.content("GITHUB_OUTPUT")


def test_two_leaks_and_a_code_of_the_commands_own(step: Step, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}\\n'); put('GITHUB_OUTPUT', f'b={password}\\n\\nc={password}'); sys.exit(3)"
    run = step("exec", "verify", "--", *job.command(then), **job.variables)
    assert run.returncode == 3
    where = "GITHUB_ENV, line 1 (A); GITHUB_OUTPUT, line 1 (b); GITHUB_OUTPUT, line 3 (c)"
    assert normalised(run.stderr) == ISSUED + handed_on(where) + PROVEN
    assert places(config_file) == [
        ("GITHUB_ENV", 1, "A", True),
        ("GITHUB_OUTPUT", 1, "b", True),
        ("GITHUB_OUTPUT", 3, "c", True),
    ]
    assert verdicts(config_file) == ["proven dead"]


def test_two_credentials_are_told_apart(stack: Stack, step: Step, config_file: Path, job: Job) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("other", env={"OTHER": "{password}"})
        then = "put('GITHUB_ENV', f'A={password}\\nB={env[\"OTHER\"]}\\n')"
        run = step("exec", "verify", "--also", "other", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    assert (
        "stepcreds: error: The command left the credentials of verify, other where the CI hands them on: "
        "GITHUB_ENV, line 1 (A); GITHUB_ENV, line 2 (B)\n"
    ) in run.stderr
    assert "      stepcreds exec verify -- COMMAND\n      stepcreds exec other -- COMMAND\n" in run.stderr
    assert job.content("GITHUB_ENV") == "A=***\nB=***\n"
    by_profile = {record["profile"]: record["places"] for record in of_kind(config_file, "credential.leaked")}
    assert {profile: [place["line"] for place in found] for profile, found in by_profile.items()} == {
        "verify": [1],
        "other": [2],
    }


def test_a_secret_of_an_engine_that_nobody_knows(stack: Stack, step: Step, config_file: Path, job: Job) -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcw\n-----END KEY-----\n"
    with Oddities(stack, config_file) as odd:
        odd.mount("guarded", "kv")
        odd.write("guarded/api", {"key": key, "region": "eu"}, goes_with_its_mount=True)
        odd.secret("api", "guarded/api", revocation="none", env={"KEY": "{key}"})
        script = 'printf "KEY<<EOF\\n%s\\nEOF\\n" "$KEY" >> "$GITHUB_ENV"; echo "region=eu" >> "$GITHUB_OUTPUT"'
        run = step("exec", "api", "--", "sh", "-c", script, **job.variables)
        stack_root_gone(stack, "guarded")
    assert run.returncode == 1, run.stderr
    assert "MII" not in job.content("GITHUB_ENV")
    assert "9w0" not in job.content("GITHUB_ENV")
    assert job.content("GITHUB_ENV").startswith("KEY<<EOF\n***")
    assert job.content("GITHUB_OUTPUT") == "region=eu\n"


def stack_root_gone(stack: Stack, mount: str) -> None:
    with stack.client() as client:
        client.delete(f"sys/mounts/{mount}")


def misplaced(what: str, fix: str = "Only append lines to it. It is empty now, with whatever was in it.") -> str:
    return (
        f"stepcreds: error: The file of GITHUB_ENV cannot be looked through after the command: it {what}\n"
        "  cause: The command put something else in its place. It may lead to a credential, and the runner would read "
        "it.\n"
        f"  fix: {fix}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#runner-file-replaced\n"
    )


@pytest.mark.parametrize(
    ("then", "what"),
    [
        ("put(target, password); os.unlink(path); os.symlink(target, path)", "is a symbolic link now"),
        ("os.unlink(path); os.mkfifo(path)", "is no regular file any more"),
        ("put('GITHUB_ENV', 'x' * (100 << 20)); put('GITHUB_ENV', password)", "is larger than 16 MiB"),
    ],
)
def test_what_cannot_be_looked_through_is_emptied(
    step: Step, config_file: Path, job: Job, tmp_path: Path, then: str, what: str
) -> None:
    target = tmp_path / "elsewhere"
    setting = f"path, target = env['GITHUB_ENV'], {str(target)!r}\n"
    run = step("exec", "verify", "--no-summary", "--", *job.command(setting + then), **job.variables)
    assert run.returncode == 1
    assert normalised(run.stderr) == ISSUED + misplaced(what) + PROVEN
    file = job.files["GITHUB_ENV"]
    assert (file.is_symlink(), file.is_file(), file.read_bytes()) == (False, True, b"")
    if target.exists():
        assert target.read_text() == job.password  # not ours to change
    assert verdicts(config_file) == ["proven dead"]


def test_a_folder_in_the_place_of_a_file(step: Step, job: Job) -> None:
    then = "os.unlink(env['GITHUB_ENV']); os.mkdir(env['GITHUB_ENV'])"
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    fix = (
        "It could not be replaced by an empty file (Is a directory), and the runner may read what is there. Only append "
        "lines to it."
    )
    assert normalised(run.stderr) == ISSUED + misplaced("is no regular file any more", fix) + PROVEN


@pytest.mark.parametrize(
    "then",
    [
        "os.unlink(env['GITHUB_ENV'])",
        "os.rename(env['GITHUB_ENV'], env['GITHUB_ENV'] + '.old')",
        "put('GITHUB_ENV', 'A=1\\n'); os.chmod(env['GITHUB_ENV'], 0o400)",
        "put('GITHUB_ENV.new', 'A=1\\n'); os.rename('GITHUB_ENV.new', env['GITHUB_ENV'])",
    ],
)
def test_what_is_no_leak(step: Step, config_file: Path, job: Job, then: str) -> None:
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN)
    assert of_kind(config_file, "credential.leaked") == []


def test_what_earlier_steps_wrote_stays(stack: Stack, step: Step, job: Job, tmp_path: Path) -> None:
    """CircleCI has one such file for the whole job."""
    shared = tmp_path / "bash_env"
    shared.write_text("export EARLIER='1'\n")
    here = {
        **dict.fromkeys(["GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]),
        "CIRCLECI": "true",
        "CIRCLE_OIDC_TOKEN_V2": stack.issuer.token(stack.address).reveal(),
        "HOME": str(job.home),
        "BASH_ENV": str(shared),
    }
    then = "put('BASH_ENV', f\"export PGPASSWORD='{password}'\\n\")"
    run = step("exec", "verify", "--", *job.command(then), **here)
    assert run.returncode == 1
    assert handed_on("BASH_ENV, line 2 (PGPASSWORD)") in run.stderr
    assert shared.read_text() == "export EARLIER='1'\nexport PGPASSWORD='***'\n"


def test_a_command_that_never_ran_is_not_looked_after(step: Step, config_file: Path, job: Job) -> None:
    job.files["GITHUB_ENV"].unlink()
    job.files["GITHUB_ENV"].symlink_to("elsewhere")
    run = step("exec", "verify", "--", "no-such-command", **job.variables)
    assert run.returncode == 127
    assert "GITHUB_ENV" not in run.stderr
    assert job.files["GITHUB_ENV"].is_symlink()


def test_a_cancelled_step_is_cleaned_and_not_searched(stack: Stack, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}\\n'); put(env['GITHUB_WORKSPACE'] + '/.env', password)\n"
    then += "import signal\nsignal.signal(2, signal.SIG_DFL)\nopen(env['HOME'] + '/ready', 'w').close()\n" + STAYING
    with Running(stack, config_file, "exec", "verify", "--", *job.command(then), **job.variables) as running:
        ready(job)
        running.process.send_signal(2)
        run = running.wait()
    assert run.returncode == 130
    assert normalised(run.stderr) == ISSUED + handed_on("GITHUB_ENV, line 1 (A)") + PROVEN
    assert job.content("GITHUB_ENV") == "A=***\n"


def test_the_front_cleans_up_after_a_killed_worker(stack: Stack, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}\\n')\nopen(env['HOME'] + '/ready', 'w').close()\n" + STAYING
    with Running(stack, config_file, "exec", "verify", "--", *job.command(then), **job.variables) as running:
        ready(job)
        running.kill(running.worker)
        run = running.wait()
    assert run.returncode == 137
    assert handed_on("GITHUB_ENV, line 1 (A)") in normalised(run.stderr)
    assert job.content("GITHUB_ENV") == "A=***\n"
    assert places(config_file) == [("GITHUB_ENV", 1, "A", True)]
    assert kinds(config_file)[-2:] == ["credential.leaked", "credential.closed"]
    assert "| verify |" in job.content("GITHUB_STEP_SUMMARY")


def test_a_worker_that_outlives_the_front_cleans_up_too(stack: Stack, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}\\n')\nopen(env['HOME'] + '/ready', 'w').close()\n" + STAYING
    with Running(stack, config_file, "exec", "verify", "--", *job.command(then), **job.variables) as running:
        ready(job)
        running.kill(running.process.pid)
        running.wait()
        until(lambda: "credential.leaked" in kinds(config_file), "the leak is on record")
    assert job.content("GITHUB_ENV") == "A=***\n"
