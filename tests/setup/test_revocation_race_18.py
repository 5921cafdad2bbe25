"""The race at PostgreSQL 18; the tests are in revocation_race.py."""

from __future__ import annotations

from postgresql_site import site
from revocation_race import LostRace, RevocationRace

__all__ = ["site"]

MAJOR = 18


class TestRace(RevocationRace):
    pass


class TestLostRace(LostRace):
    pass
