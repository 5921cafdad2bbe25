"""Compares two patterns of Vault's paths.

A path in a policy may end in `*` (anything follows) and hold `+` (any one segment):
https://openbao.org/docs/concepts/policies/
"""

from __future__ import annotations


def overlaps(one: str, other: str) -> bool:
    """Whether some path fits both patterns."""
    ours, theirs = one.removesuffix("*").split("/"), other.removesuffix("*").split("/")
    our_glob, their_glob = one.endswith("*"), other.endswith("*")
    for position in range(max(len(ours), len(theirs))):
        if position >= len(ours) or position >= len(theirs):
            return False
        mine, its = ours[position], theirs[position]
        our_end = our_glob and position == len(ours) - 1
        their_end = their_glob and position == len(theirs) - 1
        if our_end and their_end:
            return mine.startswith(its) or its.startswith(mine)
        if our_end or their_end:
            start, whole = (mine, its) if our_end else (its, mine)
            return whole == "+" or whole.startswith(start)
        if mine != its and "+" not in (mine, its):
            return False
    return True
