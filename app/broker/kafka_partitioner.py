"""The partition of a message, as the client of Java chooses it."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache

from aiokafka.partitioner import murmur2

_hash: Callable[[bytes], int] = lru_cache(maxsize=4096)(murmur2)
"""Hashes of keys are remembered: making one takes longer than the rest of a send, and the events of a job have the same
key."""


def partition_of(key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
    """A `partitioner` of aiokafka; `all_partitions` is sorted."""
    if key is None:
        return random.choice(available or all_partitions)
    return all_partitions[(_hash(key) & 0x7FFFFFFF) % len(all_partitions)]
