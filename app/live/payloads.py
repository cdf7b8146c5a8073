"""Makes the data that is archived where a message carries it: a part of the message, or a document made of it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.domain.archive_types import SchemaName
from app.domain.errors import InvalidMessage
from app.domain.exact_json import write_json
from app.domain.extraction import extract
from app.domain.live import Payload
from app.domain.live_rules import CONTENT_TYPE, JSON, Items, Members, NewDocument, PayloadRule, PythonFunction, Template
from app.domain.paths import Path
from app.domain.reference_rules import MAX_VERSION
from app.live.python_calls import NotPlainAnswer, called, copied, kind_of

AVRO = "avro/binary"
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
RETURNED = ("document", "content", "system", "schema", "schemaVersion", "contentType")

EncodeAvro = Callable[[SchemaName, Any], bytes]
"""Encodes a value in the form that paths read. Raises ValueError with place and rule, without a value."""


def payload_of(rule: PayloadRule, message: Mapping[str, Any], encode_avro: EncodeAvro) -> Payload:
    """The data and what describes it. Raises InvalidMessage where it cannot be made."""
    if isinstance(rule.data, PythonFunction):
        where = f"payload.python: {rule.data.name}"
        said = called("payload", rule.data, message, lambda found: _returned(where, rule, found))
        content = said.content or _encoded(where, said.document, said.content_type, said.schema, encode_avro)
        return Payload(content, said.content_type, said.schema)
    schema = _schema("payload", rule, {})
    return Payload(
        _encoded("payload", _value(rule.data, message), rule.content_type, schema, encode_avro),
        rule.content_type,
        schema,
    )


def _value(data: Path | NewDocument | None, message: Mapping[str, Any]) -> Any:
    if data is None:
        return message
    if isinstance(data, NewDocument):
        return made(data.template, message)
    found = extract(data, message)
    if found is None:
        raise InvalidMessage(f"payload.path: {data} is not there")
    return found


def made(template: Template, message: Mapping[str, Any]) -> Any:
    """The value of a template; null where a path finds nothing."""
    if isinstance(template, Path):
        return extract(template, message)
    if isinstance(template, Members):
        return {name: made(each, message) for name, each in template.members}
    if isinstance(template, Items):
        return [made(each, message) for each in template.items]
    return template


class _Said(NamedTuple):
    """What a function says of the data: the finished content, or else a document of plain values."""

    content: bytes | None
    document: Any
    content_type: str
    schema: SchemaName


def _returned(where: str, rule: PayloadRule, found: Any) -> _Said:
    if not isinstance(found, Mapping):
        raise InvalidMessage(f"{where} returned {kind_of(found)}, it must return an object with document or content")
    if not set(found) <= set(RETURNED):
        raise InvalidMessage(f"{where} returned an object with other keys than {', '.join(RETURNED)}")
    if ("document" in found) == ("content" in found):
        raise InvalidMessage(f"{where} must return one of document and content")
    schema = _schema(where, rule, found)
    content_type = found.get("contentType") or rule.content_type
    if not isinstance(content_type, str) or not CONTENT_TYPE.fullmatch(content_type):
        raise InvalidMessage(f"{where} returned a contentType that is none")
    content_type = str.__str__(content_type)
    if "content" in found:
        return _Said(_content(where, found["content"]), None, content_type, schema)
    try:
        return _Said(None, copied(found["document"], finite=True), content_type, schema)
    except NotPlainAnswer as error:
        raise InvalidMessage(f"{where} returned a document that {error}") from None


def _schema(where: str, rule: PayloadRule, said: Mapping[str, Any]) -> SchemaName:
    """What the function says of the schema goes before what the configuration says."""
    names = []
    for key, configured in (("system", rule.system), ("schema", rule.schema)):
        name = configured if said.get(key) is None else said[key]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidMessage(f"{where}: {key} is {'missing' if name is None else 'not a name'}")
        names.append(str.__str__(name))
    version = rule.schema_version if said.get("schemaVersion") is None else said["schemaVersion"]
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= MAX_VERSION:
        raise InvalidMessage(
            f"{where}: schemaVersion is {'missing' if version is None else 'not a whole number from 1'}"
        )
    return SchemaName(names[0], names[1], int.__int__(version))


def _content(where: str, content: Any) -> bytes:
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InvalidMessage(f"{where}: content is {kind_of(content)}, not bytes")
    if not content:
        raise InvalidMessage(f"{where}: content is empty")
    return bytes(content)


def _encoded(where: str, value: Any, content_type: str, schema: SchemaName, encode_avro: EncodeAvro) -> bytes:
    if value is None:
        raise InvalidMessage(f"{where}: there is no document")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == AVRO:
        try:
            return encode_avro(schema, value)
        except ValueError as error:
            raise InvalidMessage(f"{where}: cannot be written with {schema}: {error}") from None
    if media_type == JSON or media_type.endswith("+json"):
        return write_json(value).encode()
    raise InvalidMessage(f"{where}: a document is written as {JSON} or {AVRO}, not as another content type")
