"""Which lines of an audit log are let through to be read, told from their bytes."""

from __future__ import annotations

import json

import pytest

from stepcreds.reconciliation.sieve import Sieve

CREDS = "database/creds/app"


def line(path: str, /, **metadata: str) -> bytes:
    entry = {"type": "response", "auth": {"metadata": metadata}, "request": {"path": path}}
    return json.dumps(entry, separators=(",", ":")).encode()


@pytest.mark.parametrize("named", ["sys/leases/renew", "sys/renew/x", "kv/x", CREDS])
def test_a_claim_that_is_called_path_hides_no_issue(named: str) -> None:
    issue = line(CREDS, path=named)
    sieve = Sieve(["database/creds/"], ["sys/leases/re", "sys/renew"])
    piece = b"\n".join([line("kv/a"), issue, line("kv/b", path="sys/leases/renew"), b""])
    assert list(sieve.lines(piece, 1)) == [(2, issue)]


def lease(path: str, role: str) -> bytes:
    entry = {
        "type": "response",
        "auth": {"metadata": {"role": role}},
        "request": {"path": path},
        "response": {"secret": {"lease_id": f"{path}/abc"}},
    }
    return json.dumps(entry, separators=(",", ":")).encode()


def test_what_a_known_role_was_issued_by_an_engine_that_no_ledger_names_is_let_through() -> None:
    sieve = Sieve(["database/creds/"], ["sys/leases/re"], roles=["app-verify"])
    of_role, of_other = lease("aws/creds/admin", "App-Verify"), lease("aws/creds/admin", "billing")
    assert list(sieve.lines(b"\n".join([of_other, of_role, of_other, b""]), 1)) == [(2, of_role)]
