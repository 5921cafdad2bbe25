"""The link "statements": what the engine's role runs to issue and to end a user, as an operator's token reads it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping

from stepcreds.config.model import Profile
from stepcreds.doctor.lifetime import write_role
from stepcreds.doctor.link import Link, Remark, remarked
from stepcreds.setup import mysql, postgresql

# How PostgreSQL, MariaDB and MySQL (by the procedure that `setup` makes) are told to end the sessions of a user.
_ENDS_SESSIONS = {"postgresql": r"pg_terminate_backend", "mariadb": r"\bkill\b|\bcall\b", "mysql": r"\bkill\b|\bcall\b"}
_WORKS_AS = re.compile(r"""\bset\s+role\s*(?:=|to)?\s*(?:'([^']+)'|"([^"]+)"|(\w+))""", re.IGNORECASE)


def judge(role: Mapping[str, object], profile: Profile) -> Link:
    """`role` as Vault answers it: whether its revocation ends all that a user is, and its creation lets it expire."""
    engine = profile.database.engine if profile.database is not None else ""
    creation, revocation = (_text(role.get(f"{name}_statements")) for name in ("creation", "revocation"))
    owner = _owner(creation)
    remarks = []
    if engine in _ENDS_SESSIONS and not re.search(_ENDS_SESSIONS[engine], revocation, re.IGNORECASE):
        remarks.append(sessions_stay(profile, owner))
    if engine == "postgresql":
        remarks += _of_postgresql(profile, creation, revocation, owner)
    own = "statements of its own" if revocation else "the engine's default statements"
    return remarked("statements", f"{_role(profile)} revokes with {own}", remarks)


def sessions_stay(profile: Profile, owner: str) -> Remark:
    """The remark on a role whose revocation leaves sessions open. `owner`: as whom its user works, "" as itself."""
    return Remark(
        "Vault's revocation leaves open sessions at work. A step ends them itself, when it locks the user out; after a "
        "SIGKILL of both halves, or where the database cannot be reached then, what is connected stays connected.",
        _instead(profile, owner),
        "statements",
    )


def _of_postgresql(profile: Profile, creation: str, revocation: str, owner: str) -> list[Remark]:
    remarks = []
    drops, reassigns = (word in revocation.lower() for word in ("drop owned", "reassign owned"))
    if not drops:
        remarks.append(
            Remark(
                "The revocation fails where the user owns something or was granted something (a table, ALTER DEFAULT "
                "PRIVILEGES, lo_create): the role stays, and after six attempts Vault gives the lease up.",
                _instead(profile, owner),
                "statements",
            )
        )
    if drops and not reassigns and profile.access == "ddl" and not owner:
        remarks.append(
            Remark(
                "What the command makes belongs to the issued user itself (its creation has no SET role), and the "
                "revocation runs DROP OWNED without REASSIGN OWNED: it drops the tables that a migration made.",
                "Let `stepcreds setup` write both lists for this profile:\n  stepcreds setup --format shell",
                "statements",
            )
        )
    if "{{expiration}}" not in creation:
        remarks.append(
            Remark(
                "The user is made without VALID UNTIL: should Vault fail to revoke it, its password works for ever.",
                "Add to CREATE ROLE in the role's creation_statements:\n  VALID UNTIL '{{expiration}}'",
                "statements",
            )
        )
    return remarks


def _instead(profile: Profile, owner: str) -> str:
    if profile.database is not None and profile.database.engine == "postgresql":
        if profile.access == "ddl" and not owner:
            return "Let `stepcreds setup` write both lists for this profile:\n  stepcreds setup --format shell"
        lists = postgresql.revocation(owner or None)
    else:
        lists = mysql.revocation(mariadb=profile.database is not None and profile.database.engine == "mariadb")
    body = json.dumps({"revocation_statements": lists})
    command = f"printf %s {shlex.quote(body)} | {write_role(profile.creds, '-')}"
    return f"Revoke with statements that end sessions, and take what the user owns along:\n  {command}"


def _role(profile: Profile) -> str:
    mount, _, name = profile.creds.rpartition("/creds/")
    return f"{mount}/roles/{name}"


def _owner(creation: str) -> str:
    found = _WORKS_AS.search(creation)
    return next(filter(None, found.groups()), "") if found else ""


def _text(statements: object) -> str:
    return "\n".join(map(str, statements)) if isinstance(statements, list) else str(statements or "")
