"""What an operator's token must be allowed so that a plan can be compared and applied; pure.

Which paths of `sys` want `sudo`: https://developer.hashicorp.com/vault/docs/concepts/policies#sudo
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from stepcreds.setup.live import accessor
from stepcreds.setup.live.difference import Difference
from stepcreds.setup.live.operator import CAPABILITIES
from stepcreds.setup.plan import Kind, Plan, Setting
from stepcreds.setup.vault import _plain as plain_path

Capabilities = Mapping[str, frozenset[str]]  # by path

_LISTINGS: Final[Mapping[Kind, str]] = {
    "auth_mount": "sys/auth",
    "mount": "sys/mounts",
    "lease_audit": "sys/mounts",
}
_SUDO: Final = ("auth_mount", "header")
_ORDER: Final = ("create", "read", "update", "list", "sudo")


def listing(setting: Setting) -> str:
    """Where a mount is read: in the list of all mounts; "" for what has a path of its own."""
    return _LISTINGS.get(setting.kind, "")


def rotation(connection: Setting) -> str:
    """The path that gives the management user of `connection` a password that Vault alone knows."""
    engine, _, name = connection.path.partition("/config/")
    return f"{engine}/rotate-root/{name}"


def to_read(setting: Setting) -> Capabilities:
    if setting.kind == "header":  # its path is one of those that want `sudo` also of a reader
        return {setting.path: frozenset({"read", "sudo"})}
    paths = {listing(setting) or setting.path, *({accessor.LISTING} if accessor.is_needed(setting) else ())}
    return dict.fromkeys(paths, frozenset({"read"}))


def to_write(difference: Difference) -> Capabilities:
    """For the change alone; nothing for what is as it should be."""
    setting, action = difference.setting, difference.action
    if action not in ("create", "change"):
        return {}
    sudo = {"sudo"} if setting.kind in _SUDO else set[str]()
    if action == "change" and setting.kind in ("auth_mount", "mount", "transit_key"):
        return {change_path(setting): frozenset({"update", *sudo})}
    # Vault asks for the one or the other, by whether the object is there and whether the path looks.
    return {setting.path: frozenset({"create", "update", *sudo})}


def change_path(setting: Setting) -> str:
    """Where an object that is there already is written to."""
    if setting.kind in ("auth_mount", "mount"):
        return f"{setting.path}/tune"
    return f"{setting.path}/config" if setting.kind == "transit_key" else setting.path


def reading(plan: Plan) -> Capabilities:
    """For a comparison with all that `setup check` looks at, and for no change."""
    # Else only a token with the policy `default` could ask what it may do.
    needed: list[Capabilities] = [{CAPABILITIES: frozenset({"update"})}]
    for setting in plan.settings:
        needed += [to_read(setting), to_look_around(setting)]
    return together(needed)


def everything(plan: Plan) -> Capabilities:
    """For an empty Vault, for every change later on, and for the comparison at the end."""
    needed = [reading(plan)]
    for setting in plan.settings:
        needed += [to_write(Difference(setting, "create")), to_write(Difference(setting, "change"))]
        if setting.kind == "connection":
            needed.append({rotation(setting): frozenset({"update"})})
    return together(needed)


def to_look_around(setting: Setting) -> Capabilities:
    """For `setup check`, which also says which other roles have to do with ours."""
    if setting.kind not in ("jwt_role", "database_role"):
        return {}
    folder = setting.path.rpartition("/")[0]
    return {folder: frozenset({"list"}), f"{folder}/+": frozenset({"read"})}


def together(parts: Iterable[Capabilities]) -> Capabilities:
    merged: dict[str, frozenset[str]] = {}
    for part in parts:
        for path, capabilities in part.items():
            merged[path] = merged.get(path, frozenset()) | capabilities
    return merged


def missing(needed: Capabilities, held: Capabilities) -> Capabilities:
    """What of `needed` the token lacks, in words of `sys/capabilities-self`."""
    lacking = {path: wanted - held.get(path, frozenset()) for path, wanted in needed.items()}
    return {path: lacks for path, lacks in lacking.items() if lacks and "root" not in held.get(path, frozenset())}


def policy(needed: Capabilities) -> str:
    """`needed` as a policy (HCL). Raises `UnsupportedError` for a path that cannot stand in one."""
    return "".join(
        f"path {json.dumps(plain_path(path.removesuffix('/+')) + path[len(path.removesuffix('/+')) :])} {{\n"
        f"  capabilities = [{', '.join(json.dumps(name) for name in in_order(needed[path]))}]\n}}\n"
        for path in sorted(needed)
    )


def in_order(capabilities: Iterable[str]) -> list[str]:
    return sorted(capabilities, key=_ORDER.index)
