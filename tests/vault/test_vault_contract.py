"""What a step asks of Vault and what it makes of each answer: the same tests against the fake and the real OpenBao."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from servers import CREDS, MISSING, STUCK, Fake, Real, settings

from stepcreds.clock import SystemClock
from stepcreds.errors import VaultError
from stepcreds.secret import Secret
from stepcreds.vault.advice import explain_login
from stepcreds.vault.client import Vault
from stepcreds.vault.values import LeaseState

Server = Fake | Real


@pytest.fixture(scope="module", params=["fake", "openbao", "namespace"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "fake":
        made: Server = Fake()
    else:
        made = Real(request.getfixturevalue("stack"), "platform" if request.param == "namespace" else None)
    yield made
    made.close()


@pytest.fixture
def vault(server: Server) -> Iterator[Vault]:
    client = Vault(server.settings, SystemClock(), patience=10)
    yield client
    client.close()


def said(error: VaultError, server: Server) -> str:
    """The whole of what a user reads, with the server's address made the same for both."""
    text = f"{error.what}\ncause: {error.cause}\nfix: {error.fix}\nsee: {error.docs}"
    return text.replace(server.settings.addresses[0], "ADDRESS")


def test_the_life_of_a_credential(server: Server, vault: Vault) -> None:
    login = vault.login("full", server.jwt())
    assert (login.ttl, login.renewable, bool(login.accessor), bool(login.entity_id)) == (120.0, True, True, True)
    assert login.request_id
    vault.probe_revocation(CREDS)
    lease = vault.issue(CREDS)
    assert lease.lease_id.startswith(f"{CREDS}/")
    assert sorted(lease.fields) == ["password", "username"]
    assert lease.fields["username"].reveal().startswith("v-")
    assert (lease.duration, lease.renewable) == (120.0, True)
    assert server.lease_exists(lease.lease_id)

    assert vault.renew_lease(lease.lease_id, 59.2) == 60.0
    assert vault.renew_token(30) == 30.0
    state = vault.lookup_lease(lease.lease_id)
    assert (state.alive, state.detail, 55 < state.ttl <= 60) == (True, "Vault still has the lease", True)

    vault.revoke_lease(lease.lease_id)
    assert vault.lookup_lease(lease.lease_id) == LeaseState("gone")
    assert not server.lease_exists(lease.lease_id)
    vault.revoke_self()
    with pytest.raises(VaultError) as caught:
        vault.lookup_lease(lease.lease_id)
    assert said(caught.value, server) == (
        "Vault at ADDRESS answered 403 to POST sys/leases/lookup: permission denied\n"
        "cause: Vault does not know the token (any longer): it has expired, was revoked, or has no uses left.\n"
        "fix: Look at token_ttl, token_max_ttl and token_num_uses (0) of the JWT role.\n"
        "see: vault-token-gone"
    )


def test_a_lease_that_never_was_is_gone_and_revoking_it_is_no_error(server: Server, vault: Vault) -> None:
    vault.login("full", server.jwt())
    vault.revoke_lease(f"{CREDS}/never")
    assert vault.lookup_lease(f"{CREDS}/never") == LeaseState("gone")
    with pytest.raises(VaultError) as caught:
        vault.renew_lease(f"{CREDS}/never", 60)
    assert caught.value.what.endswith(" answered 400 to POST sys/leases/renew: lease not found")


def test_a_revocation_that_fails_says_why_and_the_lease_is_alive(server: Server, vault: Vault) -> None:
    vault.login("full", server.jwt())
    lease = vault.issue(CREDS)
    with server.stuck():
        with pytest.raises(VaultError) as caught:
            vault.revoke_lease(lease.lease_id)
        assert caught.value.status == 400
        assert STUCK in caught.value.what
        assert vault.lookup_lease(lease.lease_id).alive
    vault.revoke_lease(lease.lease_id)
    assert vault.lookup_lease(lease.lease_id) == LeaseState("gone")


def test_a_queued_revocation_is_answered_before_it_succeeds_and_ends_the_lease_on_paper(
    server: Server, vault: Vault
) -> None:
    vault.login("full", server.jwt())
    lease = vault.issue(CREDS)
    with server.stuck():
        vault.queue_revocation(lease.lease_id)
        state = vault.lookup_lease(lease.lease_id)
    assert (state.alive, state.ttl <= 0) == (True, True)
    vault.revoke_lease(lease.lease_id)
    assert vault.lookup_lease(lease.lease_id) == LeaseState("gone")


def test_a_token_is_revoked_by_its_accessor_with_all_it_issued(server: Server, vault: Vault) -> None:
    killed = vault.login("full", server.jwt())
    lease = vault.issue(CREDS)
    vault.login("full", server.jwt())
    assert vault.revoke_accessor(killed.accessor) == "revoked"
    assert vault.revoke_accessor(killed.accessor) == "gone"
    # The leases of a revoked token end a moment later: Vault queues them.
    vault.revoke_lease(lease.lease_id)
    assert vault.lookup_lease(lease.lease_id) == LeaseState("gone")


def test_a_child_token_is_used_in_place_of_its_parent_which_stays(server: Server, vault: Vault) -> None:
    parent = vault.login("operator", server.jwt())
    child = vault.child_token(59.5)
    assert (child.ttl, child.token != parent.token, child.accessor != parent.accessor) == (60.0, True, True)
    lease = vault.issue(CREDS)
    vault.revoke_lease(lease.lease_id)
    vault.revoke_self()
    vault.use(parent.token)
    assert vault.lookup_lease(lease.lease_id) == LeaseState("gone")
    vault.revoke_self()


def test_a_token_that_may_make_no_child(server: Server, vault: Vault) -> None:
    vault.login("full", server.jwt())
    with pytest.raises(VaultError) as caught:
        vault.child_token(60)
    assert said(caught.value, server) == (
        "Your Vault token may not create a token for this step\n"
        "cause: With --as-operator a step gets a short-lived child of your token, so that yours stays as it is; that "
        "needs auth/token/create.\n"
        "fix: Log in as somebody who may, or add to your policy:\n"
        'path "auth/token/create" {\n  capabilities = ["update"]\n}\n'
        "see: as-operator"
    )


def test_use_takes_up_a_token_of_somebody_else(server: Server, vault: Vault) -> None:
    login = vault.login("full", server.jwt())
    other = Vault(server.settings, SystemClock())
    other.use(login.token)
    assert other.lookup_lease(f"{CREDS}/never") == LeaseState("gone")
    other.close()


def test_fresh_is_the_same_client_on_another_connection(server: Server, vault: Vault) -> None:
    vault.login("full", server.jwt())
    other = vault.fresh()
    assert other.lookup_lease(f"{CREDS}/never") == LeaseState("gone")
    assert other.patience == vault.patience
    other.close()
    assert vault.lookup_lease(f"{CREDS}/never") == LeaseState("gone")


def test_a_namespace_is_sent_and_one_that_is_not_there_is_named(server: Server) -> None:
    there = Vault(settings(*server.settings.addresses, namespace="platform"), SystemClock(), patience=5)
    with pytest.raises(VaultError) as caught:
        there.login("nobody", server.jwt())
    assert caught.value.status in (400, 403)  # the namespace is there, and holds no such mount or role
    there.close()
    wrong = Vault(settings(*server.settings.addresses, namespace="nowhere"), SystemClock(), patience=5)
    with pytest.raises(VaultError) as caught:
        wrong.login("full", server.jwt())
    wrong.close()
    assert said(caught.value, server) == (
        "Vault at ADDRESS answered 404 to POST auth/contract/login: namespace not found\n"
        "cause: There is no such namespace.\n"
        "fix: Look at vault.namespace in stepcreds.yml, and at VAULT_NAMESPACE and BAO_NAMESPACE. The namespaces that "
        "exist:\n  bao namespace list\n"
        "see: vault-namespace"
    )


def test_batch_tokens_are_refused(server: Server, vault: Vault) -> None:
    with pytest.raises(VaultError) as caught:
        vault.login("batch", server.jwt())
    assert said(caught.value, server) == (
        "The role batch at auth/contract gives batch tokens, which cannot be revoked\n"
        "cause: A batch token and what it issues live until they expire, whatever happens to the step.\n"
        "fix: Make the role give service tokens:\n"
        "  bao write auth/contract/role/batch role_type=jwt token_type=service\n"
        "If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string.\n"
        "see: batch-token"
    )


def test_a_policy_that_cannot_issue(server: Server, vault: Vault) -> None:
    vault.login("nothing", server.jwt())
    with pytest.raises(VaultError) as caught:
        vault.issue(CREDS)
    assert said(caught.value, server) == (
        "Vault at ADDRESS answered 403 to GET contract/creds/app: permission denied\n"
        "cause: The policies of the token do not allow to read contract/creds/app.\n"
        'fix: Add to a policy of the role:\npath "contract/creds/app" {\n  capabilities = ["read"]\n}\n'
        "see: policy-creds"
    )


def test_a_policy_that_cannot_revoke_is_found_before_anything_is_issued(server: Server, vault: Vault) -> None:
    vault.login("issue-only", server.jwt())
    with pytest.raises(VaultError) as caught:
        vault.probe_revocation(CREDS)
    assert said(caught.value, server) == (
        "This token may not revoke what contract/creds/app issues, so nothing is issued\n"
        "cause: Vault's `default` policy does not hold sys/leases/revoke; or allowed_parameters of the role's policy "
        'leave out "sync", without which Vault only queues a revocation.\n'
        "fix: Add to a policy of the role:\n"
        'path "sys/leases/revoke" {\n'
        '  capabilities = ["update"]\n'
        "  allowed_parameters = {\n"
        '    "lease_id" = ["contract/creds/app/*"]\n'
        '    "sync"     = []\n'
        "  }\n"
        "}\n"
        "see: policy-revoke"
    )


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda vault: vault.lookup_lease(f"{CREDS}/x"), "sys/leases/lookup"),
        (lambda vault: vault.renew_lease(f"{CREDS}/x", 60), "sys/leases/renew"),
        (lambda vault: vault.renew_token(60), "auth/token/renew-self"),
        (lambda vault: vault.revoke_self(), "auth/token/revoke-self"),
        (lambda vault: vault.revoke_accessor("x"), "auth/token/revoke-accessor"),
    ],
)
def test_a_policy_without_the_default_ones_paths(
    server: Server, vault: Vault, call: Callable[[Vault], object], path: str
) -> None:
    vault.login("poor", server.jwt())
    with pytest.raises(VaultError) as caught:
        call(vault)
    assert said(caught.value, server) == (
        f"Vault at ADDRESS answered 403 to POST {path}: permission denied\n"
        "cause: The policies of the token do not allow this request.\nfix: \nsee: vault-policy"
    )


def test_an_engine_role_that_does_not_exist(server: Server, vault: Vault) -> None:
    vault.login("full", server.jwt())
    with pytest.raises(VaultError) as caught:
        vault.issue(MISSING)
    assert said(caught.value, server) == (
        "Vault at ADDRESS answered 400 to GET contract/creds/missing: unknown role: missing\n"
        "cause: The engine has no such role.\n"
        "fix: Correct `creds` of the profile, or make the role. Those there are:\n  bao list contract/roles\n"
        "see: issue-role"
    )


def test_without_a_token_nothing_is_known(server: Server, vault: Vault) -> None:
    vault.use(Secret("s.unknown"))
    with pytest.raises(VaultError) as caught:
        vault.probe_revocation(CREDS)
    assert (caught.value.status, caught.value.docs) == (403, "vault-token-gone")


CLAIMS = {"repository": "acme/shop", "ref": "refs/heads/main"}
SHOWN = "\nThis job's token says (unverified):\n  ref         refs/heads/main\n  repository  acme/shop"


def refusal(server: Server, vault: Vault, role: str, jwt: Secret) -> str:
    with pytest.raises(VaultError) as caught:
        vault.login(role, jwt)
    explained = explain_login(
        caught.value, role=role, mount=server.settings.mount, audience="https://vault.example", claims=CLAIMS
    )
    return said(explained, server)


def test_a_login_for_another_audience(server: Server, vault: Vault) -> None:
    assert refusal(server, vault, "full", server.jwt("https://other.example")) == (
        "Vault refused the login of role full at auth/contract: error validating token: invalid audience (aud) claim: "
        "audience claim does not match any expected audience\n"
        f"cause: The role's bound_audiences do not hold https://vault.example.{SHOWN}\n"
        "fix: What the role wants now:\n"
        "  bao read auth/contract/role/full\n"
        "Either ask for an audience that is there (vault.auth.audience in stepcreds.yml), or put this job's in (this "
        "replaces bound_audiences as a whole):\n"
        """  printf %s '{"role_type": "jwt", "bound_audiences": ["https://vault.example"]}' | """
        "bao write auth/contract/role/full -\n"
        "If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string.\n"
        "see: login-audience"
    )


CLAIM_FIX = (
    "fix: What the role wants now:\n"
    "  bao read auth/contract/role/bound\n"
    "Run the job where the role expects it; or, if this job is meant to have the role, bind the role to it (this "
    "replaces bound_claims as a whole):\n"
    """  printf %s '{"role_type": "jwt", "bound_claims": {"ref": "refs/heads/main"}, "bound_claims_type": "string"}'"""
    " | bao write auth/contract/role/bound -\n"
    "Vault names one claim and other claims may differ too. With a VAULT_TOKEN that may read the role, "
    "`stepcreds doctor` shows every difference.\n"
    "see: login-claim"
)


def test_a_login_without_a_bound_claim(server: Server, vault: Vault) -> None:
    assert refusal(server, vault, "bound", server.jwt(environment=None)) == (
        "Vault refused the login of role bound at auth/contract: error validating claims: "
        'claim "environment" is missing\n'
        f"cause: The role wants a claim environment, and this job's token has none.{SHOWN}\n" + CLAIM_FIX
    )


def test_a_login_with_another_value_of_a_bound_claim(server: Server, vault: Vault) -> None:
    assert refusal(server, vault, "bound", server.jwt(environment="staging")).startswith(
        "Vault refused the login of role bound at auth/contract: error validating claims: "
        'claim "environment" does not match any associated bound claim values\n'
    )


def test_a_login_at_a_role_that_is_not_there(server: Server, vault: Vault) -> None:
    assert refusal(server, vault, "nobody", server.jwt()) == (
        'Vault refused the login of role nobody at auth/contract: role "nobody" could not be found\n'
        f"cause: There is no role nobody at auth/contract.{SHOWN}\n"
        "fix: The roles there are:\n"
        "  bao list auth/contract/role\n"
        "Correct `role` of the profile (its default is the profile's name), or `mount` of vault.auth.\n"
        "see: login-role"
    )


def test_a_login_at_a_mount_that_is_not_there(server: Server) -> None:
    elsewhere = Vault(settings(*server.settings.addresses, mount="elsewhere"), SystemClock(), patience=5)
    with pytest.raises(VaultError) as caught:
        elsewhere.login("full", server.jwt())
    elsewhere.close()
    explained = explain_login(caught.value, role="full", mount="elsewhere", audience="", claims={})
    assert said(explained, server) == (
        "Vault refused the login of role full at auth/elsewhere: permission denied\n"
        "cause: Vault says no more than this. Either nothing is mounted at auth/elsewhere (in this namespace), or it "
        "is not a JWT mount, or the role's token_bound_cidrs do not hold this runner's address.\n"
        "fix: What is mounted:\n  bao auth list\nThe addresses that the role accepts:\n"
        "  bao read -field=token_bound_cidrs auth/elsewhere/role/full\n"
        "see: login-denied"
    )
