"""Google Cloud (a virtual machine, Cloud Build, Cloud Run): the metadata server makes a token for any audience.

https://cloud.google.com/compute/docs/instances/verifying-instance-identity. Asked through the package `id`, which also
knows how to take on another service account (GOOGLE_SERVICE_ACCOUNT_NAME). It reads the process's own environment and
goes through no proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Common, Found, claim, git_ref, machine, of_author
from stepcreds.ci.matrix import named, node
from stepcreds.ci.wording import without_tokens
from stepcreds.errors import IdentityError
from stepcreds.model import Job
from stepcreds.printable import one_line
from stepcreds.secret import Secret


class GoogleCloud(Common):
    """A machine of Google's. Its identity is the service account's, the same for everything that runs there."""

    name: ClassVar[str] = "gcp"
    title: ClassVar[str] = "Google Cloud"
    product_name: ClassVar[Path] = Path("/sys/class/dmi/id/product_name")

    def detects(self, environment: Mapping[str, str]) -> bool:
        if environment.get("GOOGLE_SERVICE_ACCOUNT_NAME"):
            return True
        try:
            with self.product_name.open("rb") as file:
                return file.read(64).strip() in (b"Google", b"Google Compute Engine")
        except OSError:
            return False

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        try:
            from id import detect_credential
        except ImportError:
            raise IdentityError(
                "Google Cloud's ID tokens need the Python package id, which is not installed",
                fix="Install it with stepcreds:\n  pip install 'stepcreds[ci]'",
                docs="google-cloud",
            ) from None
        trouble = ""
        token = None
        try:
            token = detect_credential(audience)
        except Exception as error:  # noqa: BLE001 - id lets ValueErrors of the answer's JSON through, and KeyErrors
            # Its own errors quote the body of the answer.
            trouble = one_line(without_tokens(str(error)))
        if token is None:
            raise IdentityError(
                f"Google Cloud gave no ID token: {trouble or 'the metadata server has none'}",
                cause="The machine has no service account, or it may not make tokens for the one that "
                "GOOGLE_SERVICE_ACCOUNT_NAME names.",
                fix="Give the machine a service account, and for another one the role "
                "roles/iam.serviceAccountOpenIdTokenCreator on it.",
                docs="google-cloud",
            )
        return Found(Secret(token), "Google Cloud's metadata server", fresh=True)

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        google = claims.get("google")
        engine = google.get("compute_engine") if isinstance(google, dict) else None
        instance = engine if isinstance(engine, dict) else {}
        here = machine()
        matrix = node(environment.get("CLOUD_RUN_TASK_INDEX", ""), environment.get("CLOUD_RUN_TASK_COUNT", ""))
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id=claim(claims, "email") or claim(claims, "sub"),
            run_id=environment.get("CLOUD_RUN_EXECUTION") or environment.get("BUILD_ID", ""),
            run_attempt=environment.get("CLOUD_RUN_TASK_ATTEMPT", ""),
            job=named(environment.get("CLOUD_RUN_JOB", ""), matrix),
            step="",
            runner={**here, "name": claim(instance, "instance_name") or here["name"]},
            actor=of_author(environment, "ACTOR"),
            # Cloud Build's substitutions, where the build hands them over as variables.
            ref=git_ref(environment.get("BRANCH_NAME", ""), environment.get("TAG_NAME", "")),
            commit=environment.get("COMMIT_SHA", ""),
            matrix=matrix,
        )
