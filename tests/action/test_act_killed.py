"""SIGKILL of `main` at any point: when the job has ended, `post` has left nothing alive, and everything is on record.

Who is killed: the front, which the runner started as Node; the worker, which holds the credential; or both in one
moment, so that `post` alone is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from runner import Repository, Run, Step, until
from step_runs import normalised, token_is_gone

from faulty_vault import Fault, FaultyVault
from stepcreds.devstack.stack import Stack

ALL = ("front", "worker")
TIMEOUT = "3s"  # of each request to Vault, for what hangs
WORKFLOW = """\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Migrate
        uses: stepcreds/stepcreds@v1
        with:
          profile: migrate
          run: |
            touch "$OUTSIDE/running"
            sql "SELECT pg_sleep(60)"
      - name: Not reached
        run: echo reached
"""
STEPS = [
    Step("Main", "actions/checkout@v4", "success"),
    Step("Main", "Migrate", "failure"),
]
# What Vault is asked for, and what by whom afterwards; the stages are those of faulty_vault.py.
ISSUED = ["login", "probe", "issue", "revoke"]
ENDED = [*ISSUED, "lookup", "revoke-self"]
BY_ACCESSOR = ["login", "revoke-accessor", "revoke-self"]
BY_POST = [
    *("login", "revoke", "lookup"),
    # The witness has a credential of its own, and the token is ended that the step's was issued to.
    *("login", "probe", "issue", "revoke-accessor", "revoke-self", "revoke", "lookup", "revoke-self"),
]
NOT_PROVEN = """\
stepcreds: error: The credential of profile migrate is not proven dead: revoked, not proven
  cause: Proof: the answer to its request is not on record: neither its lease nor its user is known
  fix: Whatever was issued ends with the token that asked for it (accessor ACCESSOR), which is revoked. Whether anything \
was issued, Vault's audit log says.
  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead
"""
NOT_SIGNED = "Not signed: this finds damage and changed lines, but not a chain that was rewritten as a whole.\n"


@pytest.fixture
def vault(repository: Repository) -> Iterator[FaultyVault]:
    """What the repository's stepcreds.yml takes for Vault."""
    address = repository.stack.address
    with FaultyVault(address) as between:
        repository.configure(lambda text: text.replace(f"address: {address}\n", f"address: {between.address}\n"))
        yield between


@pytest.mark.parametrize("who", [("front",), ("worker",), ALL], ids="+".join)
# The request that is not answered: the step stands still there, and dies.
@pytest.mark.parametrize(
    ("stage", "carried_out"),
    [("login", False), ("issue", True), ("revoke", False), ("revoke", True), ("lookup", True), ("revoke-self", False)],
    ids=["before-login", "after-issue", "before-revoke", "after-revoke", "after-lookup", "before-revoke-self"],
)
def test_killed_while_vault_is_asked(
    stack: Stack, repository: Repository, vault: FaultyVault, stage: str, carried_out: bool, who: tuple[str, ...]
) -> None:
    repository.workflow(WORKFLOW.replace("pg_sleep(60)", "1"))
    rule = vault.fail(stage, Fault("hang", after=carried_out))
    with repository.start(VAULT_CLIENT_TIMEOUT=TIMEOUT) as act:
        main = act.main()
        assert rule.arrived.wait(60)
        watched = main.watched()
        main.kill(*who)
        run = act.wait()
        assert watched.alive_after(20) == []
    # Nobody knows which user Vault made for what was never answered, so that nobody can be asked whether it is gone.
    check(stack, repository, run, vault, proven=stage != "issue" or who != ALL)
    before = ENDED[: ENDED.index(stage) + 1]
    assert vault.stages[: len(before)] == before
    if who == ALL:
        by_post = {
            "login": [],
            "issue": BY_ACCESSOR,
            "revoke-self": ["login", "lookup", "revoke-accessor", "revoke-self"],
        }
        assert vault.stages == before + by_post.get(stage, BY_POST)
    elif who == ("worker",):
        by_front = ["lookup", "revoke", "lookup"] if carried_out else ["revoke", "lookup"]
        after = {"login": [], "issue": ["revoke-self"], "revoke-self": ["revoke-self"]}
        assert vault.stages == before + after.get(stage, [*by_front, "revoke-self"])
    # Without the front, `post` and the half that is left work at the same time.


@pytest.mark.parametrize("who", [*((name,) for name in ALL), ALL], ids="+".join)
def test_killed_while_the_command_runs(
    stack: Stack, repository: Repository, vault: FaultyVault, who: tuple[str, ...]
) -> None:
    repository.workflow(WORKFLOW)
    with repository.start(VAULT_CLIENT_TIMEOUT=TIMEOUT) as act:
        main = act.main()
        until((repository.outside / "running").exists, "the command runs")
        watched = main.watched()
        main.kill(*who)
        run = act.wait()
        assert watched.alive_after(20) == []
    check(stack, repository, run, vault)
    assert vault.stages[:3] == ISSUED[:3]
    if who == ALL:
        assert vault.stages == [*ISSUED[:3], *BY_POST]
    elif who == ("worker",):
        assert vault.stages == [*ISSUED, "lookup", "revoke-self"]


def test_killed_in_a_shell_of_its_own(stack: Stack, repository: Repository, vault: FaultyVault) -> None:
    """`shell: stepcreds exec …`: the `post` of the use that put stepcreds on PATH finds in the ledger what is left."""
    repository.workflow("""\
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Set up
        uses: stepcreds/stepcreds@v1
      - name: Migrate
        shell: stepcreds exec migrate -- bash -eo pipefail {0}
        run: |
          touch "$OUTSIDE/running"
          sql "SELECT pg_sleep(60)"
""")
    with repository.start() as act:
        until((repository.outside / "running").exists, "the command runs")
        shell = act.shell()
        watched = shell.watched()
        shell.kill("front", "worker")
        run = act.wait()
        assert watched.alive_after(20) == []
    assert run.output("Set up", "Post").startswith(
        "::group::stepcreds: what steps left\nstepcreds: migrate: proven dead (lease lookup and a witness)\n"
    ), run.shown()
    assert vault.stages == [*ISSUED[:3], *BY_POST]
    check(stack, repository, run, vault, steps=[STEPS[0], Step("Main", "Set up", "success"), STEPS[1]])


def check(
    stack: Stack,
    repository: Repository,
    run: Run,
    vault: FaultyVault,
    *,
    proven: bool = True,
    steps: list[Step] = STEPS,
) -> None:
    """Nothing of the step is alive, its end is on record, and the job says so.

    Not `proven`: `post` says so, because it is what revoked the token. The ledger has nothing that is wrong with it: what
    was never answered ended with its token.
    """
    uses = "Migrate" if steps is STEPS else "Set up"
    assert run.steps() == [*steps, Step("Post", uses, "success" if proven else "failure")], run.shown()
    if not proven:
        assert re.sub(r"accessor \w+", "accessor ACCESSOR", normalised(run.output("Migrate", "Post"))) == NOT_PROVEN
    assert run.code == 1
    until(lambda: not set(vault.issued.values()) & stack.issued_roles(), "the users of the step are gone", 20)
    assert stack.leases("database/creds/app-migrate") == []
    records = [record for chain in run.chains for record in chain]
    requested = [record for record in records if record["kind"] == "credential.requested"]
    for record in requested:
        assert token_is_gone(stack, record["token_accessor"]), run.shown()
    closed = {record["credential_uid"] for record in records if record["kind"] == "credential.closed"}
    assert {record["credential_uid"] for record in requested} <= closed
    verified = repository.verify_ledger(run)
    (chain,) = run.chains
    ends = "closed" if proven else "open"
    assert re.sub(r"\S+\.jsonl", "CHAIN", verified.stdout) == f"CHAIN: ok, {len(chain)} records, {ends}\n{NOT_SIGNED}"
    assert (verified.returncode, verified.stderr) == (0, "")
    assert vault.canaries
    assert [
        secret for secret in vault.canaries if secret in run.text or any(secret in text for text in run.texts)
    ] == []
    assert "Traceback" not in run.text
