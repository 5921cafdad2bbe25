"""OpenBao and PostgreSQL for a workflow that tries the Action with the identity of its own job.

    python tools/smoke.py FOLDER    # FOLDER/stepcreds.yml appears when they are ready; SIGTERM, or time, ends them

The job's own token says who its issuer is (GitHub, an Enterprise Server, a test's) and what the roles are bound to. At
the end it says how many credentials were issued and which are alive, and its status is 1 if there is one.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import requests

from stepcreds.devstack.stack import Stack

LONGEST = 900  # seconds that the job may take


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    # SIGTERM waits until somebody asks for it, also while the servers start.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    claims = own_claims()
    stack = Stack(progress=print)
    stack.issuer.url = claims["iss"]
    stack.issuer.claims.update({name: claims[name] for name in ("repository_id", "environment")})
    with stack:
        config = folder / "stepcreds.yml"
        config.with_suffix(".tmp").write_text(stack.config_text(folder / ".stepcreds"))
        config.with_suffix(".tmp").rename(config)
        print(f"ready, for the jobs of {claims['sub']}", flush=True)
        # A job that was cut off asks for nothing any more.
        signal.sigtimedwait({signal.SIGTERM}, LONGEST)
        issued = sum(
            entry["type"] == "response" and entry["request"]["path"].startswith("database/creds/")
            for entry in stack.audit()
        )
        alive = stack.issued_roles()
    print(f"stepcreds issued {issued} credentials, and {', '.join(sorted(alive)) or 'none'} is alive", flush=True)
    return 1 if alive else 0


def own_claims() -> dict[str, Any]:
    """What this job's token says; whether it is true is for OpenBao to check when somebody logs in with one."""
    try:
        url, token = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"], os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    except KeyError as name:
        raise SystemExit(f"tools/smoke.py: no {name.args[0]}: the job needs `permissions: id-token: write`") from None
    answer = requests.get(url, params={"audience": "smoke"}, headers={"Authorization": f"bearer {token}"}, timeout=30)
    answer.raise_for_status()
    payload = answer.json()["value"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


if __name__ == "__main__":
    sys.exit(main())
