"""What else a step needs: the CI's token endpoint, the database, the ledger's file. Each fails at each of its stages."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from step_runs import kinds, normalised, of_kind, said, until
from sweep_runs import Sweep, swept

from faulty_relay import FaultyRelay, Treatment
from faulty_vault import HTML, Fault, FaultyVault
from processes import Watched
from stepcreds.ci.http import Answer, RequestsHTTP
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack

DEAD, REVOKED, EXPIRES, NOT_ISSUED = "proven dead", "revoked, not proven", "expires at", "not issued"
ISSUED = "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


# The token endpoint.


def url(endpoint: FaultyVault) -> str:
    return f"{endpoint.address}/token?api-version=2.0"


def no_token(reason: str, cause: str, fix: str) -> str:
    return (
        f"stepcreds: error: The token endpoint of GitHub Actions at 127.0.0.1 {reason}\n"
        f"  cause: {cause}\n  fix: {fix}\n  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#token-endpoint\n"
    )


AGAIN = "Run the job again. If it stays so, look at the CI's status page and at the runner's network."
NOT_REACHED = "The runner cannot reach the CI's token service, or something between them breaks the connection off."
OTHER = "Something else than the CI answered, a proxy for example, or the CI changed what it answers."
NETWORK = "Look at the network of the runner."


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("reset"), ""),
        (Fault(status=503), ""),
        (
            Fault(status=403),
            no_token(
                "gave no ID token: HTTP 403",
                "The token that the job asks with was not accepted: it has expired, or belongs to another job.",
                AGAIN,
            ),
        ),
        (
            Fault(body=b"<html>Sign in</html>", content_type=HTML),
            no_token("answered HTTP 200 without an ID token", OTHER, NETWORK),
        ),
        (Fault(body=b'{"value": 7}'), no_token("answered HTTP 200 without an ID token", OTHER, NETWORK)),
    ],
    ids=["reset", "503", "403", "a page", "another shape"],
)
def test_the_token_endpoint_fails_once(sweep: Sweep, stack: Stack, fault: Fault, message: str) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        endpoint.fail("token", fault)
        run = sweep.run(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint))
        sweep.vault.canaries |= endpoint.canaries | {stack.issuer.request_token.reveal()}
    if not message:
        sweep.check(run, code=7, ran=True, verdicts=[DEAD])
        return
    assert (run.returncode, sweep.ran, said(run.stderr)) == (125, False, message)
    assert (sweep.vault.stages, kinds(sweep.config_file)) == ([], [])


def test_the_token_endpoint_fails_for_good(stack: Stack, tmp_path: Path) -> None:
    """All at once: each of them is asked for half a minute."""
    faults = {
        "reset": (Fault("reset"), "no connection, or one that broke off (the last of N tries)", NOT_REACHED),
        "refuse": (Fault("refuse"), "no connection, or one that broke off (the last of N tries)", NOT_REACHED),
        "hang": (Fault("hang"), "no answer in time (the last of N tries)", NOT_REACHED),
        "dribble": (Fault("dribble"), "an answer that does not end", NOT_REACHED),
        "503": (
            Fault(status=503),
            "HTTP 503 (the last of N tries)",
            "The CI's token service is overloaded or out of order.",
        ),
    }
    with ExitStack() as scope:
        steps = {}
        for name, (fault, _, _) in faults.items():
            (tmp_path / name).mkdir()
            sweep = scope.enter_context(swept(stack, tmp_path / name))
            endpoint = scope.enter_context(FaultyVault(stack.issuer.url))
            endpoint.fail("token", fault, times=None)
            steps[name] = (sweep, scope.enter_context(sweep.start(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint))))
        for name, (sweep, step) in steps.items():
            run = step.wait()
            _, reason, cause = faults[name]
            heard = " ".join(
                "N" if word.isdecimal() and word != "503" else word for word in said(run.stderr).split(" ")
            )
            assert heard == no_token(f"gave no ID token: {reason}", cause, AGAIN)
            assert (run.returncode, sweep.ran, sweep.vault.stages) == (125, False, [])
            assert kinds(sweep.config_file) == []


def test_an_answer_that_trickles_in_is_not_waited_for(stack: Stack) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        endpoint.fail("token", Fault("dribble"))
        answer = RequestsHTTP({}, SystemClock(), deadline=0.5).ask("GET", url(endpoint), {})
    assert answer == Answer(0, "an answer that does not end", b"", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ended_while_the_token_endpoint_hangs(sweep: Sweep, stack: Stack, number: signal.Signals) -> None:
    with FaultyVault(stack.issuer.url) as endpoint:
        rule = endpoint.fail("token", Fault("hang"))
        with sweep.start(ACTIONS_ID_TOKEN_REQUEST_URL=url(endpoint)) as step:
            assert rule.arrived.wait(60)
            step.kill(step.process.pid if number == signal.SIGTERM else step.worker, number)
            run = step.wait()
    assert (run.returncode, sweep.ran, sweep.vault.stages, kinds(sweep.config_file)) == (125, False, [], [])
    assert normalised(run.stderr) == (
        "stepcreds: error: Ended by SIGTERM before the command ran\n"
        "  cause: The job was cancelled, or somebody pressed Ctrl-C.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#cancelled\n"
        if number == signal.SIGTERM
        else "stepcreds: error: The process that ran this step was lost: the worker was killed by SIGKILL\n"
        "  cause: Something killed it (the end of the job, the out-of-memory killer), or it met an error of its own.\n"
        "  fix: It held no credential.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#worker-lost\n"
    )


# The database, which OpenBao can reach all the while. Connection 1 is the lock's; the others are the proof's. What comes
# of one that fails while it is to be measured is in test_exec_excess.py.


def relayed(sweep: Sweep, relay: FaultyRelay) -> None:
    database = sweep.stack.database
    sweep.change(database=f"postgresql://127.0.0.1:{relay.port}/{database.database}?sslmode=disable", measure="off")


@pytest.mark.parametrize(
    ("treatments", "lock"),
    [
        (("reset",), "unreachable"),
        (("hang",), "unreachable"),
        (("relay", "reset"), "locked"),
        (("relay", "relay", "reset", "reset"), "locked"),
    ],
)
def test_the_database_fails_for_a_moment(sweep: Sweep, treatments: tuple[Treatment, ...], lock: str) -> None:
    def treat(number: int) -> Treatment:
        return treatments[number - 1] if number <= len(treatments) else "relay"

    with FaultyRelay(sweep.stack.postgresql.port, treat) as relay:
        relayed(sweep, relay)
        run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    assert [closed["lock"]["status"] for closed in of_kind(sweep.config_file, "credential.closed")] == [lock]


def test_the_database_does_not_come_back(sweep: Sweep) -> None:
    """The user is gone, as OpenBao says; that nobody can log in is not proven."""
    away: list[Treatment] = ["reset"]
    with FaultyRelay(
        sweep.stack.postgresql.port, lambda number: "relay" if number == 1 or not away else away[0]
    ) as relay:
        relayed(sweep, relay)
        run = sweep.run()
        sweep.check(run, code=121, ran=True, verdicts=[REVOKED])
        where = f"127.0.0.1:{relay.port}"
        (issued,) = of_kind(sweep.config_file, "credential.issued")
        what = "The credential of profile migrate is not proven dead: revoked, not proven"
        assert said(run.stderr).replace(where, "WHERE").replace(issued["lease_id"], "LEASE").replace(
            issued["expire_time"], "TIME"
        ) == ISSUED.replace("USER", issued["db_user"]).replace(
            "measured ddl in N ms", "not measured: the profile says measure: off"
        ) + (
            f"stepcreds: error: {what}\n"
            "  cause: Proof: WHERE closed the connection\n"
            "  fix: The lease is LEASE; it expires at TIME. End it and prove it, in a step of the same job:\n"
            "      stepcreds revoke --lease LEASE\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
        )
        # When it is back, the backstop reaches it, and proves it.
        away.clear()
        sweep.check_recovery()
    assert sweep.verdicts() == [REVOKED, DEAD, DEAD]


def test_a_cancelled_step_does_not_wait_for_a_database_that_hangs(sweep: Sweep) -> None:
    """GitHub kills everything ten seconds after the cancel. The lease is revoked by then; the proof is still tried for."""
    pid = sweep.folder / "pid"
    command = ["sh", "-c", f"echo ran > {sweep.marker}; echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 600"]
    with FaultyRelay(sweep.stack.postgresql.port, lambda number: "hang") as relay:
        relayed(sweep, relay)
        with sweep.start("exec", "migrate", "--", *command, VAULT_CLIENT_TIMEOUT=None) as step:
            until(pid.exists, "the command runs")
            worker = Watched([step.worker])
            step.kill(step.process.pid, signal.SIGTERM)
            run = step.wait()
            assert sweep.alive() == set()
            assert sweep.verdicts() == []
            assert worker.alive_after(100) == []
    sweep.check(run, code=121, ran=True, verdicts=[REVOKED])
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["cancelled_by"], closed["lock"]["status"]) == ("SIGTERM", "unreachable")
    assert closed["revoke"]["status"] == "revoked"


# The ledger.


def limited(sweep: Sweep, size: int) -> subprocess.CompletedProcess[str]:
    """The step where no file may grow beyond `size` bytes, as on a disk that is full."""
    return subprocess.run(
        [sys.executable, "-m", "stepcreds", "exec", "migrate", "--", *sweep.command],
        cwd=sweep.folder,
        env=sweep.stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


@pytest.mark.parametrize(
    ("written", "code", "stages"),
    [
        (0, 125, []),
        (1, 125, ["login", "probe", "revoke-self"]),
        (2, 125, ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]),
        (3, 121, ["login", "probe", "issue", "revoke", "lookup", "revoke-self"]),
    ],
    ids=["opened", "requested", "issued", "closed"],
)
def test_the_ledger_can_grow_no_further(sweep: Sweep, written: int, code: int, stages: list[str]) -> None:
    """Before anything is issued nothing is; after it the credential is ended first, and the ledger complained of then."""
    sweep.run()
    (file,) = (sweep.folder / ".stepcreds").glob("*.jsonl")
    lengths = [len(line) for line in file.read_bytes().splitlines(keepends=True)]
    sweep.marker.unlink()
    shutil.rmtree(file.parent)
    sweep.vault.stages.clear()
    run = limited(sweep, sum(lengths[:written]) + min(lengths) // 2)
    ledger = (
        f"The ledger cannot use {file}: the file may not grow any further\n"
        "  cause: A limit on the size of files (ulimit -f) is set.\n"
        "  fix: Raise the limit.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
    )
    dead = "stepcreds: migrate: proven dead{} (lease lookup and refused logins)\n"
    assert (
        normalised(run.stderr)
        == {
            0: f"stepcreds: error: {ledger}",
            1: f"stepcreds: error: {ledger}",
            2: f"{dead.format('')}stepcreds: error: {ledger}",
            3: f"{ISSUED}stepcreds: error: {ledger}{dead.format(' N s after the command ended')}",
        }[written]
    )
    assert (run.returncode, sweep.ran, sweep.vault.stages) == (code, code == 121, stages)
    assert len(kinds(sweep.config_file)) == written
    assert sweep.alive() == set()
    sweep.check_secrets(run)
    verified = sweep.verify()
    found = {0: "file/empty", 1: ": ok, 1 record, open", 2: "order/unclosed", 3: "order/unclosed"}[written]
    assert (verified.returncode, found in verified.stdout) == (0 if written == 1 else 1, True), verified.stdout
    if written == 3:
        sweep.check_recovery()


def test_a_command_that_removes_the_ledger(sweep: Sweep) -> None:
    """`git clean -ffdx`, say. The credential is ended all the same; the step fails, because nobody can see it."""
    folder = sweep.folder / ".stepcreds"
    run = sweep.run("exec", "migrate", "--", "sh", "-c", f"echo ran > {sweep.marker}; rm -r {folder}")
    what = f"The ledger cannot use {folder}/9000000001-1-deploy-HASH.jsonl: it is gone"
    (name,) = {word for word in said(run.stderr).split() if word.startswith(str(folder))}
    digest = name.rpartition("-")[2].partition(".")[0]
    assert normalised(run.stderr).replace(digest, "HASH") == (
        f"{ISSUED}stepcreds: error: {what}\n"
        "  cause: Something removed it: a checkout with `clean: true`, say, deletes ignored folders of the workspace.\n"
        "  fix: Set ledger.path in stepcreds.yml to a folder outside the workspace.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n"
        "stepcreds: migrate: proven dead N s after the command ended (lease lookup and refused logins)\n"
    )
    assert (run.returncode, sweep.ran, sweep.alive()) == (121, True, set())
    sweep.check_secrets(run)


# Renewal, while the command runs.


def test_a_renewal_that_fails(stack: Stack, tmp_path: Path) -> None:
    """The command goes on, and its credential is ended like any other. All at once: each takes five seconds."""
    faults = {
        "403": (Fault(status=403), "not renewed: Vault at WHERE answered 403 to POST sys/leases/renew: injected"),
        "503": (Fault(status=503), "not renewed: Vault at WHERE answered 503 to POST sys/leases/renew: injected"),
        "hang": (Fault("hang"), ""),
        "malformed": (Fault(body=b"{"), "not renewed: Vault at WHERE answered 200 to POST sys/leases/renew"),
    }
    with ExitStack() as scope:
        steps = {}
        for name, (fault, _) in faults.items():
            (tmp_path / name).mkdir()
            sweep = scope.enter_context(swept(stack, tmp_path / name))
            sweep.change(ttl="10s")
            sweep.vault.fail("renew", Fault("pass"))  # which shortens the lease
            rule = sweep.vault.fail("renew", fault, times=None)
            script = f"echo ran > {sweep.marker}; until test -e {tmp_path / name}/end; do sleep 0.05; done; exit 7"
            steps[name] = sweep, rule, scope.enter_context(sweep.start("exec", "migrate", "--", "sh", "-c", script))
        for name, (sweep, rule, step) in steps.items():
            assert rule.arrived.wait(60)
            warning = faults[name][1]
            # The command ends when the warning is out; where nothing is said yet, while the renewal hangs.
            line = until(step.process.stderr.readline, "a line") if warning and step.process.stderr else ""
            while warning and step.process.stderr and "warning" not in line:
                line = step.process.stderr.readline()
                assert line, "the step ended without a warning"
            (tmp_path / name / "end").touch()
            run = step.wait()
            sweep.check(run, code=7, ran=True, verdicts=[DEAD])
            assert line.replace(sweep.vault.address, "WHERE").startswith(
                f"stepcreds: warning: migrate: {warning}" if warning else ""
            )
