"""Reads a list of references from a stream, in flat memory: CSV, NDJSON, or the YAML of a submission.

Each reference becomes a row `<version or nothing>\\t<id>\\n`: an id holds no control characters.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Final, Literal, Protocol

import orjson
from yaml import YAMLError
from yaml.reader import ReaderError

from app.api.submission.events import REFERENCES, Stop, Walk, syntax_mistake
from app.api.submission.scalars import MAX_MISTAKES, id_problem, listed, shown, version_of
from app.api.submission.streamed_yaml import YamlFeed
from app.domain.mistakes import Mistake
from app.domain.reference_rules import MAX_VERSION

Kind = Literal["yaml", "csv", "ndjson"]

MAX_LINE = 16 * 1024
"""Bytes of a line: an id has 2 KB at most, and what else stands beside it is read over."""

BLOCK = 2_000
"""Rows that are written at once."""

_TOO_LONG: Final = f"is longer than {MAX_LINE} bytes"


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ExpectedHead:
    """What a list says beside its references; the rows are worth nothing where there are mistakes."""

    count: int
    message: str | None = None
    config_id: str | None = None
    mistakes: tuple[Mistake, ...] = ()
    too_many: bool = False


@dataclass
class ExpectedRows:
    """Writes rows in blocks; `alive` is called for each block."""

    write: Callable[[bytes], object]
    alive: Callable[[], None] = lambda: None
    count: int = 0
    _block: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def add(self, id_: str, version: int, line: int) -> None:  # as `events.ReferenceSink` has it
        self.count += 1
        self._block.append(f"{version or ''}\t{id_}\n")
        if len(self._block) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        self.alive()
        self.write("".join(self._block).encode())
        self._block.clear()


def read_expected(stream: Stream, kind: Kind, most: int, rows: ExpectedRows) -> ExpectedHead:
    """Writes a row for each reference, up to `most`; never raises for what the stream holds."""
    if kind == "yaml":
        return _read_yaml(stream, most, rows)
    mistakes: list[Mistake] = []
    too_many = False
    try:
        for id_, version, line in (_csv if kind == "csv" else _ndjson)(_lines(stream, mistakes), mistakes):
            if rows.count >= most:
                too_many = True
                break
            rows.add(id_, version, line)
    except Stop:
        pass
    rows.flush()
    if not rows.count and not mistakes:
        mistakes.append(Mistake("", None, "is empty; give at least one reference"))
    return ExpectedHead(rows.count, mistakes=listed(mistakes), too_many=too_many)


def _note(mistakes: list[Mistake], path: str, line: int, text: str) -> None:
    mistakes.append(Mistake(path, line, text))
    if len(mistakes) > MAX_MISTAKES:
        raise Stop


def _lines(stream: Stream, mistakes: list[Mistake]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1, without a byte order mark."""
    number = 0
    while line := stream.readline(MAX_LINE + 2):
        if number == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        number += 1
        if len(line) > MAX_LINE:
            mistakes.append(Mistake("", number, f"{_TOO_LONG}; end lines with a line feed"))
            raise Stop
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            _note(mistakes, "", number, "is not UTF-8; save it in that encoding")
            continue
        if text and not text.isspace():
            yield number, text


def _ndjson(lines: Iterator[tuple[int, str]], mistakes: list[Mistake]) -> Iterator[tuple[str, int, int]]:
    """Each line is an object with `id` and, where there is one, `version`; other members are read over."""
    for number, text in lines:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            _note(mistakes, "", number, "is not JSON; one object on each line is needed")
            continue
        if type(value) is not dict:
            _note(mistakes, "", number, 'must be an object like {"id": "DOC-2024-001", "version": 1}')
            continue
        if (repeated := _repeated(text)) is not None:
            _note(mistakes, repeated, number, "stands twice")
            continue
        id_, version = value.get("id"), value.get("version")
        if type(id_) is not str:
            _note(mistakes, "id", number, "is missing" if id_ is None else "must be a text")
        elif problem := id_problem(id_):
            _note(mistakes, "id", number, problem)
        elif version is None:
            yield id_, 0, number
        elif type(version) is not int or not 1 <= version <= MAX_VERSION:
            _note(mistakes, "version", number, f"must be a whole number from 1 to {MAX_VERSION}")
        else:
            yield id_, version, number


def _repeated(text: str) -> str | None:
    """`id` or `version` where the object has it twice: readers of JSON differ in which they take."""
    if text.count('"id"') < 2 and text.count('"version"') < 2 and "\\u" not in text:
        return None
    pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    names = [name for name, _ in pairs]
    return next((each for each in ("id", "version") if names.count(each) > 1), None)


def _csv(lines: Iterator[tuple[int, str]], mistakes: list[Mistake]) -> Iterator[tuple[str, int, int]]:
    """The header names the columns: `id` and, where there are versions, `version`; others are read over.

    As jeap-cli has it, blanks around values, empty lines and lines that begin with # mean nothing. Within quotes a
    value may go on in the next line, as notes in a column beside the id do; the number is then that of the first line.
    """
    places: tuple[int, int, int] | None = None
    for number, first in lines:
        text = first
        if places is not None and text.lstrip().startswith("#"):
            continue
        while '"' in text and _goes_on(text) and (more := next(lines, None)) is not None:
            text += f"\n{more[1]}"
        values = _values(text)
        if places is None:
            names = [] if values is None else [each.strip() for each in values]
            if "id" not in names or len(set(names)) < len(names):
                hint = "; separate columns by commas" if ";" in text or "\t" in text else ""
                mistakes.append(Mistake("", number, f"{shown(text)} is no header; it must be id,version or id{hint}"))
                raise Stop
            places = names.index("id"), names.index("version") if "version" in names else -1, len(names)
            continue
        at_id, at_version, width = places
        if values is None or len(values) != width:
            what = f"{width} column" + ("s" if width > 1 else "")
            _note(mistakes, "", number, f"must have {what}, as the header has")
            continue
        id_ = values[at_id].strip()
        version = values[at_version].strip() if at_version >= 0 else ""
        if problem := id_problem(id_):
            _note(mistakes, "id", number, problem)
            continue
        read = version_of(version.removeprefix("+"), True) if version else 0
        if isinstance(read, str):
            _note(mistakes, "version", number, read)
        else:
            yield id_, read, number


def _goes_on(text: str) -> bool:
    """Whether a value in quotes is open at its end. Quotes within a value without them mean nothing."""
    if text.count('"') % 2 == 0 or len(text) > MAX_LINE:
        return False
    try:
        list(csv.reader(StringIO(text, newline="\n"), strict=True, skipinitialspace=True))
    except csv.Error as error:
        return "unexpected end of data" in str(error)
    return False


def _values(text: str) -> list[str] | None:
    if '"' not in text:
        return text.split(",")
    try:
        [values] = csv.reader(StringIO(text, newline="\n"), strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        return None
    return values


class _Numbered:
    """Gives rows on, and knows the line of the last one."""

    def __init__(self, rows: ExpectedRows) -> None:
        self._rows = rows
        self.line = 1

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, id_: str, version: int, line: int) -> None:
        self.line = line
        self._rows.add(id_, max(version, 0), line)


def _read_yaml(stream: Stream, most: int, rows: ExpectedRows) -> ExpectedHead:
    """`message`, `topic` and all else but the references may be left out."""
    feed = YamlFeed(stream)
    columns = _Numbered(rows)
    walk = Walk(feed, most, feed.mark, columns=columns, required=(REFERENCES,))
    try:
        walk.document()
    except Stop:
        pass
    except YAMLError as error:
        walk.mistakes.append(_where(error, columns.line))
    except UnicodeDecodeError:  # libyaml looks at everything but %ED%A0%80 in a tag, which is half a character
        walk.mistakes.append(Mistake("", None, "has a tag with an escape that is no character; leave tags out"))
    walk.end()
    rows.flush()
    mistakes = listed([*walk.mistakes, *feed.mistakes])
    return ExpectedHead(rows.count, walk.texts.get("message"), walk.texts.get("config-id"), mistakes, walk.too_many)


def _where(error: YAMLError, line: int) -> Mistake:
    """The mistake; the parser's own errors name lines, those of the bytes before it only places of a stream."""
    found = syntax_mistake(error, b"")
    if not isinstance(error, ReaderError):
        return found
    return Mistake("", None, f"{found.message} (behind line {line})")
