"""The shop's servers with credentials that live for seconds, and requests that OpenBao's audit log ascribes to steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3
import yaml

from stepcreds.config.model import Profile
from stepcreds.devstack import config, provision
from stepcreds.devstack.issuer import Issuer
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

TTL = 10  # seconds; the shortest that a profile may have
# Of the leases as OpenBao makes them: `migrate` is shortened at once; of `renewed` the first renewal comes early.
DEFAULT_TTL = {"migrate": TTL + 2, "renewed": 3}
LONGEST = TTL + 2  # seconds that anything may live without a renewal
LASTING = "lasting"  # the profile of the one step that lasts as long as the soak
CLAIM = "job_workflow_ref"  # OpenBao copies it from the ID token into the audit log's every entry


class StepIssuer(Issuer):
    """The request's own `step=…` becomes a claim of the token."""

    def __init__(self) -> None:
        super().__init__(algorithm="ES256")
        self._own = threading.local()
        setattr(self._server, "handle_error", lambda *_: None)  # noqa: B010 - who asks is killed, and the server would say so
        self.asked: dict[str, float] = {}  # step -> when it asked for a token, in epoch seconds

    def answer(self, target: str, authorization: str) -> tuple[int, Mapping[str, object]]:
        self._own.claims = {}
        for step in parse_qs(urlsplit(target).query).get("step", []):
            self._own.claims = {CLAIM: step}
            self.asked[step] = time.time()  # noqa: TID251 - compared with the servers' logs
        return super().answer(target, authorization)

    def token(self, audience: str | list[str], **claims: object) -> Secret:
        return super().token(audience, **{**getattr(self._own, "claims", {}), **claims})


class CrashStack(Stack):
    """`Stack` with the profiles `migrate` (with a file), `verify`, `second` (beside another), `renewed`,
    `handed` (for outputs) and `lasting`."""

    issuer: StepIssuer

    def __init__(self, *, max_connections: int = 300) -> None:
        super().__init__(max_connections=max_connections)
        self.issuer.stop()
        self.issuer = StepIssuer()
        self._pool = urllib3.PoolManager(maxsize=4)
        ttl = float(TTL)
        migrate, verify = (self.profiles[name]._replace(ttl=ttl, max_ttl=60.0) for name in ("migrate", "verify"))
        self.profiles = {
            "migrate": migrate,
            "verify": verify,
            "second": like(verify, "second", max_ttl=60.0),
            "renewed": like(verify, "renewed", max_ttl=60.0),
            "handed": like(verify, "handed", max_ttl=ttl),
            LASTING: like(verify, LASTING, max_ttl=24 * 3600.0),
        }

    def start(self) -> None:
        super().start()
        try:
            with self.client() as client:
                for name, profile in self.profiles.items():
                    self._shorten(client, name, profile)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._pool.clear()
        super().stop()

    def __enter__(self) -> CrashStack:
        self.start()
        return self

    def _shorten(self, client: Any, name: str, profile: Profile) -> None:
        path = f"database/roles/{profile.role}"
        role = client.read(path)["data"]
        client.write_data(path, data={**role, "default_ttl": DEFAULT_TTL.get(name, TTL)})
        if name != LASTING:  # else its tokens outlive a lease by what an ending may take
            path = f"auth/{provision.MOUNT}/role/{profile.role}"
            role = client.read(path)["data"]
            client.write_data(path, data={**role, "token_ttl": TTL, "token_max_ttl": LONGEST})

    def variables(self, step: str, **more: str) -> dict[str, str]:
        """The environment of the step that the audit log is to know as `step`."""
        url = self.issuer.environment()["ACTIONS_ID_TOKEN_REQUEST_URL"]
        return self.environment(ACTIONS_ID_TOKEN_REQUEST_URL=f"{url}&step={step}", **more)

    def config_for(self, ledger: Path | None) -> str:
        """A stepcreds.yml whose ledger is in `ledger`, by default where the CI has it."""
        document = yaml.safe_load(config.text(self.address, self.profiles, str(ledger)))
        if ledger is None:
            del document["ledger"]
        document["profiles"]["migrate"]["files"] = {"{dir}/pgpass": "{host}:{port}:{database}:{username}:{password}"}
        document["profiles"]["second"]["env"] = {"SECOND_URL": "{url}"}
        return yaml.safe_dump(document, sort_keys=False)

    def ask(self, method: str, path: str, **body: object) -> Any:
        """The data of OpenBao's answer to the root token; {} where it has none.

        Asked for hundreds of times a minute: by one connection, and not by a client for each.
        """
        headers = {"X-Vault-Token": self.openbao.root_token.reveal()}
        url = f"{self.address}/v1/{path}"
        answer = self._pool.request(method, url, headers=headers, json=body or None, timeout=60)
        if answer.status not in (200, 204, 404):
            raise RuntimeError(f"OpenBao answers {answer.status} to {method} {path}")
        return answer.json().get("data") or {} if answer.status == 200 else {}

    def leases(self, creds: str) -> list[str]:
        return [f"{creds}/{key}" for key in self.ask("LIST", f"sys/leases/lookup/{creds}").get("keys", [])]

    def alive_leases(self) -> list[str]:
        """All leases of credentials but those of `lasting`."""
        creds = [profile.creds for name, profile in self.profiles.items() if name != LASTING]
        return [lease for path in creds for lease in self.leases(path)]

    def alive_users(self) -> set[str]:
        return {user for user in self.issued_roles() if f"-app-{LASTING}-" not in user}

    def expired_users(self) -> set[str]:
        """Those that nobody can log in as any more."""
        return {str(row[0]) for row in self.sql("SELECT rolname FROM pg_roles WHERE rolvaliduntil < now()")}

    def alive_sessions(self) -> set[str]:
        """The users that have one."""
        rows = self.sql("SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'v-%'")
        return {str(row[0]) for row in rows if f"-app-{LASTING}-" not in row[0]}

    def accessors(self) -> set[str]:
        """Of all tokens that OpenBao knows."""
        return set(self.ask("LIST", "auth/token/accessors").get("keys", []))


def like(profile: Profile, name: str, *, max_ttl: float) -> Profile:
    return profile._replace(name=name, role=f"app-{name}", creds=f"database/creds/app-{name}", max_ttl=max_ttl)
