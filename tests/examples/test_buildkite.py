"""The Buildkite plugin, its hooks sourced as the agent sources them, and its agent a stand-in that prints a token."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
import yaml
from pipelines import EXAMPLES, Place

from processes import descendants
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

PLUGIN = EXAMPLES / "buildkite" / "plugins" / "stepcreds"
# https://github.com/buildkite/agent/blob/main/internal/job/hook/wrapper.go: what is exported is noted before and after.
WRAPPER = """#!/bin/bash
export -p > "$BEFORE"
. "$HOOK"
export BUILDKITE_HOOK_EXIT_STATUS=$?
export -p > "$AFTER"
exit $BUILDKITE_HOOK_EXIT_STATUS
"""
CLAIMS: dict[str, object] = {
    "organization_slug": "acme",
    "pipeline_slug": "shop",
    "pipeline_id": "p1",
    "build_id": "b1",
    "build_branch": "main",
    "build_commit": "5e3f1c0",
    "job_id": "j1",
    "step_key": "migrate",
}


@pytest.fixture
def place(stack: Stack, tmp_path: Path) -> Place:
    made = Place(stack, tmp_path)
    made.prints_token("buildkite-agent", **CLAIMS)
    made.executable(made.reports / "wrapper", WRAPPER)
    return made


def variables(place: Place, hook: str, command: str = "./migrate.sh") -> dict[str, str]:
    return {
        "BUILDKITE": "true",
        "BUILDKITE_COMMAND": command,
        "BUILDKITE_SHELL": "/bin/bash -e -c",
        "BUILDKITE_BUILD_CREATOR": "Octo Cat",
        "BUILDKITE_AGENT_ACCESS_TOKEN": "agent-secret",
        "BUILDKITE_PLUGIN_STEPCREDS_PROFILE": "migrate",
        "HOOK": str(PLUGIN / "hooks" / hook),
        "BEFORE": str(place.reports / "before"),
        "AFTER": str(place.reports / "after"),
    }


def hook(place: Place, name: str, command: str = "./migrate.sh") -> subprocess.CompletedProcess[str]:
    return place.run([str(place.reports / "wrapper")], variables(place, name, command))


def test_a_job(place: Place) -> None:
    ran = hook(place, "command")
    assert ran.returncode == 0, ran.stdout
    assert "migrate has ***\n" in ran.stdout
    place.assert_dead("migrate", ran.stdout)
    # The agent notes which variables a hook left behind: none of the credential's is among them.
    after = (place.reports / "after").read_text()
    assert "PGUSER" not in after
    assert place.given("migrate")["PGPASSWORD"] not in after
    assert "BUILDKITE_AGENT_ACCESS_TOKEN" not in place.given("migrate")
    ended = hook(place, "pre-exit")
    assert (ended.returncode, place.records()[-1]["kind"]) == (0, "chain.closed"), ended.stdout
    assert ended.stdout == "stepcreds: nothing to revoke: no credential is open in this ledger\n"
    audience = ["oidc", "request-token", "--audience", place.stack.address]
    assert place.asked("buildkite-agent") == [audience, audience]
    assert place.job() == {
        "ci": "buildkite",
        "run_id": "b1",
        "run_attempt": "j1",
        "job": "migrate",
        "actor": "Octo Cat",
        "ref": "refs/heads/main",
        "commit": "5e3f1c0",
        "matrix": "",
    }


def test_the_commands_code_is_the_jobs_and_every_line_of_it_runs(place: Place) -> None:
    ran = hook(place, "command", "./migrate.sh\necho 'it'\"'\"'s \"quoted\"'\nexit 3\necho never")
    assert ran.returncode == 3
    assert 'it\'s "quoted"\n' in ran.stdout
    assert "never" not in ran.stdout
    place.assert_dead("migrate", ran.stdout)


def started(place: Place) -> subprocess.Popen[str]:
    place.script("migrate", then="sleep 60")
    process = subprocess.Popen(
        [str(place.reports / "wrapper")],
        cwd=place.folder,
        env=place.environment(**variables(place, "command")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (place.reports / "migrate").exists() or "PGPASSWORD" not in (place.reports / "migrate").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_a_cancelled_job(place: Place) -> None:
    """The agent sends SIGTERM to the process group of the hook, bash and all."""
    with started(place) as process:
        os.killpg(process.pid, signal.SIGTERM)
        log, _ = process.communicate(timeout=60)
    place.assert_dead("migrate", log)
    assert hook(place, "pre-exit").returncode == 0


def test_a_killed_job_is_ended_by_pre_exit(place: Place) -> None:
    with started(place) as process:
        pids = [process.pid, *descendants(process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped, so that none of them ends what another one left
            for pid in pids:
                os.kill(int(pid), number)
        log, _ = process.communicate(timeout=60)
    assert place.given("migrate")["PGUSER"] in place.stack.issued_roles()
    ended = hook(place, "pre-exit")
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == (
        "~~~ stepcreds: what steps left\nstepcreds: migrate: proven dead (lease lookup and a witness)\n+++ stepcreds\n"
    )
    place.assert_dead("migrate", log + ended.stdout)


def test_the_plugins_file_is_what_the_pipeline_gives_it() -> None:
    plugin = yaml.safe_load((PLUGIN / "plugin.yml").read_text())
    assert set(plugin) == {"name", "description", "author", "requirements", "configuration"}
    jsonschema.Draft7Validator.check_schema(plugin["configuration"])
    pipeline = yaml.safe_load((EXAMPLES / "buildkite" / "pipeline.yml").read_text())
    profiles = []
    for step in pipeline["steps"]:
        ((source, given),) = step["plugins"][0].items()
        assert source == "./.buildkite/plugins/stepcreds"
        jsonschema.validate(given, plugin["configuration"])
        profiles.append(given["profile"])
    assert profiles == ["migrate", "verify"]
    assert all(os.access(path, os.X_OK) for path in (PLUGIN / "hooks").iterdir())
    assert json.dumps(plugin["requirements"]) == '["stepcreds"]'
