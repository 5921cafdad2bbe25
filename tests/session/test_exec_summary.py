"""The table of a step's credentials on the page of the run: what it says, what it does not, and where it is left out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from step_runs import Oddities, Running, normalised, of_kind, reported, reporting, root

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

HEAD = (
    "### Credentials of this step\n"
    "\n"
    "| profile | declared access | measured access | TTL | alive | proven dead | ledger entry |\n"
    "|---|---|---|---|---|---|---|\n"
)
MIB = 1024 * 1024


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    file = tmp_path / "step_summary"
    file.write_bytes(b"")
    return file


def row(config_file: Path, profile: str, declared: str, signed: str = "unsigned") -> str:
    """What the ledger says, as the table says it."""
    (closed,) = (record for record in of_kind(config_file, "credential.closed") if record["profile"] == profile)
    proven = closed["verified"]["time"].replace(":", "\\:")
    (ledger,) = (config_file.parent / ".stepcreds").glob("*.jsonl")
    cells = (
        profile,
        declared,
        f"measured {'ddl' if declared.startswith('ddl') else 'read'} in N ms",
        "120 s",
        "N s",
        proven,
        f"{ledger.name}, seq {closed['seq']}, {signed}",
    )
    return "| " + " | ".join(cells) + " |\n"


def alive_as_n(text: str) -> str:
    return re.sub(r"\| \d+\.\d s \|", "| N s |", re.sub(r" in \d+ ms \|", " in N ms |", text))


def test_one_credential(step: Step, config_file: Path, summary: Path) -> None:
    run = step("exec", "verify", "--", "true", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0, run.stderr
    assert alive_as_n(summary.read_text()) == HEAD + row(config_file, "verify", "read-only in app")
    (alive,) = re.findall(r"(\d+\.\d) s \|", summary.read_text())
    assert float(alive) < 60


def test_it_says_whether_vault_has_signed_the_entry(step: Step, signed: Path, summary: Path) -> None:
    run = step("exec", "verify", "--", "true", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0, run.stderr
    assert alive_as_n(summary.read_text()) == HEAD + row(signed, "verify", "read-only in app", "signed")


def test_two_credentials_beneath_what_the_step_wrote(
    stack: Stack, step: Step, config_file: Path, summary: Path
) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("other", env={"OTHER": "{password}"})
        script = 'printf "# Migrations\\ndone" >> "$GITHUB_STEP_SUMMARY"'
        run = step("exec", "verify", "--also", "other", "--", "sh", "-c", script, GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0, run.stderr
    assert alive_as_n(summary.read_text()) == (
        "# Migrations\ndone\n\n"
        + HEAD
        + row(config_file, "verify", "read-only in app")
        + row(config_file, "other", "ddl in app")
    )


def test_it_comes_after_what_the_command_leaked_there_was_taken_out(
    step: Step, config_file: Path, summary: Path, tmp_path: Path
) -> None:
    script = 'echo "url: $DATABASE_URL" >> "$GITHUB_STEP_SUMMARY"'
    run = step("exec", "verify", "--", "sh", "-c", script, GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 1
    text = summary.read_text()
    user = of_kind(config_file, "credential.issued")[0]["db_user"]
    assert text.startswith(f"url: postgresql://{user}:***@")
    assert HEAD in text
    assert text.endswith("\n**Leaked:** GITHUB\\_STEP\\_SUMMARY, line 1\n")


def test_an_end_without_a_proof(stack: Stack, step: Step, config_file: Path, summary: Path) -> None:
    refused = ["DO $$ BEGIN RAISE EXCEPTION 'not today'; END $$"]
    with Oddities(stack, config_file) as odd:
        odd.profile("stuck", access="read-only", database_role={"revocation_statements": refused})
        run = step("exec", "stuck", "--", "true", GITHUB_STEP_SUMMARY=str(summary))
        odd.profile("stuck", access="read-only")
        for lease in stack.leases("database/creds/app-stuck"):
            assert root(stack, "POST", "sys/leases/revoke", lease_id=lease, sync=True) == 204
    assert run.returncode == 121
    (closed,) = of_kind(config_file, "credential.closed")
    verdict = closed["verdict"].replace(":", "\\:")
    assert verdict.startswith("expires at ")
    assert re.search(
        rf"\| at most \d+\.\d s \| no\\: {re.escape(verdict)} \| \S+\.jsonl, seq 3, unsigned \|\n", summary.read_text()
    )


def test_markdown_of_others_is_text(stack: Stack, step: Step, config_file: Path, summary: Path) -> None:
    with Oddities(stack, config_file) as odd:
        odd.profile("odd", schemas=["a|b", "<img src=x>", "`*_[x](y)"], on_excess="warn")
        run = step("exec", "odd", "--", "true", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0, run.stderr
    assert "| ddl in a\\|b, \\<img src=x\\>, \\`\\*\\_\\[x\\](y) |" in summary.read_text()


def test_no_summary(step: Step, summary: Path) -> None:
    run = step("exec", "verify", "--no-summary", "--", "true", GITHUB_STEP_SUMMARY=str(summary))
    assert (run.returncode, summary.read_bytes()) == (0, b"")


def test_no_credential_no_table(step: Step, summary: Path) -> None:
    run = step("exec", "verify", "--", "true", GITHUB_STEP_SUMMARY=str(summary), ACTIONS_ID_TOKEN_REQUEST_URL=None)
    assert (run.returncode, summary.read_bytes()) == (125, b"")


def test_a_command_that_was_not_found_had_a_credential(step: Step, config_file: Path, summary: Path) -> None:
    run = step("exec", "verify", "--", "no-such-command", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 127
    assert alive_as_n(summary.read_text()) == HEAD + row(config_file, "verify", "read-only in app")


def warned(why: str) -> str:
    return f"stepcreds: warning: the table of credentials is not in the step's summary: {why}\n"


def test_a_summary_that_is_full(step: Step, summary: Path) -> None:
    script = 'head -c 1048500 /dev/zero | tr "\\0" x >> "$GITHUB_STEP_SUMMARY"'
    run = step("exec", "verify", "--", "sh", "-c", script, GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0
    assert normalised(run.stderr).endswith(warned("it holds 1048500 bytes, and 1048576 are the most that are shown"))
    assert summary.read_bytes() == b"x" * 1048500


def test_a_folder_that_does_not_take_it(step: Step, tmp_path: Path) -> None:
    run = step("exec", "verify", "--", "true", GITHUB_STEP_SUMMARY=str(tmp_path / "none/summary"))
    assert run.returncode == 0
    assert normalised(run.stderr).endswith(warned("No such file or directory"))


def test_a_summary_that_was_removed_is_made_anew(step: Step, config_file: Path, summary: Path) -> None:
    run = step("exec", "verify", "--", "rm", str(summary), GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0
    assert alive_as_n(summary.read_text()) == HEAD + row(config_file, "verify", "read-only in app")


def test_a_pipe_does_not_hold_the_step(step: Step, summary: Path) -> None:
    """Nothing looks after it where no command ran; and nobody reads it."""
    summary.unlink()
    os.mkfifo(summary)
    run = step("exec", "verify", "--", "no-such-command", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 127
    assert normalised(run.stderr).endswith(warned("No such device or address"))


def test_when_the_worker_is_killed_the_front_writes_it(
    stack: Stack, config_file: Path, summary: Path, tmp_path: Path
) -> None:
    command = reporting(tmp_path / "report", "import signal\nsignal.pause()\n")
    with Running(stack, config_file, "exec", "verify", "--", *command, GITHUB_STEP_SUMMARY=str(summary)) as running:
        reported(tmp_path / "report")
        running.kill(running.worker)
        run = running.wait()
    assert run.returncode == 137
    assert alive_as_n(summary.read_text()) == HEAD + row(config_file, "verify", "read-only in app")


def test_no_secret_is_in_it(step: Step, summary: Path, tmp_path: Path) -> None:
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report"), GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0
    given = reported(tmp_path / "report")
    assert given["PGPASSWORD"] not in summary.read_text()
    assert json.dumps(given["PGUSER"])[1:-1] not in summary.read_text()
