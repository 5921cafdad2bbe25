"""What changed in a database while a command ran and outlives its credential: two looks compared; it asks nobody.

Whatever changed between the two looks is found, whoever changed it: a database does not say who did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from stepcreds.measurement import Change

EXAMPLES = 3

Grants = frozenset[tuple[str, str]]  # grantee ("PUBLIC" for everybody) and privilege


class Thing(NamedTuple):
    """One object, or one rule about objects, at the moment of a look."""

    kind: str  # "table", "SECURITY DEFINER function", "default privileges", "role", …
    schema: str  # "" where it is in none
    name: str  # "app.orders"
    owner: str  # "" for the issued user itself, whose objects go to somebody else or away
    grants: Grants  # without the owner's own, and the issued user's
    detail: str  # what else makes it what it is: a hash of its body, its attributes


State = Mapping[tuple[str, str], Thing]  # a whole database: kind and id -> what is there


class _Trace(NamedTuple):
    """One change of one object; alike ones are told together."""

    # 0 gives somebody power, 1 takes a protection or data away, 2 is a migration's usual work, 3 is what is gone.
    rank: int
    code: str
    before: str  # "PUBLIC has SELECT on the "
    kind: str
    after: str  # of the names
    name: str


# Every code and what it says, the gravest first.
CODES: Final = {
    "LEFT.DEFINER": "code that runs with the rights of another than its caller is new, or was changed",
    "LEFT.ROLE": "a role is new, or has other attributes",
    "LEFT.MEMBER": "somebody is a member of a role, and was not",
    "LEFT.OWNER": "something belongs to somebody else than before",
    "LEFT.EVENT_TRIGGER": "an event trigger is new, or was changed",
    "LEFT.GRANT": "somebody has privileges that were not there, or on something new",
    "LEFT.DEFAULT": "somebody will have privileges on what is made from now on",
    "LEFT.FOREIGN": "a foreign server or a user mapping is new, or was changed",
    "LEFT.PUBLICATION": "a publication is new, or was changed",
    "LEFT.TRIGGER": "a trigger, a rule or a trigger's function is new, or was changed",
    "LEFT.ALTERED": "a view, a policy, row security or a function was changed",
    "LEFT.RENAMED": "something has a new name",
    "LEFT.NEW": "something else is new",
    "LEFT.GONE": "something is not there any more",
}
CODES_BY_GRAVITY: Final = tuple(CODES)

# What acts with its owner's power, or is power itself.
_POWERFUL: Final = {
    "SECURITY DEFINER function": "LEFT.DEFINER",
    "trigger": "LEFT.TRIGGER",
    "rule": "LEFT.TRIGGER",
    "event trigger": "LEFT.EVENT_TRIGGER",
    "foreign server": "LEFT.FOREIGN",
    "user mapping": "LEFT.FOREIGN",
    "publication": "LEFT.PUBLICATION",
    "role": "LEFT.ROLE",
    "membership": "LEFT.MEMBER",
}
# A change of what others run without asking for it.
_RUN_BY_OTHERS: Final = {"trigger function": "LEFT.TRIGGER", "view": "LEFT.ALTERED"}
# Only those of them are seen that have privileges of their own.
_WITH_PRIVILEGES: Final = ("column", "large object")
_PROTECTING: Final = ("policy", "event trigger")
_HOLDING_DATA: Final = ("table", "materialized view", "schema")


def left_behind(before: State, after: State) -> tuple[Change, ...]:
    """What is there now and was not, what is otherwise, and what is gone; what gives somebody power comes first."""
    traces = [trace for key, thing in after.items() for trace in _compared(before.get(key), thing)]
    traces += [_gone(thing) for key, thing in before.items() if key not in after and thing.kind not in _WITH_PRIVILEGES]
    together: dict[tuple[int, str, str, str, str], list[str]] = {}
    for trace in sorted(traces, key=lambda trace: (trace.rank, CODES_BY_GRAVITY.index(trace.code), trace)):
        together.setdefault(trace[:5], []).append(trace.name)
    return tuple(_change(*alike, names) for alike, names in together.items())


def _compared(was: Thing | None, thing: Thing) -> Iterator[_Trace]:
    granted: dict[str, list[str]] = {}
    for grantee, privilege in sorted(thing.grants - (was.grants if was is not None else frozenset())):
        if not _is_default(thing, was, grantee, privilege):
            granted.setdefault(grantee, []).append(privilege)
    for grantee, privileges in granted.items():
        yield _granted(thing, was, grantee, ", ".join(privileges))
    if was is None:
        yield from _appeared(thing)
        return
    if was.owner != thing.owner:
        owner = thing.owner or "the issued user"
        yield _Trace(0, "LEFT.OWNER", f"{owner} owns the ", thing.kind, f", formerly {was.owner}'s", thing.name)
    if was.name != thing.name:
        yield _Trace(2, "LEFT.RENAMED", "the ", thing.kind, f", which was {was.name}, has a new name", thing.name)
    if (was.kind, was.detail) != (thing.kind, thing.detail):
        yield _altered(was, thing)


def _granted(thing: Thing, was: Thing | None, grantee: str, privileges: str) -> _Trace:
    if thing.kind == "default privileges":
        return _Trace(0, "LEFT.DEFAULT", f"{grantee} will have {privileges} on ", "", "", thing.name)
    # A new table in the hands of a group is what default privileges are for.
    fresh = was is None and thing.kind not in _WITH_PRIVILEGES
    expected = fresh and grantee != "PUBLIC" and "OPTION" not in privileges
    new = "new " if fresh else ""
    return _Trace(
        2 if expected else 0, "LEFT.GRANT", f"{grantee} has {privileges} on the {new}", thing.kind, "", thing.name
    )


def _is_default(thing: Thing, was: Thing | None, grantee: str, privilege: str) -> bool:
    """Every function may be executed by everybody from the start: that alone is no news."""
    return was is None and "function" in thing.kind and (grantee, privilege) == ("PUBLIC", "EXECUTE")


def _appeared(thing: Thing) -> Iterator[_Trace]:
    if thing.kind in (*_WITH_PRIVILEGES, "default privileges"):  # told by what they grant
        return
    owner = f", owned by {thing.owner}" if thing.owner else ""
    code = _POWERFUL.get(thing.kind, "LEFT.NEW")
    if thing.kind == "SECURITY DEFINER function" and ("PUBLIC", "EXECUTE") in thing.grants:
        owner += ", for everybody to call"
    elif thing.kind == "role":
        owner = f": {thing.detail}" if thing.detail else ""
    yield _Trace(2 if code == "LEFT.NEW" else 0, code, "a new ", thing.kind, owner, thing.name)


def _altered(was: Thing, thing: Thing) -> _Trace:
    kind, name = thing.kind, thing.name
    if kind == "role":
        after = f" is {thing.detail or 'without attributes'} now, and was {was.detail or 'without'}"
        return _Trace(0, "LEFT.ROLE", "the ", kind, after, name)
    if was.kind != kind:
        widened = kind in _POWERFUL
        code = "LEFT.DEFINER" if widened else "LEFT.ALTERED"
        return _Trace(0 if widened else 2, code, "the ", was.kind, f" is a {kind} now", name)
    if "row security" in (was.detail, thing.detail):
        state = "on" if thing.detail else "off"
        return _Trace(1, "LEFT.ALTERED", f"row security is {state} for the ", kind, "", name)
    powerful = {**_POWERFUL, **_RUN_BY_OTHERS}
    rank = 1 if kind in _PROTECTING else 0 if kind in powerful else 2
    return _Trace(rank, powerful.get(kind, "LEFT.ALTERED"), "the ", kind, _CHANGED, name)


def _gone(thing: Thing) -> _Trace:
    return _Trace(
        1 if thing.kind in (*_PROTECTING, *_HOLDING_DATA) else 3, "LEFT.GONE", "the ", thing.kind, _GONE, thing.name
    )


def _change(rank: int, code: str, before: str, kind: str, after: str, names: list[str]) -> Change:
    shown = ", ".join(names[:EXAMPLES])
    if len(names) > 1 and kind:
        before = before.removeprefix("a ")
        kind = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        after = {_GONE: " are gone", _CHANGED: " were changed"}.get(after, after)
    if len(names) > EXAMPLES:
        shown += f" and {len(names) - EXAMPLES} more"
    return Change(code, f"{before}{kind}{' ' if kind else ''}{shown}{after}", names[0], rank < 2)


_GONE, _CHANGED = " is gone", " was changed"
