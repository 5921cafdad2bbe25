"""Revocation through OpenBao against clients that reconnect without end: nobody is left at the moment of the answer."""

from __future__ import annotations

import pytest
from postgresql_site import Site, Storm

from stepcreds.setup import postgresql

TRIALS = 25


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
        seen = []
        for _ in range(TRIALS):
            issued = site.issue(profile)
            with Storm(issued, statement) as storm:
                status, _text = issued.revoke()
                left = site.sessions(issued.user)
            seen.append((status, left, storm.survivors))
            issued.assert_dead()
        assert seen == [(204, 0, 0)] * TRIALS


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
