"""What grants become: names, templates, files, secrets; and that nothing of a value is said."""

from __future__ import annotations

import base64
import json
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from deliveries import CANARY, database, grant, parent, profile
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.config.model import DatabaseURL
from stepcreds.deliver import check_names, deliver, needs_folder
from stepcreds.deliver.fields import database_url, is_secret
from stepcreds.errors import DeliveryError
from stepcreds.model import DeliveredFile, Delivery
from stepcreds.secret import Secret

FOLDER = "/dev/shm/stepcreds-1"


def delivered(
    environment: dict[str, str] | None = None, fields: dict[str, str] | None = None, **changes: Any
) -> Delivery:
    return deliver([grant(profile(**changes), fields)], parent(environment or {}), FOLDER)


def refused(fields: dict[str, str] | None = None, **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        delivered(fields=fields, **changes)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.cause
    assert CANARY not in shown
    return caught.value


PASSWORD = f"{CANARY}-migrate"
QUOTED = "c4n4ry%2F7Qd2%2B%C3%A9-migrate"


def test_postgresql_has_libpqs_names() -> None:
    assert delivered().environment == {
        "PGHOST": "db.internal",
        "PGPORT": "5432",
        "PGUSER": "v-migrate",
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": "app",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ci/db-ca.pem",
        "DATABASE_URL": f"postgresql://v-migrate:{QUOTED}@db.internal:5432/app"
        "?sslmode=verify-full&sslrootcert=/ci/db-ca.pem",
    }


@pytest.mark.parametrize(
    ("mode", "root"),
    [
        ("verify-full", "system"),
        ("verify-ca", None),
        ("require", None),
        ("prefer", None),
        ("allow", None),
        ("disable", None),
    ],
)
def test_the_systems_certificates_are_named_only_where_libpq_takes_the_word(mode: str, root: str | None) -> None:
    environment = delivered({"PGSSLROOTCERT": "older"}, database=database(sslmode=mode, sslrootcert=None)).environment
    assert environment.get("PGSSLROOTCERT") == root
    assert environment["PGSSLMODE"] == mode
    # Clients other than libpq would take `system` for the name of a file.
    assert environment["DATABASE_URL"].endswith(f"/app?sslmode={mode}")


def test_what_else_the_url_says_is_handed_on() -> None:
    options = {"options": "-c search_path=app", "application_name": "ci", "load_balance_hosts": "random"}
    environment = delivered(database=database(options=options)).environment
    assert (environment["PGOPTIONS"], environment["PGAPPNAME"]) == ("-c search_path=app", "ci")
    assert environment["DATABASE_URL"].endswith(
        "/app?options=-c%20search_path%3Dapp&application_name=ci&load_balance_hosts=random"
        "&sslmode=verify-full&sslrootcert=/ci/db-ca.pem"
    )


@pytest.mark.parametrize(
    ("engine", "changes", "expected"),
    [
        (
            "mysql",
            {"options": {"charset": "utf8mb4"}},
            {
                "MYSQL_HOST": "db.internal",
                "MYSQL_TCP_PORT": "3306",
                "MYSQL_PWD": PASSWORD,
                "MYSQL_USER": "v-migrate",
                "MYSQL_PASSWORD": PASSWORD,
                "MYSQL_DATABASE": "app",
                "DATABASE_URL": f"mysql://v-migrate:{QUOTED}@db.internal:3306/app?charset=utf8mb4",
            },
        ),
        ("redis", {"database": "0"}, {"REDIS_URL": f"redis://v-migrate:{QUOTED}@db.internal:6379/0"}),
        ("redis", {"database": ""}, {"REDIS_URL": f"redis://v-migrate:{QUOTED}@db.internal:6379"}),
        ("mongodb", {}, {"MONGODB_URI": f"mongodb://v-migrate:{QUOTED}@db.internal:27017/app"}),
        (
            "mongodb",
            {"scheme": "mongodb+srv", "options": {"authSource": "admin"}},
            {"MONGODB_URI": f"mongodb+srv://v-migrate:{QUOTED}@db.internal/app?authSource=admin"},
        ),
        ("mssql", {"scheme": "sqlserver"}, {"DATABASE_URL": f"sqlserver://v-migrate:{QUOTED}@db.internal:5432/app"}),
    ],
)
def test_other_engines_have_their_usual_names(engine: str, changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert delivered(database=database(engine, **changes)).environment == expected


def test_an_address_of_ipv6_has_brackets_in_a_url_alone() -> None:
    environment = delivered(database=database(host="fd00::1")).environment
    assert environment["PGHOST"] == "fd00::1"
    assert environment["DATABASE_URL"].startswith(f"postgresql://v-migrate:{QUOTED}@[fd00::1]:5432/app?")


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(username=_TEXT, password=_TEXT, name=_TEXT)
def test_a_url_can_be_taken_apart_again(username: str, password: str, name: str) -> None:
    url = database(database=name, options={"a b": name})
    parts = urlsplit(database_url(url, username, password))
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (username, password)
    assert (parts.scheme, parts.hostname, parts.port) == ("postgresql", "db.internal", 5432)
    assert unquote(parts.path) == f"/{name}"
    assert ("a b", name) in parse_qsl(parts.query, keep_blank_values=True)


def test_templates_replace_the_usual_names_entirely() -> None:
    env = {
        "DSN": "user={username} password='{password}' {{literally}}",
        "QUOTED": "{password:url}",
        "CODED": "{password:base64}",
        "JSON": "{{{username:json}: {password:json}}}",
        "CERTIFICATE": "{sslrootcert}",
        "EMPTY": "",
    }
    assert delivered({"PGHOST": "older", "EDITOR": "vi"}, env=env).environment == {
        "EDITOR": "vi",
        "DSN": f"user=v-migrate password='{PASSWORD}' {{literally}}",
        "QUOTED": QUOTED,
        "CODED": base64.b64encode(PASSWORD.encode()).decode(),
        "JSON": json.dumps({"v-migrate": PASSWORD}),
        "CERTIFICATE": "/ci/db-ca.pem",
        "EMPTY": "",
    }


def test_an_engine_without_a_database_has_the_fields_of_its_answer() -> None:
    env = {"AWS_ACCESS_KEY_ID": "{access_key}", "NESTED": "{data.password}"}
    fields = {"access_key": "AKIA1", "data.password": CANARY}
    delivery = delivered({"AWS_SESSION_TOKEN": "older"}, fields, database=None, env=env)
    assert delivery.environment == {"AWS_ACCESS_KEY_ID": "AKIA1", "NESTED": CANARY}
    assert delivery.removed == ("AWS_SESSION_TOKEN",)


def test_what_an_answer_lacks_is_said_with_the_names_that_it_has() -> None:
    error = refused({"security_token": CANARY, "access_key": CANARY}, database=None, env={"KEY": "{secret_key}"})
    assert (error.what, error.cause, error.fix) == (
        "KEY of profile migrate names {secret_key}, which the answer does not have",
        "The fields there are: access_key, dir, security_token.",
        "Use one of these in the profile's env: and files:.",
    )


def test_a_database_that_issues_no_password_has_no_url() -> None:
    error = refused({"username": "u", "rsa_private_key": CANARY}, env={"DATABASE_URL": "{url}"})
    assert error.what == "DATABASE_URL of profile migrate names {url}, which the answer does not have"
    assert error.cause == (
        "The fields there are: database, dir, host, port, rsa_private_key, scheme, sslmode, sslrootcert, username."
    )


@pytest.mark.parametrize(
    ("password", "wrong"), [(f"{CANARY}\0", "a NUL character"), (f"{CANARY}\ud800", "half of a character")]
)
@pytest.mark.parametrize("template", ["{password}", "{password:url}", "{password:base64}", "x{password:json}"])
def test_what_no_variable_can_hold_is_refused(password: str, wrong: str, template: str) -> None:
    error = refused({"username": "u", "password": password}, env={"SECRET": template})
    assert error.what == f"SECRET of profile migrate would hold {wrong}, which no variable or file of text can"


@pytest.mark.parametrize(("field", "template"), [("PGPASSWORD", None), ("pgpass", {})])
def test_the_usual_names_and_files_refuse_it_too(field: str, template: Any) -> None:
    changes: dict[str, Any] = {} if template is None else {"env": {}, "files": {"pgpass": "{password}"}}
    error = refused({"username": "u", "password": f"{CANARY}\0"}, **changes)
    assert error.what == f"{field} of profile migrate would hold a NUL character, which no variable or file of text can"


def test_files_are_named_below_the_private_folder() -> None:
    files = {
        "pgpass": "{host}:{port}:*:{username}:{password}\n",
        "{dir}/client/my.cnf": "[client]\npassword={password}\n",
        "{{odd}}": "x",
    }
    delivery = delivered(files=files, env={"PGPASSFILE": "{dir}/pgpass"})
    assert delivery.files == (
        DeliveredFile(f"{FOLDER}/pgpass", Secret(f"db.internal:5432:*:v-migrate:{PASSWORD}\n")),
        DeliveredFile(f"{FOLDER}/client/my.cnf", Secret(f"[client]\npassword={PASSWORD}\n")),
        DeliveredFile(f"{FOLDER}/{{odd}}", Secret("x")),
    )
    assert delivery.environment == {"PGPASSFILE": f"{FOLDER}/pgpass"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"env": {"A": "{url}"}}, False),
        ({"env": {"A": "{dir}/x"}}, True),
        ({"env": {"A": "{dir:url}"}}, True),
        ({"files": {"x": "y"}}, True),
    ],
)
def test_whether_a_folder_is_needed(changes: dict[str, Any], expected: bool) -> None:
    assert needs_folder([profile("other"), profile(**changes)]) is expected


@pytest.mark.parametrize(
    ("first", "second", "what", "fix"),
    [
        (
            {},
            {},
            "The profiles one and two both deliver the variable PGHOST",
            'Give one of them names of its own: profiles.two.env, for example {CACHE_URL: "{url}"}.',
        ),
        (
            {"env": {"URL": "a"}},
            {"env": {"OTHER": "b", "URL": "c"}},
            "The profiles one and two both deliver the variable URL",
            'Give one of them names of its own: profiles.two.env, for example {CACHE_URL: "{url}"}.',
        ),
        (
            {"database": database("mysql")},
            {},
            "The profiles one and two both deliver the variable DATABASE_URL",
            'Give one of them names of its own: profiles.two.env, for example {CACHE_URL: "{url}"}.',
        ),
        (
            {"env": {}, "files": {"pgpass": "a"}},
            {"env": {}, "files": {"{dir}/pgpass": "b"}},
            "The profiles one and two both deliver the file pgpass",
            "Give one of them names of its own: profiles.two.files.",
        ),
    ],
)
def test_two_of_one_name_are_found_before_anything_is_issued(
    first: dict[str, Any], second: dict[str, Any], what: str, fix: str
) -> None:
    profiles = [profile("one", **first), profile("two", **second)]
    with pytest.raises(DeliveryError) as caught:
        check_names(profiles)
    assert (caught.value.what, caught.value.fix) == (what, fix)
    with pytest.raises(DeliveryError) as later:
        deliver([grant(each) for each in profiles], parent(), FOLDER)
    assert later.value.what == what


def test_two_of_different_names_are_both_delivered() -> None:
    one, two = profile("one"), profile("two", database=database("redis"), files={"x": "{password}"})
    check_names([one, two])
    delivery = deliver([grant(one), grant(two)], parent(), FOLDER)
    assert {"PGPASSWORD", "REDIS_URL"} <= delivery.environment.keys()
    assert [file.path for file in delivery.files] == [f"{FOLDER}/x"]
    assert set(delivery.secrets) == {Secret(f"{CANARY}-one"), Secret(f"{CANARY}-two")}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("password", "hunter22", True),
        ("data.password", "hunter22", True),
        ("anything_unknown", "hunter22", True),
        ("token", "abcd", True),
        ("password", "abc", False),
        ("password", "", False),
        ("username", "v-migrate", False),
        ("certificate", "-----BEGIN CERTIFICATE-----", False),
        ("private_key", "-----BEGIN PRIVATE KEY-----", True),
        ("metadata.created_time", "2026-11-22T00:00:00Z", False),
        ("data.enabled", "true", False),
        ("data.enabled", "FALSE", False),
        ("access_key", "AKIAIOSFODNN7EXAMPLE", True),
    ],
)
def test_which_fields_are_secret(name: str, value: str, expected: bool) -> None:
    assert is_secret(name, value) is expected


def test_secrets_are_the_fields_and_what_templates_make_of_them_longest_first() -> None:
    env = {"A": "{password:base64}", "B": "{password:json}", "C": "{password:url} {username:base64}", "D": "{password}"}
    files = {"x": "{url:base64}"}
    secrets = [secret.reveal() for secret in delivered(env=env, files=files).secrets]
    url = database_url(database(), "v-migrate", PASSWORD)
    expected = {
        PASSWORD,
        base64.b64encode(PASSWORD.encode()).decode(),
        json.dumps(PASSWORD).strip('"'),
        base64.b64encode(url.encode()).decode(),
    }
    assert set(secrets) == expected
    assert secrets == sorted(secrets, key=len, reverse=True)


def test_nothing_shows_a_value() -> None:
    changes: dict[str, Any] = {"files": {"pgpass": "{password}"}, "env": {"A": "{url}"}}
    before = parent({"OTHER_TOKEN": f"{CANARY}-inherited"})
    delivery = deliver([grant(profile(**changes))], before, FOLDER)
    shown = repr(delivery) + str(delivery) + repr(before) + repr(delivery.files) + repr(delivery.secrets)
    assert "OTHER_TOKEN" in shown
    assert CANARY not in shown
    assert QUOTED not in shown


def test_a_relative_certificate_is_never_delivered() -> None:
    """The command may run in another folder: what the configuration made absolute stays so."""
    url = DatabaseURL("postgresql", "postgresql", "h", 1, "d", "verify-ca", Path("/ci/ca.pem"))
    assert delivered(database=url).environment["PGSSLROOTCERT"] == "/ci/ca.pem"
