"""Canaries: neither the token, nor the JWT, nor anything issued is in a message, a repr, a traceback or a log."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator

import pytest
from servers import CREDS, MOUNT, logged_in, prepared_fake, settings

from fake_vault import FakeVault, Fault, Role
from manual_clock import ManualClock
from stepcreds.clock import SystemClock
from stepcreds.errors import VaultError
from stepcreds.model import Lease
from stepcreds.secret import Secret
from stepcreds.vault.client import Vault

CANARY = "canary7f3a"


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with prepared_fake() as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(fake: FakeVault, clock: ManualClock) -> Iterator[Vault]:
    with logged_in(fake, clock) as made:
        yield made


class Echo(FakeVault):
    """Repeats what it was sent in its errors, as a badly configured proxy does."""

    def reply(self, request):  # type: ignore[no-untyped-def]
        token, jwt = request.headers.get("X-Vault-Token", ""), request.body.get("jwt", "")
        super().reply(request)
        return 400, {"errors": [f"denied: token {token} and jwt {jwt}"]}


def everything_about(error: VaultError) -> str:
    chain = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    hidden = "".join(repr(other) for other in (error.__context__, error.__cause__) if other is not None)
    return "\n".join([chain, hidden, repr(error), str(error), error.cause, error.fix, *error.errors])


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop"),
        Fault("reset"),
        Fault("truncate"),
        Fault(status=400, body=json.dumps({"errors": [], "echo": CANARY}).encode()),
        Fault(status=500, body=f"<html>{CANARY}".encode()),
        Fault(status=200, body=f'{{"auth": {{"client_token": "{CANARY}"}}, "data": "{CANARY}"}}'.encode()),
        Fault(status=200, body=f'{{"auth": {{"client_token": "{CANARY}\\n", "accessor": "a"}}}}'.encode()),
        Fault(status=307, headers={"Location": f"https://user:{CANARY}@elsewhere/"}),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{len(fault.body)}",
)
@pytest.mark.parametrize("name", ["login", "issue", "revoke"])
def test_no_failure_shows_a_secret(
    fake: FakeVault, clock: ManualClock, caplog: pytest.LogCaptureFixture, fault: Fault, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    calls: dict[str, Callable[[Vault], object]] = {
        "login": lambda vault: vault.login("full", Secret(f"{CANARY}.jwt.x")),
        "issue": lambda vault: vault.issue(CREDS),
        "revoke": lambda vault: vault.revoke_self(),
    }
    vault = Vault(settings(fake.address), clock, patience=2, pause=lambda attempt: 1.0)
    vault.use(Secret(f"s.{CANARY}"))
    for path in (f"auth/{MOUNT}/login", CREDS, "auth/token/revoke-self"):
        fake.fail(path, *[fault] * 5)
    with pytest.raises(VaultError) as caught:
        calls[name](vault)
    vault.close()
    assert CANARY not in everything_about(caught.value)
    assert CANARY not in caplog.text
    assert CANARY not in repr(vault.__dict__)


def test_a_server_that_repeats_what_it_was_sent(clock: ManualClock) -> None:
    with Echo() as fake:
        fake.roles = {"full": Role()}
        vault = Vault(settings(fake.address), clock)
        with pytest.raises(VaultError) as login:
            vault.login("full", Secret(f"eyJ.{CANARY}.x"))
        vault.use(Secret(f"s.{CANARY}"))
        with pytest.raises(VaultError) as revoke:
            vault.revoke_self()
        vault.close()
    assert login.value.errors == ("denied: token and jwt ***",)
    assert revoke.value.errors == ("denied: token *** and jwt",)
    assert CANARY not in everything_about(login.value) + everything_about(revoke.value)


@pytest.mark.parametrize("token", [f"{CANARY}\r\nX-Other: 1", f" {CANARY}", f"{CANARY}\u2603"])
def test_a_token_that_cannot_be_sent(fake: FakeVault, token: str) -> None:
    vault = Vault(settings(fake.address), SystemClock(), patience=1)
    vault.use(Secret(token))
    with pytest.raises(VaultError) as caught:
        vault.revoke_self()
    vault.close()
    assert caught.value.what == f"Vault cannot be asked at {fake.address}"
    assert CANARY not in everything_about(caught.value)
    assert fake.requests == []


def test_what_is_issued_is_secret_as_a_whole(fake: FakeVault, client: Vault) -> None:
    data = {"username": CANARY, "data": {"password": CANARY, "list": [CANARY], "none": None, "on": True, "{}": {}}}
    body = {"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 99, "data": data}
    fake.fail(CREDS, Fault(status=200, body=json.dumps(body).encode()))
    lease = client.issue(CREDS)
    assert CANARY not in repr(lease)
    revealed = {name: value.reveal() for name, value in lease.fields.items()}
    assert revealed == {
        "username": CANARY,
        "data.password": CANARY,
        "data.list": f'["{CANARY}"]',
        "data.none": "null",
        "data.on": "true",
        "data.{}": "{}",
    }
    # Without a lease the duration is advice: nothing ends after it.
    assert (lease.lease_id, lease.duration, lease.renewable) == ("", 0.0, False)
    assert isinstance(lease, Lease)
