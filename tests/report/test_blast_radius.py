"""What profiles declared, were granted and used, over their runs; and that nothing is made of what nobody measured."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ledger_site import EXCESS, START, Life, Scribe, job_of, measured, profiles, proven, refused

from stepcreds.ledger.reading import read_chain
from stepcreds.ledger.view import CredentialView
from stepcreds.measurement import Finding, Level, NotMeasured, Statements, Used
from stepcreds.report.blast_radius import ProfileRadius, blast_radius, used_of

READ = Used("read", (Statements("select", 3, 9),), ("app_owner",), "pg_stat_statements", ("statements that failed",))


class Runs:
    """Runs of a repository, one after the other, an hour apart."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder, self.number = folder, number
        self.made = 0
        self.chance = random.Random(number)  # noqa: S311 - the same ledgers each time

    def add(
        self,
        profile: str = "migrate",
        *,
        used: Used | None = READ,
        extra: tuple[Finding, ...] = (),
        is_measured: bool = True,
        delivery: str = "exec",
        issued: bool = True,
        took: float = 5.0,
        when: float | None = None,
    ) -> None:
        self.made += 1
        now = START + 3600 * (self.made if when is None else when)
        scribe = Scribe(job_of(self.number, self.made, "deploy", now), self.chance, None, now)
        life = Life(scribe, profiles(self.number)[profile], profile, self.chance)
        life.delivery = delivery
        if not issued:
            life.request()
            life.end(refused, exit_code=None)
        else:
            life.measurement = measured(life.profile, now, *extra) if is_measured else NotMeasured("measure: off")
            life.request()
            life.issue()
            scribe.now += took
            life.end(lambda moment: proven(moment)._replace(used=used))
        scribe.close()
        scribe.save(self.folder)

    def credentials(self) -> list[CredentialView]:
        chains = [read_chain(file) for file in sorted(self.folder.rglob("*.jsonl"))]
        return [credential for chain in chains for credential in chain.credentials]

    def radius(self, least: int = 20) -> ProfileRadius:
        (found,) = blast_radius(self.credentials(), least)
        return found


def test_what_twenty_measured_runs_did_not_use_is_named_with_what_would_have_done(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(19):
        runs.add()
    assert (runs.radius().narrower, runs.radius().remarks) == (None, ())
    runs.add()
    found = runs.radius()
    assert found.narrower is not None
    assert found.narrower._asdict() == {
        "access": "read-only",
        "instead_of": "ddl",
        "runs": 20,
        "text": "access: read-only instead of ddl: 20 measured runs used no more than read. The counts are a lower bound: "
        "what views, triggers and functions did, and statements that failed, are not in them.",
    }
    assert (found.declared, found.granted, found.used) == ("ddl", "ddl", "read")
    assert (found.granted_runs, found.used_runs, len(found.runs)) == (20, 20, 20)


def test_what_nobody_measured_is_not_taken_for_unused(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(30):
        runs.add(used=None)
    for _ in range(19):
        runs.add()
    found = runs.radius()
    assert (found.used_runs, len(found.runs), found.narrower) == (19, 49, None)
    nobody = Runs(tmp_path / "nobody", 1)
    for _ in range(25):
        nobody.add(used=None, is_measured=False)
    found = nobody.radius()
    assert (found.granted, found.used, found.granted_runs, found.used_runs) == (None, None, 0, 0)
    assert (found.narrower, found.remarks, found.changes) == (None, (), ())


def test_a_run_that_needed_the_power_keeps_it(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(25):
        runs.add()
    runs.add(used=READ._replace(level="ddl"))
    assert (runs.radius().narrower, runs.radius().used) == (None, "ddl")


@pytest.mark.parametrize(("level", "access"), [("info", "read-only"), ("read", "read-only"), ("write", "read-write")])
def test_the_narrower_access_is_the_least_that_fits(tmp_path: Path, level: Level, access: str) -> None:
    runs = Runs(tmp_path)
    for _ in range(3):
        runs.add(used=READ._replace(level=level))
    narrower = runs.radius(3).narrower
    assert narrower is not None
    assert (narrower.access, narrower.runs) == (access, 3)
    seen = {"info": "no statement that needs any power", "read": "no more than read", "write": "no more than write"}
    assert f"3 measured runs used {seen[level]}." in narrower.text


def test_functions_and_roles_that_nobody_counted_keep_a_narrower_access_from_being_named(tmp_path: Path) -> None:
    other = READ._replace(statements=(*READ.statements, Statements("other", 1, 1)))
    runs = Runs(tmp_path / "other")
    for used in (READ, other, READ):
        runs.add(used=used)
    assert runs.radius(3).narrower is None
    assert runs.radius(3).remarks == (
        "In 1 of 3 measured runs statements were run of which nobody can say what they did (functions, DO blocks): "
        "no narrower access can be named.",
    )
    runs = Runs(tmp_path / "roles")
    for used in (READ, READ._replace(roles=()), READ):
        runs.add(used=used)
    assert runs.radius(3).narrower is None
    assert runs.radius(3).remarks == (
        "What it did as app_owner nobody counted, and it can do more so (SET ROLE): no narrower access can be named.",
    )


def test_what_was_granted_beyond_the_profile_and_not_used_can_go(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(3):
        runs.add("verify", extra=(EXCESS,))
    narrower = runs.radius(3).narrower
    assert narrower is not None
    assert (narrower.access, narrower.instead_of) == ("read-only", "ddl")
    assert narrower.text.startswith(
        "nothing beyond access: read-only, which it has (ddl): 3 measured runs used no more than read."
    )
    runs.add("verify")
    assert runs.radius(3).narrower is None  # it is gone already


def test_a_change_of_power_is_named_with_its_run_and_its_findings(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.add("verify", used=None)
    runs.add("verify", used=None, is_measured=False)
    runs.add("verify", used=None, extra=(EXCESS,))
    runs.add("verify", used=None)
    first, second = runs.radius().changes
    assert (first.before.run_id, first.after.run_id) == ("50000001", "50000003")
    assert (first.gained, first.lost) == (("PG.SCHEMA.OWN app",), ())
    assert (second.gained, second.lost) == ((), ("PG.SCHEMA.OWN app",))
    assert (first.before.level, first.after.level) == ("read", "ddl")


def test_runs_are_in_the_order_of_time_and_repositories_apart(tmp_path: Path) -> None:
    one, two = Runs(tmp_path / "1", 1), Runs(tmp_path / "2", 2)
    for when in (3.0, 1.0, 2.0):
        one.add(when=when)
    two.add()
    found = blast_radius([*one.credentials(), *two.credentials()])
    assert [(each.repository_id, each.profile, each.server) for each in found] == [
        ("9000001", "migrate", "postgresql://db-1.example.com:5432"),
        ("9000002", "migrate", "postgresql://db-2.example.com:5432"),
    ]
    assert [run.run_id for run in found[0].runs] == ["50000002", "50000003", "50000001"]


def test_copies_and_older_states_of_a_ledger_are_no_runs_and_what_differs_is(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "1")
    runs.add()
    (file,) = runs.folder.rglob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    closing = next(number for number, line in enumerate(lines) if b'"credential.closed"' in line)

    def shown(*copies: list[bytes]) -> list[tuple[str, int]]:
        for number, copy in enumerate(copies):
            other = tmp_path / f"{number}-{len(list(tmp_path.iterdir()))}" / file.name
            other.parent.mkdir()
            other.write_bytes(b"".join(copy))
        chains = [read_chain(each) for each in sorted(tmp_path.rglob("*.jsonl"))]
        every = [each for chain in chains for each in chain.credentials]
        (radius,), (again,) = blast_radius(every), blast_radius(every[::-1])
        assert len(radius.runs) == len(again.runs)
        return [(each.credential.step_name, len(each.credential.closings)) for each in radius.runs]

    assert shown(lines) == [("migrate", 1)]
    assert shown(lines[:closing]) == [("migrate", 1)]  # as it was before its end
    # One who closes it twice, and otherwise than it was, does not replace it.
    false = lines[closing].replace(b'"name":"migrate"', b'"name":"harmless"')
    assert false != lines[closing]
    assert sorted(shown([*lines[:closing], false, false])) == [("harmless", 2), ("migrate", 1)]


def test_what_no_command_had_is_no_run(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for delivery in ("witness", "doctor", "scope"):
        runs.add(delivery=delivery)
    runs.add(issued=False)
    assert blast_radius(runs.credentials()) == []


def test_a_ttl_that_no_command_needed_is_remarked_on(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for _ in range(3):
        runs.add(used=None, took=5.0)
    assert runs.radius(3).remarks == ()  # 120 s, less than four times the least
    views = [
        CredentialView(
            each.file,
            each.job,
            each.credential_uid,
            {**each.requested, "declared": {"access": "ddl", "ttl": 1800}},
            each.issued,
            each.closings,
        )
        for each in runs.credentials()
    ]
    (found,) = blast_radius(views, 3)
    assert found.remarks == (
        "ttl: 1m instead of 1800 s: the longest of 3 commands took 5 s, and a ttl is renewed while the command runs. "
        "It bounds how long a credential outlives a runner that dies.",
    )


def test_a_record_of_a_later_version_is_never_taken_for_less(tmp_path: Path) -> None:
    def view(used: object) -> CredentialView:
        closed: dict[str, object] = {"privileges": {"granted": None, "used": used, "excess": None, "measured_by": "x"}}
        return CredentialView(Path("x"), {}, "u", {}, {}, (closed,))

    used = used_of(view({"level": "galactic", "statements": [{"kind": 7, "calls": True, "rows": "x"}, 3], "gaps": "x"}))
    assert used == Used("admin", (Statements("other", 0, 0),), (), "", ())
    unread: list[object] = [None, [], "read", {}, {"level": 3}]
    assert [used_of(view(value)) for value in unread] == [None] * 5
