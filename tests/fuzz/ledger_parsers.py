"""What reads ledgers, and what stands beside them, each as a function of bytes that raises nothing but for a fault of
ours: see parsers.py, which lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from foreign_text import COMMAND, UNSEEN, folder, shown
from ledger_samples import LEASE, NOW, relinked, write_ledger
from ledger_site import KINDS, make_site

from stepcreds.cli.csv_text import csv_line
from stepcreds.cli.ledger_findings import finding_line
from stepcreds.cli.ledger_reconcile_text import as_json as comparison_json
from stepcreds.cli.ledger_reconcile_text import as_text as comparison_text
from stepcreds.cli.ledger_text import cells, credential_json, table
from stepcreds.cli.ledger_verify_text import as_json, result_line, seals_json, seals_lines
from stepcreds.errors import LedgerError, UsageError
from stepcreds.ledger import checkpoint, dsse
from stepcreds.ledger.canonical import CanonicalError, canonical, parse
from stepcreds.ledger.chain import check
from stepcreds.ledger.link import line_hash
from stepcreds.ledger.quick_canonical import quick_parse
from stepcreds.printable import json_text, printable
from stepcreds.query.rows import credential_row
from stepcreds.reconciliation.reconciling import reconcile
from stepcreds.reconciliation.scope import Wanted, Window
from stepcreds.report.exports import Entry, Fault, entries
from stepcreds.report.exports_ocsf import events, fault_event
from stepcreds.report.exports_otel import fault_data, log_data
from stepcreds.report.html.contents import contents
from stepcreds.report.html.page import page
from stepcreds.report.postmortem import postmortem
from stepcreds.report.postmortem_html import html
from stepcreds.report.postmortem_json import as_json as postmortem_json
from stepcreds.report.postmortem_markdown import markdown
from stepcreds.review import dossier
from stepcreds.review.selection import Selection
from stepcreds.review.sources import local, opened
from stepcreds.review.verification import verify
from stepcreds.seals import seal
from stepcreds.seals.log import changed_tables, read_log
from stepcreds.seals.place import Folder
from stepcreds.trust.file import dumps, load_trust
from stepcreds.trust.keys import Purpose, Trust, TrustedKey

DAY = 86_400.0


def ledger(data: bytes) -> None:
    path = folder() / "fuzzed.jsonl"
    path.write_bytes(data)
    (chapter,) = dossier.read(local([path])).chapters
    _as_shown(chapter)
    for finding in chapter.verified.findings:
        assert not UNSEEN.search(finding_line(finding))


def record(data: bytes) -> None:
    """One line of a ledger, which two parsers read alike."""
    list(check([data + b"\n"]))
    assert _outcome(quick_parse(), data) == _outcome(parse, data)
    try:
        value = parse(data)
    except CanonicalError:
        return
    assert canonical(value) == data


def life(data: bytes) -> None:
    """The records of many lives, some values of which are others: three bytes say which, and what is there instead."""
    said = json.loads(json.dumps(_lives()))
    for high, low, what in zip(data[:12:3], data[1:12:3], data[2:12:3], strict=False):
        _put(said, high * 256 + low, _ODD[what % len(_ODD)])
    path = folder() / "lives.jsonl"
    path.write_bytes(relinked(said, recount=False))
    read = dossier.read(local([path]), _TRUST)
    (chapter,) = read.chapters
    _as_shown(chapter)
    for piece in page(contents(read, Selection().takes), trust=_TRUST, now=NOW, title="Lives"):
        assert not UNSEEN.search(piece)
    for each in entries(local([path]), None):
        if isinstance(each, Entry):
            json.dumps([*events(each), log_data(each)], allow_nan=False)
        elif isinstance(each, Fault):
            json.dumps([fault_event(each, NOW), fault_data(each, NOW)], allow_nan=False)
    try:
        found = postmortem(read, Selection(), NOW)
    except UsageError as error:
        shown(error)
    else:
        text = printable(markdown(found), 10**9)
        assert not COMMAND.search(text)
        json.dumps(postmortem_json(found), allow_nan=False)
        for piece in html(found):
            assert not UNSEEN.search(piece)
    _compared(path, _audit_log())


def envelope(data: bytes) -> None:
    """A signed line, and what may be signed: what is read is written again to the same bytes."""
    for module in (dsse, checkpoint, seal):
        try:
            value: Any = module.loads(data)
        except LedgerError as error:
            shown(error)
        else:
            assert module.dumps(value) == data


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
        _as_verified([result], pinned)


def seals(data: bytes) -> None:
    """A seal's file; and what is signed in one, by whoever has the key."""
    place = folder() / "seals"
    place.mkdir(exist_ok=True)
    (place / "seal-000001.json").write_bytes(data)
    (place / "seal-000002.json").write_bytes(_enveloped(seal.PAYLOAD_TYPE, data) + b"\n")
    for pinned in (_TRUST, None):
        log = read_log(Folder(place), pinned)
        found = [*log.findings, *log.missing(set()), *changed_tables(log, Folder(place))]
        assert not UNSEEN.search("".join(seals_lines(log, found, colour=False)))
        assert not COMMAND.search(json_text(seals_json(log, found)))


def names(data: bytes) -> None:
    """The names of files in a folder of ledgers, apart by NUL."""
    place = folder() / "named"
    place.mkdir(exist_ok=True)
    given = [name for name in data.split(b"\0")[:6] if name not in (b"", b".", b"..") and b"/" not in name]
    made = []
    try:
        for number, name in enumerate(given):
            path = Path(bytes(place).decode(), name[:255].decode("utf-8", "surrogateescape"))
            # One chain again and again, and between them others of the same job attempt.
            path.write_bytes(_chain(number % 3))
            made.append(path)
        with opened([str(place)]) as sources:
            _as_verified(list(verify(sources, _TRUST)), _TRUST)
            for chapter in dossier.read(sources, _TRUST).chapters:
                _as_shown(chapter)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def audit(data: bytes) -> None:
    """The audit log that a ledger is held against."""
    _compared(_ledger(), data)


def _compared(chain: Path, log: bytes) -> None:
    path = folder() / "audit.log"
    path.write_bytes(log)
    for wanted in (Wanted(), Wanted(("app-migrate",), ("database",), Window(NOW - DAY, NOW + DAY))):
        try:
            result = reconcile(local([chain]), [str(path)], wanted)
        except UsageError as error:
            shown(error)
        else:
            text = comparison_text(result, colour=False)
            assert not UNSEEN.search(text)
            assert not COMMAND.search(text)
            assert not COMMAND.search(json_text(comparison_json(result)))


def _as_shown(chapter: dossier.Chapter) -> None:
    chosen = [(chapter, each) for each in chapter.view.credentials]
    printed = table(cells(chapter, each, colour=False) for _, each in chosen)
    assert not UNSEEN.search(printed)
    assert not COMMAND.search(printed)
    assert not COMMAND.search(json_text([credential_json(each) for _, each in chosen]))
    for _, each in chosen:
        line = csv_line(list(credential_row(chapter.view, each, "x").values()))
        assert not UNSEEN.search(line)
        assert not COMMAND.search(line)


def _as_verified(results: list[Any], pinned: Trust | None) -> None:
    for result in results:
        assert not UNSEEN.search(result_line(result, colour=False))
        for finding in result.findings:
            assert not UNSEEN.search(finding_line(finding, result.file))
    assert not COMMAND.search(json_text(as_json(results, pinned)))


def _outcome(read: Any, line: bytes) -> tuple[str, object]:
    try:
        return "value", json.dumps(read(line))
    except CanonicalError as error:
        return "refused", error.what


@cache
def _lives() -> list[dict[str, Any]]:
    """One chain with something of everything that a ledger may say."""
    site = make_site(folder() / "site", repositories=1, runs=len(KINDS), every=1)
    lines = [line for chain in site.chains for line in chain.read_bytes().splitlines()]
    first, *others = map(json.loads, lines)
    told = {uid for kind in KINDS for uid in site.kinds[kind]}
    return [
        first,
        *({**each, "chain_uid": first["chain_uid"]} for each in others if each.get("credential_uid") in told),
    ]


@cache
def _places() -> list[tuple[str | int, ...]]:
    return list(_paths(_lives(), ()))


def _paths(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        if path:
            yield (*path, name)
        yield from _paths(item, (*path, name))


def _put(said: Any, number: int, odd: object) -> None:
    *path, last = _places()[number % len(_places())]
    try:
        for name in path:
            said = said[name]
        said[last] = odd
    except (TypeError, KeyError, IndexError):  # it is not there any more
        pass


@cache
def _ledger() -> Path:
    return write_ledger(folder() / "ledgers", 1)


@cache
def _chain(number: int) -> bytes:
    (first, *others) = _ledger().read_bytes().splitlines(keepends=True)
    return (first + b"".join(others), first, first.replace(b'"chain_uid":"', b'"chain_uid":"0'))[number]


def _entry(kind: str, path: str, seconds: float = 1, **more: object) -> dict[str, object]:
    auth = {
        "accessor": "accessor-1",
        "client_token": "hmac-sha256:ab",
        "entity_id": "entity-1",
        "metadata": {"role": "app-migrate", "run_id": "4711"},
        "policies": ["app-migrate"],
        "token_issue_time": "2026-11-22T08:26:40Z",
        "token_ttl": 900,
    }
    request = {"id": f"request-{path}", "operation": "update", "path": path, "headers": {"x-stepcreds-step": ["s"]}}
    time = f"2026-11-22T08:26:{40 + seconds:02.0f}.123456789Z"
    return {"time": time, "type": kind, "auth": auth, "request": {**request, **more}}


@cache
def _audit_log() -> bytes:
    """What Vault did in the life of `_ledger`, and the same life once more that nobody has on record."""
    lines = [
        _entry("response", "auth/jwt/login") | {"response": {"auth": _entry("", "")["auth"]}},
        _entry("request", "database/creds/app-migrate", id="request-creds"),
    ]
    for lease in (LEASE.lease_id, "database/creds/app-migrate/other"):
        lines += [
            _entry("response", "database/creds/app-migrate", id=f"request-creds{lease[-5:] * (lease[-5:] == 'other')}")
            | {"response": {"secret": {"lease_id": lease}}},
            _entry("response", "sys/leases/renew", 2, data={"lease_id": lease, "increment": 120})
            | {"response": {"secret": {"lease_id": lease}}},
        ]
    lines += [
        _entry("response", "sys/leases/revoke", 6, data={"lease_id": LEASE.lease_id, "sync": True}),
        _entry("response", "sys/leases/revoke-prefix/database/creds/app-verify", 7),
        _entry("response", "transit/sign/stepcreds-1", 7, data={"input": "hmac-sha256:cd"}),
        _entry("response", "auth/token/revoke-self", 8),
    ]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


_BIG = b"1" + b"0" * 400
_DEEP = b"[" * 900 + b"]" * 900
_RECORD = b'{"chain_uid":"00","credential_uid":"u","kind":"credential.requested","prev":"00","seq":0,"time":"x"}'
# What may stand in the place of any value of a record, and is canonical.
_ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 2**53 - 1, 1 - 2**53, "", [], {}, [[]], [None], [{}], {"": None}, [1, "a", {}]),
    *("9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z", "2026-11-22T08:26:40.000Z", "2026-02-30T00:00:00.000Z"),
    *("\x1b[2J\u202e", "\n::error::a", "##vso[x]", "</script><!--", "=1+1", "a" * 5000, "chain.opened", "{{ 1 }}"),
    *("credential.issued", "credential.closed", "credential.measured", "credential.left", "token.revoke_failed"),
)

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
        refused=(seal.Refused("../x", "", "::set-env name=A::b"),),
        parquet=seal.Table("../\u202e.parquet", "cd" * 32, 3),
    )
)

SEEDS: dict[str, tuple[bytes, ...]] = {
    "ledger": (_RECORD + b"\n" + _RECORD, _RECORD.replace(b'"x"', _DEEP) + b"\n", b"\0" * 300_000),
    "record": (_RECORD, _DEEP, _BIG, b'{"a":1,"a":1}'),
    "life": (b"\0\0\0", bytes(range(12)), bytes(range(255, 243, -1))),
    "envelope": (_signed(), dsse.loads(_signed()).payload, _SEAL, _DEEP),
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
    "names": (
        b"shop-aaaaaaaaaaaa.jsonl\0shop-aaaaaaaaaaaa.2.jsonl\0shop-aaaaaaaaaaaa.jsonl.pushed",
        b"\n::error::a.jsonl\0##vso[x].jsonl\0\x1b[2J.checkpoints\0\xe2\x80\xae.jsonl\0\xff.jsonl\0.jsonl",
        b"-.jsonl\0..jsonl\0.1.jsonl\0.2.jsonl\0-aaaaaaaaaaaa.2.jsonl\0*.jsonl",
        b"a" * 249 + b".jsonl\0" + b"-0123456789ab" * 19 + b".jsonl",
    ),
    "audit": (
        _audit_log(),
        _audit_log().replace(b'":', b'": '),
        _audit_log().replace(b'"token_ttl":900', b'"token_ttl":' + _BIG),
        _audit_log().replace(b'"token_ttl":900', b'"token_ttl":1e400'),
        _audit_log().replace(b".123456789Z", b".1e400Z"),
        _audit_log().replace(b".123456789Z", b".1e300Z"),
        _audit_log().replace(b'"2026', b'"9999'),
        _audit_log().replace(b'"2026-11-22T08', b'"0001-01-01T00'),
        _audit_log().replace(b'"increment":120', b'"increment":' + _BIG),
        _audit_log().replace(b'"path":"', b'"path":"::error::\\u001b[2J\\ud800'),
        _audit_log().replace(b'"id":"', b'"id":"\\n::error::\\u001b[2J\\ud800'),
        b"\x1f\x8b" + _audit_log(),
        b"\x28\xb5\x2f\xfd" + _audit_log(),
        _DEEP,
    ),
}
PARSERS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (ledger, record, life, envelope, trust, checkpoints, seals, names, audit)
}
