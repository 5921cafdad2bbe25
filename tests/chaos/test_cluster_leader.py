"""A cluster of OpenBao: what a standby answers, and a leader that is lost at each stage of a step: killed, held up,
stepping down.

The step goes on with the leader that follows, and its credential is proven dead there. All rows share one cluster, which
is whole again after each of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bao_cluster import ClusterStack
from chaos_table import Tell
from cluster_runs import MEMBERS, ROLES, ClusterStep, jam
from step_runs import of_kind, reconfigure, records, until
from sweep_runs import DEAD, REVOKED, RUNS
from wrapper_runs import Alone

from reconcile_runs import Site
from signatures import KEY, checkpoints
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.errors import VaultError
from stepcreds.setup.live.operator import Live
from stepcreds.vault.client import Vault

LOOKUP = "sys/leases/lookup"
VERIFY = "database/creds/app-verify"


@pytest.fixture(scope="module")
def whole() -> Iterator[ClusterStack]:
    with ClusterStack(3) as stack:
        yield stack


@pytest.fixture
def cluster(whole: ClusterStack) -> Iterator[ClusterStack]:
    yield whole
    whole.cluster.mend()


@pytest.fixture
def step(cluster: ClusterStack, tmp_path: Path) -> Iterator[ClusterStep]:
    made = ClusterStep(cluster, tmp_path)
    yield made
    made.close()


def told(fault: str, first: str) -> str:
    """The fault as the table has it; `first` is the node that the step asks first."""
    return f"cluster: {fault}{', a standby is asked' if first == 'standby' else ''}"


def client(cluster: ClusterStack, *addresses: str) -> Vault:
    settings = VaultSettings(addresses, None, cluster.cluster.ca_cert, None, None, False, "jwt", cluster.address)
    vault = Vault(settings, SystemClock())
    vault.login("app-verify", cluster.issuer.token(cluster.address))
    return vault


def test_the_leader_is_killed_while_the_command_runs(cluster: ClusterStack, step: ClusterStep, row: Tell) -> None:
    leader = cluster.cluster.leader()
    step.asks_first(leader)
    with step.start() as running:
        step.runs()
        leader.kill()
        killed = time.monotonic()
        step.ends()
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, "cluster: leader killed", RUNS, run, killed)
    cluster.cluster.mend()
    step.is_over()


def test_setup_asks_a_standby_for_what_it_has_just_made(cluster: ClusterStack) -> None:
    """Which has no route to the new mount yet, and would say that a key or policy in it is not there."""
    standby = cluster.cluster.others(cluster.cluster.leader())[0]
    settings = VaultSettings((standby.address,), None, cluster.cluster.ca_cert, None, None, False, "jwt", "")
    with Live(settings, cluster.openbao.root_token, SystemClock()) as live:
        for number in range(5):
            mount = f"transit-{number}"
            live.write(f"sys/mounts/{mount}", {"type": "transit"})
            live.write(f"{mount}/keys/ledger", {"type": "ed25519"})
            live.write(f"sys/policies/acl/{mount}", {"policy": f'path "{mount}" {{\n}}\n'})
            assert live.mounts("sys/mounts")[mount]["type"] == "transit"
            assert live.read(f"{mount}/keys/ledger") is not None
            assert live.read(f"sys/policies/acl/{mount}") is not None


def test_what_a_standby_tries_itself_and_hands_on_counts_once_in_the_audit_log(
    cluster: ClusterStack, tmp_path: Path
) -> None:
    leader = cluster.cluster.leader()
    standby = cluster.cluster.others(leader)[0]
    site = Site(cluster, tmp_path)
    addresses = [standby.address, leader.address]
    reconfigure(site.config, lambda document: document["vault"].update(address=addresses))
    site.step("exec", "verify", "--", "true")
    assert b"cannot write to readonly storage" in site.audit().read_bytes()
    run = site.reconcile("--json")
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(run.stdout)
    assert result["audit"]["issued"] == 1
    assert result["findings"] == []
    assert result["ledgers"] == {"chains": 1, "credentials": 1, "confirmed": 1}


def test_the_leader_that_follows_signs(cluster: ClusterStack, step: ClusterStep) -> None:
    """Asked through a standby first, and after the leader's death: the same key, in the storage of all."""
    reconfigure(step.config_file, lambda document: document["ledger"].update(key=KEY))
    cluster.set_up(KEY)
    try:
        leader = cluster.cluster.leader()
        step.asks_first(*(node for node in cluster.cluster.nodes if node is not leader))
        with step.start() as running:
            step.runs()
            leader.kill()
            step.ends()
            run = running.wait()
        step.check(run, 7, DEAD)
        assert "not signed" not in run.stderr
        (chain,) = (step.folder / ".stepcreds").glob("*.jsonl")
        kinds = [record["kind"] for record in records(step.config_file)]
        signed = [kinds[each.size - 1] for each in checkpoints(cluster, chain)]
        assert signed == ["credential.issued", "credential.closed"]
    finally:
        cluster.cluster.mend()
        cluster.set_up()


@pytest.mark.chaos
def test_a_standby_proves_nothing_of_what_it_has_not_heard_of(cluster: ClusterStack) -> None:
    """Down while the lease was made, and alone afterwards, it says "invalid lease" of one that lives."""
    nodes = cluster.cluster
    leader = nodes.leader()
    behind, other = nodes.others(leader)
    vault = client(cluster, leader.address, other.address, behind.address)
    earlier = vault.issue(VERIFY).lease_id
    asked = {"lease_id": earlier}
    until(
        lambda: behind.ask("POST", LOOKUP, asked, cluster.cluster.root_token).status == 200, "it has what came before"
    )
    behind.kill()
    lease = vault.issue(VERIFY).lease_id
    for node in (leader, other):
        node.kill()
    behind.start()
    asked = {"lease_id": lease}
    until(
        lambda: behind.says(LOOKUP, asked, cluster.cluster.root_token) == {"errors": ["invalid lease"]},
        "it says what is not so",
    )
    vault.patience = 3.0
    with pytest.raises(VaultError):
        vault.lookup_lease(lease)
    nodes.mend()
    assert vault.lookup_lease(lease).alive
    for each in (earlier, lease):
        vault.revoke_lease(each)
    vault.close()


def test_a_standby_never_calls_a_lease_alive_that_was_revoked_through_it(cluster: ClusterStack) -> None:
    leader = cluster.cluster.leader()
    vault = client(cluster, *(node.address for node in cluster.cluster.others(leader)))
    for _ in range(30):
        lease = vault.issue(VERIFY).lease_id
        vault.revoke_lease(lease)
        assert vault.lookup_lease(lease).state == "gone"
    vault.close()


@pytest.mark.chaos
@pytest.mark.parametrize("first", ["leader", "standby"])
def test_the_leader_is_killed_while_it_issues(cluster: ClusterStack, step: ClusterStep, row: Tell, first: str) -> None:
    """Whether there is a credential nobody knows: the first token is ended, and another one asks."""
    leader = cluster.cluster.leader()
    step.asks_first(leader if first == "leader" else cluster.cluster.others(leader)[0])
    step.ends()
    with step.start() as running, jam(cluster, MEMBERS) as jammed:
        jammed.holds_up()
        leader.kill()
        killed = time.monotonic()
        jammed.release()
        run = running.wait()
    step.check(run, 7, REVOKED, DEAD)
    step.tell(row, told("leader killed", first), "issue", run, killed)
    cluster.cluster.mend()
    step.is_over()


@pytest.mark.chaos
def test_there_is_no_leader_at_the_login(cluster: ClusterStack, step: ClusterStep, row: Tell) -> None:
    leader = cluster.cluster.leader()
    step.asks_first(leader)
    step.ends()
    leader.kill()
    killed = time.monotonic()
    with step.start() as running:
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, "cluster: leader killed", "login", run, killed)
    step.is_over()


@pytest.mark.chaos
@pytest.mark.parametrize("first", ["leader", "standby"])
def test_the_leader_is_killed_while_it_revokes(cluster: ClusterStack, step: ClusterStep, row: Tell, first: str) -> None:
    leader = cluster.cluster.leader()
    step.asks_first(leader if first == "leader" else cluster.cluster.others(leader)[0])
    with step.start() as running:
        step.runs()
        with jam(cluster, MEMBERS) as jammed:
            step.ends()
            jammed.holds_up()
            leader.kill()
            killed = time.monotonic()
            jammed.release()
            run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, told("leader killed", first), "revoke", run, killed)
    step.is_over()


@pytest.mark.chaos
def test_the_leader_is_killed_while_it_renews(cluster: ClusterStack, step: ClusterStep, row: Tell) -> None:
    """The command outlives the first term of its credential, which still works then."""
    leader = cluster.cluster.leader()
    step.asks_first(leader)
    step.lasts("20s")
    with step.start() as running:
        step.runs()
        (issued,) = of_kind(step.config_file, "credential.issued")
        end = time.monotonic() + 21
        with jam(cluster, ROLES) as jammed:
            jammed.holds_up()
            leader.kill()
            killed = time.monotonic()
            jammed.release()
        while time.monotonic() < end:
            time.sleep(0.1)
        # Past its VALID UNTIL it would be refused as any other password is.
        ends = cluster.sql("SELECT rolvaliduntil > now() FROM pg_roles WHERE rolname = :user", user=issued["db_user"])
        assert ends == [[True]]
        step.ends()
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, "cluster: leader killed", "renew", run, killed)
    step.is_over()


@pytest.mark.chaos
def test_the_leader_steps_down(cluster: ClusterStack, step: ClusterStep, row: Tell) -> None:
    leader = cluster.cluster.leader()
    step.asks_first(leader)
    with step.start() as running:
        step.runs()
        assert leader.ask("PUT", "sys/step-down", {}, cluster.cluster.root_token).status == 204
        stepped = time.monotonic()
        step.ends()
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, "cluster: leader steps down", RUNS, run, stepped)
    step.is_over()


@pytest.mark.chaos
@pytest.mark.parametrize("first", ["leader", "standby"])
def test_the_leader_is_held_up(cluster: ClusterStack, step: ClusterStep, row: Tell, first: str) -> None:
    """It accepts connections and answers none: half of the time that a revocation has, and the next is asked."""
    leader = cluster.cluster.leader()
    step.asks_first(leader if first == "leader" else cluster.cluster.others(leader)[0])
    with step.start() as running:
        step.runs()
        leader.hold()
        held = time.monotonic()
        step.ends()
        run = running.wait()
    step.check(run, 7, DEAD)
    step.tell(row, told("leader hangs", first), RUNS, run, held)
    cluster.cluster.mend()
    step.is_over()


@pytest.mark.chaos
def test_a_step_is_cancelled_while_the_leader_is_held_up(cluster: ClusterStack, step: ClusterStep, row: Tell) -> None:
    """Its CI does not wait for the fail-over; the other half of the step does."""
    leader = cluster.cluster.leader()
    step.asks_first(leader)
    with step.start() as running:
        step.runs()
        leader.hold()
        held = time.monotonic()
        alone = Alone(running)
        assert (alone.code, step.verdicts()) == (121, []), alone.stderr
        assert alone.has_ended()
        run = running.wait()
    step.check(run, 121, DEAD)
    step.tell(row, "cluster: leader hangs, the step is cancelled", RUNS, run, held)
    cluster.cluster.mend()
    step.is_over()
