"""What later steps of a job may name, and what of it is masked."""

from __future__ import annotations

import pytest

from stepcreds import scope
from stepcreds.config.model import DatabaseURL, Profile
from stepcreds.deliver.outputs import outputs_of
from stepcreds.errors import DeliveryError
from stepcreds.measurement import NotMeasured
from stepcreds.model import Grant, Lease
from stepcreds.secret import Secret

END = 1_795_336_000.0
DATABASE = DatabaseURL("postgresql", "postgresql", "db", 5432, "app", "disable", None)


def grant(name: str, database: DatabaseURL | None = None, **fields: str) -> Grant:
    profile = Profile(name, name, f"engine/creds/{name}", database, None)
    lease = Lease("lease", 60.0, True, {k: Secret(v) for k, v in fields.items()}, "", END)
    return scope.grant(profile, lease, NotMeasured("nobody looked"))


def test_of_a_database() -> None:
    outputs = outputs_of([(grant("migrate", DATABASE, username="u", password="p@ss/word", ttl="60"), END)])
    assert {name: value.reveal() for name, value in outputs.values} == {
        "username": "u",
        "password": "p@ss/word",
        "host": "db",
        "port": "5432",
        "database": "app",
        "url": "postgresql://u:p%40ss%2Fword@db:5432/app?sslmode=disable",
        "expires-at": "2026-11-22T08:26:40.000Z",
    }
    assert [secret.reveal() for secret in outputs.secrets] == [
        "postgresql://u:p%40ss%2Fword@db:5432/app?sslmode=disable",
        "p@ss/word",
    ]


def test_of_another_engine_and_of_a_second_profile() -> None:
    aws = {"access_key": "AKIA0000", "secret_key": "s3cr3t", "data.nested name": "deep value", "ttl": "60"}
    outputs = outputs_of([(grant("aws", None, **aws), END), (grant("cache", username="u", password="pass"), END)])
    names = [name for name, _ in outputs.values]
    assert names == [
        *("access_key", "secret_key", "data-nested-name", "ttl", "expires-at"),
        *("cache-username", "cache-password", "cache-expires-at"),
    ]
    assert {secret.reveal() for secret in outputs.secrets} == {"AKIA0000", "s3cr3t", "deep value", "pass"}


def test_what_no_output_can_hold() -> None:
    with pytest.raises(DeliveryError) as caught:
        outputs_of([(grant("odd", token="a\0b"), END)])
    assert caught.value.what == "token of profile odd holds a NUL character, which no output can"
