"""What changed since an earlier report: new powers, gone ones, changed ones; and files that are no report of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import UsageError
from stepcreds.measurement import Finding, Measured
from stepcreds.survey.comparison import Change, Earlier
from stepcreds.survey.document import document
from stepcreds.survey.result import Survey, TokenLook

URL = DatabaseURL("postgresql", "postgresql", "db.example.com", 5432, "shop", "verify-full", None)
VERIFY = Profile("verify", "app-verify", "database/creds/app-verify", URL, "read-only", ("app",))
READ = Finding("PG.TABLE.READ", "read", "read 6 tables of app", "app", ("app.a",), 6, "PUBLIC", database="shop")
TEMP = Finding("PG.DATABASE.TEMP", "info", "make temporary tables", "shop", database="shop")
WRITE = Finding(
    "PG.TABLE.WRITE", "write", "INSERT", "app", database="shop", standing="excess", because="write", fix="REVOKE"
)
CREDS = Finding("VAULT.CREDS", "admin", "issue", "database/creds/*", standing="excess", because="more")


def survey(*findings: Finding, token: tuple[Finding, ...] | None = None, profile: Profile = VERIFY) -> Survey:
    measured = Measured(findings, (), "PostgreSQL 18.0", 0.02, 1, 0.0, "0" * 64)
    return Survey(profile, measured, 0.0, "v-x", token=None if token is None else TokenLook((), token, ()))


def earlier(tmp_path: Path, *surveys: Survey, alone: bool = True) -> Earlier:
    documents = [document(each) for each in surveys]
    (tmp_path / "scope.json").write_text(json.dumps(documents[0] if alone else documents))
    return Earlier.read(tmp_path / "scope.json")


def test_nothing_changed(tmp_path: Path) -> None:
    changes = earlier(tmp_path, survey(READ, TEMP)).changes(survey(TEMP, READ))
    assert tuple(changes) == ("1970-01-01T00:00:00.000Z", (), (), ())
    assert (changes.is_empty, changes.is_clean) == (True, True)


def test_new_and_gone(tmp_path: Path) -> None:
    changes = earlier(tmp_path, survey(READ)).changes(survey(WRITE, TEMP))
    assert changes.new == (WRITE, TEMP)
    assert [gone["name"] for gone in changes.gone] == ["PG.TABLE.READ app"]
    assert (changes.is_empty, changes.is_clean) == (False, False)
    less = earlier(tmp_path, survey(WRITE, READ)).changes(survey(READ))
    assert (less.new, len(less.gone), less.is_clean) == ((), 1, True)
    assert earlier(tmp_path, survey(READ)).changes(survey(READ, TEMP)).is_clean


@pytest.mark.parametrize(
    ("now", "clean"),
    [
        (READ._replace(number=7), True),
        (READ._replace(via="member of app_ro"), True),
        (READ._replace(level="info"), True),
        (READ._replace(level="write"), False),
        (READ._replace(standing="excess"), False),
        (READ._replace(standing="allowed"), True),
    ],
)
def test_a_power_that_changed(tmp_path: Path, now: Finding, clean: bool) -> None:
    changes = earlier(tmp_path, survey(READ)).changes(survey(now))
    (was,) = json.loads((tmp_path / "scope.json").read_text())["findings"]
    assert changes[1:] == ((), (), (Change(now, was),))
    assert (changes.is_empty, changes.is_clean) == (False, clean)


def test_other_words_and_examples_are_no_change(tmp_path: Path) -> None:
    now = READ._replace(what="SELECT from 6 tables", objects=("app.b",), fix="REVOKE all")
    assert earlier(tmp_path, survey(READ)).changes(survey(now)).is_empty


def test_the_same_power_in_another_database_is_another(tmp_path: Path) -> None:
    there = READ._replace(database="other")
    changes = earlier(tmp_path, survey(READ)).changes(survey(READ, there))
    assert (changes.new, changes.gone, changes.is_clean) == ((there,), (), False)


def test_the_tokens_findings_are_compared_where_somebody_looked_both_times(tmp_path: Path) -> None:
    before = earlier(tmp_path, survey(READ, token=(CREDS,)))
    assert before.changes(survey(READ, token=(CREDS,))).is_empty
    assert [gone["name"] for gone in before.changes(survey(READ, token=())).gone] == ["VAULT.CREDS database/creds/*"]
    # Nobody asked this time: it may be there all the same.
    assert before.changes(survey(READ)).is_empty
    assert earlier(tmp_path, survey(READ)).changes(survey(READ, token=(CREDS,))).new == (CREDS,)


def test_of_several_each_is_compared_with_its_own(tmp_path: Path) -> None:
    migrate = VERIFY._replace(name="migrate")
    before = earlier(tmp_path, survey(READ), survey(WRITE, profile=migrate), alone=False)
    assert before.changes(survey(WRITE, profile=migrate)).is_empty
    assert before.changes(survey(WRITE)).new == (WRITE,)
    fresh = before.changes(survey(READ, profile=VERIFY._replace(name="fresh")))
    assert tuple(fresh) == (None, (READ,), (), ())
    assert (fresh.is_empty, fresh.is_clean) == (False, False)


def test_what_could_not_be_measured_then_is_new_and_now_is_nothing(tmp_path: Path) -> None:
    unmeasured = Survey(VERIFY, None, 0.0)
    assert earlier(tmp_path, unmeasured).changes(survey(READ)) == (None, (READ,), (), ())
    assert earlier(tmp_path, survey(READ)).changes(unmeasured) == ("1970-01-01T00:00:00.000Z", (), (), ())


def test_a_report_of_one_profile_is_not_for_another(tmp_path: Path) -> None:
    before = earlier(tmp_path, survey(READ))
    before.check("verify")
    with pytest.raises(UsageError) as caught:
        before.check("migrate")
    file = tmp_path / "scope.json"
    assert caught.value.what == f"{file} cannot be compared with: it is about verify, and not about migrate"
    earlier(tmp_path, survey(READ), alone=False).check("migrate")


def bad(**changes: Any) -> Any:
    return {**document(survey(READ)), **changes}


def finding(**changes: Any) -> Any:
    made = document(survey(READ))["findings"]
    assert isinstance(made, list)
    return bad(findings=[{**made[0], **changes}])


NOT_OURS = "it is not what `stepcreds scope --json` prints"
NO_FINDING = "one of its findings is not as `stepcreds scope --json` prints it"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({}, NOT_OURS),
        ([5], NOT_OURS),
        ("text", NOT_OURS),
        (bad(findings={}), NOT_OURS),
        (bad(time=5), NOT_OURS),
        (bad(token={"findings": {}}), NOT_OURS),
        (bad(version=2), "it is of version 2, and this stepcreds reads version 1"),
        (bad(findings=[5]), NO_FINDING),
        (finding(level="root"), NO_FINDING),
        (finding(count="6"), NO_FINDING),
        (finding(name=5), NO_FINDING),
        (bad(token={"findings": [{}]}), NO_FINDING),
    ],
)
def test_what_is_no_report(tmp_path: Path, value: object, why: str) -> None:
    file = tmp_path / "scope.json"
    file.write_text(json.dumps(value))
    with pytest.raises(UsageError) as caught:
        Earlier.read(file)
    assert (caught.value.what, caught.value.exit_code) == (f"{file} cannot be compared with: {why}", 2)
    assert caught.value.cause == (
        "--compare reads what an earlier `stepcreds scope --json`, of the same profile or with --all, printed."
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (None, "No such file or directory"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "scope.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        Earlier.read(file)
    assert caught.value.what == f"{file} cannot be compared with: {why}"
