"""The parsers of foreign bytes, each as a function of bytes that raises nothing but for a fault of ours.

tests/fuzz/test_parsers.py gives them what hypothesis makes up, tools/fuzz.py what atheris finds. `SEEDS` are examples
of what each of them reads, and inputs that were once a fault.
"""

from __future__ import annotations

import json
import os
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import ledger_parsers
from foreign_text import COMMAND, UNSEEN, folder, shown

from stepcreds import foreign_json
from stepcreds.ci.claims import claims_for_ledger, claims_for_messages
from stepcreds.ci.endpoint import token_of
from stepcreds.ci.github import GitHub
from stepcreds.ci.gitlab import GitLab
from stepcreds.ci.http import Answer as EndpointAnswer
from stepcreds.clock import SystemClock
from stepcreds.config.address import AddressError, parse_address
from stepcreds.config.creds_path import kind_of, path_problem
from stepcreds.config.database_url import DatabaseURLError, parse_database_url
from stepcreds.config.duration import seconds
from stepcreds.config.load import load_config
from stepcreds.config.login_url import parse_login_url
from stepcreds.config.model import VaultSettings
from stepcreds.config.template import TemplateError, parse_template
from stepcreds.databases import messages, scram
from stepcreds.databases.stream import Deadline, Stream
from stepcreds.databases.wire import Connection
from stepcreds.errors import ConfigError, DatabaseError, IdentityError, UsageError, VaultError
from stepcreds.identity import obtain
from stepcreds.ledger.canonical import canonical, fitted
from stepcreds.printable import one_line, printable
from stepcreds.redact import SHORTEST_VALUE, Redactor
from stepcreds.secret import Secret
from stepcreds.survey.comparison import Earlier
from stepcreds.vault import refusals, values
from stepcreds.vault.advice import explain_login
from stepcreds.vault.answer import Answer
from stepcreds.vault.calls import seconds_to_wait
from stepcreds.vault.jwt_role import compare
from stepcreds.vault.policy_text import PolicyTextError, read_policy

Parser = Callable[[bytes], None]


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def config(data: bytes) -> None:
    path = folder() / "stepcreds.yml"
    try:
        load_config(path, {"VAULT_ADDR": "https://vault"}, folder(), SystemClock(), data=data)
    except ConfigError as error:
        shown(error)


def urls(data: bytes) -> None:
    text = text_of(data)
    for read, expected in (
        (lambda: parse_database_url(text, folder()), DatabaseURLError),
        (lambda: parse_login_url(text, folder()), DatabaseURLError),
        (lambda: parse_address(text), AddressError),
        (lambda: parse_template(text), TemplateError),
    ):
        with suppress(expected):
            read()
    assert path_problem(text) or kind_of(text)
    duration = seconds(text)
    assert duration is None or 0 <= duration < 10**12


def variables(data: bytes) -> None:
    """The environment: every variable that is looked at, with whatever bytes."""
    names = (
        "VAULT_ADDR",
        "VAULT_NAMESPACE",
        "VAULT_CACERT",
        "VAULT_SKIP_VERIFY",
        "VAULT_CLIENT_TIMEOUT",
        "HTTPS_PROXY",
    )
    environment = dict(zip(names, map(os.fsdecode, data.split(b"\0")), strict=False))
    try:
        load_config(
            folder() / "stepcreds.yml", environment, folder(), SystemClock(), data=b"version: 1\nprofiles: {}\n"
        )
    except ConfigError as error:
        shown(error)


def token(data: bytes) -> None:
    """A token from a variable: of anything, or with this payload."""
    settings = VaultSettings(("https://v",), None, None, None, None, False, "jwt", "https://v")
    payload = urlsafe_b64encode(data).rstrip(b"=").decode()
    for value in (text_of(data), f"eyJhbGciOiJSUzI1NiJ9.{payload}.AAAA"):
        try:
            identity = obtain(settings, {"STEPCREDS_ID_TOKEN": value}, clock=SystemClock(), ci=GitLab())
        except IdentityError as error:
            shown(error)
        else:
            json.dumps(claims_for_ledger(identity.claims))
            canonical(claims_for_ledger(identity.claims))


def claims(data: bytes) -> None:
    found = foreign_json.read(data)
    if isinstance(found, dict):
        canonical(claims_for_ledger(found))
        canonical(fitted(found))
        for value in claims_for_messages(found).values():
            assert not UNSEEN.search(value)
        environment = {"GITHUB_JOB": text_of(data)}
        for ci in (GitHub(), GitLab()):
            ci.job(found, environment)
        for row in compare(found, found, found.get("iss")):
            assert all(isinstance(cell, str) for cell in row)


def endpoint(data: bytes) -> None:
    """What a CI answers."""
    for status in (200, 500):
        try:
            token_of(EndpointAnswer(status, "", data, 1), name="value", who="GitHub Actions", url="https://x")
        except IdentityError as error:
            shown(error)


def vault(data: bytes) -> None:
    """What Vault answers, to each of the calls."""
    body = foreign_json.read(data)
    for status in (200, 204, 400, 403, 500):
        said = body.get("errors") if isinstance(body, dict) else None
        texts = tuple(text for text in said if isinstance(text, str)) if isinstance(said, list) else ()
        answer = Answer("https://v", status, body if isinstance(body, dict) else None, texts, text_of(data[:50]))
        for call in (
            partial(values.login, answer, "auth/jwt/login", 1.8e9),
            partial(values.lease, answer, 1.8e9),
            partial(values.lease_state, answer, "sys/leases/lookup", "a"),
            partial(values.server_status, answer, "sys/seal-status"),
            partial(values.expect, answer, "POST", "sys/leases/renew", 200),
        ):
            try:
                call()
            except VaultError as error:
                shown(error)
        with suppress(VaultError):
            assert 0 <= values.seconds((answer.body or {}).get("lease_duration"), answer, "POST", "x") < 10**10
        refused = refusals.refused(answer, "GET", "database/creds/app")
        shown(refused)
        shown(explain_login(refused, role="app", mount="jwt", audience="https://v", claims={"sub": text_of(data)}))
    assert seconds_to_wait(text_of(data), 1.8e9) >= 0


def policy(data: bytes) -> None:
    with suppress(PolicyTextError):
        read_policy(text_of(data))


def postgresql(data: bytes) -> None:
    """What a server sends after a login was accepted, and as its answer to a statement."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(data[: 1 << 16])
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(Stream(ours, "HOST", Deadline(SystemClock(), 20)))
        try:
            connection.query_all(["SELECT 1", "SELECT 2"])
        except DatabaseError as error:
            shown(error)


def postgresql_parts(data: bytes) -> None:
    shown(messages.ServerError("HOST", messages.error_fields(data), hidden=["secret"]))
    with suppress(DatabaseError):
        messages.data_row("HOST", data)
    exchange = scram.Exchange(Secret("p"), "nonce")
    # A number of iterations that is taken costs a second: that it is bounded has a test of its own.
    with suppress(scram.ScramError):
        exchange.final(data.replace(b"i=", b"I="))
    with suppress(scram.ScramError):
        exchange.verify(data)


def report(data: bytes) -> None:
    """An earlier report, for `scope --compare`."""
    path = folder() / "report.json"
    path.write_bytes(data)
    try:
        Earlier.read(path)
    except UsageError as error:
        shown(error)


def text(data: bytes) -> None:
    """Whatever is printed."""
    for decoded in (text_of(data), data.decode("latin-1")):
        for safe in (printable(decoded, 10**6), one_line(decoded, 10**6)):
            assert not UNSEEN.search(safe)
            assert not COMMAND.search(safe)
    value, _, stream = data.partition(b"\0")
    value = value.strip(b"\r\n")
    redacted = Redactor([Secret(text_of(value))]).redacted(stream)
    assert len(value) < SHORTEST_VALUE or value not in redacted or b"*" in value


PARSERS: dict[str, Parser] = {
    function.__name__: function
    for function in (
        *(config, urls, variables, token, claims, endpoint, vault, policy),
        *(postgresql, postgresql_parts, report, text),
    )
} | ledger_parsers.PARSERS

_BIG = b"1" + b"0" * 400
_DEEP = b"[" * 900 + b"]" * 900
_CONFIG = b"""version: 1
vault: {address: "https://v:8200", auth: {mount: jwt}}
profiles:
  migrate: {role: app, creds: database/creds/app, database: "postgresql://h:5432/app", access: ddl, schemas: [app]}
"""
_CLAIMS = b'{"iss":"https://i","sub":"s","aud":"https://v","exp":1e10,"iat":1,"repository_id":"1","run_id":7}'
_LOGIN = b'{"request_id":"r","auth":{"client_token":"hvs.a","accessor":"b","policies":["p"],"lease_duration":60}}'
_LEASE = (
    b'{"lease_id":"database/creds/app/a","lease_duration":60,"data":{"username":"u","password":"p"},"id":"a","ttl":5}'
)
SEEDS: dict[str, tuple[bytes, ...]] = {
    **ledger_parsers.SEEDS,
    "config": (_CONFIG, _CONFIG.replace(b"app,", b"*app,"), b"a: &a [*a, *a]", b"[" * 3000, b'"\\UFFFFFFFF": 1'),
    "urls": (
        b"postgresql://u:p@[::1]:5432/a?sslmode=verify-full&sslrootcert=x",
        b"https://v:8200/x",
        b"{a:url}{{",
        b"1h30m",
        b"database/creds/app",
    ),
    "variables": (
        b"https://v\0ns\0/x\0true\x0030s\0http://p:1",
        b"\xff\0\xff\0\xff\0\xff\0\xff\0\xff",
        b"https://v\0\0\0\0" + b"9" * 30,
    ),
    "token": (
        _CLAIMS,
        _CLAIMS.replace(b"1e10", _BIG),
        _CLAIMS.replace(b'"s"', _DEEP),
        _CLAIMS.replace(b"1e10", b"NaN"),
    ),
    "claims": (_CLAIMS, b'{"sub":' + _DEEP + b"}", b'{"exp":' + _BIG + b"}", b'{"bound_claims":{"sub":["*"]},"sub":1}'),
    "endpoint": (b'{"value":"eyJ.a.b"}', b'{"value":"\\ud800"}', _DEEP, b"\xff"),
    "vault": (
        _LOGIN,
        _LEASE,
        b'{"errors":["1 error occurred:\\n\\t* \\u001b[2J::set-env name=A::b","##vso[task.x]"]}',
        b'{"sealed":false,"initialized":true,"version":"2"}',
        _LEASE.replace(b"60", _BIG),
        _LEASE.replace(b'ttl":5', b'ttl":' + _BIG),
        _LOGIN.replace(b"60", b"1e400"),
        _LEASE.replace(b'"p"', _DEEP),
        b'{"data":{"id":"a","revoke_error":' + _DEEP + b"}}",
    ),
    "policy": (
        b'path "a/*" {\n  capabilities = ["read", "update"]\n}',
        b'{"path":{"a":{"policy":"write"}}}',
        b"x = <<E\nE\n",
        b'{"path":' + _DEEP + b"}",
    ),
    "postgresql": (
        messages.message(b"T", b"\0\0") + messages.message(b"D", b"\0\1\0\0\0\1a") + messages.message(b"Z", b"I"),
        messages.message(b"E", b"SFATAL\0C28P01\0M\x1b[2J\n::error::x\0\0"),
        b"N\xff\xff\xff\xff",
    ),
    "postgresql_parts": (b"\0\2\xff\xff\xff\xff\0\0\0\1a", b"r=nonceX,s=AAAA,i=4096", b"v=AAAA", b"SERROR\0Mx\0\0"),
    "report": (b'{"version":1,"profile":"a","findings":[{"code":"a","level":"read"}]}', _DEEP),
    "text": (b"pass\0a pass b", b"\x1b]0;x\x07::set-env name=A::b\n##[x]", b"\xe2\x80\xae##\xc2\xadvso[x]"),
}
