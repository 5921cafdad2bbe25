"""What goes over the wire to a real OpenBao: how many requests and connections, which headers, and to whom."""

from __future__ import annotations

import pytest
from servers import CREDS, Fake, settings

from relay import Relay
from stepcreds import __version__
from stepcreds.clock import SystemClock
from stepcreds.devstack.stack import Stack
from stepcreds.errors import VaultError
from stepcreds.vault.client import Vault


def test_a_short_step_sends_seven_requests_over_one_connection(stack: Stack) -> None:
    with Relay(stack.openbao.port) as relay:
        there = settings(f"http://127.0.0.1:{relay.port}", mount="jwt", audience=stack.address)
        vault = Vault(there, SystemClock())
        vault.login("app-verify", stack.issuer.token(stack.address))
        vault.probe_revocation("database/creds/app-verify")
        lease = vault.issue("database/creds/app-verify")
        vault.renew_lease(lease.lease_id, 60)
        vault.revoke_lease(lease.lease_id)
        assert vault.lookup_lease(lease.lease_id).state == "gone"
        vault.revoke_self()
        vault.close()
        assert relay.requests == [
            "POST /v1/auth/jwt/login",
            "POST /v1/sys/leases/revoke",
            "GET /v1/database/creds/app-verify",
            "POST /v1/sys/leases/renew",
            "POST /v1/sys/leases/revoke",
            "POST /v1/sys/leases/lookup",
            "POST /v1/auth/token/revoke-self",
        ]
        assert relay.connections == 1


def test_headers() -> None:
    with_fake = Fake()
    fake = with_fake.fake
    vault = Vault(settings(fake.address, namespace="platform"), SystemClock())
    login = vault.login("full", fake.jwt())
    vault.issue(CREDS)
    vault.close()
    with_fake.close()
    sent = {name: value for name, value in fake.requests[1].headers.items() if name != "Host"}
    assert sent == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"stepcreds/{__version__}",
        "X-Vault-Namespace": "platform",
        "X-Vault-Request": "true",
        "X-Vault-Token": login.token.reveal(),
    }
    assert "X-Vault-Token" not in fake.requests[0].headers


def test_a_server_that_closed_the_idle_connection_is_asked_over_a_new_one() -> None:
    with_fake = Fake()
    with Relay(int(with_fake.fake.address.rpartition(":")[2])) as relay:
        vault = Vault(settings(f"http://127.0.0.1:{relay.port}"), SystemClock())
        vault.login("full", with_fake.jwt())
        relay.hang_up()
        vault.issue(CREDS)
        vault.close()
        assert relay.connections == 2
    assert with_fake.fake.paths() == ["POST auth/contract/login", f"GET {CREDS}"]
    with_fake.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    from fake_vault import Fault

    first, second = Fake(), Fake()
    vault = Vault(settings(first.fake.address), SystemClock(), patience=0.5)
    vault.login("full", first.jwt())
    first.fake.fail(CREDS, *[Fault(status=status, headers={"Location": f"{second.fake.address}/v1/{CREDS}"})] * 50)
    with pytest.raises(VaultError) as caught:
        vault.issue(CREDS)
    assert f"It redirects to {second.fake.address}/v1/{CREDS}. stepcreds follows no redirect" in caught.value.cause
    assert caught.value.docs == ("vault-standby" if status == 307 else "vault-redirect")
    vault.close()
    assert second.fake.connections == 0
    first.close()
    second.close()
