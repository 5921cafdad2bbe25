"""What a user of MariaDB defined is found before it is revoked, and does break when it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest
from mariadb_case import Lab, lab_of, run
from mariadb_server import Account, url_of

from stepcreds.clock import SystemClock
from stepcreds.measurement import Change
from stepcreds.scope.mysql.left import definer_objects


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of() as lab:
        yield lab


def asked(lab: Lab, account: Account) -> tuple[Change, ...]:
    url = url_of(lab.server, database="shop")
    return definer_objects(url, account.name, account.password, clock=SystemClock(), timeout=10)


def works(lab: Lab, account: Account, *statements: str) -> None:
    connection = account.connect()
    with connection, connection.cursor() as cursor:
        run(cursor, statements, lab, account)


def test_everything_with_a_definer_is_found(lab: Lab) -> None:
    others = (
        "CREATE VIEW shop.theirs AS SELECT 1",
        "CREATE PROCEDURE shop.theirs() SELECT 1",
        "CREATE TRIGGER shop.theirs BEFORE DELETE ON shop.orders FOR EACH ROW SET @a = 1",
    )
    with lab.account(others, ()) as account:
        lab.do("GRANT ALL ON shop.* TO {user}", account)
        assert asked(lab, account) == ()
        works(
            lab,
            account,
            "CREATE TRIGGER shop.stamp BEFORE INSERT ON shop.orders FOR EACH ROW SET @a = 1",
            "CREATE VIEW shop.v AS SELECT id FROM shop.orders",
            "CREATE PROCEDURE shop.p() SELECT 1",
            "CREATE FUNCTION shop.f() RETURNS INT RETURN 1",
            "CREATE PROCEDURE shop.harmless() SQL SECURITY INVOKER SELECT 1",
            "CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        )
        end = "once that user is gone (error 1449)"
        assert sorted(asked(lab, account)) == [
            Change(
                "LEFT.DEFINER", f"the event shop.e runs as the user that made it: every run of it fails {end}", "shop.e"
            ),
            Change(
                "LEFT.DEFINER",
                f"the function shop.f runs as the user that made it: every call of it fails {end}",
                "shop.f",
            ),
            Change(
                "LEFT.DEFINER",
                f"the procedure shop.p runs as the user that made it: every call of it fails {end}",
                "shop.p",
            ),
            Change(
                "LEFT.DEFINER",
                f"the trigger shop.stamp runs as the user that made it: every change of its table that fires it fails {end}",
                "shop.stamp",
            ),
            Change(
                "LEFT.DEFINER",
                f"the view shop.v runs as the user that made it: every use of it that needs its definer's rights fails {end}",
                "shop.v",
            ),
        ]
        lab.do("DROP USER {user}", account)
        for statement in (
            "INSERT INTO shop.orders VALUES (7, '')",
            "SELECT * FROM shop.v",
            "CALL shop.p()",
            "SELECT shop.f()",
        ):
            with pytest.raises(pymysql.err.MySQLError) as broken:
                lab.do(statement)
            assert broken.value.args[0] == 1449


def test_what_was_made_in_a_role_is_found_in_it(lab: Lab) -> None:
    objects = ("CREATE ROLE makers", "GRANT ALL ON shop.* TO makers")
    with lab.account(objects, ()) as account:
        lab.do("GRANT makers TO {user}", account)
        works(
            lab,
            account,
            "SET ROLE makers",
            "CREATE TRIGGER shop.stamp BEFORE INSERT ON shop.orders FOR EACH ROW SET @a = 1",
        )
        assert [change.subject for change in asked(lab, account)] == ["shop.stamp"]


def test_a_role_as_definer_outlives_the_user(lab: Lab) -> None:
    objects = ("CREATE ROLE makers", "GRANT ALL ON shop.* TO makers")
    with lab.account(objects, ()) as account:
        lab.do("GRANT makers TO {user}", account)
        works(
            lab,
            account,
            "SET ROLE makers",
            "CREATE DEFINER = makers TRIGGER shop.stamp BEFORE INSERT ON shop.orders FOR EACH ROW SET @a = 1",
        )
        assert asked(lab, account) == ()
        lab.do("DROP USER {user}", account)
        lab.do("INSERT INTO shop.orders VALUES (7, '')")
