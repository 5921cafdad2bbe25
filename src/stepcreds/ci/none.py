"""No CI that stepcreds knows: a laptop, a cron job, or a CI whose author hands the token over in a variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Common, Found, claim, machine
from stepcreds.model import Job


class NoCI(Common):
    """Knows nothing of a run: what the claims say is all there is."""

    name: ClassVar[str] = "none"
    title: ClassVar[str] = "no known CI"

    def detects(self, environment: Mapping[str, str]) -> bool:
        return True

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        return self.held(environment)

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "repository_id") or claim(claims, "sub"),
            run_id=claim(claims, "run_id"),
            run_attempt=claim(claims, "run_attempt"),
            job="",
            step="",
            runner=machine(),
        )
