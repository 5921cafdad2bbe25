"""An audit device that logs accessors in clear: what became of a request on record is certain then."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from step_runs import until

from processes import descendants
from reconcile_runs import CREDS, Site, normalised
from stepcreds.devstack.stack import Stack


@pytest.fixture(scope="module")
def clear() -> Iterator[Stack]:
    with Stack() as stack:
        config = stack.openbao.folder / "openbao.hcl"
        path = stack.openbao.folder / "clear.log"
        device = (
            f'audit "file" "clear" {{\n  options {{\n    file_path = "{path}"\n    hmac_accessor = "false"\n  }}\n}}\n'
        )
        config.write_text(config.read_text() + device)
        assert stack.openbao.process is not None
        os.kill(int(descendants(stack.openbao.process.pid)[0]), signal.SIGHUP)
        stack.openbao.audit_log = path
        until(path.exists, "the second audit device")
        yield stack


@pytest.fixture
def site(clear: Stack, tmp_path: Path) -> Site:
    site = Site(clear, tmp_path)
    site.tune("sys", "lease_id")
    site.begin()
    return site


def cut_after_the_request(site: Site) -> None:
    """What a step leaves that is killed when Vault has answered."""
    (chain,) = site.chains()
    chain.write_bytes(b"".join(line + b"\n" for line in chain.read_bytes().split(b"\n")[:2]))


def test_the_token_of_a_request_on_record(site: Site) -> None:
    site.killed("verify")
    cut_after_the_request(site)
    log = site.audit()
    # As if the header were not audited: it is no part of this.
    log.write_bytes(log.read_bytes().replace(b'"x-stepcreds-step"', b'"x-other"'))
    findings = [each for each in site.found(audit=str(log)) if each["code"] == "unrecorded"]
    assert [(each["certainty"], normalised(each["meaning"])) for each in findings] == [
        (
            "incomplete",
            f"Vault issued {CREDS}/LEASE at TIME to role app-verify, repository acme/shop, run_id 9000000001, "
            "run_attempt 1, and no ledger here has it; its token is the one of a request on record, whose step ended "
            "before it wrote down more",
        )
    ]


def test_a_token_that_was_revoked_by_its_accessor(site: Site) -> None:
    """The accessor in the request is hashed unless its mount is tuned as well: then nobody can tell which it was."""
    for keys, certain in (((), False), (("accessor",), True)):
        site.tune("auth/token", *keys)
        site.begin()
        site.killed("verify")
        accessor = [each["token_accessor"] for each in site.records() if each["kind"] == "credential.requested"][-1]
        with site.stack.client() as vault:
            vault.write_data("auth/token/revoke-accessor", data={"accessor": accessor})
        run = site.reconcile()
        assert ("never-revoked (unknown)" in run.stdout) is not certain
        assert ("  which token was revoked by its accessor: " in run.stdout) is not certain
