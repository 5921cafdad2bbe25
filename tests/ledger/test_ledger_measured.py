"""What is on record of what a credential could do, and how it is read back and shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ledger_samples import NOW, OUTCOME, PROVEN, STEP, UIDS, issued, open_journal, records, requested
from ledger_samples import closed as ended
from test_ledger_cli import ledger

from stepcreds.ledger import credential
from stepcreds.ledger.fields import KINDS, misfit
from stepcreds.ledger.privileges import MOST_FINDINGS, measurement_of, privileges, used_of
from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.record import Event
from stepcreds.measurement import Finding, Measured, Measurement, NotMeasured, Statements, Used
from stepcreds.review.sources import local
from stepcreds.review.verification import verify

WRITES = Finding(
    "PG.TABLE.WRITE",
    "write",
    "INSERT into 3 tables of app",
    "app",
    ("app.a", "app.b", "app.c"),
    3,
    "PUBLIC",
    "REVOKE INSERT …",
    "shop",
    "app",
    standing="excess",
    because="write, and the profile declares read-only",
)
READS = Finding("PG.TABLE.READ", "read", "SELECT from 214 tables of app", "app", number=214, database="shop")
MEASURED = Measured((WRITES, READS), ("other databases",), "PostgreSQL 16.14", 0.0231, 4, NOW + 2, "ab" * 32, ("x",))
PRIVILEGES = {
    "granted": {
        "level": "write",
        "digest": "ab" * 32,
        "findings": [
            {
                "code": "PG.TABLE.WRITE",
                "subject": "app",
                "level": "write",
                "what": "INSERT into 3 tables of app",
                "via": "PUBLIC",
                "count": 3,
                "standing": "excess",
                "because": "write, and the profile declares read-only",
            },
            {
                "code": "PG.TABLE.READ",
                "subject": "app",
                "level": "read",
                "what": "SELECT from 214 tables of app",
                "via": "",
                "count": 214,
                "standing": "within",
                "because": "",
            },
        ],
        "more": 0,
    },
    "used": None,
    "excess": ["PG.TABLE.WRITE app"],
    "measured_by": "PostgreSQL 16.14 in 24 ms",
}
UNKNOWN = NotMeasured("what was found out is lost with the process that issued it")


def closed(measurement: Measurement, **more: Any) -> Event:
    return credential.closed(
        STEP,
        UIDS[0],
        profile="migrate",
        step_name="migrate",
        command=None,
        outcome=OUTCOME,
        measurement=measurement,
        ending=PROVEN,
        expire_time=NOW + 121,
        **more,
    )


def test_the_end_says_what_it_could_do(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed(MEASURED)):
        journal.append(event)
    assert records(journal.path)[-1]["privileges"] == PRIVILEGES
    (checked,) = verify(local([journal.path]))
    assert checked.findings == ()
    (view,) = read_chain(journal.path).credentials
    assert (view.level, view.excess) == ("write", ("PG.TABLE.WRITE app",))
    assert view.measured_by == "PostgreSQL 16.14 in 24 ms"
    shown = [re.split(r"  +", line) for line in ledger(tmp_path, "show", "ledger")[1].splitlines()]
    assert [row[4:6] for row in shown[:2]] == [["DECLARED", "MEASURED"], ["ddl", "write, 1 beyond"]]


def test_who_ends_what_was_handed_out_repeats_what_is_on_record(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), credential.measured(STEP, UIDS[0], "migrate", MEASURED)):
        journal.append(event)
    (view,) = read_chain(journal.path).credentials
    assert view.privileges == PRIVILEGES
    journal.append(closed(UNKNOWN, on_record=view.privileges))
    assert records(journal.path)[-1]["privileges"] == PRIVILEGES
    assert [each.findings for each in verify(local([journal.path]))] == [()]
    again = measurement_of(view.privileges)
    assert again is not None
    assert (again.level, again.server, again.seconds, again.digest) == ("write", "PostgreSQL 16.14", 0.024, "ab" * 32)
    assert [each.name for each in again.excess] == ["PG.TABLE.WRITE app"]


def test_what_nobody_knows_is_null_and_says_why(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "ledger")
    for event in (requested(), issued(), closed(UNKNOWN)):
        journal.append(event)
    (view,) = read_chain(journal.path).credentials
    assert view.privileges == {
        "granted": None,
        "used": None,
        "excess": None,
        "measured_by": "not measured: what was found out is lost with the process that issued it",
    }
    assert (view.level, view.excess, measurement_of(view.privileges)) == ("", (), None)


def test_an_endless_list_is_cut_and_counted() -> None:
    many = tuple(WRITES._replace(subject=f"app.t{n}") for n in range(70))
    said = privileges(MEASURED._replace(findings=many))
    granted = said["granted"]
    assert isinstance(granted, dict)
    assert (len(granted["findings"]), granted["more"]) == (MOST_FINDINGS, 20)
    assert misfit({"privileges": said}, {"privileges": KINDS["credential.closed"]["privileges"]}) == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"granted": "all"}, "privileges.granted"),
        ({"granted": {**PRIVILEGES["granted"], "digest": "x"}}, "privileges.granted"),  # type: ignore[dict-item]
        ({"granted": {**PRIVILEGES["granted"], "findings": [{"code": "A"}]}}, "privileges.granted"),  # type: ignore[dict-item]
        ({"excess": [1]}, "privileges.excess"),
        ({"measured_by": None}, "privileges.measured_by"),
        ({"granted": None, "excess": None}, ""),
        ({"granted": {**PRIVILEGES["granted"], "later": 1}, "used": None, "later": 2}, ""),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_a_measurement_is_named(change: dict[str, object], field: str) -> None:
    shape = {"privileges": KINDS["credential.closed"]["privileges"]}
    assert misfit({"privileges": {**PRIVILEGES, **change}}, shape) == field


def test_what_a_later_version_wrote_is_taken_for_no_less_than_it_may_be() -> None:
    granted = {"level": "new", "digest": "", "findings": [{"code": "X", "level": "new"}, 7], "more": 0}
    again = measurement_of({"granted": granted, "measured_by": "PostgreSQL 21 in 3 ms"})
    assert again is not None
    assert again.level == "admin"
    assert measurement_of({"granted": granted, "measured_by": "somebody"}) is None


def test_whatever_a_server_counted_can_be_written_down(tmp_path: Path) -> None:
    odd = "\udcff\x1b[31m" + "x" * 10_000
    statements = (Statements(odd, 2**70, -5, odd), *(Statements("select", 1, 1) for _ in range(500)))
    used = Used("read", statements, (odd,), "pg_stat_statements", (odd,))
    journal = open_journal(tmp_path)
    journal.append(requested())
    journal.append(issued())
    journal.append(ended(ending=PROVEN._replace(used=used)))
    (result,) = verify(local([journal.path]))
    assert result.findings == ()
    said = records(journal.path)[-1]["privileges"]["used"]
    assert (said["statements"][0]["calls"], said["statements"][0]["rows"], len(said["statements"])) == (
        2**53 - 1,
        0,
        50,
    )
    assert (said["level"], said["complete"]) == ("read", False)
    assert used_of(records(journal.path)[-1]["privileges"]) is not None
