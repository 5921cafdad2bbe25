"""What differs between an object of Vault as it is and as the plan has it; pure: nothing is read or written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from stepcreds.config.duration import seconds
from stepcreds.setup.plan import Kind, Setting
from stepcreds.setup.signing import AUDITED, NOT_TUNED

# password=…, sslpassword=…, passwd=…; a value may be in quotation marks, with \' in it (libpq's connection strings).
_PASSWORD = re.compile(
    r"((?:password|passwd|pwd)\s*=\s*)(?:'(?:\\.|[^'\\])*'?|(?!\{\{password\}\})[^\s&]+)", re.IGNORECASE
)


class Field(NamedTuple):
    """One field that is not what it should be."""

    name: str
    found: object  # None: it is not set
    wanted: object


class Difference(NamedTuple):
    """One object of the plan, held against what is there."""

    setting: Setting
    # "unread": the token may not read it. "conflict": it cannot become what the plan wants. "left": this kind of server
    # does not have it, which is nobody's mistake. `reason` says why.
    action: Literal["create", "change", "same", "unread", "conflict", "left"]
    fields: tuple[Field, ...] = ()
    reason: str = ""


# What a plan that leaves the field out wants all the same: another value gives more, or ends what should go on.
_EXPECTED: Mapping[Kind, Mapping[str, object]] = {
    "jwt_role": {
        "bound_claims_type": "string",
        "groups_claim": "",
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies_template_claims": False,
        "verbose_oidc_logging": False,
    },
    "database_role": {"credential_type": "password", "renew_statements": [], "rollback_statements": []},
    "connection": {"root_credentials_rotate_statements": []},
    "transit_key": {"deletion_allowed": False},
}
# Of a key what Vault takes back of none.
_FOR_GOOD: Mapping[str, str] = {
    "exportable": "the key can be taken out of Vault (exportable), and by whoever has done so a ledger be forged",
    "allow_plaintext_backup": "the key can be taken out of Vault as a backup (allow_plaintext_backup), and a ledger be "
    "forged",
    "derived": "the key is derived from a context, which no step sends",
}
# In any order, and as one text with commas.
_SETS = frozenset({"allowed_roles", "bound_audiences", "token_policies"})
# An order to Vault, which is not kept.
_ONLY_SAID = ("verify_connection",)
# Writing auth/<mount>/config replaces all of it: these are written again as they were found.
_KEPT = (
    "default_role",
    "jwt_supported_algs",
    "namespace_in_state",
    "oidc_discovery_ca_pem",
    "override_allowed_server_names",
    "provider_config",
)


def difference(setting: Setting, answer: Mapping[str, Any] | None) -> Difference:
    """`setting` against what Vault answered for it: the data of its path, or None where there is nothing.

    For a mount, `answer` is its entry of `sys/mounts` or `sys/auth`. Secret fields are not compared: nobody can read
    them.
    """
    if answer is None:
        return Difference(setting, "create")
    found = _as_written(setting.kind, answer)
    wanted = {**_expected(setting.kind, found), **setting.body}
    fields = tuple(
        Field(name, _of_interest(found.get(name), value) if name == "config" else found.get(name), value)
        for name, value in sorted(wanted.items())
        if name not in (*setting.secret, *_ONLY_SAID) and not _same(name, found.get(name), value)
    )
    if not fields:
        return Difference(setting, "same")
    # What is built in says whose it is, "v2.7.2+builtin.bao"; of HashiCorp's it is "v1.18.3+builtin.vault".
    if setting.kind == "lease_audit" and "+builtin.bao" not in str(answer.get("running_plugin_version")):
        return Difference(setting, "left", reason=NOT_TUNED)
    reason = _conflict(setting, {field.name for field in fields}, found)
    return Difference(setting, "conflict" if reason else "change", fields, reason)


def _of_interest(found: object, wanted: object) -> object:
    """Of a mount's configuration, which has everything in it, what the plan says something of."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return {name: found[name] for name in wanted if name in found}
    return found


def body_for(of: Difference, answer: Mapping[str, Any] | None) -> dict[str, object]:
    """What has to be written so that `of.setting` holds: the plan's fields, and those it wants at their usual value."""
    setting = of.setting
    body = {**{field.name: field.wanted for field in of.fields}, **setting.body}
    if setting.kind == "auth_config" and answer is not None:
        body = {**{name: answer[name] for name in _KEPT if answer.get(name)}, **body}
    if setting.kind in ("mount", "lease_audit") and answer is not None:
        # Tuned where it is; what others had it audit in clear stays so.
        there = answer.get("config")
        found = there if isinstance(there, Mapping) else {}
        wanted = body.get("config") if setting.kind == "mount" else body
        body = dict(wanted) if isinstance(wanted, Mapping) else {}
        if AUDITED in body:
            body[AUDITED] = sorted(_members(found.get(AUDITED)) | _members(body[AUDITED]))
    if setting.kind == "transit_key" and answer is not None:
        body = {field.name: field.wanted for field in of.fields}
    if setting.kind == "connection" and answer is not None:
        # Vault keeps what an update leaves out, and since the rotation it alone knows the password.
        body = {name: value for name, value in body.items() if name not in setting.secret}
    return body


def _as_written(kind: Kind, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if kind == "connection":
        details = answer.get("connection_details")
        found = {**answer, **(details if isinstance(details, dict) else {})}
        return {**found, "connection_url": _without_login(found.get("connection_url"))}
    if kind == "lease_audit":
        tuned = answer.get("config")
        return tuned if isinstance(tuned, Mapping) else {}
    if kind == "header":
        # {"X-Stepcreds-Step": {"hmac": false}}, the name in some other case
        return next((value for value in answer.values() if isinstance(value, dict)), {})
    return answer


def _without_login(url: object) -> object:
    """`url` without a user and a password that somebody wrote into it: it is going to be shown.

    Both stand before an '@', or as parameters, of a URL or of a list `host=db password=…`.
    """
    if not isinstance(url, str):
        return url
    url = _PASSWORD.sub(lambda found: f"{found[1]}***", url)
    if "@" not in url or "{{username}}:{{password}}@" in url:
        return url
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}"


def _expected(kind: Kind, found: Mapping[str, Any]) -> Mapping[str, object]:
    # A field that this server does not have cannot be wrong.
    return {name: value for name, value in _EXPECTED.get(kind, {}).items() if name in found}


def _conflict(setting: Setting, changed: set[str], found: Mapping[str, Any]) -> str:
    if setting.kind in ("auth_mount", "mount") and "type" in changed:
        return f"something else is mounted there: {found.get('type')}"
    if setting.kind == "transit_key" and "type" in changed:
        return f"the key is there with another type, {found.get('type')}, and what it signed needs it"
    if setting.kind == "transit_key" and changed & _FOR_GOOD.keys():
        return "; ".join(why for name, why in _FOR_GOOD.items() if name in changed)
    if setting.kind == "connection" and changed >= {"connection_url", "username"}:
        return "somebody else's connection has that name: it leads elsewhere, as another user"
    if setting.kind == "auth_config" and found.get("oidc_client_id"):
        return (
            "people log in there (oidc_client_id is set), and its secret would be lost: give the CI a mount of its own"
        )
    return ""


def _same(name: str, found: object, wanted: object) -> bool:
    if name == "policy":
        return _lines(found) == _lines(wanted)
    if name in _SETS:
        return _members(found) == _members(wanted)
    if name == "bound_claims":
        return _claims(found) == _claims(wanted)
    if name == "config" and isinstance(found, Mapping) and isinstance(wanted, Mapping):  # of a mount
        return all(_same(key, found.get(key), value) for key, value in wanted.items())
    if name == AUDITED:
        return _members(wanted) <= _members(found)
    return _plain(found) == _plain(wanted)


def _lines(text: object) -> list[str]:
    """A policy without its white space."""
    return [" ".join(line.split()) for line in str(text or "").splitlines() if line.strip()]


def _members(value: object) -> set[str]:
    if isinstance(value, str):
        value = value.split(",")
    return {str(member).strip() for member in value if member} if isinstance(value, (list, tuple)) else set()


def _claims(value: object) -> dict[str, list[str]]:
    """One value and a list of one are the same to Vault; 5 and "5" are not."""
    if not isinstance(value, Mapping):
        return {}
    listed = {name: item if isinstance(item, (list, tuple)) else [item] for name, item in value.items()}
    return {
        name: sorted(f"{type(_number(item)).__name__} {_number(item)}" for item in items)
        for name, items in listed.items()
    }


def _number(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _plain(value: object) -> object:
    """Nothing, no, an empty list and an empty text are one; a duration is its seconds."""
    if isinstance(value, bool):
        return value or None
    if isinstance(value, str):
        duration = seconds(value)
        return (value.strip() if duration is None else duration) or None
    if isinstance(value, (int, float)):
        return float(value) or None
    if isinstance(value, (list, tuple)):
        return [item.strip() if isinstance(item, str) else _plain(item) for item in value] or None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()} or None
    return value
