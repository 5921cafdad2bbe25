"""OpenBao's certificate goes bad in the middle of a step, or what is behind its port speaks no TLS any more: from each
stage on, for every connection that comes then. What a failed handshake says is tests/vault/test_vault_tls.py's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from chaos_table import Tell
from step_runs import normalised, reconfigure
from sweep_runs import DEAD, EXPIRES, NOT_ISSUED, REVOKED, Expected, Sweep, swept

from certificates_for_vault import Authority, server_context
from faulty_vault import Door, Fault, FaultyVault, Rule
from stepcreds.devstack.stack import Stack

DOORS = (
    "expired certificate",
    "untrusted certificate",
    "certificate for another host",
    "reset in the handshake",
    "no handshake",
    "HTTP in clear",
)


class Certified(NamedTuple):
    sweep: Sweep
    doors: dict[str, Door]

    def show(self, door: str) -> None:
        """To the connections that come from now on."""
        self.sweep.vault.door = self.doors[door]


@pytest.fixture
def certified(stack: Stack, tmp_path: Path) -> Iterator[Certified]:
    """A step whose OpenBao has a certificate of a CA that the step trusts, and what it could show instead."""
    authority = Authority(tmp_path)
    doors: dict[str, Door] = {
        "good": server_context(authority.pair("good")),
        "expired certificate": server_context(authority.pair("expired", days=-1)),
        "untrusted certificate": server_context(Authority(tmp_path, "another").pair("untrusted")),
        "certificate for another host": server_context(authority.pair("elsewhere", host="127.0.0.2")),
        "reset in the handshake": "reset",
        "no handshake": "hang",
        "HTTP in clear": "plain",
    }
    with swept(stack, tmp_path, FaultyVault(stack.address, doors["good"])) as sweep:
        reconfigure(sweep.config_file, lambda document: document["vault"].update(ca_cert=str(authority.ca)))
        sweep.change(ttl="1m")  # OpenBao's role gives 2 minutes, which are shortened at once: the stage `renew`
        yield Certified(sweep, doors)


# Stage -> its name in the table, the stage before it, and what comes of it where nothing can be asked from there on.
STAGES: dict[str, tuple[str, str, Expected]] = {
    "login": ("login", "", Expected(125, False, (NOT_ISSUED,))),
    "probe": ("probe", "login", Expected(125, False, (NOT_ISSUED,), token_left=True)),
    # Nothing was sent before there was TLS.
    "issue": ("issue", "probe", Expected(125, False, (NOT_ISSUED,), token_left=True)),
    "renew": ("renew", "issue", Expected(125, False, (EXPIRES,), alive=True, token_left=True)),
    "revoke": ("revoke", "renew", Expected(121, True, (EXPIRES,), alive=True, token_left=True)),
    "lookup": ("lookup", "revoke", Expected(121, True, (REVOKED,), token_left=True)),
    "revoke-self": ("give back", "lookup", Expected(7, True, (DEAD,), token_left=True)),
}


def fast(stage: str, door: str) -> bool:
    return (stage, door) in {("issue", "expired certificate"), ("revoke", "untrusted certificate")}


@pytest.mark.parametrize(
    ("stage", "door"),
    [
        pytest.param(stage, door, marks=() if fast(stage, door) else pytest.mark.chaos)
        for stage in STAGES
        for door in DOORS
    ],
)
def test_from_a_stage_on(certified: Certified, row: Tell, stage: str, door: str) -> None:
    sweep = certified.sweep
    name, before, expected = STAGES[stage]
    since: Rule | float
    if before:
        since = sweep.vault.fail(before, Fault("pass", then=lambda: certified.show(door), last=True))
    else:
        since = time.monotonic()
        certified.show(door)
        sweep.vault.canaries.add("no token came this far")
    run = sweep.run()
    sweep.check(run, **expected._asdict())
    sweep.tell(row, f"OpenBao: {door}, for good", name, run, since)


@pytest.mark.chaos
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "login"])
def test_one_handshake_is_reset(certified: Certified, row: Tell, stage: str) -> None:
    sweep = certified.sweep
    name, before, _ = STAGES[stage]

    def show_once() -> None:
        certified.show("reset in the handshake")
        sweep.vault.then = certified.doors["good"]

    since = sweep.vault.fail(before, Fault("pass", then=show_once, last=True))
    run = sweep.run()
    sweep.check(run, code=7, ran=True, verdicts=[DEAD])
    sweep.tell(row, "OpenBao: reset in the handshake, once", name, run, since)


def test_what_is_said_of_a_certificate_that_expired_in_mid_step(certified: Certified) -> None:
    sweep = certified.sweep
    sweep.vault.fail("renew", Fault("pass", then=lambda: certified.show("expired certificate"), last=True))
    run = sweep.run()
    sweep.check(run, code=121, ran=True, verdicts=[EXPIRES], alive=True, token_left=True)
    bad = "The TLS certificate of Vault at ADDRESS is not accepted: certificate has expired"
    lease = "database/creds/app-migrate/LEASE"
    token = re.sub(r"token \w+ \(accessor\)", "token ACCESSOR (accessor)", normalised(run.stderr))
    assert token.replace("https://HOST", "ADDRESS") == (
        "stepcreds: migrate: issued database/creds/app-migrate as USER; declared ddl in app; measured ddl in N ms; ends at TIME unless renewed\n"
        f"stepcreds: warning: the Vault token ACCESSOR (accessor) could not be revoked: {bad}\n"
        "stepcreds: error: The credential of profile migrate is not proven dead: expires at TIME\n"
        f"  cause: Revocation: {bad}\n"
        f"    Proof: {bad}; the login was accepted\n"
        f"  fix: The lease is {lease}; it expires at TIME. End it and prove it, in a step of the same job:\n"
        f"      stepcreds revoke --lease {lease}\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#not-proven-dead\n"
    )
