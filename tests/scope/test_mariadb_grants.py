"""How the lines of SHOW GRANTS are read, and that nothing which is not understood is taken for harmless."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepcreds.measurement import Finding
from stepcreds.scope.mysql.findings import findings
from stepcreds.scope.mysql.grants import read_line
from stepcreds.scope.mysql.places import closed, fits, is_pattern, literal
from stepcreds.scope.mysql.power import Held, Line, Place, Power, Server, quoted

HASH = "*7B9EBEED26AA52ED10C0F549FA863F13C39E0209"
SHOP = Place("database", "shop")
ORDERS = Place("table", "shop", "orders")
SERVER = Server(("shop", "mysql"), fold=False, named=frozenset())


def privilege(name: str, place: Place = Place(), *columns: str, grantable: bool = False) -> Power:  # noqa: B008
    return Power("privilege", name, place, columns, grantable)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        # MariaDB 10.11.
        (
            f"GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '{HASH}' REQUIRE SUBJECT 'it''s' WITH MAX_USER_CONNECTIONS 3",
            Line((privilege("USAGE"),)),
        ),
        (
            "GRANT RELOAD, READ_ONLY ADMIN ON *.* TO `u`@`%` IDENTIFIED VIA ed25519 USING 'x\\'y' OR unix_socket WITH GRANT"
            " OPTION MAX_STATEMENT_TIME 5.000000",
            Line((privilege("RELOAD", grantable=True), privilege("READ_ONLY ADMIN", grantable=True))),
        ),
        ("GRANT ALL PRIVILEGES ON `shop`.* TO `u`@`%`", Line((privilege("ALL PRIVILEGES", SHOP),))),
        (
            "GRANT SELECT (`email`, `a,b`), UPDATE (`x``y`) ON `shop`.`orders` TO `u`@`%` WITH GRANT OPTION",
            Line(
                (
                    privilege("SELECT", ORDERS, "a,b", "email", grantable=True),
                    privilege("UPDATE", ORDERS, "x`y", grantable=True),
                )
            ),
        ),
        (
            "GRANT EXECUTE ON PACKAGE BODY `shop`.`p` TO `u`@`%`",
            Line((privilege("EXECUTE", Place("routine", "shop", "p", "PACKAGE BODY")),)),
        ),
        ("GRANT `r``1` TO `u`@`%` WITH ADMIN OPTION", Line((Power("role", "`r``1`", grantable=True),))),
        ("GRANT `inner` TO `outer`", Line((Power("role", "`inner`"),), own=False)),
        ("GRANT SELECT ON `shop`.* TO PUBLIC", Line((privilege("SELECT", SHOP),), own=False)),
        ("SET DEFAULT ROLE `r` FOR `u`@`%`", Line((), default_role="`r`")),
        ("GRANT PROXY ON `root`@`localhost` TO `u`@`%`", Line((Power("proxy", "`root`@`localhost`"),))),
        # MySQL 8, from its manual.
        (
            "GRANT APPLICATION_PASSWORD_ADMIN,AUDIT_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION",
            Line((privilege("APPLICATION_PASSWORD_ADMIN", grantable=True), privilege("AUDIT_ADMIN", grantable=True))),
        ),
        ("GRANT `r1`@`%`,`r2`@`%` TO `u`@`%`", Line((Power("role", "`r1`@`%`"), Power("role", "`r2`@`%`")))),
        (
            "REVOKE INSERT ON `mysql`.* FROM `u`@`%`",
            Line((privilege("INSERT", Place("database", "mysql")),), revokes=True),
        ),
        ("GRANT PROXY ON ``@`` TO `u`@`%` WITH GRANT OPTION", Line((Power("proxy", "``@``", grantable=True),))),
    ],
)
def test_a_line_that_fits(line: str, read: Line) -> None:
    assert read_line(line) == read


@pytest.mark.parametrize(
    ("line", "beginning"),
    [
        ("DENY SELECT ON *.* TO `u`@`%`", "DENY SELECT ON *.*"),
        ("GRANT SELECT ON SEQUENCE `a`.`b` TO `u`@`%`", "GRANT SELECT ON SEQUENCE `a`.`b`"),
        (f"GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY HASH '{HASH}'", "GRANT USAGE ON *.*"),
        ("GRANT SELECT ON `shop`.* TO `u`@`%` WITH MORE", "GRANT SELECT ON `shop`.*"),
        ("GRANT SELECT ON shop.* TO u@%", "GRANT SELECT ON shop.*"),
        ('GRANT SELECT ON "shop".* TO "u"@"%"', "GRANT SELECT ON '…"),
        ("GRANT SELECT ON `shop`.*", "GRANT SELECT ON `shop`.*"),
        ("GRANT  ON `shop`.* TO `u`@`%`", "GRANT  ON `shop`.*"),
        ("GRANT SELECT (`a`,) ON `shop`.`t` TO `u`@`%`", "GRANT SELECT (`a`,) ON `shop`.`t`"),
        ("", ""),
        ("GRANT `r` TO `u`@`%` WITH GRANT OPTION", "GRANT `r`"),
        ("GRANT SELECT ON `a`.`b`.`c` TO `u`@`%`", "GRANT SELECT ON `a`.`b`.`c`"),
        (f"IDENTIFIED BY '{HASH}'", "IDENTIFIED BY '…"),
    ],
)
def test_a_line_that_does_not_fit_is_the_worst_and_gives_no_name_and_no_hash_away(line: str, beginning: str) -> None:
    assert read_line(line) == Line((Power("unread", beginning),))
    what = f"do what the server says in words that are not understood here: {beginning}"
    assert findings([Held(power) for power in read_line(line).powers], SERVER) == (
        Finding(
            "MY.UNREAD.LINE",
            "admin",
            what,
            beginning,
            fix="Look at its SHOW GRANTS; what is read here is what MariaDB 10.11 and MySQL 8 write",
        ),
    )


@given(st.text(max_size=80))
@example("GRANT " + "`" * 9)
def test_any_line_is_read_or_unread(line: str) -> None:
    read_line(line)
    assert read_line(f"GRANT {line} SELECT ON `a`.* TO `u`@`%`") != Line(()) or not line.strip()


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
@example("`", "TO `x`@`y` WITH GRANT OPTION", "a' b")
def test_names_of_any_kind_are_read_back(database: str, table: str, user: str) -> None:
    line = f"GRANT SELECT ON {quoted(database)}.{quoted(table)} TO {quoted(user)}@`%`"
    assert read_line(line) == Line((privilege("SELECT", Place("table", database, table)),))


def test_a_privilege_that_nobody_knows_is_the_worst() -> None:
    here = (privilege("LEVITATE"), privilege("LEVITATE", SHOP), privilege("LEVITATE", ORDERS, "email"))
    found = findings([Held(power) for power in here], SERVER)
    assert [(each.code, each.level, each.what) for each in found] == [
        ("MY.SERVER.LEVITATE", "admin", "use the privilege LEVITATE, which is taken for the worst"),
        (
            "MY.UNKNOWN.PRIVILEGE",
            "admin",
            "use the privilege LEVITATE on the database shop, which is taken for the worst",
        ),
        ("MY.UNKNOWN.PRIVILEGE", "admin", "LEVITATE 1 column of shop.orders"),
    ]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("shop", False), ("shop_a", True), (r"shop\_a", False), ("%", True), (r"a\\_", True), ("\\", False)],
)
def test_what_is_a_pattern(name: str, pattern: bool) -> None:
    assert is_pattern(name) is pattern
    assert not is_pattern(closed(name))


@pytest.mark.parametrize(
    ("pattern", "database", "fold", "does"),
    [
        ("shop_a", "shopXa", False, True),
        (r"shop\_a", "shopXa", False, False),
        (r"shop\_a", "shop_a", False, True),
        ("sh%", "shop", False, True),
        ("sh%", "sh", False, True),
        ("Shop", "shop", False, False),
        ("Shop", "shop", True, True),
        ("a.c", "abc", False, False),
        (r"a\\b", "a\\b", False, True),
        ("%", "a\nb", False, True),
    ],
)
def test_what_a_pattern_fits(pattern: str, database: str, fold: bool, does: bool) -> None:
    assert fits(pattern, database, fold=fold) is does


@given(st.text(alphabet="ab_%\\", max_size=8))
def test_an_escaped_name_fits_itself_alone(name: str) -> None:
    escaped = closed(name.replace("\\", "\\\\"))
    assert literal(escaped) == name
    assert fits(escaped, name, fold=False)
    assert not fits(escaped, name + "x", fold=False)
