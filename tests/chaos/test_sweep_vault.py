"""Every stage of a step at which OpenBao can fail, and every way of it: what is left, what is on record, the exit code.

A real OpenBao stands behind a proxy that fails (tests/faulty_vault.py). What each status means for each single call is
tests/vault's; here the whole step has to come out right.
"""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest
from chaos_table import Tell
from deaths import Deaths, at_postgresql
from step_runs import normalised, of_kind, until
from sweep_runs import DEAD, EXPIRES, NOT_ISSUED, REVOKED, Expected, Sweep, swept

from faulty_vault import HTML, Fault, Rule, Trap
from stepcreds.devstack.stack import Stack

PAGE = b"<html><body>Service unavailable</body></html>"
BOMB = gzip.compress(bytes(100_000_000))  # 97 KB


GOOD = Expected(7, True, (DEAD,))
SECOND_TRY = Expected(7, True, (REVOKED, DEAD))
NOTHING = Expected(125, False, (NOT_ISSUED,))
LOST_TWICE = Expected(125, False, (REVOKED, REVOKED))
ENDED = Expected(125, False, (DEAD,))
UNPROVEN = Expected(121, True, (REVOKED,))
TOKEN_LEFT = Expected(7, True, (DEAD,), token_left=True)

TOKEN = {"client_token": "x", "accessor": "y"}
ENDLESS = {"lease_duration": 10**400}


class Way(NamedTuple):
    """A way to fail. `passes`: worth asking again, so that it may be gone then. `told`: OpenBao says with it that it
    did nothing; else whoever asked for a credential has to think that there may be one."""

    fault: Fault
    passes: bool
    told: bool = False


def proxy(status: int) -> Fault:
    return Fault(status=status, body=PAGE, content_type=HTML, after=True)


def busy(retry_after: str) -> Fault:
    return Fault(status=429, headers={"Retry-After": retry_after})


WAYS: dict[str, Way] = {
    # No answer, or not the whole of one.
    "refused": Way(Fault("refuse"), True),
    "hang": Way(Fault("hang"), True),
    "hang, carried out": Way(Fault("hang", after=True), True),
    "reset": Way(Fault("reset"), True),
    "reset, carried out": Way(Fault("reset", after=True), True),
    "truncated, reset": Way(Fault("cut", after=True), True),
    "truncated, closed": Way(Fault("long", after=True), True),
    "truncated chunks": Way(Fault("chunk", after=True), True),
    "endless body": Way(Fault("dribble", after=True), True),
    "endless head": Way(Fault("head", after=True), True),
    "endless 100 Continue": Way(Fault("continue", after=True), True),
    "endless trailers": Way(Fault("trailers", after=True), True),
    "5 MiB": Way(Fault(body=b" " * (5 * 1024 * 1024), after=True), True),
    "another protocol": Way(Fault("alien"), True),
    # An answer that passes.
    "307": Way(Fault(status=307, headers={"Location": "http://127.0.0.1:9/v1/x"}), True),
    "412": Way(Fault(status=412), True, True),
    "429": Way(busy("1"), True, True),
    "429, Retry-After: soon": Way(busy("soon"), True, True),
    "429, Retry-After: a second ago": Way(busy(formatdate(time.time() - 1, usegmt=True)), True, True),  # noqa: TID251
    "500": Way(Fault(status=500, after=True), True),
    "502, a proxy's": Way(proxy(502), True),
    "503, sealed": Way(Fault(status=503, body=b'{"errors":["Vault is sealed"]}'), True, True),
    "503, a proxy's": Way(proxy(503), True),
    # And one that does not.
    "429, an hour": Way(busy("3600"), False, True),
    "429, until tomorrow": Way(busy(formatdate(time.time() + 86_400, usegmt=True)), False, True),  # noqa: TID251
    "302": Way(Fault(status=302, headers={"Location": "http://127.0.0.1:9/v1/x"}), False, True),
    "400": Way(Fault(status=400), False, True),
    "403": Way(Fault(status=403, body=b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}'), False, True),
    "404": Way(Fault(status=404), False, True),
    "403, a proxy's": Way(proxy(403), False),
    "404, a proxy's": Way(proxy(404), False),
    "a page": Way(proxy(200), False),
    "bad JSON": Way(Fault(body=b'{"request_id": "', after=True), False),
    "another shape": Way(Fault(body=b'{"auth": [], "data": [], "lease_id": 7}', after=True), False),
    "a number of 400 digits": Way(
        Fault(
            body=json.dumps({"auth": {**TOKEN, **ENDLESS}, "data": {}, "lease_id": "x", **ENDLESS}).encode(), after=True
        ),
        False,
    ),
    "200, empty": Way(Fault(body=b"", after=True), False),
    "204 for 200": Way(Fault(status=204, after=True), False),
    "200 for 204": Way(Fault(body=b"{}", after=True), False),
    "half, as its length says": Way(Fault("short", after=True), False),
    "compressed": Way(Fault("gzip", after=True), False),
    "compressed, 100 MB": Way(Fault(body=BOMB, headers={"Content-Encoding": "gzip"}, after=True), False),
}

# Stage -> its name in the table; what comes of a fault that goes away, of one that does not, and of nobody listening.
STAGES: dict[str, tuple[str, Expected, Expected, Expected]] = {
    "login": ("login", GOOD, NOTHING, NOTHING),
    "probe": ("probe", GOOD, NOTHING, NOTHING._replace(token_left=True)),
    "issue": (
        "issue",
        SECOND_TRY,
        LOST_TWICE,
        # The token cannot be revoked either: it may have been given a credential.
        Expected(125, False, (EXPIRES,)),
    ),
    "renew": ("renew", GOOD, ENDED, Expected(125, False, (EXPIRES,), alive=True, token_left=True)),
    "renewal": ("the command runs", GOOD, GOOD, GOOD),
    # Where waiting for it fails, OpenBao is asked to go on by itself, and what it does is seen.
    "revoke": ("revoke", GOOD, GOOD, Expected(121, True, (EXPIRES,), alive=True, token_left=True)),
    "lookup": ("lookup", GOOD, UNPROVEN, UNPROVEN._replace(token_left=True)),
    "revoke-self": ("give back", GOOD, TOKEN_LEFT, TOKEN_LEFT),
}
# Where one of these is the right answer, it is no fault.
RIGHT = {
    "204 for 200": ("probe", "revoke", "revoke-self"),
    "200 for 204": ("login", "issue", "renew", "renewal", "lookup"),
}


class Row(NamedTuple):
    stage: str
    name: str
    once: bool


def rows(*, once: bool, passes: bool) -> list[Row]:
    """What does not pass is asked about once only, so once is as good as for good; but where a credential is asked for
    anew after it."""
    return [
        Row(stage, name, once)
        for stage in STAGES
        for name, way in WAYS.items()
        if way.passes == passes
        and stage not in RIGHT.get(name, ())
        and not (name == "refused" and (once or stage == "renewal"))
        and not (once and not passes and stage != "issue")
    ]


# Each takes all the patience there is, so it is one of a kind.
PATIENT = ("refused", "hang", "reset", "307", "412", "429", "500", "502, a proxy's", "503, sealed")
FAST = ("reset", "reset, carried out", "503, sealed", "bad JSON", "403")
KINDS = (
    *PATIENT,
    *FAST,
    "truncated chunks",
    "endless head",
)  # what each of these calls meets; the rest its transport does
BY_ITSELF = [
    row
    for row in (*rows(once=True, passes=True), *rows(once=True, passes=False), *rows(once=False, passes=False))
    if row.stage != "renewal" and not (row.once and row.stage in ("probe", "revoke-self") and row.name not in KINDS)
]
TOGETHER = {
    stage: [row for row in rows(once=False, passes=True) if row.stage == stage and row.name in PATIENT]
    for stage in STAGES
    if stage != "renewal"
}
RENEWALS = [
    row
    for row in (*rows(once=True, passes=True), *rows(once=False, passes=True), *rows(once=False, passes=False))
    if row.stage == "renewal" and (row.once or row.name in PATIENT or not WAYS[row.name].passes)
]


def expected(row: Row) -> Expected:
    _, good, bad, refused = STAGES[row.stage]
    way = WAYS[row.name]
    if row.name == "refused":
        return refused
    if row.stage == "issue" and way.told:
        return GOOD if row.once and way.passes else NOTHING
    return good if row.once else bad


def fail(sweep: Sweep, row: Row) -> Rule:
    stage = {"renewal": "renew"}.get(row.stage, row.stage)
    return sweep.vault.fail(stage, WAYS[row.name].fault, times=1 if row.once else None)


def check(sweep: Sweep, row: Row, rule: Rule, run: subprocess.CompletedProcess[str], tell: Tell) -> None:
    assert rule.met > 0, run.stderr
    sweep.check(run, **expected(row)._asdict())
    sweep.tell(tell, f"OpenBao: {row.name}, {'once' if row.once else 'for good'}", STAGES[row.stage][0], run, rule)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case.name in FAST else pytest.mark.chaos) for case in BY_ITSELF],
    ids=lambda case: f"{case.stage}, {case.name}{' once' if case.once else ''}",
)
def test_a_fault_at_a_stage(sweep: Sweep, row: Tell, case: Row) -> None:
    if case.stage == "renew":
        sweep.change(ttl="1m")  # OpenBao's role gives 2 minutes, which are shortened at once
    rule = fail(sweep, case)
    check(sweep, case, rule, sweep.run(), row)
    if case.stage == "issue":  # each token is asked once, but where OpenBao said that it did nothing
        again = case.once and WAYS[case.name] == (WAYS[case.name].fault, True, True)
        assert sweep.vault.stages.count("issue") == sweep.vault.stages.count("login") + again


@pytest.fixture
def sweeps(stack: Stack, tmp_path: Path) -> Iterator[Callable[[str], Sweep]]:
    """Several at once."""
    with ExitStack() as scope:
        deaths = scope.enter_context(Deaths(lambda: at_postgresql(stack)))
        count = itertools.count()

        def make(ttl: str) -> Sweep:
            folder = tmp_path / str(next(count))
            folder.mkdir()
            sweep = scope.enter_context(swept(stack, folder, deaths=deaths))
            sweep.change(ttl=ttl)
            return sweep

        yield make


@pytest.mark.chaos
@pytest.mark.parametrize("stage", TOGETHER)
def test_a_fault_that_stays(sweeps: Callable[[str], Sweep], row: Tell, stage: str) -> None:
    """All at once: each is asked again for three seconds."""
    begun = []
    with ExitStack() as scope:
        for case in TOGETHER[stage]:
            sweep = sweeps("1m" if stage == "renew" else "2m")
            begun.append((case, sweep, fail(sweep, case), scope.enter_context(sweep.start())))
        for case, sweep, rule, step in begun:
            check(sweep, case, rule, step.wait(), row)


# Of a renewal that fails for good: at once, or when it has been asked for in vain for long enough.
WARNINGS = {
    name: f"stepcreds: warning: migrate: not renewed: Vault at {{}} answered {status} to POST sys/leases/renew"
    for name, status in (("403", 403), ("503, sealed", 503), ("bad JSON", 200))
}


@pytest.mark.chaos
@pytest.mark.parametrize("number", range(4))
def test_a_fault_at_a_renewal_while_the_command_runs(sweeps: Callable[[str], Sweep], row: Tell, number: int) -> None:
    """The command goes on, and its credential is ended like any other. Many at once: each waits for eight seconds."""
    begun = []
    with ExitStack() as scope:
        for case in RENEWALS[number::4]:
            sweep = sweeps("16s")
            sweep.vault.fail("renew", Fault("pass"))  # which shortens the lease
            rule = fail(sweep, case)
            script = f"echo ran > {sweep.marker}; until test -e {sweep.folder}/end; do sleep 0.2; done; exit 7"
            step = scope.enter_context(sweep.start("exec", "migrate", "--", "sh", "-c", script))
            begun.append((case, sweep, rule, step))
        for case, sweep, rule, step in begun:
            assert rule.arrived.wait(60), step.wait().stderr
            while case.once and "renew-token" not in sweep.vault.stages:
                assert step.process.poll() is None
                time.sleep(0.05)
            warning = "" if case.once else WARNINGS.get(case.name, "").format(sweep.vault.address)
            assert step.process.stderr is not None
            while warning and warning not in (line := step.process.stderr.readline()):  # then the command may end
                assert line, "the step ended without a warning"
            (sweep.folder / "end").touch()
            run = step.wait()
            check(sweep, case, rule, run, row)
            assert not case.once or "not renewed" not in run.stderr


def test_an_answer_that_takes_seconds_is_waited_for(sweeps: Callable[[str], Sweep], row: Tell) -> None:
    begun = []
    with ExitStack() as scope:
        for stage in STAGES:
            if stage != "renewal":
                sweep = sweeps("1m" if stage == "renew" else "2m")
                rule = sweep.vault.fail(stage, Fault("pass", delay=2.0))
                begun.append((stage, sweep, rule, scope.enter_context(sweep.start(VAULT_CLIENT_TIMEOUT=None))))
        for stage, sweep, rule, step in begun:
            run = step.wait()
            assert rule.met == 1, run.stderr
            sweep.check(run, **GOOD._asdict())
            assert sweep.vault.stages.count(stage) == 1 or stage == "revoke-self"  # which has 2.5 s for each try
            sweep.tell(row, "OpenBao: 2 s late, once", STAGES[stage][0], run, rule)


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
        # The leader may have issued before it was lost: a standby hands requests on, and answers so then.
        sweep.check(run, **LOST_TWICE._asdict())
        assert trap.visits == 0
