"""A user of a real PostgreSQL held against profiles that declare tables, columns and databases one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from stepcreds.clock import SystemClock
from stepcreds.config.model import Profile
from stepcreds.devstack.stack import Stack
from stepcreds.errors import UnmeasuredError
from stepcreds.measurement import Measured
from stepcreds.scope import measure
from stepcreds.secret import Secret

CLOCK = SystemClock()
USER, TWIN, PASSWORD = "narrow", "narrow_twin", Secret("canary-91c2")


@pytest.fixture(scope="module", autouse=True)
def users(stack: Stack) -> Iterator[None]:
    """Two that may read one table, and two columns of another; and a database `second` that is open to everybody."""
    for user in (USER, TWIN):
        stack.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD.reveal()}'")
        stack.sql(f"GRANT CONNECT ON DATABASE shop TO {user}")
        stack.sql(f"GRANT USAGE ON SCHEMA app TO {user}")
        stack.sql(f"GRANT SELECT ON app.orders TO {user}")
        stack.sql(f"GRANT SELECT (id, name) ON app.customers TO {user}")
    stack.sql("CREATE DATABASE second")
    with closing(stack.postgresql.connect("postgres", stack.postgresql.password, "second")) as second:
        second.run("CREATE SCHEMA app")
        second.run("CREATE TABLE app.stock (id int)")
        second.run("GRANT USAGE ON SCHEMA app TO PUBLIC")
        second.run("GRANT SELECT ON app.stock TO PUBLIC")
    yield
    stack.sql("DROP DATABASE second")
    for user in (USER, TWIN):
        stack.sql(f"DROP OWNED BY {user}")
        stack.sql(f"DROP ROLE {user}")


def look(stack: Stack, user: str = USER, **declares: Any) -> Measured:
    profile = Profile("narrow", "narrow", "database/creds/narrow", stack.database, "read-only", **declares)
    return measure(profile, user, PASSWORD, CLOCK)


def excess(measured: Measured) -> list[tuple[str, str]]:
    return [(finding.name, finding.because) for finding in measured.excess]


ORDERS = ("app.orders",)
NAMES = ("app.customers.id", "app.customers.name")


def test_the_declared_tables_and_columns_and_no_more(stack: Stack) -> None:
    assert excess(look(stack, tables=ORDERS, columns=NAMES)) == []
    assert excess(look(stack, tables=ORDERS, columns=NAMES, schemas=("app",))) == []
    assert excess(look(stack)) == []
    # Of a table that is declared whole, a grant of some columns is less.
    assert excess(look(stack, tables=(*ORDERS, "app.customers"))) == []


def test_a_column_too_many(stack: Stack) -> None:
    because = "the profile declares only app.orders"
    assert excess(look(stack, tables=ORDERS)) == [("PG.COLUMN.READ app", because)]
    only = look(stack, tables=ORDERS, columns=NAMES[:1])
    assert excess(only) == [("PG.COLUMN.READ app", f"{because}, app.customers.id")]
    assert [finding.objects for finding in only.excess] == [NAMES[1:]]


def test_a_table_that_is_declared_by_its_columns_alone(stack: Stack) -> None:
    assert excess(look(stack, columns=NAMES)) == [
        ("PG.TABLE.READ app", "the profile declares only app.customers.id, app.customers.name")
    ]
    assert excess(look(stack, columns=(*NAMES, "app.orders.id"))) == [
        ("PG.TABLE.READ app.orders", "the profile declares only app.customers.id, app.customers.name, app.orders.id")
    ]


def test_each_declared_database_is_measured(stack: Stack) -> None:
    alone = look(stack, schemas=("app",))
    both = look(stack, schemas=("app",), databases=("shop", "second"))
    assert (alone.round_trips, both.round_trips) == (1, 2)
    stock = [finding for finding in both.findings if finding.database == "second" and finding.level == "read"]
    assert [(finding.name, finding.objects, finding.standing) for finding in stock] == [
        ("PG.TABLE.READ app", ("app.stock",), "within")
    ]
    assert excess(both) == []
    assert any("second" in text for text in alone.not_examined)
    assert not any("second" in text for text in both.not_examined)
    assert [each for each in look(stack, databases=("second",)).excess if each.database == "shop"]


def test_a_declared_database_that_lets_nobody_in(stack: Stack) -> None:
    stack.sql("REVOKE CONNECT ON DATABASE second FROM PUBLIC")
    try:
        with pytest.raises(UnmeasuredError) as refused:
            look(stack, databases=("shop", "second"))
    finally:
        stack.sql("GRANT CONNECT ON DATABASE second TO PUBLIC")
    assert 'said: permission denied for database "second"' in refused.value.what


def test_a_place_that_is_taken_is_waited_for(stack: Stack) -> None:
    """By a step that ends just now, say."""
    stack.sql(f"ALTER ROLE {USER} CONNECTION LIMIT 1")
    try:
        taken = stack.connect(USER, PASSWORD)
        freeing = threading.Timer(0.2, taken.close)
        freeing.start()
        assert look(stack).level == "read"
        freeing.join()
        with closing(stack.connect(USER, PASSWORD)), pytest.raises(UnmeasuredError) as refused:
            look(stack)
    finally:
        stack.sql(f"ALTER ROLE {USER} CONNECTION LIMIT -1")
    assert f'said: too many connections for role "{USER}"' in refused.value.what


def test_who_can_do_the_same_has_the_same_digest(stack: Stack) -> None:
    one, other = look(stack), look(stack, TWIN)
    assert one.digest == other.digest
    stack.sql(f"GRANT INSERT ON app.orders TO {TWIN}")
    assert look(stack, TWIN).digest != one.digest
    stack.sql(f"REVOKE INSERT ON app.orders FROM {TWIN}")
    assert look(stack, TWIN).digest == one.digest
