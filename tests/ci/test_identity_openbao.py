"""A token accepted here logs in at a real OpenBao, and one refused here does not (but for a minute or two of grace)."""

from __future__ import annotations

import pytest
import requests

from stepcreds.ci.http import PatientHTTP
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.devstack import provision
from stepcreds.devstack.stack import Stack
from stepcreds.errors import IdentityError
from stepcreds.identity import obtain
from stepcreds.model import Identity
from stepcreds.secret import Secret

HOUR = 3600


def settings(stack: Stack) -> VaultSettings:
    return VaultSettings(
        addresses=(stack.address,),
        namespace=None,
        ca_cert=None,
        client_cert=None,
        client_key=None,
        skip_verify=False,
        mount=provision.MOUNT,
        audience=stack.address,
    )


def logs_in(stack: Stack, token: Secret) -> bool:
    answer = requests.post(
        f"{stack.address}/v1/auth/{provision.MOUNT}/login",
        json={"role": "app-verify", "jwt": token.reveal()},
        timeout=30,
    )
    assert answer.status_code in (200, 400)
    return answer.status_code == 200


def obtained(stack: Stack, token: Secret) -> Identity | None:
    environment = {"STEPCREDS_ID_TOKEN": token.reveal()}
    try:
        return obtain(settings(stack), environment, clock=SystemClock())
    except IdentityError:
        return None


def test_the_token_of_a_job_logs_in(stack: Stack) -> None:
    clock = SystemClock()
    identity = obtain(settings(stack), stack.issuer.environment(), clock=clock, http=PatientHTTP({}, clock))
    assert logs_in(stack, identity.token)


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"exp": -30},
        {"nbf": 40},
        {"iat": 40},
        {"iat": None},
        {"nbf": None},
    ],
)
def test_what_is_accepted_here_logs_in(stack: Stack, times: dict[str, int | None]) -> None:
    token = moved(stack, times)
    assert obtained(stack, token) is not None
    assert logs_in(stack, token)


@pytest.mark.parametrize(
    "times",
    [
        {"exp": -HOUR},
        {"nbf": HOUR},
        {"iat": HOUR, "exp": 2 * HOUR},
        {"iat": None, "nbf": None},
        {"iat": None, "nbf": None, "exp": None},
    ],
)
def test_what_is_refused_here_for_its_times_does_not_log_in(stack: Stack, times: dict[str, int | None]) -> None:
    token = moved(stack, times)
    assert obtained(stack, token) is None
    assert not logs_in(stack, token)


@pytest.mark.parametrize("audience", ["https://other.example.com", ["a", "b"], "", []])
def test_another_audience_does_not_log_in(stack: Stack, audience: str | list[str]) -> None:
    token = stack.issuer.token(audience)
    assert obtained(stack, token) is None
    assert not logs_in(stack, token)


def test_one_audience_of_several_will_do(stack: Stack) -> None:
    token = stack.issuer.token(["https://other.example.com", stack.address])
    assert obtained(stack, token) is not None
    assert logs_in(stack, token)


def test_what_cannot_be_seen_here_is_openbaos_to_refuse(stack: Stack) -> None:
    """The signature: whoever changes a claim passes here, and that is all."""
    header, payload, signature = stack.issuer.token(stack.address).reveal().split(".")
    other = stack.issuer.token(stack.address, sub="repo:evil/shop:environment:production").reveal().split(".")[1]
    assert logs_in(stack, Secret(f"{header}.{payload}.{signature}"))
    forged = Secret(f"{header}.{other}.{signature}")
    assert obtained(stack, forged) is not None
    assert not logs_in(stack, forged)


def moved(stack: Stack, times: dict[str, int | None]) -> Secret:
    """A token with these times from now, in seconds."""
    now = int(SystemClock().now())
    return stack.issuer.token(stack.address, **{k: None if v is None else now + v for k, v in times.items()})
