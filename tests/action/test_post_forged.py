"""What the script itself and later steps do to that by which the end of a job goes: it goes by what the step had."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from simulated_job import Job, Started, Use
from step_runs import refusal, root, until
from test_post import BEGUN, CLOSED, ENDED, OVER, WITH_RUNNER, Killed, dead, plain, records

from faulty_vault import Fault, FaultyVault
from stepcreds.clock import SystemClock
from stepcreds.devstack import certificates
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

FORGOTTEN = (
    "stepcreds: error: The runner remembers nothing of this step of the Action\n"
    "  cause: Each tells it at once that it has begun. It was killed before that; or what it ran emptied its state "
    "(GITHUB_STATE), and killed all of it.\n"
    "  fix: Look at what this step ran. What the ledger tells of this job is ended; whether the step had a credential "
    "that is on no record, only Vault's audit log can tell.\n"
    "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#altered-ledger\n"
)


@pytest.fixture
def job(stack: Stack, tmp_path: Path) -> Job:
    return Job(stack, tmp_path)


def elsewhere(what: str, stack: Stack) -> str:
    return (
        f"stepcreds: warning: the environment of this job leads to another Vault now ({what}) than that of the step: the "
        f"end of the job asks {stack.address}, as the step did. Look for what sets STEPCREDS_VAULT_ADDR, VAULT_… or "
        "BAO_… (a line in GITHUB_ENV)\n"
    ).replace(stack.address, "http://HOST")


def test_another_vault_in_the_environment_is_not_asked(stack: Stack, job: Job, tmp_path: Path) -> None:
    """It would say that every lease is gone; and it would be sent an identity that is good for the right one."""
    killed = Killed(job, tmp_path / "report")
    (tmp_path / "other.pem").write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    with FaultyVault(stack.address) as stranger:
        job.variables = {
            "STEPCREDS_VAULT_ADDR": stranger.address,
            "VAULT_SKIP_VERIFY": "true",
            "VAULT_NAMESPACE": "theirs",
            "VAULT_CACERT": str(tmp_path / "other.pem"),
        }
        (end,) = job.ends()
        assert stranger.stages == []
    warning = elsewhere("addresses, namespace, skip_verify, ca_cert", stack)
    assert (end.returncode, plain(end.stderr)) == (0, warning + ENDED.format("migrate") + WITH_RUNNER + CLOSED)
    assert dead(stack, killed)


@contextmanager
def tls_before(address: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """An address with TLS that leads to the http `address`, and the CA to trust there."""
    made = certificates.make(SystemClock().now())
    pem = folder / "server.pem"
    pem.write_bytes(made.certificate + made.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    host, port = address.removeprefix("http://").split(":")

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                secure = context.wrap_socket(listener.accept()[0], server_side=True)
                far = socket.create_connection((host, int(port)))
                opened.callback(secure.close)
                opened.callback(far.close)
                for pair in ((secure, far), (far, secure)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    opened = ExitStack()
    with socket.create_server(("127.0.0.1", 0)) as listener, opened:
        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", made.authority
        listener.shutdown(socket.SHUT_RDWR)


def test_the_cas_that_a_later_step_removed(stack: Stack, job: Job, tmp_path: Path) -> None:
    """Vault's, and that of the database, which the witness needs."""
    with tls_before(stack.address, tmp_path) as (address, authority):
        (job.workspace / "ca.pem").write_bytes(authority)
        (job.workspace / "db.pem").write_bytes(
            b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n" + authority
        )
        text = job.config.read_text().replace(f"address: {stack.address}", f"address: {address}\n  ca_cert: ca.pem")
        assert text.count("sslmode=disable") == 2
        job.config.write_text(text.replace("sslmode=disable", "sslmode=disable&sslrootcert=db.pem"))
        killed = Killed(job, tmp_path / "report")
        assert "PRIVATE" not in killed.use.files["STATE"].read_text()
        for file in ("ca.pem", "db.pem"):
            (job.workspace / file).unlink()
        (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (0, ENDED.format("migrate") + WITH_RUNNER + CLOSED)
    assert dead(stack, killed)


def test_without_a_configuration_the_chain_is_closed_and_that_it_stays_here_is_said(job: Job) -> None:
    use = job.use(profile="verify", run="true")
    assert use.run().returncode == 0
    job.config.unlink()
    lines = use.files["STATE"].read_text().splitlines(keepends=True)
    use.files["STATE"].write_text("".join(line for line in lines if not line.startswith("stepcreds_config")))
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (
        0,
        "stepcreds: warning: CHAIN is closed, and copied nowhere: what says where cannot be read. "
        f"{job.workspace}: there is no stepcreds.yml here, nor above in this repository\n" + OVER,
    )
    assert records(job)[-1]["kind"] == "chain.closed"


def test_without_a_configuration_the_input_decides_as_well(stack: Stack, job: Job, tmp_path: Path) -> None:
    killed = Killed(job, tmp_path / "report", on_revoke_failure="warn")
    text = job.config.read_text()
    job.config.unlink()
    state = killed.use.files["STATE"].read_text()
    killed.use.files["STATE"].write_text(BEGUN)
    (end,) = job.ends()
    assert end.returncode == 0, end.stderr
    assert "stepcreds: warning: The credential of profile migrate is not proven dead: expires at " in end.stderr
    killed.use.files["STATE"].write_text(state)
    job.config.write_text(text)
    assert job.ends()[0].returncode == 0


@pytest.mark.parametrize("size", [30_000, 300_000])
def test_a_long_configuration_that_a_later_step_changed(stack: Stack, job: Job, tmp_path: Path, size: int) -> None:
    """Packed, the first is kept; the second is too long even so, and then a change fails the job."""
    comment = "".join(f"# {os.urandom(50).hex()}\n" for _ in range(size // 103))
    job.config.write_text(job.config.read_text() + comment)
    killed = Killed(job, tmp_path / "report")
    text = job.config.read_text()
    job.config.write_text(text.replace(stack.address, "http://127.0.0.1:9"))
    (end,) = job.ends()
    if size == 30_000:
        assert end.returncode == 0, end.stderr
        assert "has changed since the step that got the credential" in end.stderr
    else:
        assert end.returncode == 1
        assert plain(end.stderr).startswith(
            "stepcreds: error: 1 problem in the configuration\n"
            f"{job.config}: it is not what it was when the step read it, and was too long for the runner to keep\n"
            "  fix: Do not let a step change it, or make it shorter.\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#configuration\n"
            "stepcreds: error: The credential of profile migrate is not proven dead: expires at TIME\n"
        )
        job.config.write_text(text)
        assert job.ends()[0].returncode == 0
    assert dead(stack, killed)


def test_a_script_that_writes_into_its_own_state(job: Job) -> None:
    """It finds another file than the runner's; and what it does to that one, which it can guess, is undone."""
    use = job.use(
        profile="verify",
        run='echo "stepcreds_config=x" >> "$GITHUB_STATE"; test "$GITHUB_STATE" != "$1" || exit 9',
        shell=f"sh {{0}} {job.temporary}/_runner_file_commands/state_1",
    )
    run = use.run()
    assert (run.returncode, "GITHUB_STATE" in run.stderr) == (0, False), run.stderr
    assert "stepcreds_config=x" not in use.files["STATE"].read_text()
    assert list(job.temporary.glob("*.state")) == []
    guessing = job.use(
        profile="verify",
        run='for file in "$RUNNER_TEMP"/_runner_file_commands/state_2; do printf "stepcreds_config={}" > "$file"; done',
    )
    run = guessing.run()
    assert run.returncode == 0, run.stderr
    assert (
        "stepcreds: warning: the command changed what the CI's runner is told of this step for the end of the job "
        "(GITHUB_STATE); it is put right. A script has no use for that file: look at what this one runs\n"
    ) in plain(run.stderr)
    assert guessing.state.keys() - {"stepcreds_file_0"} == use.state.keys() - {
        name for name in use.state if name.startswith("stepcreds_credential_")
    } | {name for name in guessing.state if name.startswith("stepcreds_credential_")}
    assert [end.returncode for end in job.ends()] == [0, 0]


def test_a_link_in_the_place_of_the_state(job: Job, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    use = job.use(profile="verify", run=f'ln -sf {precious} "$RUNNER_TEMP"/_runner_file_commands/state_1')
    run = use.run()
    assert "it is put right" in run.stderr
    assert (precious.read_text(), use.files["STATE"].is_symlink()) == ("precious", False)
    assert job.ends()[0].returncode == 0


def test_a_script_that_empties_everything_and_kills_everything(stack: Stack, job: Job, tmp_path: Path) -> None:
    """Nobody can say any more which credential there is. The job is not green."""
    killed = Killed(job, tmp_path / "report")
    state = killed.use.files["STATE"].read_text()
    killed.use.files["STATE"].write_text("")
    (chain,) = job.ledger.glob("*.jsonl")
    kept = chain.rename(tmp_path / chain.name)
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (1, FORGOTTEN)
    # Without a configuration it is the same.
    text = job.config.read_text()
    job.config.unlink()
    (end,) = job.ends()
    assert (end.returncode, plain(end.stderr)) == (1, FORGOTTEN)
    job.config.write_text(text)
    killed.use.files["STATE"].write_text(state)
    kept.rename(chain)
    assert job.ends()[0].returncode == 0
    assert dead(stack, killed)


def test_a_worker_that_the_script_kills_once_it_has_emptied_the_state(stack: Stack, job: Job, tmp_path: Path) -> None:
    report = tmp_path / "report"
    script = (
        f': > "$RUNNER_TEMP"/_runner_file_commands/state_1; echo "$PGUSER $PGPASSWORD" > {report}.part; '
        f"mv {report}.part {report}; exec sleep 600"
    )
    use = job.use(profile="migrate", run=script)
    with Started(use) as step:
        until(report.exists, "the script runs")
        os.kill(step.worker, signal.SIGKILL)
        step.process.wait(timeout=60)
    user, password = report.read_text().split()
    assert refusal(stack, user, password) == "28P01"
    assert {"stepcreds_begun", "stepcreds_config", "stepcreds_vault", "stepcreds_ledger"} <= use.state.keys()
    assert job.ends()[0].returncode == 0


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("stage", ["lookup", "revoke-self"])
def test_killed_between_the_last_requests(stack: Stack, job: Job, stage: str, carried_out: bool) -> None:
    """The ledger may say already that it is dead: the token goes as well."""
    with FaultyVault(stack.address) as vault:
        job.config.write_text(job.config.read_text().replace(f"address: {stack.address}", f"address: {vault.address}"))
        before = tokens(stack)
        rule = vault.fail(stage, Fault("hang", after=carried_out))
        with Started(job.use(profile="verify", run="true")) as step:
            assert rule.arrived.wait(60)
            step.kill_both()
        (end,) = job.ends()
    assert end.returncode == 0, end.stderr
    assert tokens(stack) - before == set()


def tokens(stack: Stack) -> set[str]:
    """The accessors of all tokens that OpenBao knows."""
    with stack.client() as client:
        return set(client.list("auth/token/accessors")["data"]["keys"])


def test_the_input_counts_for_what_a_use_ends_before_it_begins(stack: Stack, job: Job) -> None:
    assert job.use(profile="verify", outputs="true").run().returncode == 0
    (issued,) = records(job, "credential.issued")
    assert root(stack, "POST", "sys/leases/revoke", lease_id=issued["lease_id"], sync=True) == 204
    stack.sql(f'CREATE ROLE "{issued["db_user"]}" LOGIN')
    try:
        refused = job.use(profile="migrate", run="echo ran").run()
        run = job.use(profile="migrate", run="echo ran", on_revoke_failure="warn").run()
    finally:
        stack.sql(f'DROP ROLE "{issued["db_user"]}"')
    assert (refused.returncode, refused.stdout) == (125, "")
    assert (run.returncode, run.stdout) == (0, "ran\n"), run.stderr
    assert (
        "stepcreds: warning: The credential of profile verify is not proven dead: revoked, not proven\n" in run.stderr
    )
    assert [end.returncode for end in job.ends()] == [0, 0, 0]


def test_a_state_whose_last_line_has_no_end(job: Job) -> None:
    use = job.use(profile="verify", run="true")
    use.files["STATE"].write_text("other=1")
    assert use.run().returncode == 0
    assert use.state["other"] == "1"
    assert use.state["stepcreds_begun"] == "true"


def test_a_state_that_cannot_be_written(job: Job) -> None:
    use: Use = job.use(profile="verify", run="true")
    run = use.run(GITHUB_STATE="/dev/full")
    assert (run.returncode, plain(run.stderr)) == (
        125,
        "stepcreds: error: The runner cannot be told what this step holds (GITHUB_STATE): it is no regular file\n"
        "  cause: The file is the runner's own.\n"
        "  fix: Check the space on its disk, and what an earlier step may have put in its place.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#post\n",
    )
