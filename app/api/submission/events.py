"""Builds the two-level shape of a submission from libyaml's events; everything else is a mistake."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from typing_extensions import override
from yaml import CSafeLoader
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from app.api.submission import scalars as yaml_scalars
from app.api.submission.scalars import MAX_MISTAKES, NULLS, ColumnsBuilder, shown
from app.domain.mistakes import Mistake
from app.domain.surrogates import restoring

REFERENCES: Final = "archiveDataReferences"
REQUIRED: Final = ("message", "topic", REFERENCES)
KEYS: Final = (*REQUIRED, "config-id", "num-of-retry", "name")
_REFERENCE_KEYS: Final = ("id", "version")
_SKIPPED_EVENTS = 1_000
"""Parts of a misplaced value that are read over before reading stops: it may be the whole body."""
_SKIPPED_DEPTH = 8
MAX_STRETCH = 4 * 1024 * 1024
"""Bytes from one entry or reference to the next. Of these the values have 16 KB at most, the rest are comments."""


class Stop(Exception):
    """Reading ends here; the mistakes have been noted."""


class ReferenceSink(Protocol):
    """Takes the references as they are read."""

    def add(self, id_: str, version: int, line: int) -> None: ...
    def __len__(self) -> int: ...


class Feed:
    """Gives libyaml the body piece by piece, and ends the reading when it makes no progress.

    A single value may be the whole body: libyaml would hold it twice, and as a text it can be four times as large.
    """

    walk: "Walk"

    def __init__(self) -> None:
        self._read = self._read_at_progress = self._progress = 0

    def piece(self, size: int) -> bytes:
        """The next bytes, about `size` of them; none at the end."""
        raise NotImplementedError

    def read(self, size: int = 0, /) -> bytes:
        progress = self.walk.progress()
        if progress != self._progress:
            self._progress, self._read_at_progress = progress, self._read
        elif self._read - self._read_at_progress > MAX_STRETCH:
            count = len(self.walk.columns)
            path = f"{REFERENCES}[{count}]" if REFERENCES in self.walk.keys else ""
            self.walk.note(path, None, f"is more than {MAX_STRETCH} bytes long, comments included; leave them out")
            raise Stop
        piece = self.piece(size)
        self._read += len(piece)
        return piece


class _Whole(Feed):
    """Of a body that is in memory."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    @override
    def piece(self, size: int) -> bytes:
        return self._body[self._read : self._read + size]


class Walk:
    """One pass over the events of a body. Never recursive: nodes that are nested deeper than the shape are skipped."""

    def __init__(
        self,
        body: "bytes | Feed",
        max_references: int,
        mark: str | None = None,
        *,
        columns: "ReferenceSink | None" = None,
        required: Sequence[str] = REQUIRED,
    ) -> None:
        """`mark` stands in the body for backslashes: see `surrogates`. `columns` takes the references."""
        feed = body if isinstance(body, Feed) else _Whole(body)
        feed.walk = self
        self.next: Callable[[], Any] = CSafeLoader(feed).get_event
        if mark is not None:
            self.next = restoring(self.next, mark)
        self._required = required
        self.max_references = max_references
        self.mistakes: list[Mistake] = []
        self.texts: dict[str, str] = {}
        self.num_of_retry: int | None = None
        self.keys: dict[str, Any] = {}
        self.columns: ReferenceSink = ColumnsBuilder() if columns is None else columns
        self.too_many = False

    def end(self) -> None:
        """Releases the parser, which holds the body and, in a circle, this object."""
        del self.next

    def progress(self) -> int:
        """Increases whenever an entry or a reference was read, or a mistake was noted."""
        return len(self.keys) + len(self.columns) + len(self.mistakes)

    def note(self, path: str, line: int | None, message: str) -> None:
        self.mistakes.append(Mistake(path, line, message))
        if len(self.mistakes) > MAX_MISTAKES:
            raise Stop

    def document(self) -> None:
        self.next()
        if type(self.next()) is StreamEndEvent:
            self.note("", 1, f"is empty; it needs {', '.join(REQUIRED)}")
            raise Stop
        root = self.next()
        self.refuse_marks(root, "")
        if type(root) is not MappingStartEvent:
            self.note("", line(root), f"must be a mapping with the keys {', '.join(REQUIRED)}")
            raise Stop
        while type(key := self.next()) is not MappingEndEvent:
            self.entry(self.key(key, "", KEYS, self.keys), key)
        self.next()
        if type(more := self.next()) is not StreamEndEvent:
            self.note("", line(more), "holds several documents; send one job at a time")
        for name in self._required:
            if name not in self.keys:
                self.note(name, None, "is missing")

    def entry(self, name: str | None, key: Any) -> None:
        value = self.next()
        if name is None:
            self.skip(value)
            return
        self.keys[name] = key
        if name == REFERENCES:
            self.references(value)
        elif (scalar := self.scalar(value, name)) is not None:
            self.text(name, scalar)

    def text(self, name: str, scalar: Any) -> None:
        read: int | str
        if _is_missing(scalar):
            if name in REQUIRED:
                self.note(name, line(scalar), "is empty; give it a value")
        elif name == "num-of-retry":
            read = yaml_scalars.retries_of(scalar.value, not scalar.style)
            if isinstance(read, int):
                self.num_of_retry = read
            else:
                self.note(name, line(scalar), read)
        elif problem := yaml_scalars.text_problem(scalar.value):
            self.note(name, line(scalar), problem)
        else:
            self.texts[name] = scalar.value

    def references(self, value: Any) -> None:
        self.refuse_marks(value, REFERENCES)
        if type(value) is AliasEvent:
            return
        if type(value) is not SequenceStartEvent:
            text = "is empty; list at least one reference" if _is_missing(value) else "must be a list (`- id: ...`)"
            self.note(REFERENCES, line(value), text)
            self.skip(value)
            return
        position, references, advance = 0, self.columns, self.next
        while type(item := advance()) is not SequenceEndEvent:
            if position >= self.max_references:
                self.too_many = True
                raise Stop
            references.add(*self.reference(item, position))
            position += 1
        if not position:
            self.note(REFERENCES, line(value), "is empty; list at least one reference")

    def reference(self, item: Any, position: int) -> tuple[str, int, int]:
        """Id ("" if it cannot be read), version (0 none, `UNREADABLE` where there is a mistake) and line.

        Called a million times: what is as it should be is decided here, everything else in the methods below.
        """
        advance = self.next
        line: int = item.start_mark.line + 1
        if type(item) is not MappingStartEvent or item.anchor is not None or item.tag is not None:
            self.refuse_marks(item, _path(position))
            if type(item) is not MappingStartEvent:
                if type(item) is not AliasEvent:
                    text = "is empty; write `id: ...`" if _is_missing(item) else "must be a mapping (`id: ...`)"
                    self.note(_path(position), line, text)
                self.skip(item)
                return "", yaml_scalars.UNREADABLE, line
        id_, version = "", 0
        seen: dict[str, Any] = {}
        while type(key := advance()) is not MappingEndEvent:
            name = key.value if type(key) is ScalarEvent and key.tag is None and key.anchor is None else None
            if (name != "id" and name != "version") or name in seen:
                name = self.key(key, _path(position), _REFERENCE_KEYS, seen)
            value = advance()
            if name is None:
                self.skip(value)
                continue
            seen[name] = key
            if type(value) is not ScalarEvent or value.tag is not None or value.anchor is not None:
                value = self.scalar(value, f"{_path(position)}.{name}")
            if name == "version":
                version = self.version(value, position)
            elif value is not None and yaml_scalars.id_problem(value.value) is None and value.value not in NULLS:
                id_ = value.value
            else:
                id_ = self.id(value, position)
        if "id" not in seen:
            self.note(f"{_path(position)}.id", line, "is missing")
        return id_, version, line

    def id(self, scalar: Any, position: int) -> str:
        if scalar is None:
            return ""
        value: str = scalar.value
        problem = yaml_scalars.id_problem(value)
        if value in NULLS and not scalar.style:
            problem = "is empty; an id that is this very word needs quotes"
        if problem is None:
            return value
        self.note(f"{_path(position)}.id", line(scalar), problem)
        return ""

    def version(self, scalar: Any, position: int) -> int:
        if scalar is None:
            return yaml_scalars.UNREADABLE
        read = yaml_scalars.version_of(scalar.value, not scalar.style)
        if isinstance(read, int):
            return read
        if _is_missing(scalar):
            return 0
        self.note(f"{_path(position)}.version", line(scalar), read)
        return yaml_scalars.UNREADABLE

    def key(self, event: Any, path: str, known: tuple[str, ...], seen: Mapping[str, Any]) -> str | None:
        """A known key that occurs for the first time; None, with a mistake, for anything else."""
        self.refuse_marks(event, path)
        if type(event) is not ScalarEvent:
            if type(event) is not AliasEvent:
                self.note(path, line(event), "a key must be a single word")
                self.skip(event)
            return None
        name: str = event.value
        own = name if len(name) <= 80 and name.isprintable() else shown(name)
        where = f"{path}.{own}" if path else own
        if name not in known:
            self.note(where, line(event), f"is an unknown key; known are {', '.join(known)}")
            return None
        if name in seen:
            self.note(where, line(event), f"stands twice; the first is in line {line(seen[name])}")
            return None
        return name

    def scalar(self, event: Any, path: str) -> Any:
        """The event if it is a scalar; otherwise None, with a mistake."""
        self.refuse_marks(event, path)
        if type(event) is ScalarEvent:
            return event
        if type(event) is not AliasEvent:
            self.note(path, line(event), "must be a single value, not a list or mapping")
            self.skip(event)
        return None

    def refuse_marks(self, event: Any, path: str) -> None:
        if type(event) is AliasEvent:
            self.note(path, line(event), f"is an alias ({shown(f'*{event.anchor}')}); write the value out")
            return
        if event.anchor is not None:
            self.note(path, line(event), f"has an anchor ({shown('&' + event.anchor)}); leave it out")
        if event.tag is not None:
            self.note(path, line(event), f"has a tag ({shown(str(event.tag))}); leave it out")

    def skip(self, event: Any) -> None:
        """Skips a node about which a mistake was noted; stops when the node is deep or large."""
        depth, count, first = 0, 0, event
        while True:
            if type(event) in (MappingStartEvent, SequenceStartEvent):
                depth += 1
            elif type(event) in (MappingEndEvent, SequenceEndEvent):
                depth -= 1
            if not depth:
                return
            count += 1
            if depth > _SKIPPED_DEPTH or count > _SKIPPED_EVENTS:
                what = "nested too deeply" if depth > _SKIPPED_DEPTH else "not expected here and long"
                self.note("", line(first), f"a value is {what}; the rest of the body was not read")
                raise Stop
            event = self.next()


def line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _path(position: int) -> str:
    return f"{REFERENCES}[{position}]"


def _is_missing(event: Any) -> bool:
    return type(event) is ScalarEvent and not event.style and event.value in NULLS


_SYNTAX = {
    "unexpected end of stream": "a quoted value is opened here and never closed",
    "document indicator": "a quoted value is opened here and not closed before the next document",
    "tab character": "a line is indented with a tab; use blanks",
    "cannot start any token": "a value or key starts with a character that YAML keeps for itself (a tab, @, `, %); "
    "put it in double quotes",
    "mapping values are not allowed": "a colon stands where none is expected; check the indentation, or put the value "
    "in double quotes",
    "could not find expected ':'": "a key has no colon after it",
    "found unexpected ':'": "a value within brackets ends with a colon; put it in double quotes",
    "Unicode character escape": "an escape in double quotes is not a character (half of a pair like \\ud83d\\ude00, or "
    "beyond U+10FFFF); write the character itself",
    "unknown escape": "an escape in double quotes is not known; a backslash is written \\\\",
    "expected hexdecimal": "an escape in double quotes has too few digits",
    "incompatible YAML document": "the %YAML line names a version that is not supported; leave it out",
    "directive": "a line that starts with % is not understood; leave it out",
    "<document start>": "something follows the end of the content; check the indentation and quotes",
    "exceeded maximum nesting depth": "is nested too deeply; the rest of the body was not read",
    "did not find expected node content": "a value or a closing bracket is expected here; a value that begins with a "
    "question mark, a colon or a dash within brackets needs double quotes",
    "did not find expected ',' or": "a comma or a closing bracket is expected here",
    "did not find expected": "the structure breaks off here; check indentation, brackets and quotes",
}
"""Part of libyaml's message → our message."""
_NOTICED_LATE = ("unexpected end of stream", "document indicator", "could not find expected ':'")
"""Where it began is of more use than where it was noticed."""


def syntax_mistake(error: Any, body: bytes) -> Mistake:
    if isinstance(error, ReaderError):
        if "control" in error.reason:
            text = f"contains the character U+{error.character:04X}, which YAML does not allow; leave it out"
        else:
            text = "is not UTF-8; save it in that encoding"
        return Mistake("", line_of(body, error.position), text)
    problem = error.problem or ""
    mark = error.context_mark if any(each in problem for each in _NOTICED_LATE) else error.problem_mark
    text = next((ours for theirs, ours in _SYNTAX.items() if theirs in problem), "this is not valid YAML")
    return Mistake("", None if mark is None else mark.line + 1, text)


def line_of(body: bytes, offset: int) -> int:
    return 1 + body.count(b"\n", 0, offset) + body.count(b"\r", 0, offset) - body.count(b"\r\n", 0, offset)
