"""Reads what the data of a live archive type is made of where the message carries it."""

from collections.abc import Callable, Mapping
from typing import Any

from app.catalog.entry import FileEntry
from app.catalog.plain_yaml import MAX_DEPTH, NotPlainYaml, plain_scalar
from app.catalog.python_functions import python_function
from app.domain.archive_types import SchemaName
from app.domain.live_rules import CONTENT_TYPE, JSON, Items, Members, NewDocument, PayloadRule, PythonFunction, Template
from app.domain.paths import Path, parse_path
from app.domain.reference_rules import MAX_VERSION

PayloadMistake = Callable[[SchemaName, str], str | None]
"""What is wrong with data of a schema and content type, None: nothing."""

DATA_KEYS = ("path", "document", "python")
SCHEMA_KEYS = ("system", "schema", "schemaVersion")
KEYS = (*DATA_KEYS, *SCHEMA_KEYS, "contentType")
PATH_MARK = "$."


def read_payload(entry: FileEntry, value: Any, payload_mistake: PayloadMistake | None) -> PayloadRule | None:
    """None where there are mistakes."""
    if not isinstance(value, Mapping):
        entry.mistake("payload", f"must have {', '.join(KEYS)}")
        return None
    before = len(entry.mistakes)
    entry.check_keys("payload", value, KEYS)
    given = [key for key in DATA_KEYS if key in value]
    if len(given) > 1:
        entry.mistake(f"payload.{given[1]}", f"{given[0]} is given too: the data is one of them")
    data = _data(entry, value, given[0] if given else None)
    needed = given[:1] != ["python"]
    entry.check_values("payload", value, ("document", "contentType", *(() if needed else SCHEMA_KEYS)))
    system, schema = (_text(entry, value, key, needed=needed) for key in ("system", "schema"))
    version = _version(entry, value, needed=needed)
    content_type = _content_type(entry, value)
    if len(entry.mistakes) > before:
        return None
    if system is not None and schema is not None and version is not None and payload_mistake is not None:
        problem = payload_mistake(SchemaName(system, schema, version), content_type)
        if problem is not None:
            entry.mistake("payload", problem)
            return None
    return PayloadRule(data, system, schema, version, content_type)


def _data(entry: FileEntry, value: Mapping[Any, Any], key: str | None) -> Path | NewDocument | PythonFunction | None:
    if key == "path":
        return entry.path("payload.path", value["path"])
    if key == "python":
        return python_function(entry, "payload.python", value["python"])
    if key == "document":
        try:
            return NewDocument(_template(value["document"], "", MAX_DEPTH))
        except NotPlainYaml as error:
            entry.mistake(f"payload.document{error.place}", error.problem)
    return None


def _template(value: Any, place: str, depth: int) -> Template:
    if depth == 0:
        raise NotPlainYaml(place, f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return Items(tuple(_template(each, f"{place}[{index}]", depth - 1) for index, each in enumerate(value)))
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise NotPlainYaml(place, "has a key that is not text; put it in quotes")
        return Members(
            tuple((str(name), _template(each, f"{place}.{name}", depth - 1)) for name, each in value.items())
        )
    if isinstance(value, str) and value.startswith(PATH_MARK):
        try:
            return parse_path(value.removeprefix(PATH_MARK))
        except ValueError as error:
            raise NotPlainYaml(place, f"begins with {PATH_MARK}, but what follows is no path: it {error}") from None
    return plain_scalar(value, place)


def _text(entry: FileEntry, value: Mapping[Any, Any], key: str, *, needed: bool) -> str | None:
    if value.get(key) is not None:
        return entry.checked_text(f"payload.{key}", value[key])
    if needed:
        entry.mistake(f"payload.{key}", "missing")
    return None


def _version(entry: FileEntry, value: Mapping[Any, Any], *, needed: bool) -> int | None:
    version = value.get("schemaVersion")
    if version is None and not needed:
        return None
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        entry.mistake("payload.schemaVersion", "missing" if version is None else "must be a whole number from 1")
        return None
    return int(version)


def _content_type(entry: FileEntry, value: Mapping[Any, Any]) -> str:
    given = value.get("contentType")
    if given is None:
        return JSON
    if not isinstance(given, str) or not CONTENT_TYPE.fullmatch(given):
        entry.mistake("payload.contentType", "must be a content type like application/json or avro/binary")
        return JSON
    return str(given)
