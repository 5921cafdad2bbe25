"""What the tests of `stepcreds doctor` share: a link of its output, and roles that are not as they should be."""
# ruff: noqa: RUF001 - the en dash is one of the marks that doctor prints

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stepcreds.devstack.stack import Stack

Step = Callable[..., "subprocess.CompletedProcess[str]"]
DOCS = "https://github.com/stepcreds/stepcreds/blob/v1/docs/troubleshooting.md"
ISSUE = 'path "database/creds/app-verify" { capabilities = ["read"] }\n'
GLOB = "If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string."


def under(text: str, link: str) -> str:
    """The line of `link` and what is indented below it."""
    found = re.search(rf"(?m)^[✓!✗–] {link} .*\n(?: .*\n)*", text)
    assert found is not None, text
    return found.group()


def told(done: subprocess.CompletedProcess[str], link: str) -> dict[str, Any]:
    """The link in what `--json` printed."""
    (found,) = (each for each in json.loads(done.stdout)["links"] if each["link"] == link)
    assert isinstance(found, dict)
    return found


@contextmanager
def lax_role(stack: Stack, policy: str, **settings: object) -> Iterator[str]:
    """A role beside those of the stack, and its policy."""
    name = f"doctor-{secrets.token_hex(4)}"
    role = {
        "role_type": "jwt",
        "bound_audiences": [stack.address],
        "bound_claims": {"repository_id": "71717171"},
        "user_claim": "repository",
        "token_policies": [name],
        "token_ttl": 210,
        **settings,
    }
    with stack.client() as root:
        root.write_data(f"sys/policies/acl/{name}", data={"policy": policy})
        root.write_data(f"auth/jwt/role/{name}", data=role)
        yield name
        root.delete(f"auth/jwt/role/{name}")
        root.delete(f"sys/policies/acl/{name}")
