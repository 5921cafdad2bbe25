"""Chains read back as credentials: joined, in order, whatever else is in the folder."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from ledger_samples import (
    FAILED,
    JOB,
    JOB_TOLD,
    LEASE,
    LOGIN,
    NOT_ISSUED,
    NOW,
    STEP,
    UIDS,
    UNPROVEN,
    closed,
    issued,
    open_journal,
    records,
    requested,
    write_ledger,
)

from manual_clock import ManualClock
from stepcreds.config.model import LedgerSettings
from stepcreds.errors import LedgerError
from stepcreds.ledger import credential
from stepcreds.ledger.reading import read_chain, read_chains, unclosed, with_lease
from stepcreds.model import Job, Revocation
from stepcreds.review.sources import local
from stepcreds.review.verification import verify


def test_a_whole_life_is_one_credential(tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1)
    chain = read_chain(path)
    (view,) = chain.credentials
    assert (chain.file, chain.unreadable) == (path, 0)
    assert [view.requested, view.issued, *view.closings] == records(path)[1:4]
    assert view.job == {
        "ci": "github",
        "iss": "https://token.actions.githubusercontent.com",
        "repository_id": "123456",
        "run_id": "4711",
        "run_attempt": "1",
        "job": "deploy",
        **JOB_TOLD,
    }
    assert (view.file, view.credential_uid, view.step_uid) == (path, UIDS[0], STEP)
    assert (view.step_name, view.profile, view.role, view.access) == ("migrate", "migrate", "app-migrate", "ddl")
    assert (view.mount_point, view.token_accessor) == ("auth/jwt", "accessor-1")
    assert (view.creds, view.lease_id) == ("database/creds/app-migrate", "database/creds/app-migrate/lease-1")
    assert (view.db_user, view.verdict) == ("v-app-migrate-1", "proven dead")
    assert (view.time, view.issue_time, view.expire_time, view.proven_time) == (NOW, NOW + 1, NOW + 121, NOW + 5.25)
    assert (view.proven, view.seconds_alive) == (True, 4.25)
    assert view.measured_by == "not measured: the profile says measure: off"


def test_what_is_not_on_record_is_empty(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(closed(UIDS[0], NOT_ISSUED, None))
    (view,) = read_chain(journal.path).credentials
    assert (view.requested, view.issued) == ({}, {})
    assert (view.profile, view.step_uid, view.verdict) == ("migrate", STEP, "not issued")
    assert (view.role, view.lease_id, view.issue_time, view.expire_time, view.proven) == ("", "", None, None, False)
    assert view.seconds_alive is None


def test_an_expiry_is_an_upper_bound_and_no_proof(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for event in (requested(), issued(), closed(ending=FAILED)):
        journal.append(event)
    journal.append(credential.issued(STEP, UIDS[1], LOGIN, LEASE, db_user=None, expire_time=math.inf))
    view, endless = read_chain(journal.path).credentials
    assert (view.proven, view.verdict, view.seconds_alive) == (False, "expires at 2026-11-22T08:28:41.000Z", 120.0)
    assert (endless.expire_time, endless.seconds_alive, endless.verdict) == (math.inf, math.inf, "not closed")


def test_a_word_without_a_proof_is_not_believed(tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1)
    path.write_bytes(path.read_bytes().replace(b'"time":"2026-11-22T08:26:45.250Z"', b'"time":null'))
    (view,) = read_chain(path).credentials
    assert (view.verdict, view.proven, view.seconds_alive) == ("proven dead", False, 120.0)


def test_lines_that_are_no_records_hide_nothing_else(tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1)
    lines = path.read_bytes().splitlines(keepends=True)
    garbage = [
        b"garbage\n",
        b"\xff\n",
        b"[]\n",
        b"[" * 9000 + b"\n",
        b'{"kind":1}\n',
        b'{"n":NaN}\n',
        b"{" * 600_000 + b"\n",
    ]
    # A record that is not canonical any more, so that no reader would find it, is still read.
    loose = json.dumps(json.loads(lines[2])).encode() + b"\n"
    path.write_bytes(b"".join([lines[0], *garbage[:3], lines[1], loose, *garbage[3:], lines[3][:-9]]))
    chain = read_chain(path)
    (view,) = chain.credentials
    assert (view.lease_id, view.verdict) == ("database/creds/app-migrate/lease-1", "not closed")
    # The longest of them comes in three pieces.
    assert chain.unreadable == len(garbage) + 2 + 1


@pytest.mark.timeout(60)  # at a GB a second the holes alone would take centuries
def test_holes_of_exabytes_hide_nothing_and_keep_nobody(tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1)
    lines = path.read_bytes().splitlines(keepends=True)
    with path.open("wb") as file:
        file.write(lines[0])
        for line in lines[1:]:
            file.seek(10**12, os.SEEK_CUR)
            file.write(b"\n" + line)
    os.truncate(path, 2**43)
    (view,) = read_chain(path).credentials
    assert (view.lease_id, view.proven) == (LEASE.lease_id, True)
    (found,) = verify(local([path]))
    assert [(finding.layer, finding.code) for finding in found.findings] == [("line", "too-long")]


@pytest.mark.parametrize("value", [None, 5, [], {}, "", "yesterday", "2026-11-22", "9" * 400, True])
def test_fields_of_another_type_are_empty(value: object, tmp_path: Path) -> None:
    path = write_ledger(tmp_path, lives=1)
    entries = [
        {
            name: value
            if name in ("job", "issue_time", "expire_time", "verified", "step", "declared", "time", "lease_id")
            else kept
            for name, kept in entry.items()
        }
        for entry in records(path)
    ]
    path.write_bytes(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
    (view,) = read_chain(path).credentials
    assert (dict(view.job), view.time, view.issue_time, view.expire_time, view.proven_time) == (
        {},
        None,
        None,
        None,
        None,
    )
    assert (view.step_name, view.access, view.lease_id) == ("", "", value if isinstance(value, str) else "")
    assert (view.proven, view.seconds_alive) == (False, None)


def test_what_revoke_has_to_end(tmp_path: Path) -> None:
    """Everything requested and not closed, of this job attempt or of its whole run attempt, oldest first."""
    settings = LedgerSettings(tmp_path, None)
    write_ledger(tmp_path, lives=2)  # closed: the job goes on in a second chain
    late = open_journal(tmp_path, clock=ManualClock(NOW + 60))
    late.append(requested(UIDS[3]))
    late.append(requested(UIDS[4]))
    late.append(issued(UIDS[4]))
    late.append(closed(UIDS[4], FAILED))  # closed, and not dead
    late.append(closed(UIDS[7], NOT_ISSUED, None))
    other_job = open_journal(tmp_path, JOB._replace(job="test"), ManualClock(NOW + 30))
    other_job.append(requested(UIDS[5]))
    for stranger in (JOB._replace(run_id="4712"), JOB._replace(run_attempt="2"), JOB._replace(repository_id="9")):
        open_journal(tmp_path, stranger).append(requested(UIDS[6]))
    mine, errors = unclosed(settings, JOB)
    assert [(view.credential_uid, view.lease_id, view.file) for view in mine] == [
        (UIDS[3], "", late.path),
        (UIDS[4], "database/creds/app-migrate/lease-1", late.path),
    ]
    whole_run, _ = unclosed(settings, JOB, whole_run=True)
    assert [view.credential_uid for view in whole_run] == [UIDS[5], UIDS[3], UIDS[4]]
    assert errors == []
    assert unclosed(LedgerSettings(tmp_path / "nowhere", None), JOB) == ([], [])


def test_a_leg_of_a_matrix_leaves_the_other_legs_alone(tmp_path: Path) -> None:
    """They run at the same time; but a job that is no leg has all of its run attempt to end."""
    settings = LedgerSettings(tmp_path, None)
    eu = JOB._replace(job="deploy (eu)", matrix="eu")
    us = JOB._replace(job="deploy (us)", matrix="us")
    for job, uid in ((eu, UIDS[1]), (us, UIDS[2]), (JOB, UIDS[3])):
        open_journal(tmp_path, job).append(requested(uid))
    assert len(list(tmp_path.iterdir())) == 3

    def left(job: Job) -> set[str]:
        return {view.credential_uid for view in unclosed(settings, job, whole_run=True)[0]}

    assert (left(eu), left(us), left(JOB)) == ({UIDS[1], UIDS[3]}, {UIDS[2], UIDS[3]}, {UIDS[1], UIDS[2], UIDS[3]})
    assert [view.credential_uid for view in unclosed(settings, eu)[0]] == [UIDS[1]]


def test_a_second_try_counts_when_it_gives_a_proof(tmp_path: Path) -> None:
    settings = LedgerSettings(tmp_path, None)
    journal = open_journal(tmp_path)
    for event in (requested(), issued(), closed(ending=FAILED), closed(ending=UNPROVEN)):
        journal.append(event)
    (view,), _ = unclosed(settings, JOB)
    assert (view.verdict, view.proven, len(view.closings)) == ("revoked, not proven", False, 2)
    journal.append(closed())
    journal.append(closed(ending=UNPROVEN))
    assert unclosed(settings, JOB) == ([], [])
    (view,) = read_chain(journal.path).credentials
    assert (view.verdict, view.proven, view.step_name, len(view.closings)) == ("proven dead", True, "migrate", 4)


def test_what_cannot_be_revoked_is_not_tried_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(requested())
    journal.append(closed(ending=FAILED._replace(revocation=Revocation("none", "impossible", None))))
    assert unclosed(LedgerSettings(tmp_path, None), JOB) == ([], [])


def test_a_lease_is_found_in_whichever_chain_it_is(tmp_path: Path) -> None:
    settings = LedgerSettings(tmp_path, None)
    write_ledger(tmp_path, lives=1)
    journal = open_journal(tmp_path, JOB._replace(run_id="9"))
    journal.append(
        credential.issued(STEP, UIDS[3], LOGIN, LEASE._replace(lease_id="kv/9"), db_user=None, expire_time=0)
    )
    journal.append(requested(UIDS[4]))
    view = with_lease(settings, "kv/9")
    assert view is not None
    assert (view.credential_uid, view.file) == (UIDS[3], journal.path)
    assert with_lease(settings, "kv/10") is None
    assert with_lease(settings, "") is None


def test_one_bad_file_does_not_hide_the_rest(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(requested())
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "dangling.jsonl").symlink_to("nowhere")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "not-a-ledger.txt").write_bytes(b"x")
    views, errors = unclosed(LedgerSettings(tmp_path, None), JOB)
    assert [view.credential_uid for view in views] == [UIDS[0]]
    assert [error.what for error in errors] == [
        f"The ledger cannot use {tmp_path}/dangling.jsonl: it is gone",
        f"The ledger cannot use {tmp_path}/fifo.jsonl: it is not a regular file",
        f"The ledger cannot use {tmp_path}/folder.jsonl: it is not a regular file",
    ]
    assert [result.findings[0].meaning for result in verify(local(sorted(tmp_path.glob("f*.jsonl"))))] == [
        f"The ledger cannot use {tmp_path}/fifo.jsonl: it is not a regular file",
        f"The ledger cannot use {tmp_path}/folder.jsonl: it is not a regular file",
    ]


def test_a_chain_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        read_chain(tmp_path)
    assert caught.value.what == f"The ledger cannot use {tmp_path}: it is not a regular file"
    assert read_chains([]) == ([], [])
