"""A writer's schema reads what was written with it, and nothing that could harm; all else is NotOfSchema."""

import io
import json
import random
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from app.avro.writers_schema import NotOfSchema, WritersSchema

FRAME = b"\0\0\0\0\7"


def record(*fields: tuple[str, Any], name: str = "R") -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "org.example",
        "fields": [{"name": field, "type": kind} for field, kind in fields],
    }


def written(schema: Any, value: Any) -> bytes:
    """Framed, as fastavro writes it without looking at logical types."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, json.loads(json.dumps(schema).replace('"logicalType"', '"doc"')), value)
    return FRAME + out.getvalue()


def compiled(*schemas: Any) -> WritersSchema:
    return WritersSchema([json.dumps(schema) for schema in schemas])


VALUES: list[tuple[Any, Any, Any]] = [
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
    (
        {"type": "string", "logicalType": "uuid"},
        "8a42cc99-ea56-4044-8dd2-ebd0bbc96033",
        "8a42cc99-ea56-4044-8dd2-ebd0bbc96033",
    ),
    (
        {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"},
        bytes(range(16)),
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    ),
    ({"type": "long", "logicalType": "timestamp-millis"}, 1795332517294, "2026-11-22T07:28:37.294Z"),
    ({"type": "long", "logicalType": "timestamp-micros"}, 1, "1970-01-01T00:00:00.000001Z"),
    ({"type": "int", "logicalType": "date"}, 20779, "2026-11-22"),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2},
        b"\x01" + b"\0" * 11,
        Decimal("3094850098213450687247810.56"),
    ),
    ("bytes", b"\0\xff", "AP8="),
    (["null", "string"], None, None),
    ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
    ({"type": "map", "values": "string"}, {"a": "b"}, {"a": "b"}),
]


@pytest.mark.parametrize(("kind", "value", "shown"), VALUES, ids=lambda each: str(each)[:30])
def test_values_are_what_paths_see(kind: Any, value: Any, shown: Any) -> None:
    schema = record(("f", kind), ("g", "string"))
    assert compiled(schema).values(written(schema, {"f": value, "g": "x"}), 5) == {"f": shown, "g": "x"}


def test_fields_have_moments_and_dates_as_numbers() -> None:
    schema = record(("at", {"type": "long", "logicalType": "timestamp-millis"}), ("content", "bytes"))
    message = written(schema, {"at": 1795332517294, "content": b"\0"})
    assert compiled(schema).fields(message, 5) == {"at": 1795332517294, "content": "AA=="}


def test_what_is_referred_to_comes_first() -> None:
    inner, outer = record(("x", "int"), name="Inner"), record(("a", "org.example.Inner"), ("b", "Inner"))
    whole = record(("a", inner), ("b", "Inner"))
    message = written(whole, {"a": {"x": 1}, "b": {"x": 2}})
    schema = compiled(inner, outer)
    assert schema.name == "org.example.R"
    assert schema.values(message, 5) == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"name": "f", "type": "string", "default": None}, "a"),
        ({"name": "f", "type": "int", "default": "0"}, 1),
        ({"name": "f", "type": {"type": "map", "values": "int"}, "default": None}, {"a": 1}),
        ({"name": "f", "type": {"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}}, "A"),
        ({"name": "f", "type": "int", "aliases": "g"}, 1),
        ({"name": "default", "type": {"type": "enum", "name": "E", "symbols": ["default"]}}, "default"),
    ],
)
def test_what_is_for_readers_of_another_schema_is_not_looked_at(field: dict[str, Any], value: Any) -> None:
    kind = {**field["type"], "default": "A"} if "default" in field["type"] else field["type"]
    message = written(record((field["name"], kind)), {field["name"]: value})
    assert compiled({**record(), "fields": [field]}).values(message, len(FRAME)) == {field["name"]: value}


def test_two_records_of_one_name_in_two_namespaces_are_two() -> None:
    other = {**record(("y", "int"), name="R"), "namespace": "org.other"}
    assert compiled(other, record(("a", "org.other.R"))).values(b"\0\0\0\0\7\x02", 5) == {"a": {"y": 1}}


NO_SCHEMAS: list[tuple[Any, str]] = [
    ("string", "not that of a record"),
    (["null", record(("x", "int"))], "not that of a record"),
    ({"type": "enum", "name": "E", "symbols": ["A"]}, "not that of a record"),
    (record(("a", "org.example.Missing")), "not a valid Avro schema"),
    ({"type": "record", "fields": []}, "not a valid Avro schema"),
    ({"fields": []}, "not a valid Avro schema"),
    (None, "not"),
    (7, "not"),
]


@pytest.mark.parametrize(("schema", "reason"), NO_SCHEMAS, ids=lambda each: str(each)[:40])
def test_what_cannot_be_used_is_a_value_error(schema: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compiled(schema)


def test_a_schema_that_is_nested_without_end_is_a_value_error() -> None:
    text = '{"type":"array","items":' * 20_000 + '"int"' + "}" * 20_000
    with pytest.raises(ValueError):  # noqa: PT011 - one of several, by its depth
        WritersSchema(['{"type":"record","name":"R","fields":[{"name":"a","type":' + text + "}]}"])


def test_bytes_that_break_off_or_go_on_are_refused() -> None:
    schema = record(("a", "string"), ("b", ["null", "long"]))
    message, reader = written(schema, {"a": "text", "b": 7}), compiled(schema)
    with pytest.raises(NotOfSchema, match=r"not a org\.example\.R: \$: 2 bytes behind the record"):
        reader.values(message + b"xx", 5)
    for length in range(5, len(message)):
        with pytest.raises(NotOfSchema, match=r"not a org\.example\.R"):
            reader.values(message[:length], 5)


WRONG: list[tuple[Any, bytes, str]] = [
    ({"type": "enum", "name": "E", "symbols": ["DRAFT", "REVOKED", "FINAL"]}, b"\1", r"\$\.f: .*symbols of the enum"),
    ({"type": "enum", "name": "E", "symbols": ["DRAFT", "REVOKED", "FINAL"]}, b"\5", r"\$\.f: .*symbols of the enum"),
    (["null", "string"], b"\1\2a", r"\$\.f: .*types of the union"),
    (["null", "string"], b"\3", r"\$\.f: .*types of the union"),
    ("boolean", b"\x7f", r"\$\.f: must be boolean"),
    ("int", b"\x80\x80\x80\x80\x80\x40", r"\$\.f: .*32 bits"),
    ("long", b"\xff" * 11 + b"\1", r"\$\.f: a number has too many bytes"),
    ("string", b"\1a", r"\$\.f: a length is negative"),
]


@pytest.mark.parametrize(("kind", "content", "reason"), WRONG, ids=lambda each: str(each)[:40])
def test_bytes_that_are_no_value_of_their_type_are_refused_and_not_guessed(
    kind: Any, content: bytes, reason: str
) -> None:
    reader = compiled(record(("f", kind)))
    for read in (reader.values, reader.fields):
        with pytest.raises(NotOfSchema, match=reason):
            read(FRAME + content, 5)


NOTHINGS: list[tuple[Any, Any]] = [
    ("null", None),
    (record(name="Nothing"), {}),
    ({"type": "fixed", "name": "Zero", "size": 0}, ""),
]


@pytest.mark.parametrize(("items", "value"), NOTHINGS, ids=lambda each: str(each)[:40])
def test_lists_of_items_that_take_no_bytes_are_read(items: Any, value: Any) -> None:
    reader = compiled(record(("f", {"type": "array", "items": items}), ("g", "string")))
    assert reader.values(FRAME + b"\0\2x", 5) == {"f": [], "g": "x"}
    assert reader.fields(FRAME + b"\6\0\2x", 5) == {"f": [value] * 3, "g": "x"}


@pytest.mark.parametrize("items", [items for items, _ in NOTHINGS], ids=lambda each: str(each)[:40])
def test_more_items_without_bytes_than_a_message_may_have_are_refused(items: Any) -> None:
    reader = compiled(record(("f", {"type": "array", "items": {"type": "array", "items": items}})))
    billions = b"\2\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\0\0"
    many_short_ones = b"\x90\x4e" + b"\x40\0" * 5_000 + b"\0"
    for message in (billions, many_short_ones):
        with pytest.raises(NotOfSchema, match="items"):
            reader.values(FRAME + message, 5)


def test_a_schema_with_a_type_of_countless_values_without_bytes_is_a_value_error() -> None:
    schemas = [record(name="T0")]
    for number in range(1, 40):
        before = f"org.example.T{number - 1}"
        schemas.append(record(("a", before), ("b", before), name=f"T{number}"))
    with pytest.raises(ValueError, match="T39 has more than 65,536 values without content"):
        compiled(*schemas)


def test_a_schema_that_holds_itself_is_read_to_a_limited_depth() -> None:
    schema = record(("next", ["null", "R"]))
    reader = compiled(schema)
    assert reader.values(FRAME + b"\2" * 50 + b"\0", 5)["next"]["next"] is not None
    with pytest.raises(NotOfSchema, match="nested too deeply"):
        reader.values(FRAME + b"\2" * 60_000 + b"\0", 5)


def test_many_types_that_share_others_are_looked_at_once_each() -> None:
    schemas = [record(("x", "int"), name="T0")]
    for number in range(1, 40):
        before = f"org.example.T{number - 1}"
        schemas.append(record(("a", ["null", before]), ("b", ["null", before]), name=f"T{number}"))
    assert compiled(*schemas).values(FRAME + b"\0\0", 5) == {"a": None, "b": None}


def test_mutilated_bytes_raise_nothing_but_not_of_schema() -> None:
    random.seed(4711)
    schema = record(*((f"f{number}", kind) for number, (kind, _, _) in enumerate(VALUES)))
    sample, reader = (
        written(schema, {f"f{number}": value for number, (_, value, _) in enumerate(VALUES)}),
        compiled(schema),
    )
    refused = 0
    for _ in range(3_000):
        message = bytearray(sample)
        for _ in range(random.choice((1, 2, 5))):
            message[random.randrange(5, len(message))] = random.randrange(256)
        try:
            reader.values(bytes(message), 5)
            reader.fields(bytes(message), 5)
        except NotOfSchema:
            refused += 1
    assert refused > 500
