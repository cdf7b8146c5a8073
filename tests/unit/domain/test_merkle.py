"""Trees, proofs and their verification against a second implementation, for all sizes from 0 to 130, and around 256."""

import random

import pytest

from app.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    RangeRoots,
    consistency_ranges,
    continues,
    includes,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root_of,
    unpacked,
)
from tests.support.second_tree import SecondTree

MOST = 300
CONTENTS = [b"leaf %d" % number for number in range(MOST)]
HASHES = [leaf_hash(content) for content in CONTENTS]
SECOND = SecondTree(CONTENTS)
SIZES = [*range(1, 131), 255, 256, 257, MOST]


def test_the_root_is_that_of_the_second_implementation_for_every_size() -> None:
    frontier = Frontier()
    for size in range(MOST + 1):
        assert frontier.size == size
        assert frontier.root() == SECOND.mth(0, size)
        if size < MOST:
            frontier = frontier.grown(HASHES[size])
    assert root_of(HASHES) == frontier.root()
    assert Frontier().root() == EMPTY_ROOT


def test_known_roots_of_certificate_transparency() -> None:
    contents = [bytes.fromhex(text) for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )]  # fmt: skip
    assert root_of(leaf_hash(each) for each in contents[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert root_of(leaf_hash(each) for each in contents).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


def test_inclusion_of_every_leaf_of_every_size_is_that_of_the_second_implementation_and_verifies() -> None:
    for size in SIZES:
        root = SECOND.mth(0, size)
        for index in range(size):
            proof = [SECOND.mth(*each) for each in inclusion_ranges(index, size)]
            assert proof == SECOND.path(index, size)
            assert includes(root, size, index, HASHES[index], proof)


def test_consistency_of_every_pair_of_sizes_is_that_of_the_second_implementation_and_verifies() -> None:
    for new in SIZES:
        new_root = SECOND.mth(0, new)
        for old in range(1, new + 1):
            proof = [SECOND.mth(*each) for each in consistency_ranges(old, new)]
            assert proof == SECOND.proof(old, new)
            assert continues(SECOND.mth(0, old), old, new_root, new, proof)
        assert continues(EMPTY_ROOT, 0, new_root, new, [])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100, 255, 256, 257, 300])
def test_the_hashes_of_a_proof_are_computed_while_leaves_go_by(size: int) -> None:
    for index in {0, size // 3, size - 1}:
        for ranges in (inclusion_ranges(index, size), consistency_ranges(index + 1, size)):
            roots = RangeRoots(ranges)
            for each in HASHES[:size]:
                roots.add(each)
            assert roots.roots() == [SECOND.mth(*each) for each in ranges]


def test_missing_leaves_give_no_proof() -> None:
    roots = RangeRoots(inclusion_ranges(2, 8))
    for each in HASHES[:7]:
        roots.add(each)
    with pytest.raises(ValueError, match="some are missing"):
        roots.roots()


def test_a_proof_with_any_hash_index_size_or_length_changed_is_refused() -> None:
    for size in (1, 2, 3, 6, 7, 8, 31, 100):
        root = SECOND.mth(0, size)
        for index in range(size):
            proof = SECOND.path(index, size)
            leaf = HASHES[index]
            assert not includes(root, size, index, HASHES[(index + 1) % MOST], proof)
            assert not includes(SECOND.mth(0, size + 1), size, index, leaf, proof)
            assert not includes(root, size, index, leaf, [*proof, leaf])
            assert not includes(root, size, size, leaf, proof)
            assert not includes(root, size, -1, leaf, proof)
            if proof:
                assert not includes(root, size, index, leaf, proof[:-1])
                assert not includes(root, size, index, leaf, [leaf, *proof[1:]])
                assert not includes(root, size, index ^ 1, leaf, proof)


def test_a_tree_that_does_not_begin_with_the_old_one_is_refused() -> None:
    for new in (2, 3, 7, 8, 31, 100):
        for old in range(1, new):
            proof, old_root, new_root = SECOND.proof(old, new), SECOND.mth(0, old), SECOND.mth(0, new)
            other = node_hash(old_root, new_root)
            assert not continues(other, old, new_root, new, proof)
            assert not continues(old_root, old, other, new, proof)
            assert not continues(old_root, old, new_root, new, proof[:-1])
            assert not continues(old_root, old, new_root, new, [*proof, other])
            assert not continues(new_root, new, old_root, old, proof)
    assert not continues(SECOND.mth(0, 5), 5, SECOND.mth(0, 5), 5, [HASHES[0]])
    assert not continues(SECOND.mth(0, 5), 5, SECOND.mth(0, 6), 5, [])
    assert not continues(HASHES[0], 0, SECOND.mth(0, 6), 6, [])
    assert not continues(SECOND.mth(0, 3), 3, SECOND.mth(0, 6), 6, [])


def test_ranges_outside_of_the_tree_are_refused() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="has no leaf"):
            inclusion_ranges(index, size)
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="does not begin"):
            consistency_ranges(old, new)


def test_a_frontier_that_was_packed_grows_on() -> None:
    frontier = Frontier()
    for size in range(100):
        kept = unpacked(size, frontier.packed())
        assert kept == frontier
        frontier = kept.grown(HASHES[size])
    assert frontier.root() == SECOND.mth(0, 100)
    with pytest.raises(ValueError, match="another number of hashes"):
        unpacked(99, frontier.packed())
    with pytest.raises(ValueError, match="another number of hashes"):
        unpacked(-1, b"")


def test_a_hundred_thousand_leaves() -> None:
    size = 100_000
    second = SecondTree([b"%d" % number for number in range(size)])
    ours = [leaf_hash(each) for each in second.leaves]
    root = root_of(ours)
    assert root == second.mth(0, size)
    for index in random.Random(7).sample(range(size), 50):
        proof = [second.mth(*each) for each in inclusion_ranges(index, size)]
        assert proof == second.path(index, size)
        assert includes(root, size, index, ours[index], proof)
        old = [second.mth(*each) for each in consistency_ranges(index + 1, size)]
        assert old == second.proof(index + 1, size)
        assert continues(second.mth(0, index + 1), index + 1, root, size, old)


def test_many_leaves_at_once_are_the_same_as_one_after_the_other() -> None:
    for size in range(70):
        for more in range(70):
            frontier = Frontier()
            for each in HASHES[:size]:
                frontier = frontier.grown(each)
            assert frontier.grown_by(HASHES[size : size + more]).root() == SECOND.mth(0, size + more)
