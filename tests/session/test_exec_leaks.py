"""A command that leaves its credential where it outlives the step: taken out or found, said, recorded, nowhere else."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from step_runs import (
    STAYING,
    Oddities,
    Running,
    kinds,
    normalised,
    of_kind,
    reconfigure,
    reported,
    reporting,
    until,
    verdicts,
)

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
ISSUED = (
    "stepcreds: verify: issued database/creds/app-verify as USER; declared read-only in app; not measured: this version "
    "does not measure privileges yet; ends at TIME unless renewed\n"
)
PROVEN = "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)\n"


def handed_on(places: str, profile: str = "verify") -> str:
    return (
        f"stepcreds: error: The command left the credential of {profile} where the CI hands it on: {places}\n"
        "  cause: The runner reads such a file when the step has ended, for later steps, for whoever uses the step's "
        "outputs, or for the page of the run.\n"
        "  fix: *** stands there now, and nothing of it is handed on. Give each step that needs a credential one of its "
        "own:\n"
        f"      stepcreds exec {profile} -- COMMAND\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#leaked-credential\n"
    )


class Job:
    """The folders and files of a job's step, as the runner makes them, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temp, self.home = (folder / name for name in ("work", "temp", "home"))
        self.commands = self.temp / "_runner_file_commands"
        for made in (self.workspace, self.commands, self.home):
            made.mkdir(parents=True)
        self.files = {name: self.commands / f"{name.lower()}_0a1b" for name in FILES}
        for file in self.files.values():
            file.write_bytes(b"")
        self.report = folder / "report"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            **{name: str(path) for name, path in self.files.items()},
        }

    def content(self, name: str) -> str:
        return self.files[name].read_text()

    @property
    def password(self) -> str:
        return reported(self.report)["PGPASSWORD"]

    def command(self, then: str = "") -> list[str]:
        """A command that reports its environment, and then runs the Python in `then`, with helpers at hand."""
        helpers = (
            "import base64, pathlib, time, urllib.parse\n"
            "password, env = os.environ['PGPASSWORD'], os.environ\n"
            "def put(name, text, mode='a'):\n"
            "    with open(env.get(name, name), mode) as file:\n"
            "        file.write(text)\n"
        )
        return reporting(self.report, helpers + then)

    def everything(self, run: subprocess.CompletedProcess[str], config_file: Path) -> str:
        """Every byte that is left of the step, but for what the test itself was told."""
        ledger = "".join(path.read_text() for path in (config_file.parent / ".stepcreds").iterdir())
        masks = [line for line in run.stderr.splitlines() if not line.startswith("::add-mask::")]
        return "\n".join([run.stdout, *masks, ledger, *map(self.content, FILES)])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


@pytest.fixture
def nothing_leaks(job: Job, config_file: Path) -> Iterator[list[subprocess.CompletedProcess[str]]]:
    """Put the run into this list: after the test its password must be nowhere."""
    runs: list[subprocess.CompletedProcess[str]] = []
    yield runs
    for run in runs:
        left = job.everything(run, config_file)
        for form in (job.password, quote(job.password, safe=""), base64.b64encode(job.password.encode()).decode()[:24]):
            assert form not in left


def places(config_file: Path) -> list[tuple[str, int, str, bool]]:
    return [
        (place["file"], place["line"], place["name"], place["removed"])
        for record in of_kind(config_file, "credential.leaked")
        for place in record["places"]
    ]


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
    assert kinds(config_file)[-2:] == ["credential.closed", "credential.leaked"]
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


def left_behind(where: str) -> str:
    return (
        f"stepcreds: warning: files that the command changed hold the credential of verify, and outlive the step: {where}. "
        "Remove them before anything caches or uploads them; a file for a client belongs in files: of the profile\n"
    )


def test_files_that_the_command_changed(
    step: Step, config_file: Path, job: Job, nothing_leaks: list[subprocess.CompletedProcess[str]]
) -> None:
    (job.workspace / "old").write_text("old")
    then = (
        "put(env['HOME'] + '/.pgpass', f'db:5432:*:u:{password}\\n')\n"
        "put(env['RUNNER_TEMP'] + '/dump', f'\\n{password}')\n"
        "put(env['GITHUB_WORKSPACE'] + '/.env', f'A=1\\nURL=' + urllib.parse.quote(env['DATABASE_URL']))\n"
    )
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 0
    where = f"{job.home}/.pgpass, line 1; {job.temp}/dump, line 2; {job.workspace}/.env, line 2 (URL)"
    assert normalised(run.stderr) == ISSUED + PROVEN + left_behind(where)
    assert places(config_file) == [
        (f"{job.home}/.pgpass", 1, "", False),
        (f"{job.temp}/dump", 2, "", False),
        (f"{job.workspace}/.env", 2, "URL", False),
    ]
    assert job.password in (job.home / ".pgpass").read_text()
    shown = step("ledger", "show", **job.variables)
    assert "; leaked" in shown.stdout
    assert step("ledger", "verify", **job.variables).returncode == 0
    (credential,) = json.loads(step("ledger", "show", "--json", **job.variables).stdout)
    assert [place["file"] for place in credential["leaked"][0]["places"]] == [place[0] for place in places(config_file)]


def test_hostile_names_of_files(
    step: Step, job: Job, config_file: Path, nothing_leaks: list[subprocess.CompletedProcess[str]]
) -> None:
    then = (
        "put(env['GITHUB_WORKSPACE'] + '/x\\n::error::gotcha\\x1b[31m', password)\n"
        "put(env['GITHUB_WORKSPACE'] + '/' + password, '')\n"
    )
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    nothing_leaks.append(run)
    assert run.returncode == 0
    names = sorted(place[0] for place in places(config_file))
    assert names == [f"{job.workspace}/***", f"{job.workspace}/x\\n::error::gotcha\\x1b[31m"]
    assert not [line for line in run.stderr.splitlines() if line.lstrip().startswith("::error::")]
    assert "\x1b" not in run.stderr


def test_both_kinds_in_one_record(step: Step, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}'); put(env['GITHUB_WORKSPACE'] + '/.env', password)"
    run = step("exec", "verify", "--no-summary", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    assert places(config_file) == [("GITHUB_ENV", 1, "A", True), (f"{job.workspace}/.env", 1, "", False)]


def test_no_leak_scan_leaves_out_the_slow_part_alone(step: Step, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}'); put(env['GITHUB_WORKSPACE'] + '/.env', password)"
    run = step("exec", "verify", "--no-leak-scan", "--", *job.command(then), **job.variables)
    assert run.returncode == 1
    assert normalised(run.stderr) == ISSUED + handed_on("GITHUB_ENV, line 1 (A)") + PROVEN
    assert places(config_file) == [("GITHUB_ENV", 1, "A", True)]


def test_a_search_that_is_not_complete_says_so(step: Step, job: Job) -> None:
    run = step(
        *("exec", "verify", "--no-summary", "--"),
        *job.command("put(env['GITHUB_WORKSPACE'] + '/log', 'x' * (2 << 20))"),
        **job.variables,
    )
    note = "stepcreds: the search for leaked credentials is not complete: of 1 file only the beginning was looked at\n"
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN + note)


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


def ready(job: Job) -> None:
    until((job.home / "ready").exists, "the command is ready")


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
    assert kinds(config_file)[-2:] == ["credential.closed", "credential.leaked"]
    assert "| verify |" in job.content("GITHUB_STEP_SUMMARY")


def test_a_worker_that_outlives_the_front_cleans_up_too(stack: Stack, config_file: Path, job: Job) -> None:
    then = "put('GITHUB_ENV', f'A={password}\\n')\nopen(env['HOME'] + '/ready', 'w').close()\n" + STAYING
    with Running(stack, config_file, "exec", "verify", "--", *job.command(then), **job.variables) as running:
        ready(job)
        running.kill(running.process.pid)
        running.wait()
        until(lambda: "credential.leaked" in kinds(config_file), "the leak is on record")
    assert job.content("GITHUB_ENV") == "A=***\n"


def test_the_ledgers_folder_within_the_workspace_is_not_searched(step: Step, config_file: Path, job: Job) -> None:
    reconfigure(config_file, lambda document: document["ledger"].update(path=str(job.workspace / "ledger")))
    run = step("exec", "verify", "--no-summary", "--", *job.command(), **job.variables)
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN)


def test_off_the_runner_nothing_is_looked_for(step: Step, tmp_path: Path) -> None:
    script = 'echo "A=$PGPASSWORD" > env'
    run = step("exec", "verify", "--", "sh", "-c", script, HOME=str(tmp_path))
    assert (run.returncode, normalised(run.stderr)) == (0, ISSUED + PROVEN)
    assert (tmp_path / "env").exists()
