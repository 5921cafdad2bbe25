"""The race at PostgreSQL 16; the tests are in revocation_race.py."""

from __future__ import annotations

from postgresql_site import site
from revocation_race import RevocationRace

__all__ = ["site"]

MAJOR = 16


class TestRace(RevocationRace):
    pass
