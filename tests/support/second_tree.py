"""A second implementation of RFC 9162, written from its definitions: over lists, recursive, without a line of ours."""

import hashlib
from functools import lru_cache


class SecondTree:
    """Over the contents of leaves; MTH, PATH and SUBPROOF are named as in the RFC."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.mth = lru_cache(maxsize=None)(self._mth)

    def _mth(self, first: int, last: int) -> bytes:
        n = last - first
        if n == 0:
            return hashlib.sha256().digest()
        if n == 1:
            return hashlib.sha256(bytes([0]) + self.leaves[first]).digest()
        k = largest(n)
        joined = bytes([1]) + self.mth(first, first + k) + self.mth(first + k, last)
        return hashlib.sha256(joined).digest()

    def path(self, m: int, n: int) -> list[bytes]:
        return self._path(m, 0, n)

    def _path(self, m: int, first: int, last: int) -> list[bytes]:
        n = last - first
        if n == 1:
            return []
        k = largest(n)
        if m < k:
            return [*self._path(m, first, first + k), self.mth(first + k, last)]
        return [*self._path(m - k, first + k, last), self.mth(first, first + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        return self._subproof(m, 0, n, True)

    def _subproof(self, m: int, first: int, last: int, whole: bool) -> list[bytes]:
        n = last - first
        if m == n:
            return [] if whole else [self.mth(first, last)]
        k = largest(n)
        if m <= k:
            return [*self._subproof(m, first, first + k, whole), self.mth(first + k, last)]
        return [*self._subproof(m - k, first + k, last, False), self.mth(first, first + k)]


def largest(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k
