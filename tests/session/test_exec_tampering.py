"""A step that does not want to end: it changes its password, leaves sessions and daemons, takes every connection."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pg8000.exceptions
import pytest
from step_runs import STAYING, Running, normalised, of_kind, refusal, reported, reporting, verdicts

from conftest import Step
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

pytestmark = pytest.mark.usefixtures("alone")

CONNECT = """
import os, sys, pg8000.native
def connect():
    return pg8000.native.Connection(
        os.environ["PGUSER"], host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]),
        password=os.environ["PGPASSWORD"], database=os.environ["PGDATABASE"],
    )
"""


def test_a_changed_password_is_on_record_as_tampering(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    change = CONNECT + (
        "connection = connect()\n"
        "connection.run('SET default_transaction_read_only = off')\n"
        "connection.run(\"ALTER ROLE SESSION_USER PASSWORD 'known to the step alone'\")\n"
        "connection.close()\n"
    )
    run = step("exec", "verify", "--", *reporting(tmp_path / "report", change))
    # The role is gone with its lease, whatever its password was: proven, and yet said.
    assert run.returncode == 0, run.stderr
    text = "verify: tampering: the step changed its own password while the lease was alive"
    assert normalised(run.stderr).splitlines()[1:] == [
        f"stepcreds: warning: {text}",
        "stepcreds: verify: proven dead N s after the command ended (lease lookup and refused logins)",
    ]
    user = reported(tmp_path / "report")["PGUSER"]
    assert refusal(stack, user, "known to the step alone") == "28P01"
    assert user not in stack.issued_roles()
    (closed,) = of_kind(config_file, "credential.closed")
    assert closed["lock"]["status"] == "tampered"
    assert closed["lock"]["detail"] == "tampering: the step changed its own password while the lease was alive"
    assert closed["verdict"] == "proven dead"


def test_sessions_of_a_daemon_are_ended(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    """A process that left the step's session and group; it holds three connections and asks for nothing."""
    daemon = CONNECT + (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        connections = [connect() for _ in range(3)]\n"
        "        open(sys.argv[1] + '.daemon', 'w').write(str(os.getpid()))\n"
        "        import signal\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        while True:\n"
        "            signal.pause()\n"
        "    os._exit(0)\n"
        "import time\n"
        "while not os.path.exists(sys.argv[1] + '.daemon') or not open(sys.argv[1] + '.daemon').read():\n"
        "    time.sleep(0.01)\n"
    )
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report", daemon))
    assert run.returncode == 0, run.stderr
    assert verdicts(config_file) == ["proven dead"]
    user = reported(tmp_path / "report")["PGUSER"]
    assert stack.sessions(user) == 0
    pid = int((tmp_path / "report.daemon").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_sessions_that_somebody_else_keeps_open_are_ended(
    stack: Stack, step: Step, config_file: Path, tmp_path: Path
) -> None:
    """Work handed to another daemon is no descendant: this test stands for it, with a copy of the credential."""
    with Running(stack, config_file, "exec", "migrate", "--", *reporting(tmp_path / "report", STAYING)) as running:
        given = reported(tmp_path / "report")
        user, password = given["PGUSER"], Secret(given["PGPASSWORD"])
        connections = [stack.connect(user, password) for _ in range(10)]
        assert stack.sessions(user) == 10
        running.kill(int(given["own pid"]))
        run = running.wait()
    for connection in connections:
        with pytest.raises(pg8000.exceptions.InterfaceError, match="network error"):
            connection.run("SELECT 1")
        with suppress(pg8000.exceptions.InterfaceError):
            connection.close()
    assert run.returncode == 137
    assert stack.sessions(user) == 0
    assert verdicts(config_file) == ["proven dead"]


def test_every_connection_taken(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    """The role's CONNECTION LIMIT: the lock finds no place until the step's own connections are gone."""
    take = CONNECT + (
        "import pg8000.exceptions\n"
        "taken = []\n"
        "try:\n"
        "    while True:\n"
        "        taken.append(connect())\n"
        "except pg8000.exceptions.DatabaseError as error:\n"
        "    open(sys.argv[1] + '.taken', 'w').write(f\"{len(taken)} {error.args[0]['C']}\")\n"
    )
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report", take))
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "report.taken").read_text() == "10 53300"
    (closed,) = of_kind(config_file, "credential.closed")
    assert (closed["lock"]["status"], closed["verdict"]) == ("locked", "proven dead")
    assert stack.sessions(reported(tmp_path / "report")["PGUSER"]) == 0
