"""The plan, issued users, their end and the guard at PostgreSQL 15; the tests are in postgresql_*checks.py."""

from __future__ import annotations

import postgresql_checks
import postgresql_plan_checks
from postgresql_site import site

__all__ = ["site"]

MAJOR = 15


class TestPlan(postgresql_plan_checks.Plan):
    pass


class TestAdministrator(postgresql_plan_checks.Administrator):
    pass


class TestHardening(postgresql_plan_checks.Hardening):
    pass


class TestMeasured(postgresql_plan_checks.Measured):
    pass


class TestCredentials(postgresql_checks.Credentials):
    pass


class TestEndings(postgresql_checks.Endings):
    pass


class TestCrowd(postgresql_checks.Crowd):
    pass


class TestGuard(postgresql_checks.Guard):
    pass
