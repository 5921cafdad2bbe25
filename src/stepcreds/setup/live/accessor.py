"""Fills into a policy what only a live Vault knows: the accessor of the mount that jobs log in at."""

from __future__ import annotations

import re

from stepcreds.errors import VaultError
from stepcreds.setup.live.operator import Live
from stepcreds.setup.plan import Setting
from stepcreds.setup.vault import without_accessor

LISTING = "sys/auth"


def is_needed(setting: Setting) -> bool:
    """Whether `setting` is a policy that names an accessor."""
    return setting.kind == "policy" and bool(without_accessor(str(setting.body["policy"]), "")[1])


def filled(setting: Setting, live: Live, *, required: bool = False) -> Setting:
    """`setting` with the accessor; as it is where the mount is not there yet. Raises `VaultError`."""
    if not is_needed(setting):
        return setting
    text = str(setting.body["policy"])
    _, mount = without_accessor(text, "")
    found = live.mounts(LISTING).get(mount)
    accessor = found.get("accessor") if isinstance(found, dict) else None
    # Vault makes it of the mount's type and digits; anything else does not belong into a policy.
    if isinstance(accessor, str) and re.fullmatch(r"\w+", accessor, re.ASCII):
        return setting._replace(body={"policy": without_accessor(text, accessor)[0]})
    if required:
        raise VaultError(f"Vault does not say the accessor of auth/{mount}, which {setting.path} needs", docs="setup")
    return setting
