"""Revocation through OpenBao against clients that reconnect without end: nobody is left at the moment of the answer."""

from __future__ import annotations

import pytest
from postgresql_site import Site, Storm

from stepcreds.setup import postgresql

TRIALS, FEW = 25, 5


class RevocationRace:
    """For the thin module of each major."""

    @pytest.mark.parametrize(
        ("profile", "statement"),
        [
            pytest.param("verify", "SELECT count(*) FROM app.orders", id="read-only"),
            pytest.param("migrate", "ALTER TABLE app.customers ALTER COLUMN email SET STATISTICS 100", id="ddl"),
        ],
    )
    def test_nobody_survives_who_reconnects_without_end(self, site: Site, profile: str, statement: str) -> None:
        assert endings(site, profile, statement, TRIALS) == [(204, 0, 0)] * TRIALS

    def test_nor_who_takes_its_own_row_again_and_again(self, site: Site) -> None:
        """The row that NOLOGIN has to change: one session holds it, and the others wait for it."""
        take = "SET default_transaction_read_only = off; BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; SELECT 1"
        assert endings(site, "verify", take, FEW) == [(204, 0, 0)] * FEW


def endings(site: Site, profile: str, statement: str, trials: int) -> list[tuple[int, int, int]]:
    """The status of each revocation, how many sessions were there at its answer, and how many could go on."""
    seen = []
    for _ in range(trials):
        issued = site.issue(profile)
        with Storm(issued, statement) as storm:
            status, _ = issued.revoke()
            left = site.sessions(issued.user)
        seen.append((status, left, storm.survivors))
        issued.assert_dead()
    return seen


class LostRace:
    """The same race without COMMIT and BEGIN: so that the tests above can fail. For one of the majors."""

    def test_nobody_sees_a_door_that_is_shut_in_one_transaction(self, site: Site) -> None:
        creation, revocation = postgresql.role_statements(site.profiles["migrate"], site.answers)
        shut_in_vain = [each.replace("1..250", "1..25") for each in revocation if each not in ("COMMIT", "BEGIN")]
        assert len(shut_in_vain) == len(revocation) - 2
        site.write_role("lost-race", f"pg{site.major}", site.profiles["migrate"], creation, shut_in_vain)
        issued = site.issue_role("lost-race")
        with Storm(issued, "SELECT count(*) FROM app.orders") as storm:
            status, text = issued.revoke()
            left = site.sessions(issued.user)
        assert status == 400
        assert f"session(s) of {issued.user} still alive" in text
        assert (left > 0, storm.survivors > 0) == (True, True)
        site.add_role("lost-race", f"pg{site.major}", site.profiles["migrate"], site.answers)
        issued.assert_revoked()
