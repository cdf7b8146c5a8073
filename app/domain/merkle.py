"""Merkle trees as in RFC 9162: hashes of leaves and nodes, the head of a growing tree, proofs and their verification.

A tree is never in memory: its head is a frontier of log n hashes, and each hash of a proof is the root of a range of
leaves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""

HASH_BYTES = 32


class LeafRange(NamedTuple):
    """The leaves from `start` up to, without, `end`."""

    start: int
    end: int


def leaf_hash(content: bytes) -> bytes:
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The head of a tree of `size` leaves: the roots of its complete subtrees, the largest first."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def grown(self, leaf: bytes) -> "Frontier":
        """The tree with one more leaf, of which this is the hash."""
        hashes, complete = self.hashes, self.size
        while complete & 1:
            leaf = node_hash(hashes[-1], leaf)
            hashes = hashes[:-1]
            complete >>= 1
        return Frontier(self.size + 1, (*hashes, leaf))

    def grown_by(self, leaves: Sequence[bytes]) -> "Frontier":
        """The tree with more leaves; a power of two of them that divides the size takes a third of the time."""
        number = len(leaves)
        if number == 0 or number & (number - 1) or self.size % number:
            frontier = self
            for leaf in leaves:
                frontier = frontier.grown(leaf)
            return frontier
        level = list(leaves)
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        hashes, root, ahead = self.hashes, level[0], self.size // number
        while ahead & 1:
            root = node_hash(hashes[-1], root)
            hashes, ahead = hashes[:-1], ahead >> 1
        return Frontier(self.size + number, (*hashes, root))

    def root(self) -> bytes:
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def packed(self) -> bytes:
        """The hashes one after the other; `unpacked` reads them again."""
        return b"".join(self.hashes)


def unpacked(size: int, packed: bytes) -> Frontier:
    """The frontier of a tree of `size` leaves. Raises ValueError where `packed` has another number of hashes."""
    if size < 0 or len(packed) != HASH_BYTES * size.bit_count():
        raise ValueError(f"a tree of {size} leaves has another number of hashes")
    return Frontier(size, tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over these hashes of leaves."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.grown(leaf)
    return frontier.root()


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """The ranges whose roots are the inclusion proof of one leaf, in the order of the proof."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    found: list[LeafRange] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append(LeafRange(middle, end))
            end = middle
        else:
            found.append(LeafRange(start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[LeafRange]:
    """The ranges whose roots prove that the tree of `new` leaves begins with that of `old` leaves."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not begin with one of {old}")
    if old in (0, new):
        return []
    found: list[LeafRange] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append(LeafRange(middle, end))
            end = middle
        else:
            found.append(LeafRange(start, middle))
            start, whole = middle, False
    return [*([] if whole else [LeafRange(start, end)]), *found[::-1]]


class RangeRoots:
    """The roots of ranges that do not overlap, computed while the hashes of all leaves go by."""

    def __init__(self, ranges: Sequence[LeafRange]) -> None:
        self._ranges = ranges
        self._todo = sorted(ranges, reverse=True)
        self._frontiers = dict.fromkeys(ranges, Frontier())
        self._position = 0

    def add(self, leaf: bytes) -> None:
        """The hash of the next leaf."""
        position, self._position = self._position, self._position + 1
        while self._todo and self._todo[-1].end <= position:
            self._todo.pop()
        if self._todo and self._todo[-1].start <= position:
            inside = self._todo[-1]
            self._frontiers[inside] = self._frontiers[inside].grown(leaf)

    def roots(self) -> list[bytes]:
        """In the order in which the ranges were given. Raises ValueError where leaves are missing."""
        for each in self._ranges:
            if self._frontiers[each].size != each.end - each.start:
                raise ValueError(f"of the leaves {each.start} to {each.end - 1} some are missing")
        return [self._frontiers[each].root() for each in self._ranges]


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the leaf with this hash is in the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(each, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def continues(old_root: bytes, old: int, new_root: bytes, new: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `new` leaves begins with that of `old` leaves (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    of_old = of_new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            of_old, of_new = node_hash(each, of_old), node_hash(each, of_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            of_new = node_hash(of_new, each)
        place, last = place >> 1, last >> 1
    return last == 0 and of_old == old_root and of_new == new_root


def _split(size: int) -> int:
    """The leaves of the left subtree: the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
