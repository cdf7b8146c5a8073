"""Reads and writes files that a person names; a file is written completely or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.cli.exits import Ended
from app.cli.jeap_texts import not_found


def read_bytes(path: Path) -> bytes:
    """Raises Ended for a file that cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Ended(not_found(path)) from None
    except OSError as error:
        raise Ended(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def written(path: Path | None, *, readable: bool = False) -> Iterator[BinaryIO]:
    """A stream to write to. The file appears once all of it is written; without a path the stream is standard output.
    `readable`: what was written can be read again.

    Raises Ended where it cannot be written.
    """
    if path is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():  # /dev/null, a pipe: nothing to replace
        with _opened(path) as file:
            yield file
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise Ended(f"{path} cannot be written: {error.strerror}") from error
    half = Path(name)
    try:
        with os.fdopen(handle, "w+b" if readable else "wb") as file:
            yield file
        half.chmod(0o666 & ~_umask())
        half.replace(path)
    except OSError as error:
        raise Ended(f"{path} cannot be written: {error.strerror}") from error
    finally:
        half.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise Ended(f"{path} cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
