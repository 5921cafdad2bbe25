"""A run taken apart: what each question is answered with, who could have done it, and what is said of all that nobody knows."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ledger_site import (
    EXCESS,
    START,
    Life,
    Scribe,
    Signer,
    expiring,
    job_of,
    measured,
    profiles,
    proven,
    refused,
    unproven,
)
from report_command import command

from stepcreds.errors import UsageError
from stepcreds.ledger import credential
from stepcreds.ledger.canonical import canonical
from stepcreds.ledger.folder import chain_name
from stepcreds.ledger.link import ZERO, chain_uid, line_hash
from stepcreds.measurement import Change, Level, NotMeasured, Statements, Used
from stepcreds.model import Leak
from stepcreds.report.blast_radius import blast_radius
from stepcreds.report.postmortem import FEW, LIMITS, Postmortem, postmortem
from stepcreds.report.postmortem_gone import gone_of
from stepcreds.report.postmortem_html import html
from stepcreds.report.postmortem_json import as_json
from stepcreds.report.postmortem_markdown import code, markdown
from stepcreds.report.postmortem_reach import gather
from stepcreds.report.postmortem_words import plain
from stepcreds.review.dossier import read
from stepcreds.review.selection import Selection
from stepcreds.review.sources import local
from stepcreds.review.verification import IDENTITY
from stepcreds.trust.keys import Trust

KEY = Signer("transit/keys/stepcreds-ledger-9000000")
TRUST = Trust("trust.json", (KEY.trusted("checkpoint", "9000000"),))
RUN = "50000001"
DOUBT = "It cannot be excluded: no signature that counts covers the record that would do so."
DROPPED = Used(
    "ddl",
    (Statements("drop table", 1, 0, "app_owner"),),
    ("app_owner",),
    "pg_stat_statements",
    ("statements that failed",),
)


class Job:
    """A job whose steps are written one after the other; times are seconds from `START`."""

    def __init__(self, number: int = 0, run: int = 1, *, signer: Signer | None = KEY, name: str = "deploy") -> None:
        self.chance = random.Random(f"{number} {run} {name}")  # noqa: S311 - the same ledger each time
        self.number = number
        self.scribe = Scribe(job_of(number, run, name, START), self.chance, signer, START)

    def life(self, profile: str, name: str = "", *, at: float) -> Life:
        self.scribe.now = START + at
        return Life(self.scribe, profiles(self.number)[profile], name or profile, self.chance)

    def step(self, profile: str, name: str = "", *, at: float, took: float = 10.0) -> Life:
        """A whole one, of which everything is known."""
        life = self.life(profile, name, at=at)
        life.request()
        life.issue()
        self.scribe.now += took
        life.end(proven)
        return life

    def save(self, folder: Path) -> Path:
        self.scribe.close()
        self.scribe.sign()
        return self.scribe.save(folder)


def taken_apart(
    files: Sequence[Path],
    at: float | None = None,
    needs: Level = "write",
    *,
    trust: Trust | None = TRUST,
    run: str = RUN,
) -> Postmortem:
    dossier = read(local(files), trust)
    return postmortem(dossier, Selection(run=run), None if at is None else START + at, needs)


def standings(found: Postmortem) -> list[tuple[str, str, list[str]]]:
    return [
        (
            each.standing,
            each.credential.step_name or each.credential.profile,
            [plain(said.text) for said in each.reasons],
        )
        for each in found.suspects
    ]


def answer(found: Postmortem, step: int, question: int) -> list[tuple[str, str]]:
    return [(said.nature, plain(said.text)) for said in found.steps[step].answers[question].said]


def test_each_question_is_answered_with_the_records_that_it_rests_on(tmp_path: Path) -> None:
    job = Job()
    life = job.step("migrate", at=100)
    path = job.save(tmp_path)
    found = taken_apart([path], 200)
    (step,) = found.steps
    assert (step.name, step.job, step.attempt, step.exit_code, step.profiles) == (
        "migrate",
        "deploy",
        "1",
        0,
        ("migrate",),
    )
    assert [each.question for each in step.answers] == [
        "Which credentials did it hold?",
        "Were they necessary?",
        "How long were they active?",
        "Could it have been dead before the damage?",
        "Did its scope match the task, or was it inherited?",
        "Who else shares it?",
    ]
    assert [answer(found, 0, number) for number in range(6)] == [
        [
            (
                "recorded",
                f"migrate (role shop00-migrate, database/creds/shop00-migrate): issued at 2026-10-24T00:01:40.110Z as {life.db_user}, "
                f"lease {life.lease_id}, handed over by exec.",
            ),
            ("recorded", "No variable that looks like a credential was in its environment already."),
        ],
        [
            ("recorded", "migrate declared: ddl in app, for 120 s at a time."),
            ("recorded", "migrate was granted: ddl (measured by PostgreSQL 16.14 in 24 ms)."),
            ("unknown", "What of it migrate used is not measured. That does not say that it was not used."),
        ],
        [
            ("recorded", "Its command ran from 2026-10-24T00:01:40.142Z to 2026-10-24T00:01:50.112Z, 10.0 s."),
            (
                "recorded",
                "migrate: 10.1 s, from 2026-10-24T00:01:40.110Z to its proof of death at 2026-10-24T00:01:50.232Z, 120 ms after its command.",
            ),
        ],
        [("recorded", "migrate: it was: proven dead 89.8 s before the damage.")],
        [
            ("recorded", "migrate could do nothing beyond what it declared, as far as was measured."),
            ("recorded", "No variable that looks like a credential was in its environment already."),
        ],
        [("recorded", "migrate: no other step on record had its lease, its token or its user, or ran while it lived.")],
    ]
    ((held, *_), *_) = ([said.evidence for said in each.said] for each in step.answers)
    assert [(each.kind, each.file, each.line, each.signed) for each in held] == [
        ("credential.requested", str(path), 2, True),
        ("credential.issued", str(path), 3, True),
    ]
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [(each.event_uid, each.time) for each in held] == [(line["event_uid"], line["time"]) for line in lines[1:3]]
    assert found.limits == LIMITS


UNSIGNED = (
    "Unsigned records prove nothing against somebody who could write to the file: he could have written all of it anew."
)


@pytest.mark.parametrize(
    ("trust", "signer", "signed", "head"),
    [
        (
            TRUST,
            KEY,
            True,
            "Signed by keys of `trust.json`, up to the last record that a step signs: 5 of 5 records of this run.\n\nSigned does not mean complete: what was cut or "
            "removed together with its checkpoints, seals and Vault's audit log know (verify --seals, ledger reconcile).",
        ),
        (None, KEY, None, "Signatures were not checked: name the keys that count with --trust."),
        (TRUST, None, False, f"Signed by keys of `trust.json`: 0 of 5 records of this run. {UNSIGNED}"),
        (None, None, False, f"Signed: 0 of 5 records of this run. {UNSIGNED}"),
    ],
)
def test_a_record_says_whether_it_is_signed_and_the_head_by_whose_keys(
    tmp_path: Path, trust: Trust | None, signer: Signer | None, signed: bool | None, head: str
) -> None:
    job = Job(signer=signer)
    job.step("migrate", at=0)
    found = taken_apart([job.save(tmp_path)], trust=trust)
    assert {
        each.signed for step in found.steps for one in step.answers for said in one.said for each in said.evidence
    } == {signed}
    told = markdown(found).partition("\n\n## ")[0]
    assert f"\n\n{head}" in told
    assert (as_json(found)["trust"], found.trust) == (trust and "trust.json",) * 2


def test_who_could_have_done_it_and_what_excludes_the_others(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", "early", at=0)
    guilty = job.life("migrate", "tidy", at=60)
    guilty.request()
    guilty.issue()
    job.scribe.now += 20
    gone = Change("LEFT.GONE", "the table app.orders is gone", "app.orders", notable=True)
    job.scribe.add(credential.left(guilty.step_uid, guilty.uid, "migrate", [gone], ""))
    guilty.end(lambda now: proven(now)._replace(used=DROPPED))
    other = Job(name="reports")
    reader = other.life("verify", "reads", at=65)
    reader.request()
    reader.issue()
    other.scribe.now += 20
    reader.end(proven)
    writer = other.step("seed", "writes", at=62, took=60)
    refused_step = job.life("verify", "refused", at=68)
    refused_step.measurement = measured(refused_step.profile, START, EXCESS)
    refused_step.request()
    refused_step.issue()
    refused_step.end(proven, exit_code=None)
    late = job.step("migrate", "late", at=120)
    denied = job.life("migrate", "denied", at=140)
    denied.request()
    denied.end(refused, exit_code=None)
    assert writer and late
    found = taken_apart([job.save(tmp_path / "1"), other.save(tmp_path / "2")], 70, "ddl")
    ddl = "It had ddl, as PostgreSQL 16.14 in 24 ms measured before its command: it could drop the schema app with all that is in it, via SET ROLE app_owner."
    assert standings(found) == [
        (
            "could",
            "tidy",
            [
                "While its command ran: the table app.orders is gone. Between two looks, whoever did it.",
                "The database counted for it, at least: drop table (1).",
                "It was alive: its command was running.",
                ddl,
            ],
        ),
        (
            "excluded",
            "early",
            ["It was proven dead 59.8 s before (lease lookup and refused logins), at 2026-10-24T00:00:10.232Z."],
        ),
        (
            "excluded",
            "writes",
            ["It could do no more than write, as PostgreSQL 16.14 in 24 ms measured before its command."],
        ),
        (
            "excluded",
            "reads",
            ["It could do no more than read, as PostgreSQL 16.14 in 24 ms measured before its command."],
        ),
        (
            "excluded",
            "refused",
            [
                "Nobody was handed it: it was ended before its command began, and proven dead at 2026-10-24T00:01:08.232Z."
            ],
        ),
        ("excluded", "late", ["It was issued 50.1 s later."]),
        ("excluded", "denied", ["It was refused: nothing was issued."]),
    ]
    assert [
        each[:2]
        for each in standings(
            taken_apart(
                [tmp_path / "1" / name for name in _names(tmp_path / "1")]
                + [tmp_path / "2" / name for name in _names(tmp_path / "2")],
                70,
                "write",
            )
        )
    ][:2] == [
        ("could", "tidy"),
        ("could", "writes"),
    ]


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("*.jsonl")]


def test_what_is_not_proven_is_not_excluded(tmp_path: Path) -> None:
    job = Job()
    for name, ending, at in (("unproven", unproven, 0.0), ("expired", expiring, 20.0)):
        life = job.life("migrate", name, at=at)
        life.request()
        life.issue()
        job.scribe.now += 5
        life.end(ending)
    unmeasured = job.life("migrate", "unmeasured", at=40)
    unmeasured.measurement = NotMeasured("the profile says measure: off")
    unmeasured.request()
    unmeasured.issue()
    job.scribe.now += 1000
    unmeasured.end(proven)
    lost = job.life("migrate", "lost", at=1100)
    lost.request()
    lost.issue()
    asked = job.life("migrate", "asked", at=1101)
    asked.request()
    job.scribe.sign()
    found = taken_apart([job.scribe.save(tmp_path)], 600)
    assert {standing for standing, *_ in standings(found)} == {"may", "excluded"}
    told = {plain(each.reasons[0].text): each.credential.step_name for each in found.suspects}
    assert [(standing, name) for standing, name, _ in standings(found)] == [
        ("may", "unmeasured"),
        ("may", "unproven"),
        ("may", "expired"),
        ("excluded", "migrate"),
        ("excluded", "migrate"),
    ]
    assert "It was alive: its command was running." in told
    assert "It was to end by itself at 2026-10-24T00:02:00.110Z; nothing proves that it had." in told
    assert "It was to end by itself at 2026-10-24T00:02:20.110Z; nothing proves that it had." in told
    later = {
        name: reasons
        for _, name, reasons in standings(taken_apart([next(tmp_path.glob("*.jsonl"))], 2000))
        if name == "migrate"
    }
    assert later["migrate"][0] == "It was asked for, and whether it was issued is not on record."
    assert answer(found, 0, 2)[1] == (
        "unknown",
        "migrate: from 2026-10-24T00:00:00.110Z, at most until 2026-10-24T00:02:00.110Z, when it ends by itself. That is an "
        "upper bound and no proof: nobody looked.",
    )
    assert answer(found, 3, 2)[0][1].endswith(
        "when it ends by itself, unless it was renewed while its command ran. That is an upper bound and no proof: nobody looked."
    )
    assert answer(found, 4, 0)[0] == (
        "unknown",
        "migrate (role shop00-migrate, database/creds/shop00-migrate): asked for at 2026-10-24T00:18:21.100Z. Whether it was "
        "issued is not on record: Vault's audit log says.",
    )


def test_nothing_is_excluded_by_less_than_clocks_may_differ(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=100, took=10)
    path = job.save(tmp_path)
    for at, standing in ((94.0, "excluded"), (96.0, "may"), (105.0, "could"), (114.0, "may"), (116.0, "excluded")):
        assert [each[0] for each in standings(taken_apart([path], at))] == [standing], at
    assert standings(taken_apart([path], 114))[0][2][0] == (
        "It lived from 2026-10-24T00:01:40.110Z to 2026-10-24T00:01:50.232Z: too near to tell, by clocks that may differ."
    )


def test_a_copy_of_a_ledger_makes_no_step_more(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=0)
    path, copy = job.save(tmp_path / "1"), job.save(tmp_path / "2")
    assert path.read_bytes() != copy.read_bytes()  # it was closed once more
    copy.write_bytes(path.read_bytes())
    found = taken_apart([path, copy], 300)
    assert len(found.steps) == len(found.suspects) == 1
    assert [len(each.runs) for each in found.radius] == [1]
    assert answer(found, 0, 5)[-1][1].startswith("migrate: no other step on record had its lease")


def forged(
    job: Job, copied: Life, folder: Path, *, run: str = "7", server: str = "db-7.example.com", text: str = ""
) -> Path:
    """A ledger that nobody signed, and of which each link fits: what `job` has of `copied` with the same ids, as of
    another run, for another server. With `text` its records say that in place of the step's name."""
    records = [json.loads(line) for line in job.scribe.lines]
    kept = [each for each in records if each["kind"] == "chain.opened" or each.get("credential_uid") == copied.uid]
    opened = kept[0]
    opened["job"]["run_id"] = run
    opened["trust"]["key"] = None
    uid = chain_uid({name: opened["job"][name] for name in IDENTITY}, opened["nonce"])
    lines: list[bytes] = []
    for seq, each in enumerate(kept):
        each |= {"chain_uid": uid, "seq": seq, "prev": line_hash(lines[-1]) if lines else ZERO}
        if each["kind"] == "credential.requested":
            each["database"] = f"postgresql://{server}:5432/x"
        if text and each["kind"] == "credential.closed":
            each["step"]["name"] = text
        lines.append(canonical(each))
    folder.mkdir()
    path = folder / chain_name(job.scribe.job._replace(run_id=run), 1)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_a_ledger_that_repeats_the_ids_of_another_run_takes_nothing_out_of_that(tmp_path: Path) -> None:
    job = Job()
    guilty = job.step("migrate", at=0)
    job.step("verify", at=50)
    files = [forged(job, guilty, tmp_path / "0"), job.save(tmp_path / "1")]
    for found in (near(files, 5)[0], taken_apart(files, 5, "ddl")):
        assert [(each.standing, each.credential.step_name) for each in found.suspects] == [
            ("could", "migrate"),
            ("excluded", "verify"),
        ]
        assert [each.name for each in found.steps] == ["migrate", "verify"]
        assert [(each.state, each.signed) for each in found.chains] == [("signed", 8)]
        assert [each.credential.job["run_id"] for each in found.elsewhere] == ["7"]
    remark = (
        "recorded",
        f"The id of the credential for migrate is also in other records, of {files[0]}: a copy that differs, or a ledger that repeats it.",
    )
    assert remark in answer(found, 0, 0)
    assert remark not in answer(found, 1, 0)


def test_a_ledger_that_repeats_ids_takes_no_run_out_of_the_blast_radius(tmp_path: Path) -> None:
    job = Job()
    guilty = job.step("migrate", at=0)
    files = [forged(job, guilty, tmp_path / "0", text="harmless"), job.save(tmp_path / "1")]
    for ordered in (files, files[::-1]):
        (radius,) = blast_radius(each for _, each in read(local(ordered)).credentials)
        assert {each.credential.file for each in radius.runs} == set(files)


def test_a_ledger_that_repeats_the_ids_of_its_own_run_stands_beside_it(tmp_path: Path) -> None:
    job = Job()
    guilty = job.step("migrate", at=0)
    files = [forged(job, guilty, tmp_path / "0", run=RUN, text="harmless"), job.save(tmp_path / "1")]
    found = taken_apart(files, 5, "ddl")
    assert {(each.standing, each.credential.step_name) for each in found.suspects} == {
        ("could", "migrate"),
        ("could", "harmless"),
    }
    assert sorted(each.name for each in found.steps) == ["harmless", "migrate"]


def test_of_copies_the_one_that_is_signed_counts(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=0)
    path = job.save(tmp_path / "1")
    copies = [tmp_path / "0" / path.name, tmp_path / "2" / path.name]
    for copy in copies:
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())  # without its checkpoints
    found = taken_apart([copies[0], path, copies[1]], 300)
    assert [(each.file, each.state) for each in found.chains] == [(str(path), "signed")]
    assert [each.standing for each in found.suspects] == ["excluded"]
    # One that was changed behind the records that it has the same is told of all the same.
    copies[0].write_bytes(path.read_bytes().replace(b'"chain.closed"', b'"chain.closes"'))
    found = taken_apart([path, copies[0]], 300)
    assert (len(found.steps), found.is_tampered, len(found.chains)) == (1, True, 2)
    assert [each.standing for each in found.suspects] == ["excluded"]


def test_a_ledger_that_was_tampered_with_excludes_nobody(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=0)
    path = job.save(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"exit_code":0', b'"exit_code":1'))
    found = taken_apart([path], 300)
    assert standings(found) == [
        (
            "may",
            "migrate",
            [
                "Its ledger was tampered with: what that says excludes nobody.",
                "It was proven dead 4 min 50 s before (lease lookup and refused logins), at 2026-10-24T00:00:10.232Z.",
            ],
        )
    ]
    assert "The ledgers of this run have " in markdown(found)


def test_what_no_signature_covers_excludes_nobody(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=0)
    job.scribe._signer = None
    job.step("migrate", "after", at=60)
    path = job.save(tmp_path)
    proof = "It was proven dead 3 min 50 s before (lease lookup and refused logins), at 2026-10-24T00:01:10.232Z."
    unchecked = "Its ledger's signatures were not checked: what it says excludes nobody. Name a trust file: --trust."

    def told(trust: Trust | None) -> dict[str, tuple[str, list[str]]]:
        return {
            name: (standing, reasons) for standing, name, reasons in standings(taken_apart([path], 300, trust=trust))
        }

    assert told(TRUST)["after"] == ("may", [DOUBT, proof])
    assert (told(TRUST)["migrate"][0], len(told(TRUST)["migrate"][1])) == ("excluded", 1)
    assert told(None)["after"] == ("may", [unchecked, proof])
    assert told(None)["migrate"][0] == "may"
    path.with_suffix(".checkpoints").unlink()
    assert told(TRUST)["after"] == ("may", [DOUBT, proof])
    assert told(None)["after"] == ("excluded", [proof])


def test_who_would_be_excluded_had_somebody_signed_it_comes_last(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(run=2, signer=None)
    mine.step("migrate", at=0)
    for name, at in (("earlier", 10), ("there", 100), ("later", 300)):
        other.step("migrate", name, at=at)
    found, _ = near([mine.save(tmp_path / "1"), other.save(tmp_path / "2")], 112)
    assert [(each.standing, each.credential.step_name) for each in found.elsewhere] == [
        ("may", "there"),  # too near to tell
        ("may", "later"),
        ("may", "earlier"),
    ]


def test_a_tail_that_was_cut_and_written_anew_clears_nobody(tmp_path: Path) -> None:
    """The step that did it takes its records and their checkpoints away, and has itself refused."""
    job = Job()
    job.step("verify", at=0)
    guilty = job.life("migrate", "tidy", at=60)
    guilty.request()
    job.scribe._signer = None
    guilty.end(refused, exit_code=None)
    found = taken_apart([job.save(tmp_path)], 65)
    assert ("may", "tidy", [DOUBT, "It was refused: nothing was issued."]) in standings(found)


def test_what_it_could_do_is_said_by_the_record_that_knows_it(tmp_path: Path) -> None:
    """The end that counts is signed and measured nothing; one that is added behind it says that it could only read."""
    job = Job()
    life = job.life("migrate", "tidy", at=0)
    life.measurement = NotMeasured("the profile says measure: off")
    life.request()
    life.issue()
    job.scribe.now += 10
    life.end(proven)
    job.scribe._signer = None
    life.measurement = measured(profiles(0)["verify"], START)
    life.end(unproven)
    found = taken_apart([job.save(tmp_path)], 5)
    ((standing, _, reasons),) = standings(found)
    assert (standing, reasons[0]) == ("may", DOUBT)
    assert reasons[1].startswith("It could do no more than read, as ")


def test_what_would_have_been_is_marked_as_that(tmp_path: Path) -> None:
    job = Job()
    handed_out = job.life("migrate", "outputs", at=0)
    handed_out.delivery = "outputs"
    handed_out.request()
    handed_out.issue()
    running = job.step("migrate", "runs", at=10, took=600)
    assert running
    job.scribe.now += 10
    handed_out.end(proven)
    path = job.save(tmp_path)
    during = taken_apart([path], 400)
    assert answer(during, 1, 3) == [
        ("recorded", "migrate: not by ending it with its step: the damage came 3 min 30 s before its command ended."),
        (
            "counterfactual",
            "Had its command been bounded (max_ttl) to less than 6 min 30 s from its issue, it would have been dead.",
        ),
    ]
    assert answer(during, 0, 3) == [
        ("recorded", "migrate: it was, or may have been, alive then, and is not proven dead before the damage."),
        ("unknown", "When its command ended is not on record."),
        (
            "counterfactual",
            "Had its ttl been 2 min 0 s, and nobody renewed it, it would have ended by itself 4 min 40 s before the damage.",
        ),
    ]
    assert "- **Counterfactual:** Had its ttl been 2 min 0 s" in markdown(during)
    assert [said for nature, said in answer(during, 0, 5)] == [
        "migrate lived while runs of job deploy, run 50000001 ran its command, from 2026-10-24T00:00:10.142Z.",
        "The role shop00-migrate was used by 1 other step in these ledgers, each with a credential of its own.",
        "migrate was handed out as outputs: every later step of the job could read it.",
    ]


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (DROPPED, None),
        (
            Used("read", (Statements("select", 2, 2),), (), "pg_stat_statements", ()),
            "Had migrate been granted no more than read, all that was counted of it would have worked.",
        ),
        (
            Used("info", (), (), "pg_stat_statements", ()),
            "Had migrate been granted no power at all, all that was counted of it would have worked.",
        ),
        (Used("read", (Statements("other", 1, 0),), (), "pg_stat_statements", ()), None),
        (None, None),
    ],
)
def test_less_than_was_granted_would_have_done_for_what_was_counted(
    tmp_path: Path, used: Used | None, told: str | None
) -> None:
    job = Job()
    life = job.life("migrate", at=0)
    life.request()
    life.issue()
    life.end(lambda now: proven(now)._replace(used=used))
    said = answer(taken_apart([job.save(tmp_path)]), 0, 1)
    assert [text for nature, text in said if nature == "counterfactual"] == ([told] if told else [])
    assert (used is None) == any("is not measured. That does not say that it was not used." in text for _, text in said)


def test_a_credential_that_lived_after_its_step_would_have_been_dead(tmp_path: Path) -> None:
    job = Job()
    life = job.life("migrate", at=0)
    life.request()
    life.issue()
    job.scribe.now += 10
    life.end(lambda now: proven(now)._replace(proof=proven(now).proof._replace(time=now + 300)))
    found = taken_apart([job.save(tmp_path)], 110.112)
    assert answer(found, 0, 3)[1] == (
        "counterfactual",
        "Had it been revoked at its step's end, it would have been dead 100.0 s before the damage.",
    )
    assert standings(found)[0][2][0] == "It was alive: its command had ended 100.0 s before."


def test_what_is_shared_inherited_excess_or_leaked_is_named(tmp_path: Path) -> None:
    job = Job()
    first = job.step("verify", "first", at=0)
    second = job.life("verify", "second", at=60)
    second.lease_id, second.db_user = first.lease_id, first.db_user
    second.measurement = measured(second.profile, START, EXCESS)
    second.scribe.add(
        credential.requested(
            second.step_uid,
            second.uid,
            second.profile,
            token_accessor="a",
            mount_point="auth/jwt",
            delivery="exec",
            inherited=["AWS_SECRET_ACCESS_KEY", "PGPASSWORD"],
        )
    )
    second.issue()
    job.scribe.add(
        credential.leaked(
            second.step_uid, second.uid, "verify", [Leak(second.uid, "verify", "GITHUB_ENV", 3, "DATABASE_URL", True)]
        )
    )
    second.end(proven)
    found = taken_apart([job.save(tmp_path)])
    assert answer(found, 1, 4)[0] == ("recorded", "verify could do more than it declared: PG.SCHEMA.OWN app.")
    assert answer(found, 1, 4)[1] == (
        "unknown",
        "Variables that look like credentials were in its environment already: AWS_SECRET_ACCESS_KEY, PGPASSWORD. What they can do, "
        "and whether they were used, is on no record.",
    )
    assert [said for _, said in answer(found, 1, 5)] == [
        f"verify: the same lease_id, {first.lease_id}, is on record for first of job deploy, run 50000001.",
        f"verify: the same db_user, {first.db_user}, is on record for first of job deploy, run 50000001.",
        "Its command left verify in GITHUB_ENV:3: whoever could read that could use it while it lived.",
        "The role shop00-verify was used by 1 other step in these ledgers, each with a credential of its own.",
    ]
    assert answer(found, 1, 3) == [("unknown", "No time of the damage was given (--at).")]
    assert found.suspects == ()


def test_other_runs_are_held_against_the_same_moment(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(number=1, run=2, signer=None)
    mine.step("migrate", at=0)
    other.step("migrate", "elsewhere", at=100)
    other.step("verify", "reads", at=100)
    third = Job(run=3)
    third.step("verify", "signed", at=100)
    found = taken_apart([each.save(tmp_path / str(number)) for number, each in enumerate((mine, other, third))], 105)
    # Of what nobody signed nothing is excluded.
    assert [(each.standing, each.credential.step_name) for each in found.elsewhere] == [
        ("could", "elsewhere"),
        ("may", "reads"),
    ]
    assert found.elsewhere_excluded == 1
    told = markdown(found).partition("### Other runs")[2].partition("\n## ")[0]
    user = found.elsewhere[0].credential.db_user
    assert told.startswith(
        f"\n\n1. Step `elsewhere`, job `deploy` of run `50000002` of `acme/shop-01`, with `migrate`, as `{user}`, for "
        "`postgresql://db-1.example.com:5432/shop01`\n"
    )
    assert told.endswith("\n\n1 credential of another run in these ledgers is excluded in the same way.\n")
    assert [(each["repository"], each["database"]) for each in as_json(found)["elsewhere"]] == [
        ("acme/shop-01", "postgresql://db-1.example.com:5432/shop01")
    ] * 2


def near(
    files: Sequence[Path], at: float | None = None, *, servers: frozenset[str] | None = None
) -> tuple[Postmortem, list[Path]]:
    """As the command takes it apart without --all; and what was verified for that."""
    moment = None if at is None else START + at
    dossier, passed = gather(local(files), RUN, TRUST, at=moment, servers=servers)
    found = postmortem(dossier, Selection(run=RUN), moment, "ddl", passed=passed, servers=servers)
    return found, [each.source.path for each in dossier.chapters]


def elsewhere(found: Postmortem) -> str:
    return markdown(found).partition("### Other runs")[2].partition("\n## ")[0].strip()


def test_runs_for_other_databases_are_counted_and_neither_verified_nor_shown(tmp_path: Path) -> None:
    mine = Job(run=1)
    same, far, unknown = (Job(number, run, signer=None) for number, run in ((8, 2), (1, 3), (2, 4)))
    mine.step("migrate", at=0)
    same.step("migrate", "same server", at=100)  # of another repository, and another database of that server
    for job in (far, unknown):
        life = job.life("migrate", "far" if job is far else "unknown", at=100)
        if job is unknown:
            life.profile = life.profile._replace(database=None)
        life.request()
        life.issue()
        job.scribe.now += 10
        life.end(proven)
    files = [each.save(tmp_path / str(number)) for number, each in enumerate((mine, same, far, unknown))]
    found, verified = near(files, 105)
    assert found.servers == ("db-0.example.com:5432",)
    assert verified == [files[0], files[1], files[3]]
    assert [each.credential.step_name for each in found.elsewhere] == ["same server", "unknown"]
    told = elsewhere(found)
    assert re.findall(r"(?m)^\d\. .*, for (.*)$", told) == [
        "`postgresql://db-0.example.com:5432/shop08`",
        "a database that is not on record",
    ]
    assert told.endswith(
        "\n\n1 credential of another run is for databases on other servers than `db-0.example.com:5432` by the word of ledgers "
        "that were not all verified: not held against the damage, and not shown (--all)."
    )
    assert (as_json(found)["elsewhere_other"], as_json(found)["servers"]) == (1, ["db-0.example.com:5432"])
    # Without a moment nobody is suspected, and only what has to do with the run is verified.
    assert near(files)[1] == [files[0]]
    every = taken_apart(files, 105, "ddl")
    assert {each.credential.step_name for each in every.elsewhere} == {"same server", "far", "unknown"}
    assert "not shown" not in elsewhere(every)


def test_a_run_that_does_not_say_which_database_it_could_reach_is_held_against_all(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(number=1, run=2, signer=None)
    life = mine.life("migrate", at=0)
    life.profile = life.profile._replace(database=None)
    life.request()
    life.issue()
    life.end(proven)
    mine.step("verify", at=50)
    other.step("migrate", "far", at=100)
    found, _ = near([mine.save(tmp_path / "1"), other.save(tmp_path / "2")], 105)
    assert (found.servers, [each.credential.step_name for each in found.elsewhere]) == ((), ["far"])
    assert elsewhere(found).endswith(
        "\n\nWhich databases this run could reach is not on record, so all other runs were held against the damage."
    )


def test_a_run_whose_ledger_was_changed_may_have_reached_other_databases(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(1, 2, signer=None)
    mine.step("migrate", at=0)
    other.step("migrate", at=0)
    files = [mine.save(tmp_path / "1"), other.save(tmp_path / "2")]
    files[0].write_bytes(files[0].read_bytes().replace(b'"exit_code":0', b'"exit_code":1'))
    found, _ = near(files, 5)
    assert found.elsewhere_other == 1
    assert as_json(found)["tampered"] is True
    assert elsewhere(found).endswith(
        "\n\nA ledger of this run was tampered with, and may not name every database that it could reach: --all holds all "
        "other runs against the damage."
    )


def test_many_other_runs_are_the_newest_ones_and_a_number(tmp_path: Path) -> None:
    files = []
    for run in range(1, FEW + 5):
        job = Job(run=run)
        life = job.life("migrate", f"step of {run}", at=run)
        life.request()
        life.issue()
        files.append(job.scribe.save(tmp_path))
    found, _ = near(files, 60)
    newest = [f"5{run:07d}" for run in range(FEW + 4, 4, -1)]
    assert [each.credential.job["run_id"] for each in found.elsewhere] == newest
    assert elsewhere(found).endswith(
        "\n\n3 credentials of other runs cannot be excluded either, and are not shown (--all)."
    )
    assert len(taken_apart(files, 60, "ddl").elsewhere) == FEW + 3


def test_a_ledger_that_was_changed_is_not_believed_to_be_for_another_database(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(run=2)
    mine.step("migrate", at=0)
    other.step("migrate", "elsewhere", at=100)
    files = [mine.save(tmp_path / "1"), other.save(tmp_path / "2")]
    files[1].write_bytes(files[1].read_bytes().replace(b"//db-0.example", b"//db-7.example"))
    found, verified = near(files, 105)
    assert verified == files  # of the same repository
    assert [(each.standing, each.credential.step_name) for each in found.elsewhere] == [("could", "elsewhere")]


def test_a_ledger_of_another_repository_that_was_changed_is_held_against_the_damage(tmp_path: Path) -> None:
    mine, other = Job(run=1), Job(8, 2, signer=None)
    mine.step("migrate", at=0)
    other.step("migrate", "elsewhere", at=100)
    files = [mine.save(tmp_path / "1"), other.save(tmp_path / "2")]
    files[1].write_bytes(files[1].read_bytes().replace(b"//db-0.example", b"//db-7.example"))
    found, verified = near(files, 105)
    assert verified == files  # a link that does not fit needs no key
    assert [(each.standing, each.credential.step_name) for each in found.elsewhere] == [("could", "elsewhere")]
    assert found.elsewhere_other == 0


def test_whoever_has_the_same_lease_is_found_whatever_database_it_says(tmp_path: Path) -> None:
    mine, other, stranger = Job(run=1), Job(1, 2, signer=None), Job(2, 3, signer=None)
    first = mine.step("migrate", at=0)
    life = other.life("migrate", "thief", at=20)
    life.lease_id = first.lease_id
    life.request()
    life.issue()
    life.end(proven)
    life = stranger.life("verify", at=40)
    life.profile = life.profile._replace(role=first.profile.role)
    life.request()
    life.issue()
    life.end(proven)
    files = [each.save(tmp_path / str(number)) for number, each in enumerate((mine, other, stranger))]
    found, verified = near(files, 5)
    assert verified == files[:2]
    assert [said for _, said in answer(found, 0, 5)] == [
        f"migrate: the same lease_id, {first.lease_id}, is on record for thief of job deploy, run 50000002.",
        "The role shop00-migrate was used by 1 other step in these ledgers, each with a credential of its own.",
    ]


def test_with_the_database_of_the_damage_those_for_another_are_excluded(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", "here", at=0)
    life = job.life("migrate", "there", at=1)
    url = life.profile.database
    assert url is not None
    life.profile = life.profile._replace(database=url._replace(host="DB-9.example.com"))
    life.request()
    life.issue()
    job.scribe.now += 10
    life.end(proven)
    found, _ = near([job.save(tmp_path)], 5, servers=frozenset({"db-0.example.com:5432"}))
    assert [(standing, name) for standing, name, _ in standings(found)] == [("could", "here"), ("excluded", "there")]
    assert standings(found)[1][2] == [
        "It was for postgresql://DB-9.example.com:5432, and the damage was on db-0.example.com:5432."
    ]
    found, _ = near([next(tmp_path.glob("*.jsonl"))], 5)
    assert [standing for standing, *_ in standings(found)] == ["could", "could"]
    assert found.servers == ("db-0.example.com:5432", "db-9.example.com:5432")


def test_a_run_of_two_repositories_has_to_be_told_apart(tmp_path: Path) -> None:
    one, two = Job(0), Job(1, signer=None)
    one.step("migrate", at=0)
    two.step("migrate", at=0)
    dossier = read(local([one.save(tmp_path / "1"), two.save(tmp_path / "2")]), TRUST)
    with pytest.raises(UsageError) as error:
        postmortem(dossier, Selection(run=RUN))
    assert (error.value.what, error.value.fix) == (
        "There is a run 50000001 of more than one repository: acme/shop-00, acme/shop-01",
        "Say which: --repository ID",
    )
    assert postmortem(dossier, Selection(run=RUN, repository="acme/shop-01")).repository == "acme/shop-01"
    assert postmortem(dossier, Selection(run=RUN, repository="9000000")).repository == "acme/shop-00"
    with pytest.raises(UsageError) as error:
        postmortem(dossier, Selection(run="7"))
    assert (error.value.what, error.value.cause, error.value.docs) == (
        "No credential of run 7 is on record here",
        "The runs on record are 50000001.",
        "ledger-postmortem",
    )


def with_gone(
    files: Sequence[Path], at: float | None, *, trust: Trust | None = TRUST, run: str = RUN, everything: bool = False
) -> Postmortem:
    """As the command has it, of `files` of which some are not there."""
    sources, moment = local(files), None if at is None else START + at
    dossier, passed = (read(sources, trust), None) if everything else gather(sources, run, trust, at=moment)
    gone = gone_of(sources, dossier)
    return postmortem(dossier, Selection(run=run), moment, "ddl", passed=passed, gone=gone)


def removed(folder: Path, *, number: int = 0, run: int = 2, at: float = 95, cut: int = 0) -> Path:
    """The ledger of a job of two steps, gone but for its checkpoints, of which the first `cut` are gone as well."""
    job = Job(number, run)
    job.scribe.now = START + at - 5
    job.step("migrate", at=at)
    job.step("verify", at=at + 60)
    path = job.save(folder)
    path.unlink()
    checkpoints = path.with_suffix(".checkpoints")
    checkpoints.write_bytes(b"".join(checkpoints.read_bytes().splitlines(keepends=True)[cut:]))
    return path


def not_excluded(found: Postmortem) -> str:
    return markdown(found).partition("### Cannot be excluded")[2].partition("\n###")[0].strip()


def head(found: Postmortem) -> str:
    return markdown(found).partition("\n## ")[0].strip().rpartition("\n\n")[2]


def test_a_ledger_that_is_gone_cannot_be_excluded(tmp_path: Path) -> None:
    mine = Job()
    mine.step("migrate", at=0)
    # Of another repository: what database it was for is on record nowhere.
    files = [mine.save(tmp_path / "1"), removed(tmp_path / "2", number=1, run=3)]
    both = Trust("trust.json", (*TRUST.keys, KEY.trusted("checkpoint", "9000001")))
    other = Trust("trust.json", (Signer("transit/keys/other").trusted("checkpoint", None),))
    for everything in (False, True):
        found = with_gone(files, 100, trust=None, everything=everything)
        assert not_excluded(found).endswith(
            "The ledger of run `50000003` of repository `9000001` is not here: 8 records by its checkpoints, whose signatures "
            "nobody checked, the last at 2026-10-24T00:02:45.762Z\n"
            "   - **Unknown:** Whom it would name is not known. Its checkpoints are from 2026-10-24T00:01:35.112Z to "
            f"2026-10-24T00:02:45.762Z, and `{files[1]}` was beside them."
        )
    assert head(found) == (
        "1 ledger is not here, only its checkpoints: nothing below tells of what it held. It cannot be excluded."
    )
    assert "records by its checkpoints, which no trusted key signed, the last at" in not_excluded(
        with_gone(files, 100, trust=other)
    )
    found = with_gone(files, 100, trust=both)
    assert "is not here: 8 records that Vault signed for, the last at 2026-" in not_excluded(found)
    page = "".join(html(found))
    assert "records that Vault signed for, the last at 2026-" in page
    assert "1 ledger is not here, only its checkpoints" in page
    (told,) = as_json(found)["gone"]
    assert [told[name] for name in ("standing", "repository_id", "run_id", "records", "signed", "first", "last")] == [
        "may",
        "9000001",
        "50000003",
        8,
        True,
        "2026-10-24T00:01:35.112Z",
        "2026-10-24T00:02:45.762Z",
    ]
    # Without a moment nobody is suspected, and that it is gone is said all the same.
    found = with_gone(files, None, trust=both)
    assert head(found) == "1 ledger is not here, only its checkpoints: nothing below tells of what it held."
    assert as_json(found)["gone"][0]["standing"] is None


def test_a_ledger_that_is_gone_is_excluded_by_signed_times_alone(tmp_path: Path) -> None:
    mine = Job()
    mine.step("migrate", at=0)
    path = mine.save(tmp_path / "1")
    files = [path, removed(tmp_path / "2")]
    found = with_gone(files, 50)
    assert (found.gone, found.gone_more, found.gone_excluded, not_excluded(found)) == ((), 0, 1, "None.")
    assert head(found) == (
        "1 ledger is not here, only its checkpoints: nothing below tells of what it held. It is excluded: all that is "
        "signed there is later."
    )
    assert as_json(found)["gone_excluded"] == 1
    for at in (91, 100, 4000):  # by less than clocks differ, while it ran, and long after
        assert [each.run for each in with_gone(files, at).gone] == ["50000002"]
    # Whoever takes the ledger away could take the first of its checkpoints with it, sign others, or repeat them.
    doubt = "   - **Unknown:** That this is later excludes nobody: "
    cut = [path, removed(tmp_path / "3", cut=1)]
    assert not_excluded(with_gone(cut, 50)).endswith(f"{doubt}none is left of the first 3 records.")
    assert not_excluded(with_gone(files, 50, trust=None)).endswith(f"{doubt}nobody checked the signatures (--trust).")
    other = Trust("trust.json", (Signer("transit/keys/other").trusted("checkpoint", None),))
    assert not_excluded(with_gone(files, 50, trust=other)).endswith(f"{doubt}no trusted key signed them.")
    checkpoints = files[1].with_suffix(".checkpoints")
    checkpoints.write_bytes(checkpoints.read_bytes() * 2)
    assert not_excluded(with_gone(files, 50)).endswith(f"{doubt}it was tampered with.")


@pytest.mark.parametrize("lines", [0, 1, 3])
@pytest.mark.parametrize("everything", [False, True])
def test_what_is_put_in_the_place_of_a_ledger_hides_nothing(tmp_path: Path, lines: int, everything: bool) -> None:
    mine, guilty = Job(), Job(run=2)
    mine.step("migrate", at=0)
    guilty.step("verify", at=50)
    guilty.step("migrate", at=95)
    files = [mine.save(tmp_path / "1"), guilty.save(tmp_path / "2")]
    kept = files[1].read_bytes().splitlines(keepends=True)[:lines]
    files[1].write_bytes(b"".join(kept) or b"garbage\n")
    found = with_gone(files, 100, everything=everything)
    assert (
        "The ledger of run `50000002` of repository `9000000` is not here as it was signed: 8 records that Vault"
        in (not_excluded(found))
    )
    assert head(found) == (
        "1 ledger is not here as it was signed: nothing below tells of all that it held. It cannot be excluded."
    )
    assert as_json(found)["gone"][0]["cut"] is True
    if lines < 3:
        with pytest.raises(UsageError) as error:
            with_gone(files, 100, run="50000002", everything=everything)
        assert error.value.cause == "Its ledger is cut: checkpoints of 8 records are here."


def test_a_ledger_that_cannot_be_read_is_told_of_in_the_head(tmp_path: Path) -> None:
    mine = Job()
    mine.step("migrate", at=0)
    files = [mine.save(tmp_path / "1"), removed(tmp_path / "2", number=1)]
    # The key of another repository signed it, so that it is forged, whoever took the ledger away.
    found = with_gone(files, 100)
    assert (found.gone, found.unread, len(found.errors)) == ((), 1, 1)
    assert head(found) == '1 ledger could not be read: nothing below tells of what it held (see "Not read").'
    assert as_json(found)["unread"] == 1


def test_of_many_ledgers_that_are_gone_the_nearest_are_named(tmp_path: Path) -> None:
    mine = Job()
    mine.step("migrate", at=0)
    files = [mine.save(tmp_path / "1")]
    files += [removed(tmp_path / str(run), run=run, at=95 + 200 * run) for run in range(2, FEW + 4)]
    found = with_gone(files, 100 + 200 * 10)
    # Those after it are excluded, and it lies within the tenth.
    assert [each.run for each in found.gone] == [f"500000{run:02}" for run in range(10, 1, -1)]
    assert (found.gone_more, found.gone_excluded) == (0, FEW + 2 - 9)
    assert head(found).endswith("of what they held. 9 of them cannot be excluded.")
    found = with_gone(files, 10_000)
    assert (len(found.gone), found.gone_more) == (FEW, 2)
    assert not_excluded(found).endswith("\n21. 2 ledgers more that are gone or cut: not shown (--all)")
    assert len(with_gone(files, 10_000, everything=True).gone) == FEW + 2


def test_a_run_whose_ledger_is_gone_is_not_unknown(tmp_path: Path) -> None:
    mine = Job()
    mine.step("migrate", at=0)
    files = [mine.save(tmp_path / "1"), removed(tmp_path / "2")]
    for everything, trust in ((False, TRUST), (True, TRUST), (False, None), (True, None)):
        with pytest.raises(UsageError) as error:
            with_gone(files, 100, trust=trust, run="50000002", everything=everything)
        assert (error.value.what, error.value.cause, error.value.fix, error.value.docs) == (
            "No credential of run 50000002 is on record here",
            "Its ledger is gone: checkpoints of 8 records are here.",
            "Look for it where it was copied to (ledger.push). What it held, Vault's audit log knows: ledger reconcile",
            "ledger-gone",
        )


HOSTILE = "</code><script>alert(1)</script>`` [x](https://evil.example) ![i](https://evil.example/i.png) @everyone |\n\n# h\x1b[31m\u202e{{7*7}}"


@pytest.mark.parametrize("text", [HOSTILE, "`", "``", " ` ", "a`b``c", "", " ", "```\nx", "\\`x\\`", "x`"])
def test_no_text_ends_its_code_span(text: str) -> None:
    span = code(text)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert not inside.startswith("`") and not inside.endswith("`")
    assert fence[0] not in re.findall("`+", inside)
    assert "\n" not in span


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_hostile_texts_in_every_field_are_shown_and_are_nothing_but_text(tmp_path: Path) -> None:
    job = Job()
    life = job.life("migrate", at=0)
    life.profile = life.profile._replace(name=HOSTILE, role=HOSTILE, creds=HOSTILE, schemas=(HOSTILE,))
    life.name, life.lease_id, life.db_user = HOSTILE, HOSTILE, HOSTILE
    life.measurement = measured(
        life.profile._replace(access="ddl"), START, EXCESS._replace(what=HOSTILE, subject=HOSTILE, code=HOSTILE)
    )
    life.scribe.add(
        credential.requested(
            life.step_uid,
            life.uid,
            life.profile,
            token_accessor=HOSTILE,
            mount_point=HOSTILE,
            delivery=HOSTILE,
            inherited=[HOSTILE],
            reason=HOSTILE,
        )
    )
    life.issue()
    job.scribe.now += 10
    job.scribe.add(credential.left(life.step_uid, life.uid, HOSTILE, [Change("LEFT.GONE", HOSTILE, HOSTILE)], HOSTILE))
    job.scribe.add(
        credential.leaked(life.step_uid, life.uid, HOSTILE, [Leak(life.uid, HOSTILE, HOSTILE, 1, HOSTILE, False)])
    )
    used = Used("ddl", (Statements(HOSTILE, 1, 1, HOSTILE),), (HOSTILE,), HOSTILE, (HOSTILE,))
    life.end(lambda now: proven(now)._replace(used=used))
    found = taken_apart([job.save(tmp_path)], 5)
    page = "".join(html(found))
    parsed = Tags()
    parsed.feed(page)
    assert {"script", "img", "iframe", "object"}.isdisjoint(parsed.tags)
    assert all(link.startswith("#") for link in parsed.links)
    assert sum("<script>alert(1)</script>" in text for text in parsed.texts) > 10
    told = markdown(found)
    for text in (page, told):
        assert "\x1b" not in text and "\u202e" not in text
    # Outside of code spans there is nothing of it.
    fence = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
    assert "evil" not in fence.sub("", told) and "<" not in fence.sub("", told) and "@" not in fence.sub("", told)
    assert json.loads(json.dumps(as_json(found)))["suspects"][0]["standing"] == "could"


def test_the_page_asks_no_network_and_runs_no_script(tmp_path: Path) -> None:
    job = Job()
    job.step("migrate", at=0)
    page = "".join(html(taken_apart([job.save(tmp_path)], 5)))
    assert page.startswith("<!doctype html>\n")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; style-src &#39;sha256-")
    assert "script-src &#39;none&#39;" in policy[1]
    assert "<script" not in page and "http://" not in page and "https://" not in page


def cli(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return command(folder, "postmortem", *arguments)


def test_the_command_writes_each_form_and_overwrites_nothing(tmp_path: Path) -> None:
    job = Job(signer=None)
    job.step("migrate", at=0)
    job.save(tmp_path / "ledgers")
    asked = ("ledgers", "--run", RUN, "--at", "2026-10-24T00:00:05Z")
    printed = cli(*asked, folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith(
        "# Post-mortem of run `50000001` of `acme/shop-00`\n\nThe damage was done at 2026-10-24T00:00:05.000Z, and takes the level `write` or more.\n"
    )
    page = cli(*asked, "--format", "html", "--output", "x.html", folder=tmp_path)
    assert (page.returncode, page.stdout, page.stderr) == (0, "Written: x.html\n", "")
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")
    again = cli(*asked, "--format", "html", "--output", "x.html", folder=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (
        2,
        "",
        "stepcreds: error: x.html cannot be written: File exists\n"
        "  fix: Name a file that is not there yet, in a folder that you may write to.\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-postmortem\n",
    )
    machine = cli(*asked, "--format", "json", "--needs", "ddl", folder=tmp_path)
    told = json.loads(machine.stdout)
    assert (told["at"], told["needs"], [each["standing"] for each in told["suspects"]]) == (
        "2026-10-24T00:00:05.000Z",
        "ddl",
        ["could"],
    )
    assert {
        record["signed"] for each in told["suspects"] for reason in each["reasons"] for record in reason["records"]
    } == {False}
    assert [each["used"] for each in told["over_time"]] == [None]
    (tmp_path / "empty").mkdir()
    for arguments, error in (
        (
            ("empty", "--run", "7"),
            "There is no ledger here\n"
            "  cause: No step has written one yet, or it was removed, or the place is another.\n"
            "  fix: Name files, folders, or the URL of an object store: stepcreds ledger postmortem PLACES\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger\n",
        ),
        (
            (*asked, "--database", "shop00"),
            "--database: it is not the URL of a database\n"
            "  fix: For example: postgresql://db.example.com:5432/app?sslmode=verify-full\n"
            "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-postmortem\n",
        ),
    ):
        refused = cli(*arguments, folder=tmp_path)
        assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"stepcreds: error: {error}")
    unknown = cli("ledgers", "--run", "7", folder=tmp_path)
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (
        2,
        "",
        "stepcreds: error: No credential of run 7 is on record here\n"
        "  cause: The runs on record are 50000001.\n"
        "  fix: Name the ledgers and the run: stepcreds ledger postmortem PLACES --run ID\n"
        "  see: https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md#ledger-postmortem\n",
    )
    path = removed(tmp_path / "ledgers")
    printed = cli(*asked, folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (0, "")
    where = path.relative_to(tmp_path)
    assert f"and `{where}` was beside them." in printed.stdout
    assert (
        "\n1 ledger is not here, only its checkpoints: nothing below tells of what it held. It cannot be"
        in (printed.stdout.partition("\n## ")[0])
    )
