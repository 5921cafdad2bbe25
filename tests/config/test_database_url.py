"""The URL of a database: what is taken, every refusal whole, and a password in it that is never repeated."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from config_examples import HEAD, folder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stepcreds.cli.messages import render_error
from stepcreds.clock import SystemClock
from stepcreds.config.database_url import SSLMODES, DatabaseURLError, parse_database_url
from stepcreds.config.engines import ENGINES, ENGINES_BY_NAME, ENGINES_BY_SCHEME, engine_of_scheme
from stepcreds.config.load import load_config
from stepcreds.config.model import DatabaseURL
from stepcreds.errors import ConfigError

CANARY = "canary-2f1b7c"
EXAMPLE = "For example: postgresql://db.example.com:5432/app?sslmode=verify-full"
NO_USER = "Remove everything up to the '@': each step gets a user of its own from Vault."
NO_PARAMETER = "Remove it: each step gets a user of its own from Vault."


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").touch()
    return tmp_path


def without_tls(engine: str, scheme: str, port: int, **values: object) -> DatabaseURL:
    return postgresql(engine=engine, scheme=scheme, port=port, sslmode="", **values)


def postgresql(**values: object) -> DatabaseURL:
    fields: dict[str, object] = {
        "engine": "postgresql",
        "scheme": "postgresql",
        "host": "db",
        "port": 5432,
        "database": "app",
        "sslmode": "verify-full",
        "sslrootcert": None,
        "options": {},
        **values,
    }
    return DatabaseURL(**fields)  # type: ignore[arg-type] # the fields of the tests below


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://db/app", postgresql()),
        ("postgres://db/app", postgresql(scheme="postgres")),
        ("postgresql+psycopg://db/app", postgresql(scheme="postgresql+psycopg")),
        ("POSTGRESQL://DB/app", postgresql(scheme="POSTGRESQL", host="DB")),
        ("postgresql://db.internal:6432/app", postgresql(host="db.internal", port=6432)),
        ("postgresql://[::1]:6432/app", postgresql(host="::1", port=6432)),
        ("postgresql://[2001:db8::1]/app", postgresql(host="2001:db8::1")),
        ("postgresql://10.0.0.1/my%20app", postgresql(host="10.0.0.1", database="my app")),
        ("postgresql://db/a%2Fb", postgresql(database="a/b")),
        ("postgresql://db/app?sslmode=require", postgresql(sslmode="require")),
        ("postgresql://db/app?sslrootcert=system", postgresql()),
        (
            "postgresql://db/app?connect_timeout=5&options=-c%20search_path%3Dapp",
            postgresql(options={"connect_timeout": "5", "options": "-c search_path=app"}),
        ),
        ("redshift://db/app", postgresql(engine="redshift", scheme="redshift", port=5439)),
        ("mysql://db", postgresql(engine="mysql", scheme="mysql", port=3306, database="")),
        (
            "mysql://db/app?ssl-mode=REQUIRED&charset=utf8mb4",
            postgresql(engine="mysql", scheme="mysql", port=3306, sslmode="require", options={"charset": "utf8mb4"}),
        ),
        ("mariadb://db/app?ssl-mode=VERIFY_IDENTITY", postgresql(engine="mariadb", scheme="mariadb", port=3306)),
        (
            "rediss://cache/0",
            postgresql(engine="redis", scheme="rediss", host="cache", port=6379, database="0", sslmode=""),
        ),
        (
            "valkey://cache",
            postgresql(engine="valkey", scheme="valkey", host="cache", port=6379, database="", sslmode=""),
        ),
        (
            "mongodb+srv://db/app?tls=true",
            without_tls("mongodb", "mongodb+srv", 27017, options={"tls": "true"}),
        ),
    ],
)
def test_a_url(text: str, expected: DatabaseURL, base: Path) -> None:
    assert parse_database_url(text, base) == expected


@pytest.mark.parametrize("mode", SSLMODES)
def test_every_sslmode_goes_with_a_file(mode: str, base: Path) -> None:
    url = parse_database_url(f"postgresql://db/app?sslmode={mode}&sslrootcert=ca.pem", base)
    assert url == postgresql(sslmode=mode, sslrootcert=base / "ca.pem")


def test_mysql_spells_the_file_in_its_own_way(base: Path) -> None:
    url = parse_database_url("mysql://db/app?ssl-mode=VERIFY_CA&ssl-ca=./ca.pem", base)
    assert (url.sslmode, url.sslrootcert, url.options) == ("verify-ca", base / "ca.pem", {})


def weak(mode: str) -> tuple[str, str]:
    return (
        f'weak sslmode "{mode}" may not be used with sslrootcert=system (use "verify-full")',
        "Use sslmode=verify-full, or name the server's CA: sslrootcert=deploy/db-ca.pem",
    )


WHO = ("user", "username", "uid", "password", "passwd", "pwd", "pass", "passfile", "sslpassword", "service", "PASSWORD")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("it is not the URL of a database", EXAMPLE)),
        ("db.example.com", ("it is not the URL of a database", EXAMPLE)),
        ("host=db dbname=app", ("it is not the URL of a database", EXAMPLE)),
        ("postgresql://db/app ", ("it is not the URL of a database", EXAMPLE)),
        ("postgresql:/db/app", ("it is not the URL of a database", EXAMPLE)),
        ("postgresql://app@db/app", ("the URL holds a user or a password", NO_USER)),
        ("postgres9://db/app", ('there is no engine for "postgres9://"', 'Did you mean "postgres"?')),
        (
            "sqlite:///app.db",
            ('there is no engine for "sqlite://"', f"Use one of: {', '.join(ENGINES_BY_SCHEME)}."),
        ),
        (
            "postgresql://a:1,b:2/app",
            ("the URL names several hosts", "Name one: that a credential is dead is proven on one server."),
        ),
        ("postgresql:///app", ("the URL names no host", f"{EXAMPLE} (a socket's folder is no host)")),
        (
            "postgresql://%2Fvar%2Frun/app",
            ("the host is neither a host name nor an address", "An IPv6 address stands in brackets: [::1]"),
        ),
        (
            "postgresql://::1/app",
            ("the host is neither a host name nor an address", "An IPv6 address stands in brackets: [::1]"),
        ),
        (
            "postgresql://[::g]/app",
            ("the host is neither a host name nor an address", "An IPv6 address stands in brackets: [::1]"),
        ),
        ("postgresql://db:/app", ("the port is not a number from 1 to 65535", "The usual one is 5432.")),
        ("postgresql://db:0/app", ("the port is not a number from 1 to 65535", "The usual one is 5432.")),
        ("mysql://db:65536/app", ("the port is not a number from 1 to 65535", "The usual one is 3306.")),
        (
            "postgresql://db",
            ("the URL names no database", "Write it after the host: postgresql://db.example.com/app"),
        ),
        (
            "postgresql://db/?sslmode=require",
            ("the URL names no database", "Write it after the host: postgresql://db.example.com/app"),
        ),
        (
            "postgresql://db/a/b",
            ("the name of the database holds a '/'", "Write %2F for a '/' that is meant."),
        ),
        (
            "postgresql://db/a%00",
            ("the name of the database is not UTF-8, or holds a control character", "Look at its %-escapes."),
        ),
        ("postgresql://db/app#1", ("the URL holds a '#'", "Write %23 for a '#' that is meant.")),
        (
            "postgresql://db/app?sslmode",
            ("a parameter is not of the form name=value", "Write the parameters as ?name=value&name=value"),
        ),
        (
            "postgresql://db/app?port=1",
            ('the parameter "port" says again where the database is', "Write it before the '?' only."),
        ),
        ("postgresql://db/app?a=1&a=2", ('the parameter "a" is given twice', "Keep one of the two.")),
        (
            "postgresql://db/app?a=%FF",
            ('the parameter "a" is not UTF-8, or holds a control character', "Look at its %-escapes."),
        ),
        (
            "postgresql://db/app?sslmode=verify_full",
            ('there is no sslmode "verify_full"', 'Did you mean "verify-full"?'),
        ),
        ("postgresql://db/app?sslmode=verify-ca", weak("verify-ca")),
        ("postgresql://db/app?sslmode=verify-ca&sslrootcert=system", weak("verify-ca")),
        ("postgresql://db/app?sslmode=require&sslrootcert=system", weak("require")),
        ("mysql://db/app?ssl-mode=VERIFY_CA", weak("verify-ca")),
        (
            "redis://cache?sslmode=require",
            (
                "redis has no sslmode and no sslrootcert",
                "Remove it: TLS is said in redis's own scheme or parameters.",
            ),
        ),
        *[
            (f"mysql://db/app?{name}={CANARY}", (f'the parameter "{name}" says who logs in', NO_PARAMETER))
            for name in WHO
        ],
    ],
)
def test_no_url(text: str, expected: tuple[str, str], base: Path) -> None:
    with pytest.raises(DatabaseURLError) as caught:
        parse_database_url(text, base)
    assert caught.value.problems == (expected,)


def test_a_file_that_is_not_there(base: Path) -> None:
    with pytest.raises(DatabaseURLError) as caught:
        parse_database_url("postgresql://db/app?sslrootcert=deploy/../nowhere.pem", base)
    what = f"there is no file {base}/nowhere.pem"
    fix = "It is relative to the configuration file's folder; without sslrootcert the CAs are the system's."
    assert caught.value.problems == ((what, fix),)


def test_several_problems_at_once(base: Path) -> None:
    with pytest.raises(DatabaseURLError) as caught:
        parse_database_url("postgresql://db:x?sslmode=on&user=app", base)
    assert [what for what, _ in caught.value.problems] == [
        "the port is not a number from 1 to 65535",
        "the URL names no database",
        'the parameter "user" says who logs in',
        'there is no sslmode "on"',
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://app:{CANARY}@db/app",
        f"postgresql://app:{CANARY}/@db/app",
        f"postgresql://app:{CANARY}/db/app",
        f"postgresql://app:{CANARY}?@db/app",
        f"postgresql://app:{CANARY}#@db/app",
        f"postgresql://app:x {CANARY}@db/app",
        f"postgresql://:{CANARY}/app",
        f"postgresql://db/app?password={CANARY}",
        f"postgresql://db/app?user=x&PASSWORD={CANARY}&sslmode=no",
        f"app:{CANARY}@db",
        f"host=db password={CANARY}",
        f"postgre://app:{CANARY}@db/app",
        f"jdbc:postgresql://db/app?user=app&password={CANARY}",
    ],
)
def test_a_password_is_never_repeated(text: str, tmp_path: Path) -> None:
    profile = f"  a: {{creds: database/creds/a, access: ddl, database: '{text}'}}\n"
    with pytest.raises(ConfigError) as caught:
        load_config(None, {}, folder(tmp_path, HEAD + profile), SystemClock())
    shown = "".join(traceback.format_exception(caught.value)) + render_error(caught.value, colour=False)
    shown += repr(caught.value.problems)
    assert CANARY not in shown
    assert "stepcreds.yml:4:" in shown


URLS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from([*ENGINES_BY_SCHEME, "x", ""]),
    st.text("abc:@[]%,.12/", max_size=12) | st.sampled_from(["db", "[::1]:1", "db:1"]),
    st.sampled_from(["", "/", "/app", "/a/b", "/%"]),
    st.sampled_from(["", "?"]),
    st.text("ab=&%sslmode-#", max_size=12) | st.sampled_from(["sslmode=require", "sslrootcert=system", "a=%41"]),
)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60) | URLS)
@example("postgresql://[/app")
@example("postgresql://db/app?%")
def test_any_text_is_a_url_or_has_problems(text: str) -> None:
    try:
        url = parse_database_url(text, Path("/"))
    except DatabaseURLError as error:
        assert error.problems
        return
    engine = ENGINES_BY_NAME[url.engine]
    assert "@" not in text
    assert 0 < url.port < 65536
    assert url.host
    assert url.database or not engine.needs_database
    assert (url.sslmode in SSLMODES) == engine.has_sslmode
    assert not {"user", "password", "host", "port", "sslmode", "sslrootcert"} & set(url.options)


def test_no_two_engines_share_a_scheme_or_a_name() -> None:
    schemes = [scheme for engine in ENGINES for scheme in engine.schemes]
    assert len(schemes) == len(set(schemes)) == len(ENGINES_BY_SCHEME)
    assert len(ENGINES_BY_NAME) == len(ENGINES)
    assert [engine.name for engine in ENGINES if engine.proves_death_by_login] == ["postgresql", "mysql", "mariadb"]


@pytest.mark.parametrize(
    ("scheme", "name"), [("postgres", "postgresql"), ("mysql+pymysql", "mysql"), ("mongodb+srv", "mongodb"), ("", "")]
)
def test_the_engine_of_a_scheme(scheme: str, name: str) -> None:
    engine = engine_of_scheme(scheme)
    assert (engine.name if engine else "") == name
