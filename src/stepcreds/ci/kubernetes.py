"""A pod (Tekton, a CronJob): the token of its service account for an audience, projected into a file.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection

Never the token in /var/run/secrets/kubernetes.io/serviceaccount: that is for the cluster's own API, and whoever is
given it can act there as the pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from stepcreds.ci.file import shown, token_in
from stepcreds.ci.http import HTTP
from stepcreds.ci.interface import Advice, Common, Found, claim, machine, of_author
from stepcreds.ci.wording import paste, scalar
from stepcreds.errors import IdentityError
from stepcreds.model import Job

_VARIABLE = "STEPCREDS_KUBERNETES_TOKEN"
_FOLDER, _FILE = "/var/run/secrets/tokens", "vault-token"  # those of the example in Kubernetes' documentation


class Kubernetes(Common):
    """A pod. Its identity is its service account's, the same for all pods of that account."""

    name: ClassVar[str] = "kubernetes"
    title: ClassVar[str] = "Kubernetes"

    @property
    def identity_variables(self) -> tuple[str, ...]:
        return (*super().identity_variables, _VARIABLE)

    def detects(self, environment: Mapping[str, str]) -> bool:
        if environment.get(_VARIABLE):
            return True
        # Whoever names a Google service account wants that one, in a pod as well.
        return bool(environment.get("KUBERNETES_SERVICE_HOST")) and not environment.get("GOOGLE_SERVICE_ACCOUNT_NAME")

    def token(self, audience: str, environment: Mapping[str, str], http: HTTP) -> Found | None:
        path = Path(environment.get(_VARIABLE) or f"{_FOLDER}/{_FILE}")
        if not path.exists():
            raise IdentityError(
                f"This pod has no token for Vault: there is no {shown(path)}",
                cause="Kubernetes gives a pod a token for another service only where the pod asks for it.",
                fix="Add to the pod:"
                + paste(
                    "volumes:",
                    "  - name: vault-token",
                    *(f"    {line}" for line in _projection(audience)),
                    "containers:",
                    "  - volumeMounts:",
                    "      - name: vault-token",
                    f"        mountPath: {_FOLDER}",
                    "        readOnly: true",
                )
                + f"\nA file elsewhere is named by {_VARIABLE} or --id-token-file.",
                docs="kubernetes-token",
            )
        return Found(token_in(path), f"the file {shown(path)}")

    def job(self, claims: Mapping[str, object], environment: Mapping[str, str]) -> Job:
        said = _object(claims.get("kubernetes.io"))
        pod, account, node = (_object(said.get(name)) for name in ("pod", "serviceaccount", "node"))
        here = machine()
        return Job(
            ci=self.name,
            iss=claim(claims, "iss"),
            repository_id="/".join(filter(None, (claim(said, "namespace"), claim(account, "name")))),
            # A retry, and each leg of a matrix, is another pod.
            run_id=claim(pod, "uid") or of_author(environment, "RUN_ID"),
            run_attempt=of_author(environment, "RUN_ATTEMPT"),
            job=of_author(environment, "JOB") or claim(pod, "name") or environment.get("HOSTNAME", ""),
            step=of_author(environment, "STEP"),
            runner={**here, "name": claim(node, "name") or here["name"]},
            actor=of_author(environment, "ACTOR"),
            ref=of_author(environment, "REF"),
            commit=of_author(environment, "COMMIT"),
        )

    def folders(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        # Tekton's: what a task hands on as results, and its workspaces.
        return ("/tekton/results", "/workspace")

    def wrong_audience(self, audience: str, found: tuple[str, ...]) -> Advice:
        return Advice(
            cause="The volume of the pod names another audience than stepcreds.yml does (vault.auth.audience; without "
            "it, the address of Vault), or none, and then the token is for the cluster's own API.",
            fix="Change the volume:" + paste(*_projection(audience)),
        )


def _projection(audience: str) -> tuple[str, ...]:
    return (
        "projected:",
        "  sources:",
        "    - serviceAccountToken:",
        f"        path: {_FILE}",
        f"        audience: {scalar(audience)}",
        "        expirationSeconds: 600",
    )


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
