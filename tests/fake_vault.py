"""A server on loopback that answers a step's calls as OpenBao 2.7 does, and fails on demand; it keeps no secrets and
checks no signatures. `tests/vault/test_vault_contract.py` runs the same tests against it and against the real one.

    with FakeVault() as fake:
        fake.roles["app"] = Role(creds=("database/creds/app",))
        fake.fail("database/creds/app", Fault(status=503), Fault("reset"))   # its next two requests

Faults: `answer` (another status, headers or body), `reset` (half an answer, then RST), `drop` (no answer), `truncate`
(a body shorter than announced), `flood` (a body that does not end), `hang` (no answer until `close`). With
`after=True` the request is carried out first: its answer is what gets lost.
"""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

from stepcreds.secret import Secret

Reply = tuple[int, object]


@dataclass(frozen=True)
class Fault:
    kind: Literal["answer", "reset", "drop", "truncate", "flood", "hang"] = "answer"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"errors":["injected"]}'
    after: bool = False


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without /v1/
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    connection: int  # numbered from 1


@dataclass
class Role:
    """A JWT role with its policy: what its tokens may issue, and what of that they may revoke."""

    creds: tuple[str, ...] = ()
    revocable: tuple[str, ...] = ("*",)  # globs over lease ids
    own: bool = True  # the paths of the `default` policy
    create: bool = False  # may make child tokens
    bound_claims: Mapping[str, object] = field(default_factory=dict)
    token_type: str = "service"
    ttl: int = 120


@dataclass
class Lease:
    token: str
    ttl: int
    revoke_error: str = ""


class FakeVault:
    """See the module. `requests` is the transcript, `address` where it listens."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.audience = "https://vault.example"
        self.mount = "jwt"
        self.roles: dict[str, Role] = {}
        self.engine_roles: set[str] = set()  # creds paths that exist
        self.tokens: dict[str, tuple[str, Role]] = {}  # token -> accessor, role
        self.leases: dict[str, Lease] = {}
        self.namespaces = {""}
        self.sealed = False
        self.requests: list[Request] = []
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._server.context = context
        scheme = "http" if context is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        return self._server.connections

    def jwt(self, audience: str | None = None, **claims: object) -> Secret:
        payload = {"aud": audience or self.audience, "repository": "acme/shop", **claims}
        kept = {name: value for name, value in payload.items() if value is not None}
        encoded = base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")
        return Secret(f"eyJhbGciOiJub25lIn0.{encoded}.{secrets.token_hex(8)}")

    def fail(self, path: str, *faults: Fault) -> None:
        self.faults[path] += faults

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FakeVault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fault(self, path: str) -> Fault | None:
        with self._lock:
            waiting = self.faults.get(path)
            return waiting.pop(0) if waiting else None

    def reply(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self._reply(request)

    def _reply(self, request: Request) -> Reply:
        if self.sealed:
            return 503, _errors("Vault is sealed")
        if request.headers.get("X-Vault-Namespace", "") not in self.namespaces:
            return 404, _errors("namespace not found")
        if request.path.startswith("auth/") and request.path.endswith("/login"):
            return self._login(request)
        token = request.headers.get("X-Vault-Token", "")
        if token not in self.tokens:
            return 403, _errors("permission denied")
        _, role = self.tokens[token]
        if not _allowed(role, request):
            return 403, _errors("1 error occurred:\n\t* permission denied\n\n")
        call = {
            "sys/leases/revoke": self._revoke_lease,
            "sys/leases/lookup": self._lookup_lease,
            "sys/leases/renew": self._renew_lease,
            "auth/token/create": self._create,
            "auth/token/renew-self": self._renew_self,
            "auth/token/revoke-self": self._revoke_self,
            "auth/token/revoke-accessor": self._revoke_accessor,
        }.get(request.path)
        return self._issue(request, token) if call is None else call(request, token)

    def _login(self, request: Request) -> Reply:
        if request.path != f"auth/{self.mount}/login":
            return 403, _errors("permission denied")
        name = str(request.body.get("role"))
        role = self.roles.get(name)
        if role is None:
            return 400, _errors(f'role "{name}" could not be found')
        payload = str(request.body.get("jwt")).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims.get("aud") != self.audience:
            text = "invalid audience (aud) claim: audience claim does not match any expected audience"
            return 400, _errors(f"error validating token: {text}")
        for claim, wanted in role.bound_claims.items():
            if claim not in claims:
                return 400, _errors(f'error validating claims: claim "{claim}" is missing')
            if claims[claim] != wanted:
                text = f'claim "{claim}" does not match any associated bound claim values'
                return 400, _errors(f"error validating claims: {text}")
        return 200, _answer(auth=self._token(name, role, role.ttl))

    def _token(self, policy: str, role: Role, ttl: int) -> dict[str, object]:
        token = f"s.{secrets.token_hex(12)}"
        accessor = "" if role.token_type == "batch" else secrets.token_hex(12)
        self.tokens[token] = (accessor, role)
        return {
            "client_token": token,
            "accessor": accessor,
            "policies": [policy],
            "lease_duration": ttl,
            "renewable": True,
            "entity_id": secrets.token_hex(8),
            "token_type": role.token_type,
            "mfa_requirement": None,
        }

    def _create(self, request: Request, token: str) -> Reply:
        ttl = int(str(request.body["ttl"]).removesuffix("s"))
        return 200, _answer(auth=self._token("child", self.tokens[token][1], ttl))

    def _issue(self, request: Request, token: str) -> Reply:
        if request.path not in self.engine_roles:
            return 400, _errors(f"unknown role: {request.path.rpartition('/')[2]}")
        lease_id = f"{request.path}/{secrets.token_hex(12)}"
        self.leases[lease_id] = Lease(token, 120)
        data = {"username": f"v-{secrets.token_hex(4)}", "password": secrets.token_urlsafe(12)}
        return 200, _answer(data=data, lease_id=lease_id, lease_duration=120, renewable=True)

    def _revoke_lease(self, request: Request, token: str) -> Reply:
        lease = self.leases.get(str(request.body.get("lease_id")))
        if lease is not None and lease.revoke_error:
            if request.body.get("sync") is False:
                lease.ttl = 0
                return 202, None
            return 400, _errors(f"failed to revoke entry: resp: (*logical.Response)(nil) err: {lease.revoke_error}")
        self.leases.pop(str(request.body.get("lease_id")), None)
        return 202 if request.body.get("sync") is False else 204, None

    def _lookup_lease(self, request: Request, token: str) -> Reply:
        lease_id = str(request.body.get("lease_id"))
        lease = self.leases.get(lease_id)
        if lease is None:
            return 400, _errors("invalid lease")
        data: dict[str, object] = {"id": lease_id, "ttl": lease.ttl, "renewable": True}
        if lease.revoke_error:
            data["revoke_error"] = lease.revoke_error
        return 200, _answer(data=data)

    def _renew_lease(self, request: Request, token: str) -> Reply:
        lease = self.leases.get(str(request.body.get("lease_id")))
        if lease is None:
            return 400, _errors("lease not found")
        lease.ttl = int(request.body["increment"])
        return 200, _answer(lease_id=request.body["lease_id"], lease_duration=lease.ttl, renewable=True)

    def _renew_self(self, request: Request, token: str) -> Reply:
        auth = {"client_token": token, "lease_duration": int(request.body["increment"]), "renewable": True}
        return 200, _answer(auth=auth)

    def _revoke_self(self, request: Request, token: str) -> Reply:
        self._end(token)
        return 204, None

    def _revoke_accessor(self, request: Request, token: str) -> Reply:
        for other, (accessor, _) in list(self.tokens.items()):
            if accessor == request.body.get("accessor"):
                self._end(other)
                return 204, None
        return 200, _answer(warnings=["No token found with this accessor"])

    def _end(self, token: str) -> None:
        del self.tokens[token]
        self.leases = {name: lease for name, lease in self.leases.items() if lease.token != token}


def _errors(text: str) -> dict[str, list[str]]:
    return {"errors": [text]}


def _answer(**parts: object) -> dict[str, object]:
    empty = {"lease_id": "", "renewable": False, "lease_duration": 0, "data": None, "auth": None, "warnings": None}
    return {"request_id": secrets.token_hex(8), **empty, **parts}


def _allowed(role: Role, request: Request) -> bool:
    if request.path == "sys/leases/revoke":
        return any(fnmatchcase(str(request.body.get("lease_id")), glob) for glob in role.revocable)
    if request.path == "auth/token/create":
        return role.create
    if request.path.startswith(("sys/leases/", "auth/token/")):
        return role.own
    return request.path in role.creds


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: FakeVault
    context: ssl.SSLContext | None = None
    connections = 0

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        self.connections += 1
        return connection, (*address, self.connections)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        # The handshake belongs into the connection's own thread; a client that refuses us ends it.
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._serve()

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        self._serve()

    @property
    def connection_number(self) -> int:
        address: tuple[Any, ...] = self.client_address
        return int(address[2])

    def _serve(self) -> None:
        fake = self.server.fake
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.removeprefix("/v1/")
        body = json.loads(content) if content else {}
        request = Request(self.command, path, dict(self.headers.items()), body, self.connection_number)
        fault = fake.fault(path)
        if fault is None or fault.after:
            reply = fake.reply(request)
        else:
            fake.requests.append(request)
            reply = (fault.status, fault.body)
        if fault is None:
            self._send(*reply)
        elif fault.kind == "answer":
            self._send(fault.status, fault.body, fault.headers)
        else:
            self._break(fault.kind)

    def _break(self, kind: str) -> None:
        self.close_connection = True
        if kind == "hang":
            self.server.fake.released.wait(30)
        elif kind in ("reset", "truncate"):
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{"data"')
            if kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
        elif kind == "flood":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n")
            with suppress(OSError):
                for _ in self._gigabyte():
                    pass

    def _gigabyte(self) -> Iterator[None]:
        for _ in range(1024):
            self.wfile.write(b" " * 1024 * 1024)
            yield

    def _send(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if status != 204 else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing: the transcript is `requests`."""
