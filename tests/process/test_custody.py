"""What one half of the pair knows arrives whole at the other, through JSON and a pipe."""

from __future__ import annotations

import json

from stepcreds.measurement import Finding, Measured, NotMeasured
from stepcreds.model import Holding
from stepcreds.process.custody import Custodian, encode_holding
from stepcreds.secret import Secret

HOLDING = Holding(
    "uid",
    "verify",
    Secret("t0ken"),
    "accessor",
    lease_id="database/creds/app-verify/1",
    username="v-1",
    password=Secret("p4ss"),
    secrets=(Secret("p4ss"), Secret("other")),
    issue_time=1.5,
    expire_time=float("inf"),
)
MEASURED = Measured(
    (
        Finding("PG.WRITE", "write", "INSERT", "app", ("app.a", "app.b"), 2, "PUBLIC", "REVOKE", "shop", "app"),
        Finding("PG.READ", "read", "SELECT", columns=("app.a.b",), standing="excess", because="so"),
    ),
    ("other databases",),
    "PostgreSQL 16.14",
    0.0234,
    4,
    1_795_335_000.25,
    "d1ge5t",
    ("a standby",),
)


def handed_over(holding: Holding) -> Holding:
    custodian = Custodian()
    custodian.note(json.loads(json.dumps({"hold": encode_holding(holding)})))
    (there,) = custodian.custody("").holdings
    return there


def test_a_holding_arrives_as_it_was_given() -> None:
    there = handed_over(HOLDING)
    assert there == HOLDING
    assert [each.reveal() for each in (there.token, there.password, *there.secrets)] == [
        "t0ken",
        "p4ss",
        "p4ss",
        "other",
    ]


def test_so_does_what_was_measured() -> None:
    measured = handed_over(HOLDING._replace(measurement=MEASURED)).measurement
    assert measured == MEASURED
    assert isinstance(measured, Measured)
    assert [type(each) for each in measured.findings] == [Finding, Finding]
    assert measured.excess == MEASURED.findings[1:]
    reason = handed_over(HOLDING._replace(measurement=NotMeasured("the profile says measure: off"))).measurement
    assert reason == NotMeasured("the profile says measure: off")
    assert isinstance(reason, NotMeasured)
