"""The hash tree of RFC 6962: its root, and the proof that one tree is the beginning of another; it knows no ledger.

https://www.rfc-editor.org/rfc/rfc6962#section-2.1, and for the check of a proof RFC 9162, 2.1.4.2. Hashes are bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256().digest()  # the root of no leaves


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf. Memory holds the roots of its whole subtrees: one for each bit of `size`."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # of the whole subtrees, from the largest

    def append(self, leaf: bytes) -> None:
        """`leaf` is a `leaf_hash`."""
        rest = self.size
        while rest & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            rest >>= 1
        self._peaks.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """MTH of leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root


def consistency(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """PROOF(first, leaves): that the tree of the first `first` of these leaf hashes is the beginning of that of all.

    Empty where `first` is none or all of them.
    """
    return _subproof(leaves, first, True) if 0 < first < len(leaves) else []


def _subproof(leaves: Sequence[bytes], first: int, known: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if known else [root_of(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if first <= split:
        return [*_subproof(leaves[:split], first, known), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], first - split, False), root_of(leaves[:split])]


def is_consistent(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree of `first` leaves is the beginning of the tree of `second` leaves."""
    if first in (0, second):
        return not proof and first_root == (EMPTY if first == 0 else second_root)
    if not 0 < first < second or not proof:
        return False
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, each)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
