"""The matrix: each user measured and attacked with before and after the one grant too much, on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest
from mariadb_case import Case, Clean, Lab, lab_of, run
from mariadb_fixtures import CASES, CLEAN
from mariadb_server import Account


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of() as lab:
        yield lab


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_power_beyond_the_profile(lab: Lab, case: Case) -> None:
    """It is found, and it is true: the same attack is refused before the grant and works after it."""
    with lab.account(case.objects, case.undo) as account:
        lab.do(case.base, account)
        before = {finding.code for finding in lab.measure(account, **case.declared).excess}
        attack(lab, account, case, works=False)
        lab.do(case.grant, account)
        excess = lab.measure(account, **case.declared).excess
        assert " ".join(sorted({finding.code for finding in excess})) == case.codes
        assert {finding.code for finding in excess} != before
        assert case.via in {finding.via for finding in excess}
        assert not any(account.name in finding.name for finding in excess)
        attack(lab, account, case, works=True)


def attack(lab: Lab, account: Account, case: Case, *, works: bool) -> None:
    seen = lab.sees(case.watch) if case.watch else None
    with closing(account.connect()) as connection, connection.cursor() as cursor:
        connection.autocommit(True)
        try:
            read = run(cursor, case.attack, lab, account) if isinstance(case.attack, str | tuple) else None
            read = case.attack(cursor, lab.server, account) if callable(case.attack) else read
        except pymysql.err.MySQLError:
            if works:
                raise
            read = []
        # While the session is open: it may hold locks.
        done = lab.sees(case.watch) != seen if case.watch else bool(read)
    assert done is works


@pytest.mark.parametrize("clean", CLEAN, ids=lambda clean: clean.name)
def test_no_more_than_declared(lab: Lab, clean: Clean) -> None:
    with lab.account(clean.objects, clean.undo) as account:
        lab.do(clean.grant, account)
        with closing(account.connect()) as connection, connection.cursor() as cursor:
            run(cursor, clean.can, lab, account)
        measured = lab.measure(account, **clean.declared)
        assert told(measured.excess) == []
        assert measured.findings != ()


def told(findings: Any) -> list[str]:
    return [f"{finding.name}: {finding.what} ({finding.because})" for finding in findings]
