"""What a job asks OpenBao for, as `runner.transcript` has it: a credential's life, and what belongs to each login."""

from __future__ import annotations

from stepcreds.devstack.stack import Stack

LOGIN = "nobody: update auth/jwt/login"


def life(profile: str) -> list[str]:
    """A credential of the role app-`profile` that is issued, and ended when its command has."""
    return [
        LOGIN,
        f"app-{profile}: update sys/leases/revoke",  # can it be revoked? of a lease that does not exist
        f"app-{profile}: read database/creds/app-{profile}",
        f"app-{profile}: update sys/leases/revoke",
        f"app-{profile}: update sys/leases/lookup",
        f"app-{profile}: update auth/token/revoke-self",
    ]


def by_login(stack: Stack, since: int = 0) -> list[list[str]]:
    """`transcript`, told apart by the token of each login: sorted, because jobs that run together have no order."""
    found: dict[str, list[str]] = {}
    for entry in stack.audit()[since:]:
        policies = entry["auth"].get("policies", [])
        if "root" in policies:
            continue
        who = next((name for name in policies if name.startswith("app-")), "nobody")
        request = entry["request"]
        # Only the answer to a login knows the token; one that is refused stands alone.
        if request["path"] == "auth/jwt/login":
            if entry["type"] == "response":
                found.setdefault(entry["auth"].get("accessor", request["id"]), []).append(LOGIN)
        elif entry["type"] == "request":
            found.setdefault(entry["auth"]["accessor"], []).append(f"{who}: {request['operation']} {request['path']}")
    return sorted(found.values())
