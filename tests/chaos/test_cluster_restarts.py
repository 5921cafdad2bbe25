"""One OpenBao that goes away in mid-step and comes back with all it had: at once, too late, sealed, after the TTL."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bao_cluster import ClusterStack, Node
from chaos_table import Tell
from cluster_runs import ClusterStep
from step_runs import normalised, of_kind, refusal, reported, reporting, until
from sweep_runs import DEAD, EXPIRES, RUNS, outcome

pytestmark = pytest.mark.chaos

TIMEOUT = "3s"  # of each call, where it is in vain
SEE = "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"


@pytest.fixture(scope="module")
def running() -> Iterator[ClusterStack]:
    with ClusterStack(1) as stack:
        yield stack


@pytest.fixture
def stack(running: ClusterStack) -> Iterator[ClusterStack]:
    yield running
    running.cluster.mend()


@pytest.fixture
def step(stack: ClusterStack, tmp_path: Path) -> Iterator[ClusterStep]:
    made = ClusterStep(stack, tmp_path)
    yield made
    made.close()


def kill(node: Node, stack: ClusterStack) -> None:
    node.kill()


def seal(node: Node, stack: ClusterStack) -> None:
    """Only a restart opens it again: that is what its kind of seal is for."""
    assert node.ask("PUT", "sys/seal", {}, stack.cluster.root_token).status == 204
    until(lambda: node.ask("GET", "sys/health").status == 503, "it is sealed")


Away = Callable[[Node, ClusterStack], None]
AWAY: dict[str, Away] = {"OpenBao: killed": kill, "OpenBao: sealed": seal}


@pytest.mark.parametrize("fault", AWAY)
@pytest.mark.parametrize("stage", [RUNS, "revoke"])
def test_it_comes_back_in_time(stack: ClusterStack, step: ClusterStep, row: Tell, fault: str, stage: str) -> None:
    (node,) = stack.cluster.nodes
    with step.start() as running:
        step.runs()
        AWAY[fault](node, stack)
        gone = time.monotonic()
        if stage == "revoke":
            step.ends()
        time.sleep(1 if stage == "revoke" else 0)
        node.stop()
        node.start()
        step.ends()
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, f"{fault}, for a moment", stage, run, gone)
    stack.cluster.mend()
    step.is_over()


SAID: dict[str, Callable[[str], str]] = {
    "OpenBao: killed": lambda path: "No answer from Vault at https://HOST: connection refused (tried N times in N s)",
    "OpenBao: sealed": lambda path: (
        f"Vault at https://HOST answered 503 to POST {path}: Vault is sealed (tried N times in N s)"
    ),
}


@pytest.mark.parametrize("fault", AWAY)
def test_it_is_away_at_the_end(stack: ClusterStack, step: ClusterStep, row: Tell, fault: str) -> None:
    (node,) = stack.cluster.nodes
    with step.start(VAULT_CLIENT_TIMEOUT=TIMEOUT) as running:
        step.runs()
        AWAY[fault](node, stack)
        gone = time.monotonic()
        step.ends()
        run = running.wait()
    step.check(run, 121, EXPIRES)
    said = SAID[fault]
    assert re.sub(r"token \w{24}", "token ACCESSOR", counted(run.stderr)) == (
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        f"stepcreds: warning: the Vault token ACCESSOR (accessor) could not be revoked: {said('auth/token/revoke-self')}\n"
        "stepcreds: error: The credential of profile migrate is not proven dead: expires at TIME\n"
        f"  cause: Revocation: {said('sys/leases/revoke')}\n"
        f"    Proof: {said('sys/leases/lookup')}; the login was accepted\n"
        "  fix: The lease is database/creds/app-migrate/LEASE; it expires at TIME. End it and prove it, in a step of the same job:\n"
        "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
        f"{SEE}"
    )
    (closed,) = of_kind(step.config_file, "credential.closed")
    (issued,) = of_kind(step.config_file, "credential.issued")
    assert closed["verdict"] == f"expires at {issued['expire_time']}"
    # Nobody knows the password any more, which the lock made and both processes forgot with their end.
    assert stack.issued_roles() == {issued["db_user"]}
    stack.cluster.mend()
    recovery = step.command("revoke")
    assert recovery.returncode == 0, recovery.stderr
    assert "stepcreds: migrate: proven dead (lease lookup and a witness)\n" in recovery.stderr
    assert step.verdicts() == [EXPIRES, DEAD, DEAD]  # and that of the witness
    row(f"{fault}, then revoke", "revoke", outcome(run, step.verdicts()), step.deaths.after(gone))
    step.is_over()


@pytest.mark.parametrize("back", ["before the end", "after the end"])
def test_it_is_away_for_longer_than_the_ttl(stack: ClusterStack, step: ClusterStep, row: Tell, back: str) -> None:
    """The command outlives its credential, is told so, and the record does not call an expiry a proof."""
    (node,) = stack.cluster.nodes
    step.lasts("10s")
    report = step.folder / "report"
    with step.start_with(
        reporting(report, f"import time\nwhile not os.path.exists({str(step.go)!r}): time.sleep(0.02)\nsys.exit(7)\n"),
        VAULT_CLIENT_TIMEOUT=TIMEOUT,
    ) as running:
        command = reported(report)
        node.kill()
        gone = time.monotonic()
        until(lambda: refusal(stack, command["PGUSER"], command["PGPASSWORD"]) == "28P01", "the credential has expired")
        time.sleep(1)
        if back == "before the end":
            stack.cluster.mend()
        step.ends()
        run = running.wait()
    ends = f"stepcreds: warning: migrate: not renewed: {SAID['OpenBao: killed']('')}; trying on. The credential ends at TIME"
    assert f"{ends}, the command may outlive it\n" in counted(run.stderr)
    stack.cluster.mend()
    if back == "before the end":
        # OpenBao has ended it by itself as soon as it was there again, and that is what is proven.
        step.check(run, 7, DEAD)
        (closed,) = of_kind(step.config_file, "credential.closed")
        assert (closed["lock"]["status"], closed["lock"]["detail"]) == (
            "refused",
            "the credential had ended before the step did",
        )
    else:
        step.check(run, 121, EXPIRES)
        recovery = step.command("revoke")
        assert recovery.returncode == 0, recovery.stderr
        assert step.verdicts() == [EXPIRES, DEAD, DEAD]
    step.tell(row, f"OpenBao: killed for longer than the ttl, back {back}", RUNS, run, gone)
    step.is_over()


def counted(text: str) -> str:
    """`normalised`, without how often and how long something was tried."""
    return re.sub(r"\b(tried|in) \d+ (times|s)\b", r"\1 N \2", normalised(text))
