"""The leaves of a job as one object: NDJSON in gzip, hashed while it is written; a large one in a temporary file."""

import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from app.domain.merkle import Frontier
from app.objectstore import FileContent

IN_MEMORY = 1024**2
"""Bytes from which the object is written to a file."""

LEVEL = 1
"""Of gzip: hashes do not get smaller, whatever one tries; level 6 takes twice the time for 5 % less."""


class LeafFile:
    """Leaves are added in their order. The same leaves give the same bytes."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self._packed = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)  # gzip without a time
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._file: BinaryIO = io.BytesIO()
        self._path: Path | None = None
        self._size = 0

    def __enter__(self) -> "LeafFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()

    def add(self, lines: Sequence[bytes]) -> None:
        """Raises OSError where the temporary file cannot be written."""
        sha256 = hashlib.sha256
        self.frontier = self.frontier.grown_by([sha256(b"\x00" + line).digest() for line in lines])
        self._write(self._packed.compress(b"".join([line + b"\n" for line in lines])))

    def finished(self) -> tuple[bytes | FileContent, str]:
        """The content and its SHA-256 (hex). Nothing may be added any more."""
        self._write(self._packed.flush())
        if isinstance(self._file, io.BytesIO):
            return self._file.getvalue(), self._sha256.hexdigest()
        self._file.flush()
        assert self._path is not None  # noqa: S101 - with a file there is a path
        return FileContent(self._path, self._size, self._md5.hexdigest()), self._sha256.hexdigest()

    def _write(self, packed: bytes) -> None:
        self._sha256.update(packed)
        self._md5.update(packed)
        self._size += len(packed)
        if self._path is None and self._size > IN_MEMORY:
            handle, name = tempfile.mkstemp(prefix="pas-leaves-")  # of mode 0600
            self._path = Path(name)
            file = os.fdopen(handle, "wb")
            if isinstance(self._file, io.BytesIO):
                file.write(self._file.getvalue())
            self._file = file
        self._file.write(packed)
