"""What our own workflows promise of permissions and of the order of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
# Whoever may write something, and what; every other job reads the code at most.
WRITERS = {
    "release.yml": {
        "ci": {"id-token"},
        "attest": {"id-token", "attestations"},
        "image": {"packages"},
        "image-index": {"packages", "id-token", "attestations"},
        "pypi": {"id-token"},
        "github": {"contents"},
        "major": {"contents"},
    },
    "ci.yml": {"smoke": {"id-token"}},
}


def parsed(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return workflow


def needs(jobs: dict[str, Any], name: str) -> set[str]:
    """Every job that must have succeeded before this one starts."""
    direct = jobs[name].get("needs", [])
    direct = [direct] if isinstance(direct, str) else direct
    return set(direct).union(*(needs(jobs, other) for other in direct))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_do_what_it_does_and_no_more(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] == {}
    writers = {}
    for name, job in workflow["jobs"].items():
        assert set(job["permissions"].values()) <= {"read", "write"}
        if written := {scope for scope, access in job["permissions"].items() if access == "write"}:
            writers[name] = written
    assert writers == WRITERS.get(path.name, {})


def test_v1_moves_after_everything_else() -> None:
    jobs = parsed(CHECKOUT / ".github" / "workflows" / "release.yml")["jobs"]
    assert needs(jobs, "major") == set(jobs) - {"major"}


def test_nothing_leaves_before_it_is_tested_built_and_signed() -> None:
    jobs = parsed(CHECKOUT / ".github" / "workflows" / "release.yml")["jobs"]
    for name in ("image", "image-index", "pypi", "github"):
        assert needs(jobs, name) >= {"ci", "build", "attest"}


def test_a_job_that_can_publish_or_sign_runs_no_code_of_a_dependency() -> None:
    """What `make` installs runs where nothing can be written, but for the job of the Action's own identity."""
    jobs = parsed(CHECKOUT / ".github" / "workflows" / "release.yml")["jobs"]
    for name in set(WRITERS["release.yml"]) - {"ci"}:
        scripts = "".join(step.get("run", "") for step in jobs[name]["steps"])
        assert "make" not in scripts.split()
        assert "pip" not in scripts.split()
