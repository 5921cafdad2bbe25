"""An OIDC issuer on loopback that speaks GitHub Actions' token protocol; it checks nothing but the request token.

The discovery document and keys are what OpenID Connect Discovery 1.0, section 3, asks for; the token endpoint and the
claims are those of https://docs.github.com/en/actions/reference/security/oidc.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from stepcreds.clock import Clock, SystemClock
from stepcreds.secret import Secret

_LIFE = 300  # seconds that a token is valid, as GitHub's are
_KEY_ID = "loopback"


class Issuer:
    """`with Issuer() as issuer:` — `issuer.url` is what Vault's `oidc_discovery_url` takes.

    `claims` are those of every token and may be changed at any time; a value of None leaves a claim out.
    `audiences` are those that the token endpoint was asked for, in order.
    """

    def __init__(self, *, algorithm: Literal["RS256", "ES256"] = "RS256", clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._algorithm = algorithm
        self._key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        self.request_token = Secret(secrets.token_urlsafe(24))
        self.audiences: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.issuer = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.claims: dict[str, object] = github_claims()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="issuer", daemon=True)
        self._thread.start()

    def token(self, audience: str | list[str], **claims: object) -> Secret:
        """A signed token for `audience`; `claims` stand before the issuer's own, and None leaves one out."""
        now = int(self._clock.now())
        times = {"iat": now, "nbf": now - 5, "exp": now + _LIFE}
        payload = {"jti": secrets.token_hex(16), "iss": self.url, "aud": audience, **times, **self.claims, **claims}
        kept = {name: value for name, value in payload.items() if value is not None}
        return Secret(jwt.encode(kept, self._key, algorithm=self._algorithm, headers={"kid": _KEY_ID}))

    def environment(self) -> dict[str, str]:
        """What a step of a GitHub job with `id-token: write` finds in its environment, as the claims have it."""
        claims = self.claims
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.request_token.reveal(),
            "GITHUB_JOB": "deploy",
            "GITHUB_ACTION": "__run",
            "GITHUB_WORKFLOW": str(claims.get("workflow", "")),
            "GITHUB_REPOSITORY": str(claims.get("repository", "")),
            "GITHUB_REPOSITORY_ID": str(claims.get("repository_id", "")),
            "GITHUB_REPOSITORY_OWNER": str(claims.get("repository_owner", "")),
            "GITHUB_RUN_ID": str(claims.get("run_id", "")),
            "GITHUB_RUN_NUMBER": str(claims.get("run_number", "")),
            "GITHUB_RUN_ATTEMPT": str(claims.get("run_attempt", "")),
            "GITHUB_REF": str(claims.get("ref", "")),
            "GITHUB_SHA": str(claims.get("sha", "")),
            "GITHUB_ACTOR": str(claims.get("actor", "")),
            "GITHUB_EVENT_NAME": str(claims.get("event_name", "")),
            "GITHUB_SERVER_URL": "https://github.com",
            "RUNNER_NAME": "loopback",
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Issuer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, target: str, authorization: str) -> tuple[int, Mapping[str, object]]:
        """Status and JSON body for a GET of `target` (path and query)."""
        url = urlsplit(target)
        if url.path == "/.well-known/openid-configuration":
            return 200, self._discovery()
        if url.path == "/keys":
            return 200, {"keys": [self._public_key()]}
        if url.path != "/token":
            return 404, {"message": "Not Found"}
        query = parse_qs(url.query)
        given = Secret(authorization[7:]) if authorization[:7].lower() == "bearer " else Secret("")
        if given != self.request_token:
            return 401, {"message": "The request token is not this job's."}
        if query.get("api-version") != ["2.0"]:
            return 400, {"message": "api-version=2.0 is missing: was the audience appended to the URL's own query?"}
        audience = query.get("audience", [f"https://github.com/{self.claims.get('repository_owner', '')}"])[0]
        self.audiences.append(audience)
        return 200, {"count": 1, "value": self.token(audience).reveal()}

    def _discovery(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": [self._algorithm],
            "scopes_supported": ["openid"],
        }

    def _public_key(self) -> dict[str, Any]:
        key: Any = self._key.public_key()
        converter: Any = RSAAlgorithm if self._algorithm == "RS256" else ECAlgorithm
        return {**json.loads(converter.to_jwk(key)), "use": "sig", "alg": self._algorithm, "kid": _KEY_ID}


def github_claims() -> dict[str, object]:
    """What GitHub says of a deployment of acme/shop's main branch to its production environment."""
    return {
        "sub": "repo:acme/shop:environment:production",
        "repository": "acme/shop",
        "repository_id": "71717171",
        "repository_owner": "acme",
        "repository_owner_id": "4242",
        "repository_visibility": "private",
        "run_id": "9000000001",
        "run_number": "17",
        "run_attempt": "1",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "ref_protected": "true",
        "sha": "5e3f1c0a9b7d48e2a6c4f0b1d2e3f4a5b6c7d8e9",
        "environment": "production",
        "workflow": "deploy",
        "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        "actor": "octocat",
        "actor_id": "1",
        "event_name": "push",
        "runner_environment": "github-hosted",
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # five hundred steps begin at once
    issuer: Issuer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 30

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        status, body = self.server.issuer.answer(self.path, self.headers.get("Authorization", ""))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing: a request line may hold what is not for a terminal."""
