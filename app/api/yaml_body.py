"""YAML in: the body of a submission, read from libyaml's events into its two-level shape with all its mistakes."""

import asyncio
import os
import pickle
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from _ruamel_yaml import (
    AliasEvent,
    CParser,
    MappingEndEvent,
    MappingStartEvent,
    ReaderError,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    YAMLError,
)

from app.api import yaml_scalars
from app.api.yaml_scalars import (
    BLOCK,
    MAX_MISTAKES,
    NULLS,
    UNREADABLE,
    ColumnsBuilder,
    Mistake,
    ReferenceColumns,
    listed,
    shown,
)
from app.domain.identity import content_hash
from app.domain.jobs import Reference, Submission

REFERENCES: Final = "archiveDataReferences"
REQUIRED: Final = ("message", "topic", REFERENCES)
KEYS: Final = (*REQUIRED, "config-id", "num-of-retry")
_REFERENCE_KEYS: Final = ("id", "version")
_SKIPPED_EVENTS = 1_000
"""Parts of a misplaced value that are read over before reading stops: it may be the whole body."""
_SKIPPED_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body as far as it could be read; fields with a mistake are None.

    `lines` says where each top-level key stands. `too_many`: more references than allowed, reading stopped there.
    `content_hash` is `domain.identity.content_hash`, there when there are no mistakes.
    """

    message: str | None = None
    topic: str | None = None
    config_id: str | None = None
    num_of_retry: int | None = None
    references: ReferenceColumns = field(default_factory=ReferenceColumns)
    lines: Mapping[str, int] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    too_many: bool = False
    content_hash: bytes | None = None

    @property
    def submission(self) -> Submission:
        """The content; unpacks all references (1 s for a million: `references.block` does it in pieces)."""
        return self._submission(tuple(self.references))

    def _submission(self, references: tuple[Reference, ...]) -> Submission:
        if self.mistakes or self.too_many or self.message is None or self.topic is None:
            raise ValueError("a body with mistakes is no submission")
        return Submission(self.message, self.topic, self.config_id, self.num_of_retry, references)

    def version_mistakes(self, versioned: bool) -> tuple[Mistake, ...]:
        """References whose version is missing (`versioned`) or too much; some more than are ever listed."""
        versions = self.references.versions
        if versions and (0 not in versions if versioned else max(versions) <= 0):
            return ()
        text = (
            "is missing; the source address contains {version}, so every reference needs one"
            if versioned
            else "is not used by the source address; leave it out of every reference"
        )
        wrong = (place for place, version in enumerate(versions) if (version == 0 if versioned else version > 0))
        lines = self.references.lines
        return tuple(
            Mistake(f"{REFERENCES}[{place}].version", lines[place], text) for place in islice(wrong, MAX_MISTAKES + 1)
        )


class _Stop(Exception):
    """Reading ends here; what is to be said about it has been noted."""


class _Walk:
    """One pass over the events of a body. Never recursive: what is nested deeper than the shape is read over."""

    def __init__(self, body: bytes, max_references: int) -> None:
        self.next: Callable[[], Any] = CParser(body).get_event
        self.max_references = max_references
        self.mistakes: list[Mistake] = []
        self.texts: dict[str, str] = {}
        self.num_of_retry: int | None = None
        self.keys: dict[str, Any] = {}
        self.columns = ColumnsBuilder()
        self.too_many = False

    def note(self, path: str, line: int | None, message: str) -> None:
        self.mistakes.append(Mistake(path, line, message))
        if len(self.mistakes) > MAX_MISTAKES:
            raise _Stop

    def document(self) -> None:
        self.next()
        if type(self.next()) is StreamEndEvent:
            self.note("", 1, f"is empty; it needs {', '.join(REQUIRED)}")
            raise _Stop
        root = self.next()
        self.refuse_marks(root, "")
        if type(root) is not MappingStartEvent:
            self.note("", _line(root), f"must be a mapping with the keys {', '.join(REQUIRED)}")
            raise _Stop
        while type(key := self.next()) is not MappingEndEvent:
            self.entry(self.key(key, "", KEYS, self.keys), key)
        self.next()
        if type(more := self.next()) is not StreamEndEvent:
            self.note("", _line(more), "holds several documents; send one job at a time")
        for name in REQUIRED:
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
                self.note(name, _line(scalar), "is empty; give it a value")
        elif name == "num-of-retry":
            read = yaml_scalars.retries_of(scalar.value, not scalar.style)
            if isinstance(read, int):
                self.num_of_retry = read
            else:
                self.note(name, _line(scalar), read)
        elif problem := yaml_scalars.text_problem(scalar.value):
            self.note(name, _line(scalar), problem)
        else:
            self.texts[name] = scalar.value

    def references(self, value: Any) -> None:
        self.refuse_marks(value, REFERENCES)
        if type(value) is AliasEvent:
            return
        if type(value) is not SequenceStartEvent:
            text = "is empty; list at least one reference" if _is_missing(value) else "must be a list (`- id: ...`)"
            self.note(REFERENCES, _line(value), text)
            self.skip(value)
            return
        position, references, advance = 0, self.columns, self.next
        while type(item := advance()) is not SequenceEndEvent:
            if position >= self.max_references:
                self.too_many = True
                raise _Stop
            references.add(*self.reference(item, position))
            position += 1
        if not position:
            self.note(REFERENCES, _line(value), "is empty; list at least one reference")

    def reference(self, item: Any, position: int) -> tuple[str, int, int]:
        """Id ("" if it cannot be read), version (0 none, `UNREADABLE` where there is a mistake) and line.

        Called a million times: what is as it should be is decided here, everything else in the methods below.
        """
        advance = self.next
        line: int = item.start_mark.line + 1
        if type(item) is not MappingStartEvent or item.anchor is not None or item.ctag is not None:
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
            name = key.value if type(key) is ScalarEvent and key.ctag is None and key.anchor is None else None
            if (name != "id" and name != "version") or name in seen:
                name = self.key(key, _path(position), _REFERENCE_KEYS, seen)
            value = advance()
            if name is None:
                self.skip(value)
                continue
            seen[name] = key
            if type(value) is not ScalarEvent or value.ctag is not None or value.anchor is not None:
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
        self.note(f"{_path(position)}.id", _line(scalar), problem)
        return ""

    def version(self, scalar: Any, position: int) -> int:
        if scalar is None:
            return yaml_scalars.UNREADABLE
        read = yaml_scalars.version_of(scalar.value, not scalar.style)
        if isinstance(read, int):
            return read
        if _is_missing(scalar):
            return 0
        self.note(f"{_path(position)}.version", _line(scalar), read)
        return yaml_scalars.UNREADABLE

    def key(self, event: Any, path: str, known: tuple[str, ...], seen: Mapping[str, Any]) -> str | None:
        """A known key that is there for the first time; None, with a mistake, for anything else."""
        self.refuse_marks(event, path)
        if type(event) is not ScalarEvent:
            if type(event) is not AliasEvent:
                self.note(path, _line(event), "a key must be a single word")
                self.skip(event)
            return None
        name: str = event.value
        own = name if len(name) <= 80 and name.isprintable() else shown(name)
        where = f"{path}.{own}" if path else own
        if name not in known:
            self.note(where, _line(event), f"is an unknown key; known are {', '.join(known)}")
            return None
        if name in seen:
            self.note(where, _line(event), f"stands twice; the first is in line {_line(seen[name])}")
            return None
        return name

    def scalar(self, event: Any, path: str) -> Any:
        """The event if it is a scalar; otherwise None, with a mistake."""
        self.refuse_marks(event, path)
        if type(event) is ScalarEvent:
            return event
        if type(event) is not AliasEvent:
            self.note(path, _line(event), "must be a single value, not a list or mapping")
            self.skip(event)
        return None

    def refuse_marks(self, event: Any, path: str) -> None:
        if type(event) is AliasEvent:
            self.note(path, _line(event), f"is an alias ({shown('*' + event.anchor)}); write the value out")
            return
        if event.anchor is not None:
            self.note(path, _line(event), f"has an anchor ({shown('&' + event.anchor)}); leave it out")
        if event.ctag is not None:
            self.note(path, _line(event), f"has a tag ({shown(str(event.ctag))}); leave it out")

    def skip(self, event: Any) -> None:
        """Reads over a node about which something has been noted; stops where it is deep or large."""
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
                self.note("", _line(first), f"a value is {what}; the rest of the body was not read")
                raise _Stop
            event = self.next()


def _line(event: Any) -> int:
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
    "found unexpected ':'": "a value within brackets contains a colon; put it in double quotes",
    "Unicode character escape": "an escape in double quotes is not a character; write the character itself",
    "unknown escape": "an escape in double quotes is not known; a backslash is written \\\\",
    "expected hexdecimal": "an escape in double quotes has too few digits",
    "incompatible YAML document": "the %YAML line names a version that is not supported; leave it out",
    "directive": "a line that starts with % is not understood; leave it out",
    "<document start>": "something follows the end of the content; check the indentation and quotes",
    "did not find expected": "the structure breaks off here; check indentation, brackets and quotes",
}
"""Part of what libyaml says: what we say."""
_NOTICED_LATE = ("unexpected end of stream", "document indicator", "could not find expected ':'")
"""Where it began is of more use than where it was noticed."""


def _syntax_mistake(error: Any, body: bytes) -> Mistake:
    if isinstance(error, ReaderError):
        if "control" in error.reason:
            text = f"contains the character U+{error.character:04X}, which YAML does not allow; leave it out"
        else:
            text = "is not UTF-8; save it in that encoding"
        return Mistake("", _line_of(body, error.position), text)
    problem = error.problem or ""
    mark = error.context_mark if any(each in problem for each in _NOTICED_LATE) else error.problem_mark
    text = next((ours for theirs, ours in _SYNTAX.items() if theirs in problem), "this is not valid YAML")
    return Mistake("", None if mark is None else mark.line + 1, text)


def _line_of(body: bytes, offset: int) -> int:
    return 1 + body.count(b"\n", 0, offset) + body.count(b"\r", 0, offset) - body.count(b"\r\n", 0, offset)


_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_LINE_BREAKS = ((b"\xc2\x85", "U+0085"), (b"\xe2\x80\xa8", "U+2028"), (b"\xe2\x80\xa9", "U+2029"))
"""End a line for YAML 1.1 and not for 1.2: libyaml would fold them into blanks, and change an id without a word."""


def _refused_at_once(body: bytes) -> Mistake | None:
    """What libyaml must not be given: other encodings, half of a line break, %TAG lines (quadratic)."""
    if body.startswith(_ENCODINGS):
        return Mistake("", 1, "is UTF-16 or UTF-32; save it as UTF-8")
    for encoded, name in _LINE_BREAKS:
        if (offset := body.find(encoded)) >= 0:
            return Mistake("", _line_of(body, offset), f"contains the line break {name}; leave it out or escape it")
    start = len(_UTF8_MARK) if body.startswith(_UTF8_MARK) else 0
    for line_start in (b"\n%TAG", b"\r%TAG"):
        if (offset := body.find(line_start)) >= 0:
            return Mistake("", _line_of(body, offset + 1), "has a %TAG line; tags are not used here, leave it out")
    if body.startswith(b"%TAG", start):
        return Mistake("", 1, "has a %TAG line; tags are not used here, leave it out")
    return None


def _duplicates(columns: ReferenceColumns) -> Iterator[Mistake]:
    """References that stand twice. `keys` stand for them."""
    keys = [columns.key(place) for place in range(len(columns))]
    if len(set(keys)) == len(keys):
        return
    first: dict[bytes, int] = {}
    for block in range(len(columns.blocks)):
        for place, reference in enumerate(columns.block(block), block * BLOCK):
            if not reference.id or reference.version == UNREADABLE:
                continue
            same = first.setdefault(keys[place], place)
            if same != place:
                text = f"{shown(reference.id)} is the same as {REFERENCES}[{same}]; leave one out"
                yield Mistake(f"{REFERENCES}[{place}]", columns.lines[place], text)


def parse_submission(body: bytes, max_references: int) -> Parsed:
    """Reads a body; never raises for what is in it. About 8 s for a million references: see `YamlReader`."""
    if refused := _refused_at_once(body):
        return Parsed(mistakes=(refused,))
    walk = _Walk(body, max_references)
    try:
        try:
            walk.document()
        except YAMLError as error:
            walk.mistakes.append(_syntax_mistake(error, body))
        except UnicodeDecodeError:  # libyaml looks at everything but %ED%A0%80 in a tag, which is half a character
            walk.mistakes.append(Mistake("", None, "has a tag with an escape that is no character; leave tags out"))
    except _Stop:
        pass
    columns = walk.columns.build()
    room = MAX_MISTAKES + 1 - len(walk.mistakes)
    if not walk.too_many and room > 0:
        walk.mistakes.extend(islice(_duplicates(columns), room))
    parsed = Parsed(
        message=walk.texts.get("message"),
        topic=walk.texts.get("topic"),
        config_id=walk.texts.get("config-id"),
        num_of_retry=walk.num_of_retry,
        references=columns,
        lines={name: _line(key) for name, key in walk.keys.items()},
        mistakes=listed(walk.mistakes),
        too_many=walk.too_many,
    )
    if parsed.mistakes or parsed.too_many:
        return parsed
    # content_hash only goes through the references once: a million of them need not be there at the same time.
    return replace(parsed, content_hash=content_hash(parsed._submission(cast("tuple[Reference, ...]", columns))))


class ReadingFailed(Exception):
    """The process that read a body died (out of memory, a crash): nothing is known about the body."""


class YamlReader:
    """Reads bodies without holding up the event loop: small ones at once, each large one in a process of its own.

    Not a pool: a process started for one body (0.1 s) can be killed when it takes too long or the request goes away,
    cannot break the next one, gives its memory back, and imports nothing of the service but this module.
    """

    def __init__(self, *, inline: int = 64 * 1024, processes: int = 2, timeout: float = 60.0) -> None:
        """Bodies up to `inline` bytes are read at once; `timeout` are the seconds one may take."""
        self._inline = inline
        self._timeout = timeout
        self._slots = asyncio.Semaphore(processes)
        self._running: set[asyncio.subprocess.Process] = set()
        self._closed = False

    async def read(self, body: bytes, max_references: int) -> Parsed:
        """As `parse_submission`; a body that takes too long is a mistake. Raises ReadingFailed."""
        if len(body) <= self._inline:
            return parse_submission(body, max_references)
        async with self._slots:
            if self._closed:
                raise ReadingFailed("the service is stopping")
            return await self._read_apart(body, max_references)

    async def _read_apart(self, body: bytes, max_references: int) -> Parsed:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _WORKER, str(max_references), str(len(body))),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"PYTHONPATH": _ROOT},
            )
        except OSError as error:
            raise ReadingFailed(f"no process can be started: {error.strerror}") from error
        self._running.add(process)
        try:
            answer, _ = await asyncio.wait_for(process.communicate(body), self._timeout)
        except TimeoutError:
            text = f"reading took longer than {self._timeout:g} s; split the job, and leave out what is not needed"
            return Parsed(mistakes=(Mistake("", None, text),))
        finally:
            self._running.discard(process)
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode or not answer:
            raise ReadingFailed(f"the process that read a body of {len(body)} bytes ended with {process.returncode}")
        return cast("Parsed", pickle.loads(answer))  # noqa: S301 - made by our own code from our own dataclasses

    async def close(self) -> None:
        """Ends what is being read; those who wait for it get ReadingFailed."""
        self._closed = True
        for process in tuple(self._running):
            with suppress(ProcessLookupError):  # it may just have ended
                process.kill()


_ROOT = str(Path(__file__).resolve().parents[2])
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")
"""All of the environment that the reading process gets: no secrets beside a parser of strangers' bytes."""
_WORKER = "from app.api.yaml_body import read_from_stdin; read_from_stdin()"


def read_from_stdin() -> None:
    """The process of one body: bytes on stdin, a pickled Parsed on stdout. Arguments: max_references and size."""
    max_references, size = map(int, sys.argv[1:3])
    memory = 256 * 1024 * 1024 + 16 * size
    with suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    body = sys.stdin.buffer.read(size)
    if len(body) == size:
        pickle.dump(parse_submission(body, max_references), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
