"""What the command of a step still sees of the environment, and what of it nobody in its tree can find."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from step_runs import STAYING, Running, normalised, of_kind, reconfigure, reported, reporting

from conftest import Step
from processes import descendants
from stepcreds.devstack.stack import Stack

pytestmark = pytest.mark.usefixtures("alone")

ACTION = {
    "ACTIONS_RUNTIME_TOKEN": "runtime",
    "ACTIONS_RUNTIME_URL": "https://runtime.example.com",
    "INPUT_PROFILE": "migrate",
    "STATE_ISPOST": "true",
}
OLDER = {
    "PGPASSWORD": "older",
    "PGSERVICEFILE": "/older/pg_service.conf",
    "PGOPTIONS": "-c role=app_owner",
    "POSTGRES_PASSWORD": "older",
    "DATABASE_URL": "postgresql://older:older@127.0.0.1/shop",
}
TOKENS = {"VAULT_TOKEN": "older", "BAO_TOKEN": "older"}
HARMLESS = {"VAULT_NAMESPACE": "", "EDITOR": "vi", "GREETING": "hello"}
# What Python adds to its own environment where there is no locale.
OWN = {"own pid", "LC_CTYPE"}


def test_identity_and_older_credentials_are_taken_out(stack: Stack, step: Step, tmp_path: Path) -> None:
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report"), **ACTION, **OLDER, **TOKENS, **HARMLESS)
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    identity = {"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
    assert identity <= stack.environment().keys()
    added = {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "DATABASE_URL"}
    added |= {"VAULT_ADDR"}  # beside a token, by the fixture
    assert given.keys() - OWN == (stack.environment().keys() - identity) | HARMLESS.keys() | added
    assert "older" not in given["PGPASSWORD"] + given["DATABASE_URL"]
    assert {name: given[name] for name in HARMLESS} == HARMLESS


def test_keep_brings_back_what_the_author_names(step: Step, config_file: Path, tmp_path: Path) -> None:
    kept = ["PGOPTIONS", "VAULT_TOKEN", "ACTIONS_RUNTIME_TOKEN"]
    reconfigure(config_file, lambda document: document["profiles"]["migrate"].update(keep=kept))
    run = step("exec", "migrate", "--", *reporting(tmp_path / "report"), **ACTION, **OLDER, **TOKENS)
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    found = {name: given[name] for name in {**ACTION, **OLDER, **TOKENS} if name in given}
    assert {"PGOPTIONS": OLDER["PGOPTIONS"], "VAULT_TOKEN": "older", "ACTIONS_RUNTIME_TOKEN": "runtime"}.items() <= (
        found.items()
    )
    assert found.keys() == {*kept, "PGPASSWORD", "DATABASE_URL"}
    assert found["PGPASSWORD"] != "older"
    # Kept, and therefore said: a token of Vault is a credential.
    assert of_kind(config_file, "credential.requested")[0]["inherited"] == ["ACTIONS_RUNTIME_TOKEN", "VAULT_TOKEN"]


def test_a_clean_environment_has_what_is_on_the_list_alone(stack: Stack, step: Step, tmp_path: Path) -> None:
    more = {**HARMLESS, "GITHUB_TOKEN": "of the job", "LC_TIME": "C"}
    run = step("exec", "verify", "--inherit", "clean", "--", *reporting(tmp_path / "report"), **ACTION, **OLDER, **more)
    assert run.returncode == 0, run.stderr
    listed = {
        name
        for name in stack.environment()
        if name in ("PATH", "HOME", "LANG", "CI") or name.startswith(("GITHUB_", "RUNNER_"))
    }
    added = {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "DATABASE_URL"}
    assert reported(tmp_path / "report").keys() - OWN == listed | added | {"LC_TIME"}
    assert "warning" not in run.stderr


def test_what_looks_like_a_credential_is_said_and_recorded_by_name(step: Step, config_file: Path) -> None:
    others = {"NPM_TOKEN": "npm-value", "SMTP_PASSWORD": "smtp-value", "CACHE": "redis://user:cache-value@cache/0"}
    run = step("exec", "verify", "--", "true", **others)
    assert run.returncode == 0, run.stderr
    text = (
        "the command also inherits what looks like other credentials: CACHE, NPM_TOKEN, SMTP_PASSWORD. Take them out of "
        "the job's environment, or run with --inherit clean"
    )
    assert normalised(run.stderr).splitlines()[0] == f"stepcreds: warning: {text}"
    assert of_kind(config_file, "credential.requested")[0]["inherited"] == ["CACHE", "NPM_TOKEN", "SMTP_PASSWORD"]
    written = b"".join(path.read_bytes() for path in (config_file.parent / ".stepcreds").rglob("*") if path.is_file())
    for value in ("npm-value", "smtp-value", "cache-value"):
        assert value not in run.stdout + run.stderr
        assert value.encode() not in written


def test_a_variable_that_holds_the_token_goes_whatever_its_name(stack: Stack, step: Step, tmp_path: Path) -> None:
    token = stack.issuer.token(stack.address).reveal()
    sibling = stack.issuer.token("somebody else").reveal()
    foreign = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL290aGVyLmV4YW1wbGUuY29tIn0.x"
    run = step(
        "exec", "verify", "--", *reporting(tmp_path / "report"),
        GITHUB_ACTIONS=None, ACTIONS_ID_TOKEN_REQUEST_URL=None, ACTIONS_ID_TOKEN_REQUEST_TOKEN=None,
        STEPCREDS_ID_TOKEN=token, COPY=token, PADDED=f" {token}\n", OF_THE_SAME_ISSUER=sibling, FOREIGN=foreign,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    given = reported(tmp_path / "report")
    assert given["FOREIGN"] == foreign
    assert {"STEPCREDS_ID_TOKEN", "COPY", "PADDED", "OF_THE_SAME_ISSUER"} & given.keys() == set()


def test_a_token_from_a_file(stack: Stack, step: Step, config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(stack.issuer.token(stack.address).reveal() + "\n")
    elsewhere = {"GITHUB_ACTIONS": None, "ACTIONS_ID_TOKEN_REQUEST_URL": None, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": None}
    run = step("exec", "--id-token-file", "token", "verify", "--", *reporting(tmp_path / "report"), **elsewhere)
    assert run.returncode == 0, run.stderr
    assert reported(tmp_path / "report")["PGUSER"].split("-")[2:4] == ["app", "verify"]
    assert of_kind(config_file, "chain.opened")[0]["job"]["iss"] == stack.issuer.url


def test_nobody_in_the_tree_holds_the_identity_or_a_vault_token(
    stack: Stack, config_file: Path, tmp_path: Path
) -> None:
    """The command's own processes: stepcreds itself was started with what the CI gave it."""
    token = stack.issuer.token(stack.address).reveal()
    variables = {"GITHUB_ACTIONS": None, "GITLAB_CI": "true", "VAULT_ID_TOKEN": token, "VAULT_TOKEN": "older-token"}
    child = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open(sys.argv[1] + '.tree', 'w').close()\n"
    )
    command = reporting(tmp_path / "report", child + STAYING)
    with Running(stack, config_file, "exec", "verify", "--", *command, **variables) as running:
        given = reported(tmp_path / "report")
        tree = [int(given["own pid"])]
        while len(tree) < 2:
            tree = [tree[0], *descendants(tree[0])]
        secret = given["PGPASSWORD"].encode()
        for pid in tree:
            environ, cmdline = Path(f"/proc/{pid}/environ").read_bytes(), Path(f"/proc/{pid}/cmdline").read_bytes()
            assert secret in environ or sys.executable.encode() not in cmdline
            assert secret not in cmdline
            # A service token of OpenBao begins with "s." and one of Vault's with "hvs.".
            for forbidden in (
                token.encode(),
                b"older-token",
                b"=s.",
                b"=hvs.",
                stack.openbao.root_token.reveal().encode(),
            ):
                assert forbidden not in environ + cmdline
        # The credential and its token are in the memory of these two alone, never in what the machine shows of them.
        for pid in (running.process.pid, running.worker):
            for shown in ("environ", "cmdline"):
                assert secret not in Path(f"/proc/{pid}/{shown}").read_bytes()
