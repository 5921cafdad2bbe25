"""A step that asks a standby of a cluster: what that tries itself, and hands on, is in the log twice, and counts once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bao_cluster import ClusterStack
from reconcile_runs import Site
from step_runs import reconfigure


@pytest.mark.chaos
def test_a_standby_that_hands_requests_on(tmp_path: Path) -> None:
    with ClusterStack(3) as stack:
        leader = stack.cluster.leader()
        standby = stack.cluster.others(leader)[0]
        site = Site(stack, tmp_path)
        addresses = [standby.address, leader.address]
        reconfigure(site.config, lambda document: document["vault"].update(address=addresses))
        site.step("exec", "verify", "--", "true")
        run = site.reconcile("--json")
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(run.stdout)
    assert result["audit"]["issued"] == 1
    assert result["findings"] == []
    assert result["ledgers"] == {"chains": 1, "credentials": 1, "confirmed": 1}
