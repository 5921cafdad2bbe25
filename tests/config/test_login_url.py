"""The URL of somebody's own login: what is taken, and that no refusal repeats any of it."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from stepcreds.config.database_url import DatabaseURLError
from stepcreds.config.login_url import parse_login_url

CANARY = "canary-2f1b7c"


def test_user_and_password_are_taken_off_and_decoded(tmp_path: Path) -> None:
    login = parse_login_url("postgresql://ad%40min:p%2Fw%3A@db.internal:6432/app?sslmode=require\n", tmp_path)
    assert (login.user, login.password.reveal()) == ("ad@min", "p/w:")
    url = login.url
    assert (url.engine, url.host, url.port, url.database, url.sslmode) == (
        "postgresql",
        "db.internal",
        6432,
        "app",
        "require",
    )


def test_a_certificate_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    login = parse_login_url("mariadb://root:secret@[::1]/?sslrootcert=ca.pem", tmp_path)
    assert (login.url.host, login.url.port, login.url.sslrootcert) == ("::1", 3306, tmp_path / "ca.pem")


@pytest.mark.parametrize("path", ["", "/", "?sslmode=require", "/?sslmode=require"])
def test_a_url_that_names_no_database(path: str, tmp_path: Path) -> None:
    text = f"postgresql://admin:secret@db.internal{path}"
    assert parse_login_url(text, tmp_path, database="app").url.database == "app"
    with pytest.raises(DatabaseURLError) as refused:
        parse_login_url(text, tmp_path)
    assert str(refused.value) == "the URL names no database"


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f"postgresql://{CANARY}",
        f"postgresql://db.internal/app?password={CANARY}",
        f"postgresql://{CANARY}@db.internal/app",
        f"postgresql://admin:@db.internal/{CANARY}",
        f"postgresql://:{CANARY}@db.internal/app",
        f"postgresql://admin:{CANARY}/x@db.internal/app",
        f"postgresql://admin:{CANARY}?x@db.internal/app",
        f"postgresql://admin:{CANARY}#x@db.internal/app",
        f"postgresql://admin:{CANARY}@x@db.internal/app",
        f"postgresql://admin:{CANARY}:x@db.internal/app",
        f"postgresql://admin:{CANARY}%ff@db.internal/app",
        f"postgresql://admin:{CANARY}%00@db.internal/app",
        f"nonsense://admin:{CANARY}@db.internal/app",
        f"postgresql://admin:{CANARY}@db.internal:port/app",
    ],
)
def test_a_refusal_repeats_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseURLError) as refused:
        parse_login_url(text, tmp_path)
    shown = "".join(traceback.format_exception_only(refused.value)) + repr(refused.value.problems)
    assert CANARY not in shown


def test_a_refusal_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DatabaseURLError) as refused:
        parse_login_url("postgresql://admin:a/b@db.internal/app", tmp_path)
    assert refused.value.problems == (
        (
            "it is not the URL of a database with one user and one password",
            "postgresql://user:password@db.example.com:5432/app. In the user and the password write %40 for '@', "
            "%3A for ':', %2F for '/', %3F for '?', %23 for '#' and %25 for '%'.",
        ),
    )
