"""Which credential stands where in a text, and which variable the line sets."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from leak_samples import KEY, OTHER, PASSWORD, holding, leak, search

from stepcreds.leaks.search import MOST, Search

ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()


def found(text: str, of: Search | None = None) -> list[tuple[str, int, str]]:
    leaks = (of or search()).find(text.encode(), "FILE", removed=True)
    return [(each.profile, each.line, each.name) for each in leaks]


@pytest.mark.parametrize(
    "value", [PASSWORD, quote(OTHER, safe=""), ENCODED, base64.b64encode(PASSWORD.encode()).decode(), f"x{PASSWORD}y"]
)
def test_each_form_is_found_by_its_line(value: str) -> None:
    of = search(holding("c1", "migrate", PASSWORD, OTHER))
    assert found(f"A=1\n\nB={value}\nC=2\n", of) == [("migrate", 3, "B")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"URL=postgresql://u:{PASSWORD}@h/d", "URL"),
        (f"URL<<EOF\npostgresql://u:{PASSWORD}@h/d\nEOF", "URL"),
        (f"URL<<EOF\r\nx=1\r\n{PASSWORD}\r\nEOF\r\n", "URL"),
        (f"A<<EOF\nB=1\nEOF\nC={PASSWORD}", "C"),
        (f"A<<EOF\nB={PASSWORD}", "A"),
        (f"export PGPASSWORD='{PASSWORD}'", "PGPASSWORD"),
        (f"  declare -x PGPASSWORD={PASSWORD}", "PGPASSWORD"),
        (f"Host: {PASSWORD}", ""),
        (f"/opt/{PASSWORD}/bin", ""),
        (f"{PASSWORD}=1", ""),
        (f"X{PASSWORD}={PASSWORD}", ""),
        (f"a name=with {PASSWORD}", ""),
        (f"{'N' * 65}={PASSWORD}", ""),
    ],
)
def test_the_variable_that_a_line_sets(text: str, name: str) -> None:
    (one,) = found(text)
    assert one[2] == name


def test_two_credentials_each_with_their_places() -> None:
    of = search(holding("c1", "migrate", PASSWORD), holding("c2", "cache", OTHER))
    text = f"A={PASSWORD}\nB={OTHER}\nC={OTHER}{PASSWORD}\n"
    assert sorted(found(text, of)) == [("cache", 2, "B"), ("cache", 3, "C"), ("migrate", 1, "A"), ("migrate", 3, "C")]
    assert of.without(text.encode()) == b"A=***\nB=***\nC=******\n"


def test_a_value_of_several_lines_is_found_by_the_lines_it_has_in_the_file() -> None:
    of = search(holding("c1", "tls", KEY))
    assert found(f"KEY<<EOF\n{KEY}EOF\n", of) == [("tls", 2, "KEY"), ("tls", 3, "KEY"), ("tls", 4, "KEY")]
    assert found("x\n  MIIEvQIBADANBgkqhkiG\n", of) == [("tls", 2, "")]


def test_the_frame_of_a_pem_text_is_nobodys() -> None:
    of = search(holding("c1", "tls", KEY))
    assert not of.occurs_in(b"-----BEGIN RSA PRIVATE KEY-----\nMIIEother\n-----END RSA PRIVATE KEY-----\n")


def test_words_are_not_looked_for() -> None:
    of = search(holding("c1", "kv", "prod", "staging", PASSWORD))
    assert not of.occurs_in(b"ENVIRONMENT=staging prod\n")


def test_no_more_lines_than_somebody_reads() -> None:
    lines = found(f"{PASSWORD}\n" * 1000)
    assert [line for _, line, _ in lines] == list(range(1, MOST + 1))


def test_one_line_counts_once() -> None:
    assert found(f"{PASSWORD} {ENCODED} {PASSWORD}\n") == [("migrate", 1, "")]


def test_names_of_files_are_shown_without_secrets_and_without_what_steers_a_terminal() -> None:
    shown = search().shown(f"/w/a\n::error::x\x1b[31m\u202e/{PASSWORD}/\udcff")
    assert shown == "/w/a\\n::error::x\\x1b[31m\\u202e/***/\\udcff"
    assert search().in_name(f"/w/{PASSWORD}.txt") == [leak("/w/***.txt", 0, removed=False)]
    assert search().in_name("/w/x.txt") == []


def test_nothing_to_look_for() -> None:
    of = Search([])
    assert (of.occurs_in(b"x"), of.without(b"x"), of.find(b"x", "F", removed=True)) == (False, b"x", [])
