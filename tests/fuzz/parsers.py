"""The parsers of foreign bytes, each as a function of bytes that raises nothing but for a fault of ours.

tests/fuzz/test_parsers.py gives them what hypothesis makes up, tools/fuzz.py what atheris finds. `SEEDS` are examples
of what each of them reads, and inputs that were once a fault.
"""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepcreds import foreign_json
from stepcreds.ci.claims import claims_for_ledger, claims_for_messages
from stepcreds.ci.endpoint import token_of
from stepcreds.ci.github import GitHub
from stepcreds.ci.gitlab import GitLab
from stepcreds.ci.http import Answer as EndpointAnswer
from stepcreds.cli.csv_text import csv_line
from stepcreds.cli.ledger_text import credential_json, finding_line, table
from stepcreds.cli.ledger_verify_text import as_json, seals_json, seals_lines
from stepcreds.cli.ledger_verify_text import finding_line as verify_line
from stepcreds.cli.messages import annotation, render_error
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
from stepcreds.errors import ConfigError, DatabaseError, IdentityError, StepcredsError, UsageError, VaultError
from stepcreds.identity import obtain
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.canonical import CanonicalError, canonical, fitted, parse
from stepcreds.ledger.chain import check
from stepcreds.ledger.link import line_hash
from stepcreds.printable import json_text, one_line, printable
from stepcreds.query.rows import credential_row
from stepcreds.redact import SHORTEST_VALUE, Redactor
from stepcreds.review import dossier
from stepcreds.review.sources import local
from stepcreds.review.verification import verify
from stepcreds.seals import seal
from stepcreds.seals.log import changed_tables, read_log
from stepcreds.seals.place import Folder
from stepcreds.secret import Secret
from stepcreds.survey.comparison import Earlier
from stepcreds.trust.file import dumps, load_trust
from stepcreds.trust.keys import Purpose, Trust, TrustedKey
from stepcreds.vault import refusals, values
from stepcreds.vault.advice import explain_login
from stepcreds.vault.answer import Answer
from stepcreds.vault.calls import seconds_to_wait
from stepcreds.vault.jwt_role import compare
from stepcreds.vault.policy_text import PolicyTextError, read_policy

Parser = Callable[[bytes], None]

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]")
_COMMAND = re.compile(r"(?im)^\s*::|##(\[|vso|teamcity)")


@cache
def folder() -> Path:
    """A folder of this process alone; it goes with the machine's temporary files."""
    return Path(tempfile.mkdtemp(prefix="stepcreds-fuzz-"))


def shown(error: StepcredsError) -> None:
    """Every error can be shown, steers no terminal and is no command."""
    rendered = render_error(error, colour=False)
    assert not _UNSEEN.search(rendered), rendered
    assert not _COMMAND.search(rendered), rendered
    annotated = GitHub().annotate(*annotation(rendered))
    assert annotated.count("\n") == 1
    assert len(annotated.split("::")) >= 3


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
            assert not _UNSEEN.search(value)
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


def ledger(data: bytes) -> None:
    path = folder() / "fuzzed.jsonl"
    path.write_bytes(data)
    (chapter,) = dossier.read(local([path])).chapters
    chosen = [(chapter, each) for each in chapter.view.credentials]
    printed = table(chosen, colour=False)
    assert not _UNSEEN.search(printed)
    assert not _COMMAND.search(printed)
    assert not _COMMAND.search(json_text([credential_json(each) for _, each in chosen]))
    for _, each in chosen:
        line = csv_line(list(credential_row(chapter.view, each, "x").values()))
        assert not _UNSEEN.search(line)
        assert not _COMMAND.search(line)
    for finding in chapter.verified.findings:
        assert not _UNSEEN.search(finding_line(finding))


def record(data: bytes) -> None:
    """One line of a ledger."""
    list(check([data + b"\n"]))
    with suppress(CanonicalError):
        assert canonical(parse(data)) == data


def trust(data: bytes) -> None:
    path = folder() / "trust.json"
    path.write_bytes(data)
    try:
        keys = load_trust(path).keys
    except UsageError as error:
        shown(error)
    else:
        again = folder() / "again.json"
        again.write_text(dumps(Trust("", keys)))
        assert sorted(load_trust(again).keys, key=repr) == sorted(keys, key=repr)


def checkpoints(data: bytes) -> None:
    """What stands beside a chain of one line, with the key that signed it and without."""
    path = folder() / "signed.jsonl"
    path.write_bytes(_RECORD + b"\n")
    checkpoint.beside(path).write_bytes(data)
    for pinned in (_TRUST, None):
        (result,) = verify(local([path]), pinned, keep=True)
        assert pinned is None or (result.signing.state == "signed") == bool(result.signing.covered)
        for finding in result.findings:
            assert not _UNSEEN.search(verify_line(finding, result.file))
        assert not _COMMAND.search(json_text(as_json([result], pinned)))


def seals(data: bytes) -> None:
    """A seal's file; and what is signed in one, by whoever has the key."""
    place = folder() / "seals"
    place.mkdir(exist_ok=True)
    (place / "seal-000001.json").write_bytes(data)
    (place / "seal-000002.json").write_bytes(_enveloped(seal.PAYLOAD_TYPE, data) + b"\n")
    for pinned in (_TRUST, None):
        log = read_log(Folder(place), pinned)
        found = [*log.findings, *log.missing(set()), *changed_tables(log, Folder(place))]
        assert not _UNSEEN.search("".join(seals_lines(log, found, colour=False)))
        assert not _COMMAND.search(json_text(seals_json(log, found)))


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
            assert not _UNSEEN.search(safe)
            assert not _COMMAND.search(safe)
    value, _, stream = data.partition(b"\0")
    value = value.strip(b"\r\n")
    redacted = Redactor([Secret(text_of(value))]).redacted(stream)
    assert len(value) < SHORTEST_VALUE or value not in redacted or b"*" in value


PARSERS: dict[str, Parser] = {
    function.__name__: function
    for function in (
        *(config, urls, variables, token, claims, endpoint, vault, policy, ledger, record, trust, checkpoints),
        *(seals, postgresql, postgresql_parts, report, text),
    )
}

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
_RECORD = b'{"chain_uid":"00","credential_uid":"u","kind":"credential.requested","prev":"00","seq":0,"time":"x"}'

_SIGNER = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_PURPOSES: tuple[Purpose, ...] = ("checkpoint", "seal")
_TRUST = Trust(
    "pinned",
    tuple(
        TrustedKey(
            purpose,
            "https://v:8200",
            "transit/keys/a",
            1,
            dsse.to_base64(_SIGNER.public_key().public_bytes_raw()),
            "2026-11-01T00:00:00.000Z",
            None,
        )
        for purpose in _PURPOSES
    ),
)


def _signed(**changes: object) -> bytes:
    """The checkpoint of a chain whose one line is `_RECORD`."""
    said = checkpoint.Checkpoint("00", "1", "7", "1", 1, line_hash(_RECORD), "2026-11-22T08:26:40.000Z")
    return _enveloped(checkpoint.PAYLOAD_TYPE, checkpoint.dumps(said._replace(**changes)))  # type: ignore[arg-type]


def _enveloped(payload_type: str, payload: bytes) -> bytes:
    sig = _SIGNER.sign(dsse.pae(payload_type, payload))
    return dsse.dumps(dsse.Envelope(payload_type, payload, (dsse.Signature("transit/keys/a:1", sig),)))


_LEAF = seal.Leaf("00" * 32, "1", "7", "1", 3, "ab" * 32, "\x1b[2J::error::.jsonl")
_SEAL = seal.dumps(
    seal.Seal(
        2,
        "00" * 32,
        "2026-11-22T08:26:40.000Z",
        1,
        seal.hash_of(_LEAF).hex(),
        (),
        (_LEAF,),
        (seal.Refused("../x", "", "::set-env name=A::b"),),
        seal.Table("../\u202e.parquet", "cd" * 32, 3),
    )
)


SEEDS: dict[str, tuple[bytes, ...]] = {
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
    "ledger": (_RECORD + b"\n" + _RECORD, _RECORD.replace(b'"x"', _DEEP) + b"\n", b"\0" * 300_000),
    "record": (_RECORD, _DEEP, _BIG, b'{"a":1,"a":1}'),
    "trust": (dumps(_TRUST).encode(), b'{"schema":"stepcreds.trust/1","keys":[{}]}', _DEEP, b'{"keys":' + _BIG + b"}"),
    "checkpoints": (
        _signed() + b"\n",
        _signed() + b"\n" + _signed(size=3) + b"\n" + _signed(size=3, head="x", time="x") + b"\n",
        _signed(chain_uid="\x1b[2J", repository_id="::error::", size=2**53 - 1) + b"\n",
        _signed().replace(b"keys/a:1", b"keys/\xe2\x80\xae:1") + b"\n",
        _signed()[:-9],
        b"\0" * 300_000,
        b"{}\n" * 300,
    ),
    "seals": (
        _SEAL,
        _enveloped(seal.PAYLOAD_TYPE, _SEAL) + b"\n",
        _enveloped("::error::\x1b[2J", _SEAL) + b"\n",
        _SEAL.replace(b'"seq":2', b'"seq":' + _BIG),
        _SEAL.replace(b'"leaves":[', b'"leaves":' + _DEEP + b',"x":['),
        b"\0" * 300_000,
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
