"""The hash tree, by the vectors that implementations of Certificate Transparency have in common, and by its definition.

https://github.com/transparency-dev/merkle/blob/main/testonly/constants.go and reference_test.go
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.seals.tree import Tree, consistency, is_consistent, leaf_hash, node_hash, root_of

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PROOFS = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("sizes", PROOFS, ids=str)
def test_proofs(sizes: tuple[int, int]) -> None:
    first, second = sizes
    assert [each.hex() for each in consistency(LEAVES[:second], first)] == PROOFS[sizes]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = max(2**n for n in range(10) if 2**n < len(leaves))
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def some(number: int) -> list[bytes]:
    return [leaf_hash(bytes([n])) for n in range(number)]


def test_a_tree_that_grows_has_the_root_of_the_definition() -> None:
    tree = Tree()
    for size in range(130):
        assert (tree.size, tree.root) == (size, mth(some(size)))
        tree.append(leaf_hash(bytes([size])))


@pytest.mark.parametrize("second", range(20))
def test_a_proof_shows_that_nothing_older_was_changed(second: int) -> None:
    leaves = some(second)
    new = root_of(leaves)
    for first in range(second + 1):
        proof, old = consistency(leaves, first), root_of(leaves[:first])
        assert is_consistent(first, old, second, new, proof)
        for index in range(first):
            changed = [*leaves[:index], leaf_hash(b"another"), *leaves[index + 1 :]]
            assert not is_consistent(first, old, second, root_of(changed), consistency(changed, first))
        bad = [[*proof[:other], bytes(32), *proof[other + 1 :]] for other in range(len(proof))]
        bad += [[*proof, bytes(32)], *([proof[:-1]] if proof else [])]
        for each in bad:
            assert not is_consistent(first, old, second, new, each)
        assert not is_consistent(first, bytes(32), second, new, proof)
        assert not is_consistent(second + 1, old, second, new, proof)
        if first > 0:
            assert not is_consistent(first, old, second, bytes(32), proof)


@given(st.integers(-3, 40), st.integers(-3, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
def test_no_proof_that_somebody_made_up_is_believed_or_hangs(first: int, second: int, proof: list[bytes]) -> None:
    assert is_consistent(first, bytes(32), second, b"\1" * 32, proof) is False


def test_a_leaf_never_passes_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
