"""What a list of servers asks of the client: whom to ask next, whose answer counts, and what was perhaps carried out.

What a real cluster answers while it has no leader is in tests/chaos/test_cluster_*.py; these are its single answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import CREDS, logged_in, prepared_fake, settings

from certificates_for_vault import Authority, server_context
from fake_vault import FakeVault, Fault, Lease
from manual_clock import ManualClock
from stepcreds.clock import SystemClock
from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.vault.client import Vault

LEASE = f"{CREDS}/x"
LOGIN = "auth/contract/login"
REVOKE, LOOKUP = "sys/leases/revoke", "sys/leases/lookup"
INDEX = "eyJjbHVzdGVyIjoiYSIsInZhbHVlIjoiNTcifQ=="
BEHIND = Fault(status=429, headers={"Retry-After": "1"}, body=b'{"errors":[]}')


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


def headers(fake: FakeVault) -> list[tuple[str, str | None, str | None]]:
    return [
        (request.path, request.headers.get("X-Vault-Index"), request.headers.get("X-Vault-Inconsistent"))
        for request in fake.requests
    ]


# A standby reads its own copy of the storage.


def test_a_lookup_is_answered_by_a_server_that_has_the_revocation(fake: FakeVault, client: Vault) -> None:
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": INDEX}))
    client.revoke_lease(LEASE)
    client.lookup_lease(LEASE)
    other = client.fresh()
    other.lookup_lease(LEASE)
    other.close()
    client.renew_token(60)  # what writes is the leader's anyway
    assert headers(fake) == [
        (REVOKE, None, None),
        (LOOKUP, INDEX, None),
        (LOOKUP, INDEX, None),
        ("auth/token/renew-self", None, None),
    ]


def test_a_standby_that_is_behind_has_the_leader_answer(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": INDEX}))
    fake.fail(LOOKUP, BEHIND)
    client.revoke_lease(LEASE)
    assert client.lookup_lease(LEASE).state == "gone"
    assert headers(fake)[1:] == [(LOOKUP, INDEX, None), (LOOKUP, INDEX, "forward-active-node")]
    assert clock.slept == []


def test_a_standby_of_vault_enterprise_that_is_behind_is_asked_again(
    fake: FakeVault, client: Vault, clock: ManualClock
) -> None:
    """It refuses a request to forward, unless it is configured for that."""
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": INDEX}))
    fake.fail(LOOKUP, Fault(status=412, body=b'{"errors":["required index state not present"]}'))
    client.revoke_lease(LEASE)
    assert client.lookup_lease(LEASE).state == "gone"
    assert headers(fake)[1:] == [(LOOKUP, INDEX, None)] * 2
    assert clock.slept == [1.0]


def test_a_quota_is_no_standby_that_is_behind(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    quota = b'{"errors":["request path \\"x\\": rate limit quota exceeded"]}'
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": INDEX}))
    fake.fail(LOOKUP, Fault(status=429, headers={"Retry-After": "2"}, body=quota))
    client.revoke_lease(LEASE)
    client.lookup_lease(LEASE)
    assert headers(fake)[1:] == [(LOOKUP, INDEX, None)] * 2
    assert clock.slept == [2.0]


@pytest.mark.parametrize("index", ["x" * 1001, "caf\u00e9", "a\tb", "a, b", f"{INDEX}\r\nX-Vault-Index: {INDEX}"])
def test_an_index_that_is_none_is_not_sent_on(fake: FakeVault, client: Vault, index: str) -> None:
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": index}))
    client.revoke_lease(LEASE)
    client.lookup_lease(LEASE)
    assert headers(fake)[1:] == [(LOOKUP, None, None)]


def test_an_error_says_nothing_of_the_storage(fake: FakeVault, client: Vault) -> None:
    older = {"X-Vault-Index": "b2xkZXI="}
    fake.fail(REVOKE, Fault(status=204, body=b"", headers={"X-Vault-Index": INDEX}))
    fake.fail(LOOKUP, Fault(status=503, headers=older), Fault(status=403, body=b'{"errors":["no"]}', headers=older))
    client.revoke_lease(LEASE)
    with pytest.raises(VaultError):
        client.lookup_lease(LEASE)
    client.lookup_lease(LEASE)
    assert headers(fake)[1:] == [(LOOKUP, INDEX, None)] * 3


# What a standby says of a request that it handed on.


@pytest.mark.parametrize(
    "fault",
    [Fault(status=307), Fault(status=503, body=b'{"errors":["no active Vault instance found"]}')],
    ids=["307", "503"],
)
def test_issuing_is_not_tried_again_where_a_standby_lost_the_leader(
    fake: FakeVault, client: Vault, fault: Fault
) -> None:
    fake.fail(CREDS, fault)
    with pytest.raises(LostAnswerError):
        client.issue(CREDS)
    assert fake.paths() == [f"GET {CREDS}"]


def test_issuing_is_tried_again_where_a_standby_knew_of_no_leader(fake: FakeVault, client: Vault) -> None:
    body = b'{"errors":["local node not active but active cluster node not found"]}'
    fake.fail(CREDS, Fault(status=500, body=body), Fault(status=500, body=body))
    client.issue(CREDS)
    assert fake.paths() == [f"GET {CREDS}"] * 3
    assert len(fake.leases) == 1


# Whom to ask.


def test_the_call_after_one_that_failed_begins_at_another_server(fake: FakeVault, clock: ManualClock) -> None:
    with FakeVault() as stuck:
        vault = Vault(settings(stuck.address, fake.address), clock, patience=3, pause=lambda attempt: 60.0)
        stuck.fail(LOGIN, Fault("hang"))
        with pytest.raises(VaultError):
            vault.login("full", fake.jwt())
        vault.login("full", fake.jwt())
        vault.close()
        assert (len(stuck.requests), len(fake.requests)) == (1, 1)


def test_a_lost_answer_is_followed_up_at_another_server(fake: FakeVault, clock: ManualClock) -> None:
    with FakeVault() as other:
        vault = Vault(settings(fake.address, other.address), clock, pause=lambda attempt: 1.0)
        vault.login("full", fake.jwt())
        fake.fail(CREDS, Fault("drop", after=True))
        with pytest.raises(LostAnswerError):
            vault.issue(CREDS)
        other.fail("auth/token/revoke-self", Fault(status=204, body=b""))
        vault.revoke_self()
        vault.close()
        assert (fake.paths()[1:], other.paths()) == ([f"GET {CREDS}"], ["POST auth/token/revoke-self"])


def test_a_revocation_leaves_half_of_its_time_for_another_server(fake: FakeVault) -> None:
    with FakeVault() as stuck:
        fake.leases[LEASE] = Lease("", 120)
        vault = Vault(settings(stuck.address, fake.address), SystemClock(), pause=lambda attempt: 0.0)
        stuck.fail(LOGIN, Fault(status=503))
        vault.login("full", fake.jwt())
        asked = vault.fresh()
        asked._calls.current = 0
        stuck.fail(REVOKE, Fault("hang"))
        asked.revoke_lease(LEASE, timeout=4.0)
        for each in (vault, asked):
            each.close()
        assert fake.leases == {}
        assert fake.paths()[1:] == [f"POST {REVOKE}"]


def test_a_server_with_a_certificate_that_nobody_trusts_is_left_for_the_next(
    fake: FakeVault, clock: ManualClock, tmp_path: Path
) -> None:
    """One server whose certificate has expired must not keep a step from revoking at the others."""
    authority = Authority(tmp_path)
    with FakeVault(server_context(authority.pair("expired", days=-1))) as expired:
        vault = Vault(settings(expired.address, fake.address, ca_cert=authority.ca), clock, patience=5)
        vault.login("full", fake.jwt())
        assert expired.requests == []
        only = Vault(settings(expired.address, ca_cert=authority.ca), clock, patience=5)
        with pytest.raises(VaultError) as caught:
            only.login("full", fake.jwt())
        assert (caught.value.docs, clock.slept[1:]) == ("vault-tls", [])
        for each in (vault, only):
            each.close()
