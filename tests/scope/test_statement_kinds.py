"""What kind of statement a text is, and that none is taken for less than it may have been."""

from __future__ import annotations

import time

import pytest

from stepcreds.scope.postgresql.statement_kinds import kind_of

UNSURE = frozenset({"refresh", "pg_read_file", "Total"})


@pytest.mark.parametrize(
    ("text", "name", "level"),
    [
        ("SELECT count(*), lower($1) FROM app.orders", "select", "read"),
        ("-- a remark\n/* another */ select $1", "select", "read"),
        ("WITH one AS (SELECT $1) SELECT * FROM one", "select", "read"),
        ("VALUES ($1)", "select", "read"),
        ("DECLARE c CURSOR FOR SELECT * FROM app.orders", "select", "read"),
        ("COPY app.orders TO STDOUT", "copy to", "read"),
        ("COPY (SELECT * FROM app.orders) TO STDOUT", "copy to", "read"),
        ("CREATE TEMP TABLE x AS SELECT $1", "create temporary", "read"),
        ("INSERT INTO app.orders VALUES ($1)", "insert", "write"),
        ("MERGE INTO app.orders USING x ON $1 WHEN MATCHED THEN DO NOTHING", "merge", "write"),
        ("WITH gone AS (DELETE FROM app.orders RETURNING *) SELECT count(*) FROM gone", "with delete", "write"),
        ("SELECT * FROM app.orders FOR UPDATE", "select for update", "write"),
        ("SELECT * FROM app.orders FOR NO KEY UPDATE", "select for update", "write"),
        ("SELECT nextval($1)", "select", "write"),
        ("COPY app.orders FROM STDIN", "copy from", "write"),
        ("TRUNCATE app.orders", "truncate", "write"),
        ("SELECT * INTO app.copy FROM app.orders", "select into", "ddl"),
        ("CREATE OR REPLACE FUNCTION app.refresh() RETURNS int LANGUAGE sql AS 'SELECT 1'", "create function", "ddl"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON app.orders (id)", "create index", "ddl"),
        ("ALTER TABLE app.orders ADD COLUMN note text DEFAULT refresh()", "alter table", "ddl"),
        ("DROP TABLE app.orders", "drop table", "ddl"),
        ("GRANT SELECT ON app.orders TO PUBLIC", "grant", "ddl"),
        ("VACUUM app.orders", "vacuum", "ddl"),
        ("ALTER ROLE somebody SUPERUSER", "alter role", "admin"),
        ("CREATE USER somebody", "create user", "admin"),
        ("ALTER SYSTEM SET work_mem = $1", "alter system", "admin"),
    ],
)
def test_a_statement_is_known_by_its_words(text: str, name: str, level: str) -> None:
    assert kind_of(text, UNSURE) == (name, level)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("SELECT app.refresh()", "info"),
        ("select app . REFRESH /* here */ ($1)", "info"),
        ('SELECT "app"."Total"()', "info"),
        ("SELECT * FROM refresh($1)", "info"),
        ("COPY (SELECT pg_read_file($1)) TO STDOUT", "info"),
        ("WITH x AS (SELECT refresh()) SELECT * FROM x", "info"),
        ("INSERT INTO app.orders SELECT refresh()", "write"),
        ("DO $$ BEGIN PERFORM $1; END $$", "info"),
        ("CALL app.tidy()", "info"),
        ("EXPLAIN ANALYZE DELETE FROM app.orders", "info"),
        ("COPY app.orders TO PROGRAM 'cat'", "info"),
        ("SET ROLE app_owner", "info"),
        ("SET LOCAL ROLE app_owner", "info"),
        ("LOAD 'library'", "info"),
        ("FROBNICATE app.orders", "info"),
        ("", "info"),
    ],
)
def test_what_nobody_can_tell_is_other_and_never_read(text: str, level: str) -> None:
    assert kind_of(text, UNSURE) == ("other", level)


@pytest.mark.parametrize(
    "text",
    ["BEGIN", "COMMIT", "SET search_path = $1", "SHOW work_mem", "SET ROLE NONE", "SET LOCAL ROLE NONE", "SET ROLE $1"],
)
def test_a_session_of_its_own_needs_no_power(text: str) -> None:
    assert kind_of(text, UNSURE) == ("", "info")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT 'DELETE FROM app.orders; refresh()'", "select"),
        ("SELECT $tag$ refresh() $tag$", "select"),
        ('SELECT "for update", "into" FROM app.orders', "select"),
        ('SELECT "total"()', "select"),  # another function than "Total"
        ("SELECT total(id) FROM app.orders", "select"),
        ("SELECT refresh FROM app.orders", "select"),  # a column
    ],
)
def test_what_stands_in_quotes_is_no_word_of_the_statement(text: str, name: str) -> None:
    assert kind_of(text, UNSURE) == (name, "read")


@pytest.mark.parametrize(
    "text",
    [
        "select " + "a" * 5000,
        'select "' + '"' * 5000,
        "select '" + "'" * 5001,
        "select " + "/* " * 1700,
        "select " + "".join(f"$a{number}$ " for number in range(700)),
        "select " + "a (" * 1600,
        "(" * 5000,
    ],
)
def test_a_text_that_was_made_to_take_long_does_not(text: str) -> None:
    began = time.process_time()
    for _ in range(20):
        kind_of(text, UNSURE)
    assert time.process_time() - began < 5  # 0.1 s; it was a minute where the time grew with the square
