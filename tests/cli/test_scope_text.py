"""The report of a credential's power on a page: very many findings, a narrow terminal, colours, an end without proof."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
from collections.abc import Callable

import pytest

from stepcreds.cli.scope_table import Progress, print_json, table
from stepcreds.cli.scope_text import MOST, Page
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.errors import UnmeasuredError
from stepcreds.measurement import Finding, Measured
from stepcreds.survey.comparison import Changes
from stepcreds.survey.result import Ended, Survey, TokenLook

URL = DatabaseURL("postgresql", "postgresql", "db.example.com", 5432, "shop", "verify-full", None)
VERIFY = Profile("verify", "app-verify", "database/creds/app-verify", URL, "read-only", ("app",))
READ = Finding("PG.TABLE.READ", "read", "read 6 tables of app", "app", ("app.a", "app.b"), 6, "PUBLIC", database="shop")
DEAD = Ended(True, "proven dead", "lease lookup and refused logins", "locked", "revoked")


def survey(*findings: Finding, **changes: object) -> Survey:
    measured = Measured(findings, (), "PostgreSQL 18.0", 0.0214, 1, 0.0, "0" * 64)
    return Survey(VERIFY, measured, 0.0, "v-x", ended=DEAD)._replace(**changes)  # type: ignore[arg-type]


def text(say: Callable[[Page], object]) -> str:
    stream = io.StringIO()
    say(Page(stream))
    return stream.getvalue()


END = "-- the end --\n"


def on_a_terminal(say: Callable[[Page], object], columns: int) -> str:
    """What is written to a terminal of that width."""
    near, far = os.openpty()
    try:
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with os.fdopen(far, "w") as stream:
            say(Page(stream))
            stream.write(END)
            stream.flush()
            return until_the_end(near)
    finally:
        os.close(near)


def until_the_end(near: int) -> str:
    """The kernel hands on what a terminal is given when it pleases, in pieces."""
    shown = ""
    while not shown.endswith(END):
        shown += os.read(near, 100_000).decode().replace("\r\n", "\n")
    return shown.removesuffix(END)


def test_of_very_many_findings_the_first_are_shown_and_the_rest_counted() -> None:
    many = [READ._replace(subject=f"s{number}", schema=f"s{number}") for number in range(10_000)]
    excess = [each._replace(standing="excess", because="other", fix="REVOKE") for each in many]
    report = text(lambda page: page.report(survey(*excess, *many)))
    assert report.count("PG.TABLE.READ s") == 2 * MOST + 1  # once more in the entry to paste
    assert "\n  … and 9,960 more excess: --json has all\n" in report
    assert "\n  … and 9,960 more within: --json has all\n" in report
    changes = Changes("2026-01-01T00:00:00.000Z", tuple(many), ({"level": "read", "name": "X", "what": "y"},) * 50, ())
    compared = text(lambda page: page.changes(survey(*many), changes, "f"))
    assert compared.count("\n+ read ") == compared.count("\n- read ") == MOST
    assert "\n  … and 10 more: --json has all\n" in compared


def test_a_narrow_terminal() -> None:
    long = READ._replace(what="read " + "some very long text " * 5 + "to its end")
    report = on_a_terminal(lambda page: page.report(survey(long)), 60)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", report)
    head, *lines = plain.splitlines()
    assert head == (  # what a script looks for stays in one line
        "stepcreds scope: verify: WITHIN read-only in app, PostgreSQL 18.0 at db.example.com:5432/shop, user v-x, 21 ms"
    )
    assert max(len(line) for line in lines if "Digest" not in line and "proven" not in line) <= 60
    at = next(number for number, line in enumerate(lines) if line.startswith("  read   PG.TABLE.READ app  it can read"))
    assert lines[at + 1].startswith("         some very long text")


@pytest.mark.parametrize(("variables", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colours: bool) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    excess = survey(READ._replace(standing="excess", because="other"))
    assert ("\x1b[1;31m" in on_a_terminal(lambda page: page.report(excess), 200)) is colours
    assert "\x1b" not in text(lambda page: page.report(excess))


def test_a_wrapped_line_never_begins_with_a_command() -> None:
    evil = READ._replace(what="read " + "a" * 40 + " ::error::pwned and more")
    report = on_a_terminal(lambda page: page.report(survey(evil)), 60)
    assert "pwned" in report
    assert re.search(r"(?m)^(\x1b\[[0-9;]*m)?\s*::", report) is None


def test_what_is_not_proven_dead_is_not_clean() -> None:
    left = survey(READ, ended=Ended(False, "revoked, not proven", "", "locked", "revoked", "db said: no"))
    assert (left.verdict, left.clean) == ("within", False)
    assert text(lambda page: page.report(left)).endswith("\nThe credential is revoked, not proven (db said: no).\n")
    row = text(lambda page: table(page, [left])).splitlines()[1]
    assert re.split("  +", row)[3] == "within, not proven dead"


def test_the_verdict_tells_credential_and_token_apart() -> None:
    creds = Finding("VAULT.CREDS", "admin", "issue", "database/creds/*", via="policy p", standing="excess", because="b")

    def verdict(of: Survey) -> str:
        return text(lambda page: page.report(of)).splitlines()[0].split(", PostgreSQL")[0]

    token = TokenLook(("p",), (creds,), ())
    assert verdict(survey(READ, token=token)) == (
        "stepcreds scope: verify: EXCESS: declared read-only in app, effective read, and admin with its Vault token"
    )
    outside = READ._replace(standing="excess", because="the profile does not declare the schema b")
    assert (
        verdict(survey(outside))
        == "stepcreds scope: verify: EXCESS: declared read-only in app, effective read beyond that"
    )
    error = UnmeasuredError.of("verify", "nobody answered")
    unmeasured = Survey(VERIFY, None, 0.0, error=error, token=token)
    assert verdict(unmeasured) == (
        "stepcreds scope: verify: EXCESS: declared read-only in app; the database was not measured"
    )
    assert verdict(unmeasured._replace(token=None)) == "stepcreds scope: verify: UNMEASURABLE: nobody answered"


def test_nothing_at_all_is_said_as_well() -> None:
    assert "\nThe worst this credential can do: log in, and nothing else.\n" in text(lambda page: page.report(survey()))


def test_a_table_fits_the_terminal() -> None:
    long = survey(READ._replace(what="read " + "much " * 60))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(lambda page: table(page, [long]), 130)).splitlines()
    assert [len(line) <= 130 for line in lines] == [True, True]
    assert lines[1].endswith("…")


def test_json_holds_nothing_that_a_runner_takes_for_a_command() -> None:
    stream = io.StringIO()
    print_json(stream, {"name": "##[error]\x1b[2J\n::error::x"})
    assert stream.getvalue() == '{\n  "name": "#\\u0023[error]\\u001b[2J\\n::error::x"\n}\n'


def test_progress_is_for_terminals_and_for_several() -> None:
    stream = io.StringIO()
    progress = Progress(stream, 3)
    progress.next("verify")
    progress.clear()
    Progress(None, 3).next("verify")
    assert stream.getvalue() == ""
    near, far = os.openpty()
    with os.fdopen(far, "w") as terminal:
        one = Progress(terminal, 1)
        one.next("verify")
        several = Progress(terminal, 3)
        several.next("verify")
        several.next("mi\x1bgrate")
        several.clear()
        terminal.write(END)
        terminal.flush()
        shown = until_the_end(near)
    os.close(near)
    assert shown == "\r\x1b[K1/3 verify\r\x1b[K2/3 mi\\x1bgrate\r\x1b[K"
