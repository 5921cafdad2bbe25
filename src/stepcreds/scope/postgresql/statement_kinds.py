"""What kind of statement a text is, and the least power that such a one needs; a text is never taken for less.

Source: PostgreSQL's documentation, "SQL Commands". A text is what pg_stat_statements keeps: constants are `$1`, …
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from stepcreds.measurement import Level


class Kind(NamedTuple):
    """`name` is "other" where nobody can say what the statement did: at least what `level` says."""

    name: str
    level: Level


OTHER: Final = Kind("other", "info")
NOTHING: Final = Kind("", "info")  # a session's own settings, transactions, cursors: no power over anybody's data

_NO_POWER: Final = frozenset({
    *("set", "show", "reset", "discard", "begin", "start", "commit", "end", "rollback", "abort", "savepoint"),
    *("release", "listen", "unlisten", "notify", "fetch", "move", "close", "deallocate"),
})  # fmt: skip
_WRITING: Final = frozenset({"insert", "update", "delete", "merge"})
_DDL: Final = frozenset({
    *("create", "alter", "drop", "comment", "grant", "revoke", "reassign", "security", "import", "refresh", "reindex"),
    *("cluster", "vacuum", "analyze"),  # of its owner, before PostgreSQL 17
})  # fmt: skip
_OF_ROLES: Final = frozenset({"role", "user", "group", "system"})
# Between the verb and what it is about.
_FILLING: Final = frozenset({"or", "replace", "unique", "global", "local", "unlogged", "constraint", "trusted"})
_ADVANCING: Final = frozenset({"nextval", "setval"})  # of a sequence
# One piece of a statement; what is long and quoted in another way is passed over by `_pieces`.
_PIECE: Final = re.compile(
    r"""\s+ | --[^\n]* | '(?:[^']|'')*' | (?P<quoted>"(?:[^"]|"")*") | \$\d+ | (?P<opened>/\* | \$\w*\$)
    | (?P<word>[^\W\d][\w$]*) | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)


def kind_of(text: str, unsure: Container[str]) -> Kind:
    """`unsure` are the names of functions of which nobody knows what they do: one that is called makes it "other"."""
    pieces = list(_pieces(text))
    words = [piece.lower() for piece in pieces if piece[0].isalpha() or piece[0] == "_"]
    first = words[0] if words else ""
    if first in _NO_POWER:
        return OTHER if _takes_a_role(words) else NOTHING
    if first in _DDL:
        return _defining(first, words)
    if first in ("select", "with", "values", "table", "declare"):
        kind = _asking(words)
    elif first in _WRITING or first in ("truncate", "lock"):
        kind = Kind(first, "write")
    elif first == "copy":
        kind = _copying(words)
    else:
        return OTHER
    called = {_name(piece) for piece, after in pairwise(pieces) if after == "("}
    if any(name in unsure for name in called):
        return OTHER if kind.level == "read" else Kind(OTHER.name, kind.level)
    return Kind(kind.name, "write") if kind.level == "read" and called & _ADVANCING else kind


def _pieces(text: str) -> Iterator[str]:
    """Words, names in quotes, and single characters; no constant, no comment. In a time that grows with the length."""
    at = 0
    while found := _PIECE.match(text, at):
        at = found.end()
        if found["opened"]:
            closing = "*/" if found["opened"] == "/*" else found["opened"]
            end = text.find(closing, at)
            at = len(text) if end < 0 else end + len(closing)
        elif piece := found["word"] or found["quoted"] or found["other"]:
            yield piece


def _takes_a_role(words: list[str]) -> bool:
    """What follows is done as that role. PostgreSQL 18 keeps no name, nor whether it was NONE: see `used`."""
    rest = [word for word in words[1:] if word not in ("local", "session")]
    return words[0] == "set" and rest[:1] == ["role"] and rest[1:] not in ([], ["none"])


def _asking(words: list[str]) -> Kind:
    if _WRITING.intersection(words) and words[0] == "with":
        return Kind("with " + next(word for word in words if word in _WRITING), "write")
    if "into" in words:
        return Kind("select into", "ddl")
    pairs = set(pairwise(words))
    if pairs & {("for", "update"), ("for", "no"), ("for", "share"), ("for", "key")}:
        return Kind("select for update", "write")
    return Kind("select", "read")


def _copying(words: list[str]) -> Kind:
    if "program" in words:
        return OTHER
    # The last of them: a query in parentheses has a "from" of its own.
    ways = [word for word in words if word in ("from", "to")]
    return Kind("copy to", "read") if ways and ways[-1] == "to" else Kind("copy from", "write")


def _defining(first: str, words: list[str]) -> Kind:
    rest = [word for word in words[1:] if word not in _FILLING]
    what = rest[0] if rest else ""
    if what in ("temp", "temporary"):
        return Kind(f"{first} temporary", "read")
    named = first in ("create", "alter", "drop") and what
    return Kind(f"{first} {what}" if named else first, "admin" if what in _OF_ROLES and named else "ddl")


def _name(called: str) -> str:
    return called[1:-1].replace('""', '"') if len(called) > 1 and called[0] == '"' else called.lower()
