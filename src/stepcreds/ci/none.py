"""No CI that stepcreds knows: a laptop, a cron job, or a CI whose author hands the token over in a variable.

What no claim says of the run the author may say in variables: STEPCREDS_RUN_ID, STEPCREDS_JOB, STEPCREDS_REF, …
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Common, Found, claim, machine, of_author
from stepcreds.ci.matrix import leg, named
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
        matrix = leg(environment)
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "repository_id") or claim(claims, "sub"),
            run_id=claim(claims, "run_id") or of_author(environment, "RUN_ID"),
            run_attempt=claim(claims, "run_attempt") or of_author(environment, "RUN_ATTEMPT"),
            job=named(of_author(environment, "JOB"), matrix),
            step=of_author(environment, "STEP"),
            runner=machine(),
            actor=claim(claims, "actor") or of_author(environment, "ACTOR"),
            ref=claim(claims, "ref") or of_author(environment, "REF"),
            commit=claim(claims, "sha") or of_author(environment, "COMMIT"),
            matrix=matrix,
        )
