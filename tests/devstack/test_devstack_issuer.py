"""The OIDC issuer: what it serves is what verifiers and GitHub's clients read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from stepcreds.devstack.issuer import Issuer
from stepcreds.devstack.stack import Stack


@pytest.fixture(params=["RS256", "ES256"])
def issuer(request: pytest.FixtureRequest) -> Iterator[Issuer]:
    with Issuer(algorithm=request.param) as started:
        yield started


def get(url: str, **headers: str) -> tuple[int, Any]:
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def verified(issuer: Issuer, token: str, audience: str) -> dict[str, Any]:
    """The claims, checked with the published key, as a relying party does."""
    _, discovery = get(f"{issuer.url}/.well-known/openid-configuration")
    _, keys = get(discovery["jwks_uri"])
    key = jwt.PyJWK(keys["keys"][0])
    assert keys["keys"][0]["kid"] == jwt.get_unverified_header(token)["kid"]
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=discovery["id_token_signing_alg_values_supported"],
        audience=audience,
        issuer=discovery["issuer"],
    )
    return claims


def test_a_token_verifies_with_the_published_key(issuer: Issuer) -> None:
    claims = verified(issuer, issuer.token("https://vault", run_id="7", environment=None).reveal(), "https://vault")
    assert claims["sub"] == "repo:acme/shop:environment:production"
    assert claims["run_id"] == "7"
    assert "environment" not in claims
    assert claims["exp"] - claims["iat"] == 300


def test_the_token_endpoint_answers_the_jobs_own_request_token(issuer: Issuer) -> None:
    environment = issuer.environment()
    url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=https%3A%2F%2Fvault%3Fa%3D1"
    bearer = f"bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"
    status, body = get(url, Authorization=bearer)
    assert status == 200
    assert verified(issuer, body["value"], "https://vault?a=1")["repository"] == "acme/shop"
    assert issuer.audiences == ["https://vault?a=1"]


def test_the_token_endpoint_refuses_what_github_would(issuer: Issuer) -> None:
    url = issuer.environment()["ACTIONS_ID_TOKEN_REQUEST_URL"]
    bearer = f"bearer {issuer.request_token.reveal()}"
    assert get(url) == (401, {"message": "The request token is not this job's."})
    assert get(url, Authorization="bearer another")[0] == 401
    without_query = (400, {"message": "api-version=2.0 is missing: was the audience appended to the URL's own query?"})
    assert get(f"{issuer.url}/token?audience=x", Authorization=bearer) == without_query
    assert get(f"{issuer.url}/elsewhere", Authorization=bearer) == (404, {"message": "Not Found"})
    assert issuer.audiences == []


def test_openbao_accepts_its_tokens(issuer: Issuer, stack: Stack) -> None:
    mount = f"jwt-{jwt.get_unverified_header(issuer.token('x').reveal())['alg'].lower()}"
    with stack.client() as vault:
        vault.write_data(f"sys/auth/{mount}", data={"type": "jwt"})
        vault.write_data(f"auth/{mount}/config", data={"oidc_discovery_url": issuer.url})
        role = {"role_type": "jwt", "user_claim": "repository", "bound_audiences": ["x"]}
        vault.write_data(f"auth/{mount}/role/any", data=role)
        login = {"role": "any", "jwt": issuer.token("x").reveal()}
        assert vault.write_data(f"auth/{mount}/login", data=login)["auth"]["metadata"] == {"role": "any"}
        vault.delete(f"sys/auth/{mount}")
