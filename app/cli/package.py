"""The package of evidence: a ZIP file whose comment is the SHA-256 of everything before it."""

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

HOWTO, KEYS, CHECKPOINT, TIMESTAMP = "HOWTO.txt", "keys", "checkpoint", "checkpoint.tsr"
LEAVES, REPORT, AUDIT = "leaves.ndjson", "report.yaml", "audit.ndjson"
NEEDED = (HOWTO, KEYS, CHECKPOINT, LEAVES, REPORT)
NAMES = (*NEEDED, TIMESTAMP, AUDIT)

SEAL = re.compile(rb"sha256 ([0-9a-f]{64})")
SEAL_BYTES = 71

LARGEST_SMALL = 16 * 1024**2
"""Bytes of a member that is read as a whole; leaves, report and audit log are read line by line."""

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, OSError, KeyError, ValueError)
"""What reading a damaged ZIP file raises."""

_DATE = (1980, 1, 1, 0, 0, 0)


class PackageWriter:
    """Members in the order in which they are added; the same members give the same bytes but for what packs them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @contextmanager
    def member(self, name: str) -> Iterator[BinaryIO]:
        about = zipfile.ZipInfo(name, _DATE)
        about.compress_type = zipfile.ZIP_DEFLATED
        about.external_attr = 0o644 << 16
        with self._archive.open(about, "w", force_zip64=name in (LEAVES, REPORT, AUDIT)) as member:
            yield member  # type: ignore[misc] # it can be written to

    def add(self, name: str, content: bytes) -> None:
        with self.member(name) as member:
            member.write(content)


@contextmanager
def packing(file: BinaryIO) -> Iterator[PackageWriter]:
    """A new package, sealed at the end; the file can be read and written anywhere."""
    with zipfile.ZipFile(file, "w") as archive:
        yield PackageWriter(archive)
        archive.comment = b"x" * SEAL_BYTES
    file.seek(0, 2)
    sealed = file.tell() - SEAL_BYTES
    digest = _digest(file, sealed)
    file.seek(sealed)
    file.write(b"sha256 " + digest.encode())


def seal_of(path: Path) -> tuple[str | None, str]:
    """The SHA-256 that the package says and the one that it has. Raises OSError."""
    with path.open("rb") as file:
        file.seek(0, 2)
        sealed = max(file.tell() - SEAL_BYTES, 0)
        actual = _digest(file, sealed)
        found = SEAL.fullmatch(file.read())
    return None if found is None else found[1].decode(), actual


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (piece := file.read(min(size, 1024**2))):
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()


class Package:
    """A package that is read. Every method raises one of BROKEN for what is damaged."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    @property
    def names(self) -> list[str]:
        return self._archive.namelist()

    def size(self, name: str) -> int:
        """Bytes, as the ZIP file says; no more of them are ever read."""
        return self._archive.getinfo(name).file_size

    def content(self, name: str) -> bytes:
        with self._archive.open(name) as member:
            found = member.read(LARGEST_SMALL + 1)
        if len(found) > LARGEST_SMALL:
            raise ValueError(f"{name} has more than {LARGEST_SMALL} bytes")
        return found

    def text(self, name: str) -> str:
        return self.content(name).decode()

    def lines(self, name: str) -> Iterator[bytes]:
        """Without their line breaks. The last line must end too."""
        with self._archive.open(name) as member:
            while line := member.readline(LARGEST_SMALL):
                if not line.endswith(b"\n"):
                    raise ValueError(f"{name} has a line that does not end")
                yield line[:-1]

    @contextmanager
    def stream(self, name: str) -> Iterator[BinaryIO]:
        with self._archive.open(name) as member:
            yield member  # type: ignore[misc] # it can be read


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """Raises one of BROKEN for what is no ZIP file."""
    with zipfile.ZipFile(path) as archive:
        yield Package(archive)
