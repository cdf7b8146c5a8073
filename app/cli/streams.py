"""Standard output for data, standard error for everything else; either may be closed, full, or read by nobody."""

import codecs
import contextlib
import os
import select
import sys
from collections.abc import Iterator
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from typing_extensions import override

from app.cli.exits import Ended
from app.domain.visible import visible

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def say(text: str = "") -> None:
    """One line to standard output."""
    sys.stdout.write(visible(text, breaks=True) + "\n")


def put_json(text: str) -> None:
    """JSON on a line of its own to standard output; characters that its encoding lacks as escapes of JSON."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.encode(encoding, _JSON).decode(encoding)
    sys.stdout.write(text + "\n")


_JSON = "pas.json"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


codecs.register_error(_JSON, _escaped)


def tell(text: str = "") -> None:
    """One line to standard error."""
    sys.stdout.flush()
    sys.stderr.write(visible(text, breaks=True) + "\n")
    sys.stderr.flush()


class Unwritable(Ended):
    """Standard output cannot be written. Without lines where nobody reads on, as behind `| head`."""


@contextlib.contextmanager
def standard_streams(*, strict: bool = True) -> Iterator[None]:
    """Standard output raises Unwritable once, and drops what comes then; with `strict` false it drops at once, as
    standard error always does. Both have escapes for characters that their encoding lacks.

    Streams that are not those of the process, as in tests, stay.
    """
    before = sys.stdout, sys.stderr
    flags = os.O_RDONLY if strict else os.O_WRONLY  # to write to what can only be read fails, as it should
    sys.stdout = _guarded(sys.stdout, sys.__stdout__, 1, flags, strict=strict)
    sys.stderr = _guarded(sys.stderr, sys.__stderr__, 2, os.O_WRONLY, strict=False)
    try:
        yield
    finally:
        with contextlib.suppress(Unwritable):
            sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: TextIO, original: TextIO | None, number: int, flags: int, *, strict: bool) -> TextIO:
    if stream is not original or not isinstance(stream, TextIOWrapper | None):
        return stream
    if stream is None:
        return TextIOWrapper(BufferedWriter(_Guarded(_null(number, flags), strict=strict)), "utf-8", "backslashreplace")
    stream.flush()
    return TextIOWrapper(
        BufferedWriter(_Guarded(stream.fileno(), strict=strict)),
        stream.encoding,
        "backslashreplace",  # where its encoding lacks a character
        newline="\n",
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _null(number: int, flags: int) -> int:
    """/dev/null in place of a stream that was closed, so that no file that is opened later gets its number."""
    opened = os.open(os.devnull, flags)
    try:
        os.fstat(number)
    except OSError:
        os.dup2(opened, number)
        os.close(opened)
    else:
        if opened == number:
            os.set_inheritable(number, True)
        return opened
    return number


class _Guarded(FileIO):
    def __init__(self, number: int, *, strict: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._strict = strict
        self._failed = False

    @override
    def write(self, data: "ReadableBuffer", /) -> int:
        if not self._failed:
            try:
                while (count := super().write(data)) is None:  # somebody made it non-blocking
                    select.select([], [self], [])
                return count
            except OSError as error:
                self._failed = True
                if self._strict and isinstance(error, BrokenPipeError):
                    raise Unwritable from error
                if self._strict:
                    raise Unwritable(f"Standard output cannot be written: {error.strerror}") from error
        return memoryview(data).nbytes
