"""What each kind of record says, whole; and that no secret is ever among it."""

from __future__ import annotations

import hashlib
import math
import uuid
from pathlib import Path

import pytest
from ledger_samples import (
    CANARY,
    CLAIMS,
    FAILED,
    JOB,
    JOB_TOLD,
    LEASE,
    LOGIN,
    NOT_ISSUED,
    NOW,
    OUTCOME,
    PROVEN,
    STEP,
    UIDS,
    UNPROVEN,
    closed,
    issued,
    leaked,
    open_journal,
    records,
    requested,
)

from stepcreds import __version__
from stepcreds.ledger import credential, record
from stepcreds.ledger.fields import COMMON, KINDS, misfit
from stepcreds.ledger.link import chain_uid
from stepcreds.measurement import NotMeasured
from stepcreds.model import Ending, Leak

LOCKED = {"time": "2026-11-22T08:26:45.100Z", "status": "locked", "detail": "", "sessions_ended": 2}


def test_a_whole_life_on_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed(), leaked()):
        journal.append(event)
    journal.append(
        credential.token_revoke_failed(
            STEP, UIDS[0], token_accessor="accessor-1", detail="503\nsealed", expire_time=NOW
        )
    )
    journal.close(STEP)
    written = records(journal.path)
    for seq, entry in enumerate(written):
        assert misfit(entry, COMMON) == "" == misfit(entry, KINDS[entry["kind"]])
        assert entry.pop("schema") == "stepcreds.ledger/1"
        assert entry.pop("seq") == seq
        assert entry.pop("chain_uid") == journal.chain_uid
        assert entry.pop("time") == "2026-11-22T08:26:40.000Z"
        assert entry.pop("step_uid") == STEP
        assert uuid.UUID(entry.pop("event_uid")).version == 4
        del entry["prev"]
    nonce = written[0].pop("nonce")
    identity = {"iss": JOB.iss, "repository_id": "123456", "run_id": "4711", "run_attempt": "1", "job": "deploy"}
    assert chain_uid(identity, nonce) == journal.chain_uid
    assert written == [
        {
            "kind": "chain.opened",
            "claims": CLAIMS,
            "job": {"ci": "github", **identity, **JOB_TOLD},
            "runner": {"name": "runner-4", "os": "Linux", "arch": "X64"},
            "tool_version": __version__,
            "trust": {"vault_addr": "https://vault.example.com:8200", "key": None},
        },
        {
            "kind": "credential.requested",
            "credential_uid": UIDS[0],
            "profile": "migrate",
            "token_accessor": "accessor-1",
            "mount_point": "auth/jwt",
            "role": "app-migrate",
            "creds": "database/creds/app-migrate",
            "database": None,
            "declared": {"access": "ddl", "schemas": ["app"], "ttl": 120, "reason": None},
            "delivery": "exec",
            "inherited": ["AWS_SECRET_ACCESS_KEY"],
        },
        {
            "kind": "credential.issued",
            "credential_uid": UIDS[0],
            "request_id": {"login": "request-login", "creds": "request-creds"},
            "lease_id": "database/creds/app-migrate/lease-1",
            "lease_duration": 120,
            "issue_time": "2026-11-22T08:26:41.000Z",
            "expire_time": "2026-11-22T08:28:41.000Z",
            "db_user": "v-app-migrate-1",
            "policies": ["app-migrate"],
            "entity_id": "entity-1",
        },
        {
            "kind": "credential.closed",
            "credential_uid": UIDS[0],
            "profile": "migrate",
            "step": {
                "name": "migrate",
                "command_sha256": hashlib.sha256(b"alembic\0upgrade\0head").hexdigest(),
                "exit_code": 0,
                "start": "2026-11-22T08:26:42.000Z",
                "end": "2026-11-22T08:26:45.000Z",
            },
            "privileges": {
                "granted": None,
                "used": None,
                "excess": None,
                "measured_by": "not measured: the profile says measure: off",
            },
            "lock": LOCKED,
            "revoke": {"time": "2026-11-22T08:26:45.200Z", "method": "lease", "status": "revoked"},
            "verified": {
                "lookup": "gone",
                "db_login": "refused",
                "witness": "not_checked",
                "method": "lease lookup and refused logins",
                "time": "2026-11-22T08:26:45.250Z",
            },
            "cancelled_by": None,
            "verdict": "proven dead",
        },
        {
            "kind": "credential.leaked",
            "credential_uid": UIDS[0],
            "profile": "migrate",
            "places": [
                {"file": "GITHUB_ENV", "line": 3, "name": "DATABASE_URL", "removed": True},
                {"file": "/home/runner/.pgpass", "line": 1, "name": "", "removed": False},
            ],
            "more": 0,
        },
        {
            "kind": "token.revoke_failed",
            "credential_uid": UIDS[0],
            "token_accessor": "accessor-1",
            "detail": "503 sealed",
            "expire_time": "2026-11-22T08:26:40.000Z",
        },
        {"kind": "chain.closed", "entries": 7},
    ]


def test_a_refused_login_leaves_a_closed_record_without_a_command_or_a_time() -> None:
    fields = closed(ending=NOT_ISSUED, outcome=None).fields
    assert fields["step"] == {
        "name": "migrate",
        "command_sha256": hashlib.sha256(b"alembic\0upgrade\0head").hexdigest(),
        "exit_code": None,
        "start": None,
        "end": None,
    }
    assert fields["lock"] == {"time": None, "status": "not_applicable", "detail": "", "sessions_ended": 0}
    assert fields["revoke"] == {"time": None, "method": "none", "status": "not_issued"}
    assert fields["verdict"] == "not issued"
    assert misfit(dict(fields), KINDS["credential.closed"]) == ""


def test_a_command_that_was_not_started_has_an_exit_code_and_no_times() -> None:
    outcome = OUTCOME._replace(exit_code=127, reason="not_started")
    step = closed(outcome=outcome).fields["step"]
    assert isinstance(step, dict)
    assert (step["exit_code"], step["start"], step["end"]) == (127, None, None)


def test_who_cancelled_is_on_record() -> None:
    assert closed(outcome=OUTCOME._replace(cancelled_by="SIGTERM")).fields["cancelled_by"] == "SIGTERM"


def test_a_secret_without_a_lease_or_an_end() -> None:
    lease = LEASE._replace(lease_id="", duration=0.0)
    fields = credential.issued(STEP, UIDS[0], LOGIN, lease, db_user=None, expire_time=math.inf).fields
    assert (fields["lease_id"], fields["lease_duration"], fields["expire_time"], fields["db_user"]) == (
        None,
        0,
        "never",
        None,
    )
    assert misfit(dict(fields), KINDS["credential.issued"]) == ""


@pytest.mark.parametrize(
    ("ending", "expire_time", "words"),
    [
        (PROVEN, NOW, "proven dead"),
        (UNPROVEN, NOW, "revoked, not proven"),
        (FAILED, NOW, "expires at 2026-11-22T08:26:40.000Z"),
        (FAILED, math.inf, "never expires"),
        (FAILED, None, "expiry unknown"),
        (NOT_ISSUED, NOW, "not issued"),
    ],
)
def test_the_verdict_never_calls_an_expiry_a_proof(ending: Ending, expire_time: float | None, words: str) -> None:
    assert credential.verdict(ending, expire_time) == words
    assert misfit({"verdict": words}, {"verdict": KINDS["credential.closed"]["verdict"]}) == ""


def test_the_command_is_kept_as_the_hash_of_what_the_kernel_is_given() -> None:
    # What is not UTF-8 in an argument is a surrogate escape in Python's sys.argv (PEP 383).
    assert credential.command_sha256(["sh", "-c", "\udcff"]) == hashlib.sha256(b"sh\0-c\0\xff").hexdigest()


def test_no_secret_goes_into_any_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    assert LOGIN.token.reveal() == CANARY == LEASE.fields["password"].reveal()
    said = [str(journal.append(event)) for event in (requested(), issued(), closed())]
    said.append(str([requested(), issued(), closed()]))
    assert CANARY.encode() not in journal.path.read_bytes()
    assert CANARY not in "".join(said)
    # The command line may hold one: only its hash is kept.
    event = credential.closed(
        STEP,
        UIDS[1],
        profile="migrate",
        step_name="migrate",
        command=["mysql", f"-p{CANARY}"],
        outcome=OUTCOME,
        measurement=NotMeasured("the profile says measure: off"),
        ending=PROVEN,
        expire_time=None,
    )
    assert CANARY not in str(event)


def test_names_from_an_environment_that_is_not_utf_8_are_escaped(tmp_path: Path) -> None:
    job = JOB._replace(job="b\udcff", runner={"name": "r\udcfe"})
    opened = records(open_journal(tmp_path / "ledger", job).path)[0]
    assert (opened["job"]["job"], opened["runner"]) == ("b\\udcff", {"name": "r\\udcfe"})


def test_uids_are_random_uuids() -> None:
    made = {record.new_uid() for _ in range(1000)}
    assert len(made) == 1000
    assert {(uuid.UUID(uid).version, uuid.UUID(uid).variant, str(uuid.UUID(uid)) == uid) for uid in made} == {
        (4, uuid.RFC_4122, True)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_table_is_asked_for(kind: str) -> None:
    shape = KINDS[kind]
    for name in shape:
        assert misfit({}, {name: shape[name]}) == name
        assert misfit({name: object()}, {name: shape[name]}) == name


def test_a_field_is_named_with_the_one_it_stands_in() -> None:
    fields = dict(closed().fields)
    revoke = dict(fields["revoke"]) if isinstance(fields["revoke"], dict) else {}
    assert misfit({**fields, "revoke": {**revoke, "status": "perhaps"}}, KINDS["credential.closed"]) == "revoke.status"
    assert misfit({**fields, "revoke": {**revoke, "time": "yesterday"}}, KINDS["credential.closed"]) == "revoke.time"
    assert misfit({**fields, "later": 1}, KINDS["credential.closed"]) == ""
    assert misfit({"entries": True}, KINDS["chain.closed"]) == "entries"


def test_what_later_versions_added_may_be_missing_or_null_and_nothing_else(tmp_path: Path) -> None:
    opened = records(open_journal(tmp_path).path)[0]
    shape = KINDS["chain.opened"]
    for name in JOB_TOLD:
        old = {**opened, "job": {key: value for key, value in opened["job"].items() if key != name}}
        assert misfit(old, shape) == ""
        assert misfit({**opened, "job": {**opened["job"], name: None}}, shape) == ""
        assert misfit({**opened, "job": {**opened["job"], name: 1}}, shape) == f"job.{name}"
    assert (
        misfit({**opened, "job": {key: value for key, value in opened["job"].items() if key != "ci"}}, shape)
        == "job.ci"
    )


def test_what_a_job_says_of_itself_is_bounded_and_valid(tmp_path: Path) -> None:
    job = JOB._replace(ref="refs/heads/" + "x" * 5000, actor="a\udcff")
    (opened,) = records(open_journal(tmp_path, job).path)
    assert (len(opened["job"]["ref"]), opened["job"]["actor"]) == (500, "a\\udcff")
    assert misfit(opened, KINDS["chain.opened"]) == ""


def test_a_leak_to_very_many_places_is_cut() -> None:
    leak = Leak(UIDS[0], "migrate", "/w/\udcff", 1, "", False)
    fields = credential.leaked(STEP, UIDS[0], "migrate", [leak] * 70).fields
    assert misfit(dict(fields), KINDS["credential.leaked"]) == ""
    assert isinstance(fields["places"], list)
    assert (len(fields["places"]), fields["more"], fields["places"][0]["file"]) == (50, 20, "/w/\\udcff")


@pytest.mark.parametrize("place", ["GITHUB_ENV:3", {}, {"file": "x", "line": -1, "name": "", "removed": True}, None])
def test_a_place_that_is_none(place: object) -> None:
    assert misfit({**leaked().fields, "places": [place]}, KINDS["credential.leaked"]) == "places"
