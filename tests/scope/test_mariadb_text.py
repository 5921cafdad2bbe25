"""What the text of a view names, read from what a real MariaDB makes of it; and that nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mariadb_case import Lab, lab_of

from stepcreds.scope.mysql.text import Reading, read

FUNCTION = "CREATE FUNCTION {}(x INT) RETURNS INT RETURN x"
OBJECTS = (
    FUNCTION.format("hr.f"),
    FUNCTION.format("shop.`we``ird (`"),
    "CREATE SEQUENCE hr.numbers",
    "CREATE TABLE shop.kept (id INT) WITH SYSTEM VERSIONING",
    "CREATE TABLE shop.split (id INT) PARTITION BY HASH (id) PARTITIONS 2",
    "USE shop",
)
ORDERS, SALARIES = ("shop", "orders"), ("hr", "salaries")
CALL = frozenset({("hr", "f")})


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of() as lab, lab.account(OBJECTS, ()):
        yield lab


def reads(*relations: tuple[str, ...], calls: frozenset[tuple[str, ...]] = frozenset()) -> Reading:
    return Reading(calls, frozenset(relations))


@pytest.mark.parametrize(
    ("select", "reading"),
    [
        ("1", reads()),
        ("id FROM orders", reads(ORDERS)),
        ("o.id FROM orders o, hr.salaries s", reads(ORDERS, SALARIES)),
        ("o.id FROM orders o STRAIGHT_JOIN hr.salaries s", reads(ORDERS, SALARIES)),
        ("STRAIGHT_JOIN o.id FROM orders o NATURAL RIGHT JOIN (hr.salaries s JOIN mysql.db d)", None),
        ("o.id FROM orders o LEFT JOIN (SELECT id FROM hr.salaries) s USING (id)", reads(ORDERS, SALARIES)),
        ("(SELECT MAX(amount) FROM hr.salaries) AS m", reads(SALARIES)),
        ("id FROM orders WHERE id IN (SELECT id FROM hr.salaries)", reads(ORDERS, SALARIES)),
        ("id FROM orders ORDER BY (SELECT MAX(amount) FROM hr.salaries)", reads(ORDERS, SALARIES)),
        ("id FROM orders UNION (SELECT id FROM hr.salaries) EXCEPT VALUES (1), (2)", reads(ORDERS, SALARIES)),
        ("id FROM orders FORCE INDEX FOR JOIN (PRIMARY) JOIN hr.salaries USING (id)", reads(ORDERS, SALARIES)),
        (
            "k.id FROM kept FOR SYSTEM_TIME ALL AS k, split PARTITION (p0, p1)",
            reads(("shop", "kept"), ("shop", "split")),
        ),
        ("TABLE_NAME FROM information_schema.TABLES", reads(("information_schema", "TABLES"))),
        ("j.x FROM orders o, JSON_TABLE(o.email, '$[*]' COLUMNS (x INT PATH '$')) AS j", reads(ORDERS)),
        (
            "EXTRACT(YEAR FROM o.email), TRIM(BOTH 'x' FROM o.email), SUBSTRING(o.email FROM 2) FROM orders o",
            reads(ORDERS),
        ),
        ("hr.f(1) AS n", reads(calls=CALL)),
        ("LOWER(email), COUNT(*), hr.f (MAX(id)) FROM orders GROUP BY 1", reads(ORDERS, calls=CALL)),
        ("CASE WHEN id = (SELECT hr.f(2)) THEN 1 END FROM orders", reads(ORDERS, calls=CALL)),
        ("`we``ird (`(1) AS n", reads(calls=frozenset({("shop", "we`ird (")}))),
        ("'`hr`.`f`(1)' AS `from ``hr``.``salaries```, 'it''s \\\\' AS `'`, hr.f(1) AS z", reads(calls=CALL)),
        ("hr.email FROM orders AS hr", reads(ORDERS)),
        ("NEXTVAL(hr.numbers) AS n", Reading(sequences=frozenset({("hr", "numbers")}))),
        ("SETVAL(hr.numbers, 5, 1) AS n", Reading(sequences=frozenset({("hr", "numbers")}))),
        ("PREVIOUS VALUE FOR hr.numbers AS n", reads(("hr", "numbers"))),
    ],
)
def test_what_a_view_names(lab: Lab, select: str, reading: Reading | None) -> None:
    expected = reads(ORDERS, SALARIES, ("mysql", "db")) if reading is None else reading
    assert read(text_of(lab, f"SELECT {select}"), "shop") == expected


@pytest.mark.parametrize("mode", ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE", "PIPES_AS_CONCAT"])
def test_it_is_the_same_whatever_sql_mode_it_was_made_in(lab: Lab, mode: str) -> None:
    backslashes = "\\" if mode == "NO_BACKSLASH_ESCAPES" else "\\\\"
    lab.do(f"SET sql_mode = '{mode}'")
    try:
        text = text_of(lab, f"SELECT '{backslashes}' AS a, hr.f(1) AS f, ' FROM hr.salaries' AS b, id FROM orders")
    finally:
        lab.do("SET sql_mode = DEFAULT")
    assert read(text, "shop") == reads(ORDERS, calls=CALL)


@pytest.mark.parametrize(
    ("name", "understood"),
    [("c", True), ("ünï", True), ("a``b", False), ("a'b", False), ('a"b', False), ("a(b", False)],
)
def test_a_common_table_expression_is_not_quoted_by_the_server(lab: Lab, name: str, understood: bool) -> None:
    text = text_of(
        lab, f"WITH `{name}` AS (SELECT id FROM hr.salaries) SELECT c.id FROM `{name}` c JOIN orders USING (id)"
    )
    assert read(text, "shop") == (reads(ORDERS, SALARIES) if understood else None)


@pytest.mark.parametrize(
    "text", ["select `a", "select 'a", "select (1", "select 1)", 'select "a"', "select `a`.`b`.`c`.`d`"]
)
def test_what_is_not_understood_is_not_guessed(text: str) -> None:
    assert read(text, "shop") is None


@given(st.text(alphabet="`'\\.,() abselctfromwith", max_size=40))
@example("with `a` as (select 1)")
def test_any_text_is_read_or_not_understood(text: str) -> None:
    reading = read(text + ",`hr`.`f`(1)", "shop")
    assert reading is None or isinstance(reading, Reading)


def text_of(lab: Lab, query: str) -> str:
    lab.do(f"CREATE OR REPLACE VIEW shop.v AS {query}")
    ((text,),) = lab.do("SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_NAME = 'v'")
    return str(text)
