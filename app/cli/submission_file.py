"""A submission in a YAML file: checked as jeap-cli does, and made one body with references of a CSV file.

The service reads the body again and reports all mistakes; here only those are found that decide which body is sent.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from app.cli import jeap_texts
from app.cli.exits import Ended
from app.cli.files import read_bytes
from app.cli.references_csv import FromCsv

REFERENCES: Final = "archiveDataReferences"
TEXTS: Final = ("message", "topic", "config-id", "name")
RETRIES: Final = "num-of-retry"
KEYS: Final = (*TEXTS, RETRIES, REFERENCES)

_WHOLE = re.compile(r"[-+]?[0-9]+")
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass
class SubmissionFile:
    body: bytes
    """As it is in the file."""
    values: dict[str, str] = field(default_factory=dict)
    """Of the keys but the references, as they are written; a key without a value is not there."""
    references: int | None = None
    """How many there are; None where the file has none."""


def read_submission(path: Path) -> SubmissionFile:
    """Raises Ended for a file that is missing or not of this shape."""
    content = read_bytes(path)
    from yaml import CSafeLoader  # libyaml: a million references in seconds

    from app.domain.surrogates import marked, restoring

    try:
        body, mark = marked(content)
        found = SubmissionFile(content)
        advance = CSafeLoader(body).get_event
        _Walk(advance if mark is None else restoring(advance, mark), found, path).document()
        return found
    except Ended:
        raise
    except Exception as error:  # errors of the parser have many classes; all say where and what
        raise Ended(jeap_texts.not_parsed(path, " ".join(str(error).split()))) from error


class _Walk:
    """One pass over the events of a parser."""

    def __init__(self, advance: Any, found: SubmissionFile, path: Path) -> None:
        self._advance = advance
        self._found = found
        self._path = path

    def _next(self) -> Any:
        event = self._advance()
        if event is None:
            raise self._wrong("it ends too early", None)
        return event

    def document(self) -> None:
        self._next()  # start of the stream
        if _kind(self._next()) == "StreamEnd":
            raise self._wrong("it is empty", None)
        root = self._next()
        if _kind(root) != "MappingStart":
            raise self._wrong("it must be a mapping", root)
        seen: set[str] = set()
        while _kind(key := self._next()) != "MappingEnd":
            if _kind(key) != "Scalar":
                raise self._wrong("a key must be a word", key)
            if key.value in seen:
                raise self._wrong(f"the key {key.value} is there twice", key)
            seen.add(key.value)
            self._entry(key)

    def _entry(self, key: Any) -> None:
        value = self._next()
        name = key.value
        if name not in KEYS:
            raise self._wrong(f"it has the unknown key {name!r}; there are {', '.join(KEYS)}", key)
        if _kind(value) == "Alias" or getattr(value, "anchor", None):
            raise self._wrong("anchors and aliases are not taken", value)
        missing = _kind(value) == "Scalar" and not value.style and value.value in _NULLS
        if missing:
            return
        if name == REFERENCES:
            if _kind(value) != "SequenceStart":
                raise self._wrong(f"{REFERENCES} must be a list", value)
            self._references()
            return
        if _kind(value) != "Scalar":
            raise self._wrong(f"{name} must be one value", value)
        if name == RETRIES and not _WHOLE.fullmatch(value.value):
            raise Ended(jeap_texts.invalid_value(value.value, name))
        self._found.values[name] = value.value

    def _references(self) -> None:
        count = 0
        while _kind(item := self._next()) != "SequenceEnd":
            count += 1
            if _kind(item) == "MappingStart":
                self._reference()
            else:
                self._skip(item)
        self._found.references = count

    def _reference(self) -> None:
        while _kind(key := self._next()) != "MappingEnd":
            self._skip(key)
            value = self._next()
            self._skip(value)
            if _kind(key) != "Scalar" or _kind(value) != "Scalar":
                continue
            if key.value == "version" and value.value not in _NULLS and not _WHOLE.fullmatch(value.value):
                raise Ended(jeap_texts.invalid_value(value.value, f"{REFERENCES}[].version"))

    def _skip(self, begun: Any) -> None:
        """Reads over what was begun, if it is more than a word: the service says what is wrong with it."""
        depth = int(_kind(begun) in ("MappingStart", "SequenceStart"))
        while depth:
            kind = _kind(self._next())
            depth += (kind in ("MappingStart", "SequenceStart")) - (kind in ("MappingEnd", "SequenceEnd"))

    def _wrong(self, why: str, event: Any) -> Ended:
        where = "" if event is None else f" (line {event.start_mark.line + 1})"
        return Ended(jeap_texts.not_parsed(self._path, why + where))


_KINDS: dict[type, str] = {}


def _kind(event: Any) -> str:
    """`Scalar`, `MappingStart` and the like; the classes themselves cost an import that help can do without."""
    kind = _KINDS.get(type(event))
    if kind is None:
        kind = _KINDS[type(event)] = type(event).__name__.removesuffix("Event")
    return kind


def with_references(file: SubmissionFile, csv: FromCsv) -> bytes:
    """The body of a submission whose references come from a CSV file."""
    lines = [f"{name}: {quoted(file.values[name])}" for name in TEXTS if name in file.values]
    if RETRIES in file.values:
        lines.append(f"{RETRIES}: {file.values[RETRIES]}")
    lines.append(f"{REFERENCES}:")
    for id_, version in csv.references:
        lines.append(f"- id: {quoted(id_)}" + ("" if version is None else f"\n  version: {version}"))
    return ("\n".join(lines) + "\n").encode()


def quoted(text: str) -> str:
    """In double quotes; what is not ASCII stays itself, as pairs of escapes mean nothing to YAML."""
    text = json.dumps(text, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)
