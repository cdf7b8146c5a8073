"""The content of a job as one hash, and what stands in it twice, from the packed keys of its references."""

import hashlib
import random

from app.domain.identity import content_hash, repeated_keys

KEYS = [random.Random(number).randbytes(16) for number in range(5_000)]


def test_the_hash_is_that_of_the_sorted_keys_and_has_never_changed() -> None:
    head = b"1:M1:t-"
    assert content_hash("M", "t", None, b"".join(KEYS)) == hashlib.sha256(head + b"".join(sorted(KEYS))).digest()


def test_the_order_of_the_references_does_not_matter() -> None:
    shuffled = random.Random(1).sample(KEYS, len(KEYS))
    assert content_hash("M", "t", "c", b"".join(KEYS)) == content_hash("M", "t", "c", b"".join(shuffled))


def test_keys_that_are_there_more_than_once_are_found() -> None:
    assert repeated_keys(b"".join(KEYS)) == set()
    assert repeated_keys(b"".join([*KEYS, KEYS[3], KEYS[7], KEYS[3]])) == {KEYS[3], KEYS[7]}
    assert repeated_keys(b"") == set()
