"""What `allow` accepts and until when, what is said of it, and that an entry to paste is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
from stepcreds.config.model import Allowance, DatabaseURL, Profile
from stepcreds.measurement import Finding, Measured
from stepcreds.printable import printable
from stepcreds.scope import allowances, held_against
from stepcreds.scope.allowances import entry_of, remarks, yaml_text
from stepcreds.scope.interface import Examination
from stepcreds.scope.report import refusal

URL = DatabaseURL("postgresql", "postgresql", "db", 5432, "shop", "require", None)
NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z
OWNS = Finding("PG.TABLE.OWN", "ddl", "drop 2 tables of app", "app", database="shop", schema="app")
READS = Finding("PG.TABLE.READ", "read", "read 2 tables of app", "app", database="shop", schema="app")


def profile(*days: str, what: str = "PG.TABLE.OWN app") -> Profile:
    allow = tuple(Allowance(what, "the vendor's", day) for day in days)
    return Profile("verify", "verify", "database/creds/verify", URL, "read-only", allow=allow)


def measured(of: Profile, *findings: Finding, time: float = NOON) -> Measured:
    return held_against(of, Examination(findings or (OWNS, READS), (), "PostgreSQL 16.14", 1), 0.02, time)


def said(of: Profile, *findings: Finding) -> tuple[str, ...]:
    found = measured(of, *findings)
    return remarks(found.findings, of, found.time)


def test_an_allowance_that_has_expired_does_not_count_and_the_refusal_says_so() -> None:
    of = profile("2026-11-21")
    found = measured(of)
    assert [each.standing for each in found.findings] == ["excess", "within"]
    assert refusal(of, found).cause == (
        "PG.TABLE.OWN app: drop 2 tables of app [ddl, and the profile declares read-only; the allowance for "
        "PG.TABLE.OWN app expired on 2026-11-21]"
    )
    # The finding says it: nothing is to be removed.
    assert said(of) == ()


def test_the_last_day_counts_up_to_its_end_in_utc() -> None:
    of = profile("2026-11-22")
    midnight = NOON + 12 * 3600
    assert [measured(of, OWNS, time=time).excess != () for time in (NOON, midnight - 0.01, midnight)] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("expires", "when"),
    [
        ("2026-11-22", "today"),
        ("2026-11-23", "in 1 day"),
        ("2026-12-01", "in 9 days"),
        ("2026-12-06", "in 14 days"),
        ("2026-12-07", ""),
        ("2099-12-31", ""),
    ],
)
def test_what_ends_soon_is_said_beforehand(expires: str, when: str) -> None:
    text = f'allow "PG.TABLE.OWN app" expires {when} ({expires}): take the privilege away, or decide again'
    assert said(profile(expires)) == ((text,) if when else ())


def test_an_entry_that_accepts_nothing_is_named() -> None:
    unused = profile("2026-12-01", what="PG.TABLE.OWM app")
    assert said(unused) == ('allow "PG.TABLE.OWM app" matches nothing that it can do: remove it',)
    declared = profile("2026-12-01", what="PG.TABLE.READ app")
    assert said(declared) == ('allow "PG.TABLE.READ app" accepts what the profile declares anyway: remove it',)
    over = profile("2026-11-21", what="PG.TABLE.OWM app")
    assert said(over) == ('allow "PG.TABLE.OWM app" expired on 2026-11-21: remove it',)
    assert said(profile()) == ()
    # In one database it is needed, in the other declared.
    of = profile("2099-12-31")._replace(databases=("shop", "other"), access="ddl", schemas=("app",))
    both = (OWNS._replace(schema="audit"), OWNS._replace(database="other"))
    assert said(of, *both) == ()


def test_what_is_allowed_at_vault_is_spoken_of_where_somebody_looked_there() -> None:
    of = profile("2026-12-01", what="VAULT.SECRET secret/data/app")
    assert remarks((), of, NOON) == ()
    assert remarks((), of, NOON, vault=True) == (
        'allow "VAULT.SECRET secret/data/app" matches nothing that it can do: remove it',
    )


HOSTILE = [
    'app."Orders"',
    "app.{orders}",
    "a\nb\tc",
    "it's: # no [comment]",
    "- ? | > & * ! %",
    "straße 名前 🐘",
    "back\\slash",
    "##[error]x ##vso[x]",
    "\x1b[2Jx\x7f\x85\xa0",
    "\u202eevil\u2028x\ufe0f\U000e0100\u200b",
    "true",
    "",
]


@pytest.mark.parametrize("subject", HOSTILE)
def test_an_entry_to_paste_is_yaml_that_says_the_name(subject: str) -> None:
    finding = OWNS._replace(subject=subject, standing="excess", because="more")
    line = printable(entry_of(finding))  # as it reaches a terminal or a log
    assert len(line.splitlines()) == 1
    (entry,) = yaml.safe_load(f"- {line.replace('YYYY-MM-DD', '2027-01-31')}")
    assert (entry["what"], entry["reason"], str(entry["expires"])) == (finding.name, "…", "2027-01-31")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_yaml_and_printing(text: str) -> None:
    shown = printable(f"- {yaml_text(text)}", 100_000)
    assert yaml.safe_load(shown) == [text]


def test_what_a_refusal_prints_is_taken_by_a_configuration(tmp_path: Path) -> None:
    finding = OWNS._replace(code="PG.DEFINER.CALL", subject='app."f{}"(a "T: #x") owner=o body=0f')
    error = refusal(profile(), measured(profile(), finding))
    pasted = next(line for line in error.fix.splitlines() if "what:" in line).replace("YYYY-MM-DD", "2099-01-31")
    (tmp_path / "stepcreds.yml").write_text(
        "version: 1\nvault: {address: https://vault.example.com:8200}\nprofiles:\n  verify:\n"
        "    creds: database/creds/verify\n    database: postgresql://db/shop\n    access: read-only\n    allow:\n"
        f"  {pasted}\n"
    )
    loaded = load_config(None, {}, tmp_path, SystemClock()).profiles["verify"]
    assert [entry.what for entry in loaded.allow] == [finding.name]
    assert measured(loaded, finding).excess == ()


def test_a_day_is_that_of_utc() -> None:
    assert allowances.day(NOON) == "2026-11-22"
