"""A command that outlives the TTL of its credential: lease and token are renewed until it ends, or until Vault refuses."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from step_runs import Oddities, audited, normalised, of_kind, reporting, verdicts

from conftest import Step
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

# Works for a while, and uses the credential at the end of it.
WORK = """
import time, pg8000.native
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    time.sleep(0.1)
def connect():
    return pg8000.native.Connection(
        os.environ["PGUSER"], host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]),
        password=os.environ["PGPASSWORD"], database=os.environ["PGDATABASE"],
    )
"""
USE = WORK + "connect().close()\n"
RENEW = {("update", "sys/leases/renew"), ("update", "auth/token/renew-self")}


def test_a_credential_outlives_its_ttl_while_the_command_runs(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    with Oddities(stack, config_file) as odd:
        roles = {"default_ttl": 10, "max_ttl": 60}
        tokens = {"token_ttl": 10, "token_max_ttl": 600}
        odd.profile("brief", access="read-only", database_role=roles, jwt_role=tokens, ttl="10s", max_ttl="60s")
        before = len(stack.audit())
        run = step("exec", "brief", "--", *reporting(tmp_path / "report", USE.format(seconds=14)))
        asked = audited(stack, before)
    assert run.returncode == 0, run.stderr
    for renewal in RENEW:
        # At half of what is left: after 5 s and after 10 s.
        assert asked.count(renewal) >= 2
    assert verdicts(config_file) == ["proven dead"]
    assert "warning" not in run.stderr
    (issued,), (closed,) = of_kind(config_file, "credential.issued"), of_kind(config_file, "credential.closed")
    # It was used after the end that it was issued with.
    assert closed["step"]["end"] > issued["expire_time"]


def test_what_vault_will_not_renew_is_said_and_the_command_goes_on(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    """Three seconds longer than its credential; nobody takes that for tampering."""
    with Oddities(stack, config_file) as odd:
        roles = {"default_ttl": 10, "max_ttl": 12}
        odd.profile("capped", access="read-only", database_role=roles, ttl="10s", max_ttl="60s")
        run = step("exec", "capped", "--", *reporting(tmp_path / "report", WORK.format(seconds=15) + "sys.exit(3)\n"))
    assert run.returncode == 3
    text = (
        "capped: Vault's max_ttl is reached: it cannot be renewed again. The credential ends at TIME, the command may outlive "
        "it"
    )
    assert normalised(run.stderr) == (
        "stepcreds: capped: issued database/creds/app-capped as USER; declared read-only in app; measured read in N ms; ends at TIME unless renewed\n"
        f"stepcreds: warning: {text}\n"
        "stepcreds: capped: proven dead N s after the command ended (lease lookup and refused logins)\n"
    )
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["lock"]["status"] == "refused"
    assert closed["lock"]["detail"] == "the credential had ended before the step did"
    assert closed["verdict"] == "proven dead"


def test_a_longer_lease_is_shortened_to_the_profiles_ttl(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    ask = "SELECT extract(epoch FROM rolvaliduntil - now())::int FROM pg_roles WHERE rolname = session_user"
    look = WORK.format(seconds=0) + f"open(sys.argv[1] + '.left', 'w').write(str(connect().run({ask!r})[0][0]))\n"
    with Oddities(stack, config_file) as odd:
        roles = {"default_ttl": 3600, "max_ttl": 7200}
        odd.profile("lengthy", access="read-only", database_role=roles, ttl="60s")
        before = len(stack.audit())
        run = step("exec", "lengthy", "--", *reporting(tmp_path / "report", look))
        asked = audited(stack, before)
    assert run.returncode == 0, run.stderr
    # OpenBao gives the role five seconds more than its lease.
    assert 0 < int((tmp_path / "report.left").read_text()) <= 66
    assert asked[2:4] == [("read", "database/creds/app-lengthy"), ("update", "sys/leases/renew")]
    (issued,) = of_kind(config_file, "credential.issued")
    assert issued["lease_duration"] == 3600
    assert seconds(issued["expire_time"]) - seconds(issued["issue_time"]) <= 61


def seconds(time: str) -> float:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
