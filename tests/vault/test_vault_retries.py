"""Which answers, and which missing answers, are worth another try; and that a request to issue is never repeated
where it may have been carried out. Time stands still but for the pauses between tries, which are counted."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from email.utils import formatdate

import pytest
from servers import CREDS, logged_in, prepared_fake, settings

from fake_vault import FakeVault, Fault, Lease
from manual_clock import ManualClock
from relay import Relay
from stepcreds.clock import SystemClock
from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.secret import Secret
from stepcreds.vault.calls import LONGEST_PAUSE, full_jitter, seconds_to_wait
from stepcreds.vault.client import Vault
from stepcreds.vault.values import LeaseState

LEASE = f"{CREDS}/x"
LOGIN = "auth/contract/login"
Call = Callable[[Vault, FakeVault], object]

# Every call but `issue`: what it is, the path it asks, and whether its success is a 204.
CALLS: dict[str, tuple[str, Call]] = {
    "login": (LOGIN, lambda vault, fake: vault.login("full", fake.jwt())),
    "probe": ("sys/leases/revoke", lambda vault, fake: vault.probe_revocation(CREDS)),
    "renew_lease": ("sys/leases/renew", lambda vault, fake: vault.renew_lease(fake_lease(fake), 60)),
    "renew_token": ("auth/token/renew-self", lambda vault, fake: vault.renew_token(60)),
    "revoke_lease": ("sys/leases/revoke", lambda vault, fake: vault.revoke_lease(LEASE)),
    "queue_revocation": ("sys/leases/revoke", lambda vault, fake: vault.queue_revocation(LEASE)),
    "lookup_lease": ("sys/leases/lookup", lambda vault, fake: vault.lookup_lease(LEASE)),
    "revoke_accessor": ("auth/token/revoke-accessor", lambda vault, fake: vault.revoke_accessor("x")),
    "revoke_self": ("auth/token/revoke-self", lambda vault, fake: vault.revoke_self()),
}
PASSING = [307, 412, 429, 472, 473, 500, 502, 503, 504]
FINAL = [301, 400, 401, 403, 404, 405, 501]


def fake_lease(fake: FakeVault) -> str:
    fake.leases[LEASE] = Lease("", 120)
    return LEASE


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


@pytest.mark.parametrize("status", PASSING)
@pytest.mark.parametrize("name", CALLS)
def test_a_passing_status_is_tried_again(
    fake: FakeVault, client: Vault, clock: ManualClock, name: str, status: int
) -> None:
    path, call = CALLS[name]
    fake.fail(path, Fault(status=status), Fault(status=status))
    call(client, fake)
    assert fake.paths() == [f"POST {path}"] * 3
    assert clock.slept == [1.0, 1.0]
    assert fake.connections == 1


@pytest.mark.parametrize("status", FINAL)
@pytest.mark.parametrize("name", CALLS)
def test_every_other_status_is_final(
    fake: FakeVault, client: Vault, clock: ManualClock, name: str, status: int
) -> None:
    path, call = CALLS[name]
    fake.fail(path, Fault(status=status, body=b'{"errors":["no"]}'))
    with pytest.raises(VaultError) as caught:
        call(client, fake)
    assert caught.value.status == status
    assert fake.paths() == [f"POST {path}"]
    assert clock.slept == []


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("name", CALLS)
def test_a_success_that_is_not_the_one_expected_is_an_error(
    fake: FakeVault, client: Vault, name: str, status: int
) -> None:
    path, call = CALLS[name]
    expected = {"revoke_accessor": 204, "revoke_self": 204, "probe": 204, "revoke_lease": 204, "queue_revocation": 202}
    fake.fail(path, Fault(status=status, body=b"" if status == 204 else b"{}"))
    if status == expected.get(name, 200) != 200:
        call(client, fake)
        return
    with pytest.raises(VaultError) as caught:
        call(client, fake)
    assert caught.value.status == status
    assert len(fake.requests) == 1


@pytest.mark.parametrize("kind", ["reset", "drop", "truncate"])
@pytest.mark.parametrize("name", CALLS)
def test_a_broken_answer_is_asked_for_again(fake: FakeVault, client: Vault, name: str, kind: str) -> None:
    path, call = CALLS[name]
    fake.fail(path, Fault(kind))  # type: ignore[arg-type]
    call(client, fake)
    assert fake.paths() == [f"POST {path}"] * 2
    assert fake.connections == 2


def test_a_token_revoked_by_the_request_whose_answer_was_lost_is_no_error(fake: FakeVault, client: Vault) -> None:
    fake.fail("auth/token/revoke-self", Fault("drop", after=True))
    client.revoke_self()
    assert fake.paths() == ["POST auth/token/revoke-self"] * 2
    assert fake.tokens == {}
    with pytest.raises(VaultError):
        client.revoke_self()


# Issuing.


@pytest.mark.parametrize("status", [412, 429, 472, 473, 503])
def test_issuing_is_tried_again_where_vault_did_nothing(fake: FakeVault, client: Vault, status: int) -> None:
    fake.fail(CREDS, Fault(status=status), Fault(status=status))
    client.issue(CREDS)
    assert fake.paths() == [f"GET {CREDS}"] * 3
    assert len(fake.leases) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=502),
        Fault(status=504),
        Fault(status=520),
        Fault(status=503, body=b"upstream connect error or disconnect/reset before headers"),
        Fault("reset", after=True),
        Fault("drop", after=True),
        Fault("truncate", after=True),
        Fault(status=204, body=b"", after=True),
        Fault(status=200, body=b"<html>", headers={"Content-Type": "text/html"}),
        Fault(status=200, body=b'{"lease_id": 7}'),
        Fault(status=200, body=b'{"data": {}, "lease_id": "x", "lease_duration": "1h"}'),
        Fault(status=200, body=b'{"data": {}, "lease_id": "x", "lease_duration": -1}'),
        Fault(status=200, body=b'{"data": {}, "lease_duration": 1}'),
        Fault(status=200, body=b"[" * 100_000),
        Fault(status=200, body=b'{"data": {}, "lease_id": "x", "lease_duration": 1e300}'),
        Fault(status=200, body=b'{"data": {}, "lease_id": "x", "lease_duration": 1%s}' % (b"0" * 400)),
        # A proxy's own, after Vault has issued.
        Fault(status=403, body=b"<html>", headers={"Content-Type": "text/html"}, after=True),
        Fault(status=404, body=b"", after=True),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.body[:12]!r}",
)
def test_issuing_is_never_tried_again_where_vault_may_have_done_it(
    fake: FakeVault, client: Vault, fault: Fault
) -> None:
    fake.fail(CREDS, fault)
    with pytest.raises(LostAnswerError):
        client.issue(CREDS)
    assert fake.paths() == [f"GET {CREDS}"]


@pytest.mark.parametrize("seconds", ["1e300", "1" + 400 * "0", "NaN", "Infinity", "9223372037", "true"])
@pytest.mark.parametrize("name", ["login", "renew_lease", "renew_token"])
def test_a_duration_that_no_vault_could_send_is_none(fake: FakeVault, client: Vault, name: str, seconds: str) -> None:
    """No date of ours is so late, and no float of ours so large."""
    path, call = CALLS[name]
    auth = f'{{"client_token": "x", "accessor": "y", "lease_duration": {seconds}}}'
    fake.fail(path, Fault(body=f'{{"lease_duration": {seconds}, "auth": {auth}}}'.encode()))
    with pytest.raises(VaultError) as caught:
        call(client, fake)
    assert caught.value.cause == (
        "The answer lacks a duration in seconds: what answered is not Vault, or a Vault unlike any known."
    )


def test_how_long_a_lease_lasts_is_not_known_where_no_vault_could_have_said_it(fake: FakeVault, client: Vault) -> None:
    fake.fail("sys/leases/lookup", Fault(body=f'{{"data": {{"id": "x", "ttl": 1{400 * "0"}}}}}'.encode()))
    assert client.lookup_lease("x") == LeaseState("alive", "Vault still has the lease", 0.0)


@pytest.mark.parametrize("body", [b'{"auth": {"client_to', b"", gzip.compress(b"{}")], ids=["cut", "empty", "gzip"])
def test_json_that_cannot_be_read(fake: FakeVault, client: Vault, body: bytes) -> None:
    fake.fail(LOGIN, Fault(body=body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(VaultError) as caught:
        client.login("full", fake.jwt())
    assert (caught.value.what, caught.value.cause, caught.value.docs) == (
        f"Vault at {fake.address} answered 200 to POST {LOGIN}",
        "What came says that it is JSON, and cannot be read as such: it was cut short or compressed on the way, or "
        "what answered is not Vault.",
        "vault-not-vault",
    )


def test_what_a_lost_answer_says(fake: FakeVault, client: Vault) -> None:
    fake.fail(CREDS, Fault("drop", after=True))
    with pytest.raises(LostAnswerError) as caught:
        client.issue(CREDS)
    assert caught.value.what == f"No answer from Vault at {fake.address}: the connection was closed without an answer"
    assert caught.value.cause == (
        f"Whether {CREDS} issued a credential is not known. If it did, it ends with the token that asked for it. "
        "The address is wrong, the server is down, or this machine may not reach it."
    )
    assert len(fake.leases) == 1  # it did issue, and nobody knows the lease


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refusal_to_issue_is_not_a_lost_answer(fake: FakeVault, client: Vault, status: int) -> None:
    fake.fail(CREDS, Fault(status=status))
    with pytest.raises(VaultError) as caught:
        client.issue(CREDS)
    assert not isinstance(caught.value, LostAnswerError)
    assert fake.paths() == [f"GET {CREDS}"]


def test_issuing_goes_on_to_the_next_address_when_the_first_refuses_the_connection(
    fake: FakeVault, clock: ManualClock
) -> None:
    vault = Vault(settings(dead_address(), fake.address), clock, pause=lambda attempt: 1.0)
    login = vault.login("full", fake.jwt())
    other = Vault(settings(dead_address(), fake.address), clock, pause=lambda attempt: 1.0)
    other.use(login.token)
    other.issue(CREDS)
    other.close()
    vault.close()
    assert len(fake.leases) == 1


# Addresses.


def dead_address() -> str:
    """An address at which connections are refused."""
    with Relay(0) as relay:
        port = relay.port
    return f"http://127.0.0.1:{port}"


def test_the_address_that_answered_is_asked_first_from_then_on(fake: FakeVault, clock: ManualClock) -> None:
    vault = Vault(settings(dead_address(), fake.address), clock, pause=lambda attempt: 1.0)
    vault.login("full", fake.jwt())
    assert clock.slept == [1.0]
    vault.probe_revocation(CREDS)
    other = vault.fresh()
    other.issue(CREDS)
    other.close()
    vault.close()
    assert clock.slept == [1.0]


def test_a_standby_is_left_for_the_next_address_and_the_token_never_goes_where_it_points(
    fake: FakeVault, clock: ManualClock
) -> None:
    with FakeVault() as standby, FakeVault() as elsewhere:
        vault = Vault(settings(standby.address, fake.address), clock, pause=lambda attempt: 1.0)
        standby.fail(LOGIN, Fault(status=307, headers={"Location": f"{elsewhere.address}/v1/{LOGIN}"}))
        vault.login("full", fake.jwt())
        vault.close()
        assert (len(standby.requests), len(fake.requests), elsewhere.connections) == (1, 1, 0)


def test_no_address_answers(clock: ManualClock) -> None:
    first, second = dead_address(), dead_address()
    vault = Vault(settings(first, second), clock, patience=3, pause=lambda attempt: 1.0)
    with pytest.raises(VaultError) as caught:
        vault.revoke_self()
    vault.close()
    assert caught.value.what == (
        f"No answer from Vault at any address: {first}: connection refused; {second}: connection refused "
        "(tried 3 times in 2 s)"
    )
    assert caught.value.cause == "The address is wrong, the server is down, or this machine may not reach it."
    assert caught.value.fix == (
        "Look at vault.address in stepcreds.yml (or VAULT_ADDR), the network and the proxy variables. From this "
        f"machine:\n  curl -sS {first}/v1/sys/health"
    )
    assert caught.value.docs == "vault-unreachable"
    assert caught.value.status is None


def test_the_settings_say_how_long_a_call_may_take(clock: ManualClock) -> None:
    nobody = dead_address()
    vault = Vault(settings(nobody, timeout=5.0), clock, pause=lambda attempt: 2.0)
    tried = f"No answer from Vault at {nobody}: connection refused (tried {{}} times in {{}} s)"
    with pytest.raises(VaultError) as caught:
        vault.lookup_lease(LEASE)
    assert caught.value.what == tried.format(3, 4)
    with pytest.raises(VaultError) as caught:
        vault.revoke_lease(LEASE)
    assert caught.value.what == tried.format(3, 4)
    with pytest.raises(VaultError) as caught:
        vault.revoke_lease(LEASE, timeout=3.0)  # the settings never make it longer
    assert caught.value.what == tried.format(2, 2)
    vault.close()


def test_a_name_that_does_not_resolve(clock: ManualClock) -> None:
    vault = Vault(settings("http://vault.invalid:8200"), clock, patience=20, pause=lambda attempt: 60.0)
    with pytest.raises(VaultError) as caught:
        vault.revoke_self()
    vault.close()
    assert caught.value.what.startswith(
        "No answer from Vault at http://vault.invalid:8200: the name cannot be resolved ("
    )


# Time.


def test_the_patience_of_a_call_bounds_its_tries(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    fake.fail("sys/leases/lookup", *[Fault(status=503, body=b'{"errors":["Vault is sealed"]}')] * 100)
    client.patience = 5
    with pytest.raises(VaultError) as caught:
        client.lookup_lease(LEASE)
    assert clock.slept == [1.0] * 4
    assert caught.value.what == (
        f"Vault at {fake.address} answered 503 to POST sys/leases/lookup: Vault is sealed (tried 5 times in 4 s)"
    )
    assert caught.value.cause == "The server was started and not unsealed, or somebody sealed it."
    assert caught.value.fix == "An operator must unseal it:\n  bao operator unseal"
    assert caught.value.docs == "vault-sealed"


def test_a_limit_bounds_all_calls_together(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    fake.fail("sys/leases/lookup", *[Fault(status=503)] * 3)
    fake.fail("sys/leases/revoke", *[Fault(status=503)] * 100)
    client.limit(7)
    client.lookup_lease(LEASE)
    with pytest.raises(VaultError):
        client.revoke_lease(LEASE, timeout=60)
    assert clock.slept == [1.0] * 6
    client.limit(None)
    fake.faults.clear()
    client.revoke_lease(LEASE)


def test_revoking_has_its_own_time(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    client.patience = 2
    fake.fail("sys/leases/revoke", *[Fault(status=503)] * 50)
    client.revoke_lease(LEASE, timeout=60)
    assert clock.slept == [1.0] * 50


def test_a_server_that_does_not_answer_is_given_up(fake: FakeVault) -> None:
    vault = Vault(settings(fake.address), SystemClock(), patience=0.2, pause=lambda attempt: 1.0)
    fake.fail(LOGIN, Fault("hang"))
    with pytest.raises(VaultError) as caught:
        vault.login("full", fake.jwt())
    vault.close()
    assert caught.value.what == f"No answer from Vault at {fake.address}: no answer in time"


def test_a_server_that_does_not_answer_is_left_in_time_to_ask_another(fake: FakeVault) -> None:
    with FakeVault() as stuck:
        stuck.fail(LOGIN, Fault("hang"))
        vault = Vault(settings(stuck.address, fake.address), SystemClock(), patience=4, pause=lambda attempt: 0.0)
        vault.login("full", fake.jwt())
        vault.close()
        assert (len(stuck.requests), len(fake.requests)) == (1, 1)


def test_a_hanging_request_to_issue_is_a_lost_answer(fake: FakeVault) -> None:
    vault = Vault(settings(fake.address), SystemClock())
    vault.login("full", fake.jwt())
    vault.patience = 0.2
    fake.fail(CREDS, Fault("hang", after=True))
    with pytest.raises(LostAnswerError):
        vault.issue(CREDS)
    vault.close()
    assert fake.paths() == [f"POST {LOGIN}", f"GET {CREDS}"]


def test_a_body_without_end_is_not_read_to_its_end(fake: FakeVault, client: Vault) -> None:
    fake.fail(CREDS, Fault("flood"))
    with pytest.raises(LostAnswerError) as caught:
        client.issue(CREDS)
    assert caught.value.what == f"No answer from Vault at {fake.address}: an answer of more than 4 MiB"


# Retry-After.


def test_retry_after_in_seconds_is_honoured(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    fake.fail(LOGIN, Fault(status=429, headers={"Retry-After": "12"}))
    client.login("full", fake.jwt())
    assert clock.slept == [12.0]


def test_retry_after_as_a_date_is_honoured(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    at = formatdate(clock.now() + 9, usegmt=True)
    fake.fail(LOGIN, Fault(status=503, headers={"Retry-After": at}))
    client.login("full", fake.jwt())
    assert clock.slept == [9.0]


def test_a_wait_that_is_too_long_is_not_begun(fake: FakeVault, client: Vault, clock: ManualClock) -> None:
    body = b'{"errors":["request path \\"x\\": rate limit quota exceeded"]}'
    fake.fail(LOGIN, Fault(status=429, headers={"Retry-After": "59"}, body=body))
    with pytest.raises(VaultError) as caught:
        client.login("full", fake.jwt())
    assert clock.slept == []
    assert caught.value.what == (
        f'Vault at {fake.address} answered 429 to POST {LOGIN}: request path "x": rate limit quota exceeded'
    )
    assert caught.value.cause == (
        "More requests came than the quota allows. It asks to wait 59 s, longer than this call may take."
    )
    assert caught.value.fix == ("Start fewer steps at once, or raise the quota:\n  bao list sys/quotas/rate-limit")
    assert caught.value.docs == "vault-quota"


ENDS = ["revoke_lease", "queue_revocation", "lookup_lease", "revoke_accessor", "revoke_self"]


@pytest.mark.parametrize("name", ENDS)
def test_a_long_wait_does_not_keep_a_credential_alive(
    fake: FakeVault, client: Vault, clock: ManualClock, name: str
) -> None:
    path, call = CALLS[name]
    fake.fail(path, *[Fault(status=503, headers={"Retry-After": "120"})] * 2)
    call(client, fake)
    assert clock.slept == [LONGEST_PAUSE, LONGEST_PAUSE]


def test_what_was_not_waited_for_is_not_blamed(fake: FakeVault, client: Vault) -> None:
    fake.fail("sys/leases/lookup", *[Fault(status=503, headers={"Retry-After": "120"}, body=b"{}")] * 100)
    with pytest.raises(VaultError) as caught:
        client.lookup_lease(LEASE)
    assert caught.value.what == (
        f"Vault at {fake.address} answered 503 to POST sys/leases/lookup (tried 10 times in 27 s)"
    )
    assert "asks to wait" not in caught.value.cause


@pytest.mark.parametrize("name", ["login", *ENDS])
def test_a_long_wait_is_the_word_of_one_address(fake: FakeVault, clock: ManualClock, name: str) -> None:
    path, call = CALLS[name]
    with FakeVault() as busy, logged_in(fake, clock):
        vault = Vault(settings(busy.address, fake.address), clock, pause=lambda attempt: 1.0)
        vault.use(Secret(next(iter(fake.tokens))))
        busy.fail(path, Fault(status=503, headers={"Retry-After": "120"}))
        fake.fail(path, Fault(status=503))
        call(vault, fake)
        vault.close()
        assert fake.paths() == [f"POST {path}"] * 2
        assert clock.slept == [1.0, 1.0]
        assert len(busy.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-7", 0.0),
        ("soon", 0.0),
        ("9" * 400, 0.0),
        ("Sun, 22 Nov 2026 08:53:25 GMT", 5.0),
        ("Sun, 22 Nov 2020 08:53:25 GMT", 0.0),
        ("Sun, 99 Nov 2026 08:53:25 GMT", 0.0),
    ],
)
def test_what_retry_after_asks_for(header: str, seconds: float) -> None:
    assert seconds_to_wait(header, 1_795_337_600.0) == seconds


@pytest.mark.parametrize(("attempt", "bound"), [(0, 0.1), (1, 0.2), (4, 1.6), (5, 3.0), (10_000, 3.0)])
def test_full_jitter_is_anything_up_to_a_bound_that_doubles(attempt: int, bound: float) -> None:
    drawn = [full_jitter(attempt) for _ in range(200)]
    assert min(drawn) >= 0
    assert bound / 2 < max(drawn) <= bound
