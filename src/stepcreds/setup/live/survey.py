"""A plan held against a live Vault and live databases: what is missing, what differs, and what could not be looked at.

It changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepcreds.clock import Clock
from stepcreds.setup.live import accessor, permissions
from stepcreds.setup.live.administrator import Administrator, open_session
from stepcreds.setup.live.difference import Difference, difference
from stepcreds.setup.live.operator import Live
from stepcreds.setup.live.permissions import Capabilities
from stepcreds.setup.plan import DatabasePlan, Plan, Setting, Statement


class DatabaseState(NamedTuple):
    """What one database of the plan still needs."""

    plan: DatabasePlan
    administrator: Administrator | None  # None: nobody to ask, and `missing` says nothing
    missing: tuple[Statement, ...] = ()
    has_manager: bool = True
    manager_in_use: bool = False
    left: tuple[tuple[Statement, str], ...] = ()  # what this administrator cannot change, and why
    refused: tuple[tuple[Statement, str], ...] = ()  # of `missing`, what would fail, and why, line by line


class Survey(NamedTuple):
    """Everything that was found."""

    databases: tuple[DatabaseState, ...]  # as in the plan
    differences: tuple[Difference, ...]  # as in the plan
    found: Mapping[str, Mapping[str, Any] | None]  # by path, what Vault answered
    held: Capabilities  # what the token may do

    @property
    def unread(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.action == "unread")

    @property
    def conflicts(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.action == "conflict")

    @property
    def left(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.action == "left")

    @property
    def pending(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.action in ("create", "change"))

    @property
    def connections(self) -> tuple[tuple[DatabaseState, Difference], ...]:
        """Each database with Vault's connection to it: a plan has both in the same order."""
        of_vault = [each for each in self.differences if each.setting.kind == "connection"]
        return tuple(zip(self.databases, of_vault, strict=True))


def survey(plan: Plan, live: Live, administrators: Sequence[Administrator | None], clock: Clock) -> Survey:
    """Look at everything. `administrators` belong to the plan's databases, in their order.

    Raises `VaultError` where Vault does not answer, and `DatabaseError` where an administrator is not let in.
    """
    needed = permissions.together([*map(permissions.to_read, plan.settings), permissions.everything(plan)])
    held = live.capabilities(needed)
    found: dict[str, Mapping[str, Any] | None] = {}
    differences = []
    for setting in plan.settings:
        lacking = permissions.missing(permissions.to_read(setting), held)
        if lacking:
            (path, words), *_ = lacking.items()
            reason = f"the token lacks {' and '.join(permissions.in_order(words))} on {path}"
            differences.append(Difference(setting, "unread", reason=reason))
            continue
        found[setting.path] = _read(live, setting)
        differences.append(difference(accessor.filled(setting, live), found[setting.path]))
    databases = [_look(database, who, clock) for database, who in zip(plan.databases, administrators, strict=True)]
    return Survey(tuple(databases), tuple(differences), found, held)


def _read(live: Live, setting: Setting) -> Mapping[str, Any] | None:
    listing = permissions.listing(setting)
    if listing:
        mount = live.mounts(listing).get(setting.path.removeprefix(f"{listing}/").removesuffix("/tune"))
        return mount if isinstance(mount, dict) else None
    return live.read(setting.path)


def _look(database: DatabasePlan, who: Administrator | None, clock: Clock) -> DatabaseState:
    if who is None:
        return DatabaseState(database, None)
    with open_session(database, who, clock) as session:
        return DatabaseState(database, who, *session.look())
