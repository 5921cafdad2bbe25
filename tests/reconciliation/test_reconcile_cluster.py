"""A step that asks a standby of a cluster: its requests are in the log twice, and count once."""

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
    log = [json.loads(line) for line in site.folder.joinpath("audit.log").read_bytes().split(b"\n") if line]
    asked = [entry for entry in log if entry["request"]["path"] == "database/creds/app-verify"]
    assert len({entry["request"]["id"] for entry in asked}) == 2
    assert any("cannot write to readonly storage" in entry.get("error", "") for entry in asked)
    assert (run.returncode, run.stderr) == (0, "")
    result = json.loads(run.stdout)
    assert result["findings"] == []
    assert result["ledgers"] == {"chains": 1, "credentials": 1, "confirmed": 1}
