"""Every stage of a step at which OpenBao can fail, and every way of it: what is left, what is on record, the exit code.

A real OpenBao stands behind a proxy that fails (tests/faulty_vault.py). What each status means for each single call is
tests/vault's; here the whole step has to come out right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos_table import Tell
from step_runs import normalised, of_kind, until
from sweep_runs import Sweep, swept

from faulty_vault import HTML, Fault, Trap
from stepcreds.devstack.stack import Stack

PAGE = b"<html><body>Service unavailable</body></html>"
DEAD, REVOKED, EXPIRES, NOT_ISSUED = "proven dead", "revoked, not proven", "expires at", "not issued"


@pytest.fixture
def sweep(stack: Stack, tmp_path: Path) -> Iterator[Sweep]:
    with swept(stack, tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Expected:
    code: int
    ran: bool
    verdicts: tuple[str, ...]
    alive: bool = False
    token_left: bool = False


GOOD = Expected(7, True, (DEAD,))
SECOND_TRY = Expected(7, True, (REVOKED, DEAD))
NOTHING = Expected(125, False, (NOT_ISSUED,))
ENDED = Expected(125, False, (DEAD,))
UNPROVEN = Expected(121, True, (REVOKED,))
TOKEN_LEFT = Expected(7, True, (DEAD,), token_left=True)

ONCE: dict[str, Fault] = {
    "503 once": Fault(status=503),
    "reset once": Fault("reset"),
    "reset once, carried out": Fault("reset", after=True),
}
ALWAYS: dict[str, Fault] = {
    "refuse": Fault("refuse"),
    "hang": Fault("hang"),
    "403": Fault(status=403, body=b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}'),
    "503": Fault(status=503, body=b'{"errors":["Vault is sealed"]}'),
    "bad JSON": Fault(body=b'{"request_id": "', after=True),
}
FAULTS = ONCE | ALWAYS

# What comes of a fault that goes away, and of one that does not.
TABLE: dict[str, tuple[Expected, dict[str, Expected]]] = {
    "login": (GOOD, dict.fromkeys(ALWAYS, NOTHING)),
    "probe": (
        GOOD,
        {**dict.fromkeys(ALWAYS, NOTHING), "refuse": Expected(125, False, (NOT_ISSUED,), token_left=True)},
    ),
    "renew": (
        GOOD,
        {
            **dict.fromkeys(ALWAYS, ENDED),
            "refuse": Expected(125, False, (EXPIRES,), alive=True, token_left=True),
        },
    ),
    "revoke": (
        GOOD,
        # Where waiting for it fails, OpenBao is asked to go on by itself, and what it does is seen.
        {**dict.fromkeys(ALWAYS, GOOD), "refuse": Expected(121, True, (EXPIRES,), alive=True, token_left=True)},
    ),
    "lookup": (
        GOOD,
        {**dict.fromkeys(ALWAYS, UNPROVEN), "refuse": Expected(121, True, (REVOKED,), token_left=True)},
    ),
    "revoke-self": (GOOD, dict.fromkeys(ALWAYS, TOKEN_LEFT)),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("stage", TABLE)
def test_a_fault_at_a_stage(sweep: Sweep, row: Tell, stage: str, name: str) -> None:
    if stage == "renew":
        sweep.change(ttl="1m")  # OpenBao's role gives 2 minutes, which are shortened at once
    rule = sweep.vault.fail(stage, FAULTS[name], times=1 if name in ONCE else None)
    run = sweep.run()
    good, bad = TABLE[stage]
    expected = good if name in ONCE else bad[name]
    assert rule.met > 0, run.stderr
    sweep.tell(row, name, stage, run, rule)
    sweep.check(run, **vars(expected))


ISSUE: dict[str, tuple[Fault, Expected]] = {
    # OpenBao says that it did nothing.
    "412": (Fault(status=412), GOOD),
    "429": (Fault(status=429, headers={"Retry-After": "1"}), GOOD),
    "503": (Fault(status=503, body=b'{"errors":["Vault is sealed"]}'), GOOD),
    "400": (Fault(status=400), NOTHING),
    "403": (Fault(status=403), NOTHING),
    "404": (Fault(status=404), NOTHING),
    # It may have issued, so the same token is not asked again.
    "500": (Fault(status=500, after=True), SECOND_TRY),
    "502, a proxy's": (Fault(status=502, body=PAGE, content_type=HTML, after=True), SECOND_TRY),
    "503, a proxy's": (Fault(status=503, body=PAGE, content_type=HTML, after=True), SECOND_TRY),
    "a page": (Fault(body=PAGE, content_type=HTML, after=True), SECOND_TRY),
    "bad JSON": (Fault(body=b'{"data": {"password": "', after=True), SECOND_TRY),
    "another shape": (Fault(body=b'{"data": [], "lease_id": 7}', after=True), SECOND_TRY),
    "reset": (Fault("reset"), SECOND_TRY),
    "reset, carried out": (Fault("reset", after=True), SECOND_TRY),
    "cut": (Fault("cut", after=True), SECOND_TRY),
    "hang": (Fault("hang"), SECOND_TRY),
    "hang, carried out": (Fault("hang", after=True), SECOND_TRY),
    "dribble": (Fault("dribble", after=True), SECOND_TRY),
}


@pytest.mark.parametrize("name", ISSUE)
def test_one_fault_while_a_credential_is_asked_for(sweep: Sweep, name: str) -> None:
    fault, expected = ISSUE[name]
    sweep.vault.fail("issue", fault)
    run = sweep.run()
    sweep.check(run, **vars(expected))
    tokens = sweep.vault.stages.count("login")
    assert tokens == len(expected.verdicts)
    # Each token was asked once, but where OpenBao said that it did nothing.
    assert sweep.vault.stages.count("issue") == (2 if expected in (GOOD, SECOND_TRY) else 1)


@pytest.mark.parametrize("fault", [Fault("reset", after=True), Fault(status=500)], ids=["reset", "500"])
def test_two_lost_answers_are_enough(sweep: Sweep, fault: Fault) -> None:
    sweep.vault.fail("issue", fault, times=None)
    run = sweep.run()
    sweep.check(run, code=125, ran=False, verdicts=[REVOKED, REVOKED])
    assert sweep.vault.stages == ["login", "probe", "issue", "revoke-self"] * 2


def test_a_token_that_may_have_been_given_a_credential_and_cannot_be_revoked(sweep: Sweep) -> None:
    """There is no second try then, and the step says what may be alive, and until when."""
    sweep.vault.fail("issue", Fault("reset", after=True))
    sweep.vault.fail("revoke-self", Fault(status=403), times=None)
    run = sweep.run()
    assert sweep.vault.stages == ["login", "probe", "issue", "revoke-self"]
    assert (run.returncode, sweep.ran, sweep.verdicts(), len(sweep.alive())) == (125, False, [EXPIRES], 1)
    sweep.check_secrets(run)
    assert normalised(run.stderr).replace("http://HOST", "ADDRESS") == (
        "stepcreds: error: The credential of profile migrate is not proven dead: expires at TIME\n"
        "  cause: Revocation: Vault at ADDRESS answered 403 to POST auth/token/revoke-self: injected\n"
        "  fix: Its lease is not known. End it, in a step of the same job:\n"
        "      stepcreds revoke\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
        "stepcreds: error: No answer from Vault at ADDRESS: connection reset by peer\n"
        "  cause: Whether database/creds/app-migrate issued a credential is not known. If it did, it ends with the token "
        "that asked for it. The address is wrong, the server is down, or this machine may not reach it.\n"
        "  fix: Look at vault.address in stepcreds.yml (or VAULT_ADDR), the network and the proxy variables. From this "
        "machine:\n"
        "      curl -sS ADDRESS/v1/sys/health\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#vault-unreachable\n"
    )
    # A later login can: by its accessor, which was on record before the request.
    assert sweep.revoke_all().returncode == 1  # ended, and not proven: nobody knows its name
    until(lambda: not sweep.alive(), "the user is gone")
    assert sweep.verdicts() == [EXPIRES, REVOKED]


def test_openbao_goes_on_with_a_revocation_that_failed(sweep: Sweep) -> None:
    sweep.vault.fail("revoke", Fault(status=500), times=None)
    run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["revoke"]["method"], closed["revoke"]["status"]) == ("lease", "queued")
    assert sweep.vault.stages[-1] == "revoke-self"


def test_a_revocation_that_nobody_takes_on(sweep: Sweep) -> None:
    for stage in ("revoke", "queue"):
        sweep.vault.fail(stage, Fault(status=403), times=None)
    run = sweep.run()
    (closed,) = of_kind(sweep.config_file, "credential.closed")
    assert (closed["lock"]["status"], closed["revoke"]["status"]) == ("locked", "failed")
    what = "The credential of profile migrate is not proven dead: expires at TIME"
    assert normalised(run.stderr).replace("http://HOST", "ADDRESS") == (
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        f"stepcreds: error: {what}\n"
        "  cause: Revocation: Vault at ADDRESS answered 403 to POST sys/leases/revoke: injected\n"
        "    Proof: Vault still has the lease; the login was accepted\n"
        "  fix: The lease is database/creds/app-migrate/LEASE; it expires at TIME. End it and prove it, in a step of the "
        "same job:\n"
        "      stepcreds revoke --lease database/creds/app-migrate/LEASE\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
    # The token's end takes the user along, later: nobody has seen that, and the record does not claim it.
    sweep.check(run, code=121, ran=True, verdicts=[EXPIRES])
    sweep.check_recovery()
    assert sweep.verdicts() == [EXPIRES, DEAD, DEAD]  # and that of the witness


def test_a_redirect_is_never_followed(sweep: Sweep) -> None:
    with Trap() as trap:
        sweep.vault.fail("issue", Fault(status=307, headers={"Location": f"{trap.address}/v1/x"}), times=None)
        sweep.vault.fail("login", Fault(status=307, headers={"Location": f"{trap.address}/v1/x"}))
        run = sweep.run()
        sweep.check(run, code=125, ran=False, verdicts=[NOT_ISSUED])
        assert trap.visits == 0
