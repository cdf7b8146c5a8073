"""Avro documents as plain values: as JSON would have them, whatever fastavro itself makes of logical types."""

import base64
import io
import json
import random
import time
from datetime import UTC, datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from app.avro.check import compile_avro
from app.avro.values import compile_avro_values
from app.catalog.registry import Registry, load_registry
from app.domain.archive_types import SchemaName
from app.domain.extraction import extract, metadata_value
from app.domain.paths import parse_path
from tests.unit.avro.test_check import SCHEMA, encode, random_doc

REGISTRY = Path(__file__).parents[3] / "contracts" / "archive-types"


def read(kind: Any, value: Any) -> Any:
    """The value as fastavro writes it without looking at logical types, read by ours."""
    schema = {"type": "record", "name": "R", "namespace": "org.example", "fields": [{"name": "f", "type": kind}]}
    plain = json.loads(json.dumps(schema).replace('"logicalType"', '"doc"'))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), {"f": value})
    document = out.getvalue()
    assert compile_avro(schema, "R")(document) is None
    values = compile_avro_values(schema, "R")
    assert values is not None
    return values(document)["f"]


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


LONG = Decimal("1" + "0" * 27 + ".0000000001")
"""More digits than decimal arithmetic keeps unless told."""


def unscaled(value: int) -> bytes:
    return value.to_bytes(16, "big", signed=True)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("string", "Müller", "Müller"),
        ("long", -(2**63), -(2**63)),
        ("double", 0.1, 0.1),
        ("float", 0.1, 0.1),
        ("float", 16777216.0, 16777216.0),
        ("boolean", True, True),
        ("null", None, None),
        (["null", "string"], None, None),
        (["null", "float", "string"], "x", "x"),
        ("bytes", b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", "YWI="),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": "bytes"}, {"a.b": b""}, {"a.b": ""}),
        (logical("int", "date"), 19_753, "2024-01-31"),
        (logical("int", "date"), 2**31 - 1, 2**31 - 1),
        (logical("int", "time-millis"), 36_930_007, "10:15:30.007"),
        (logical("int", "time-millis"), -1, -1),
        (logical("long", "time-micros"), 1, "00:00:00.000001"),
        (logical("long", "timestamp-millis"), 0, "1970-01-01T00:00:00.000Z"),
        (logical("long", "timestamp-millis"), -1, "1969-12-31T23:59:59.999Z"),
        (logical("long", "timestamp-millis"), 2**63 - 1, 2**63 - 1),
        (logical("long", "timestamp-micros"), 1_706_696_130_123_456, "2024-01-31T10:15:30.123456Z"),
        (logical("long", "timestamp-nanos"), 1_000_000_001, "1970-01-01T00:00:01.000000001Z"),
        (logical("long", "local-timestamp-millis"), 1, "1970-01-01T00:00:00.001"),
        (logical("string", "uuid"), "not even one", "not even one"),
        (logical("fixed", "uuid", name="U", size=16), b"\x12" * 16, "12121212-1212-1212-1212-121212121212"),
        (logical("bytes", "decimal", precision=6, scale=2), b"\x07\xc6", Decimal("19.90")),
        (logical("bytes", "decimal", precision=6), b"\xff", Decimal(-1)),
        (logical("bytes", "decimal", precision=2, scale=1), b"", Decimal("0.0")),
        (logical("fixed", "decimal", name="D", size=16, precision=38, scale=10), unscaled(10**37 + 1), LONG),
        (logical("long", "unheard-of"), 5, 5),
        ([logical("int", "date"), "null"], 0, "1970-01-01"),
    ],
)  # fmt: skip
def test_a_value_is_what_json_would_have(kind: Any, written: Any, value: Any) -> None:
    found = read(kind, written)
    assert found == value
    assert type(found) is type(value)


def whole(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (whole(999_999), Decimal("9999.99")),
        (whole(-999_999), Decimal("-9999.99")),
        (b"\0" * 100_000 + whole(5), Decimal("0.05")),
        (b"\xff" * 100_000 + whole(-5), Decimal("-0.05")),
        (whole(1_000_000), "D0JA"),
        (whole(-1_000_000), "8L3A"),
        (whole(10**40), base64.b64encode(whole(10**40)).decode()),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_decimal_with_more_digits_than_its_type_is_the_bytes_that_it_is(written: bytes, value: Any) -> None:
    assert read(logical("bytes", "decimal", precision=6, scale=2), written) == value
    assert read(logical("fixed", "decimal", name="D", size=len(written), precision=6, scale=2), written) == value


def test_no_precision_allows_a_decimal_that_takes_longer_than_its_size_lets_expect() -> None:
    for most in (10**4_000 - 1, 1 - 10**4_000):
        found = read(logical("bytes", "decimal", precision=1_000_000_000, scale=10), whole(most))
        assert found == Decimal(most).scaleb(-10, Context(prec=4_000))
    over = whole(10**4_000)
    assert read(logical("bytes", "decimal", precision=1_000_000_000), over) == base64.b64encode(over).decode()
    for size in (1_000_000, 8_000_000):
        started = time.process_time()
        found = read(logical("bytes", "decimal", precision=1_000_000_000), b"\x7f" * size)
        assert base64.b64decode(found) == b"\x7f" * size
        assert time.process_time() - started < 2


def as_json(value: Any) -> Any:
    """What fastavro reads, in the words of JSON: the other way to the same result."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def test_documents_are_read_as_fastavro_reads_them() -> None:
    values, rng = compile_avro_values(SCHEMA, "Doc"), random.Random(11)
    assert values is not None

    def calm(doc: dict[str, Any]) -> dict[str, Any]:  # timestamps that a datetime can hold
        return {**doc, "big": doc["big"] % 10**14, "next": doc["next"] and calm(doc["next"])}

    for _ in range(300):
        document = encode(SCHEMA, calm(random_doc(rng)))
        assert values(document) == as_json(fastavro.schemaless_reader(io.BytesIO(document), SCHEMA, None))


def test_a_date_beyond_all_calendars_costs_no_other_field() -> None:
    values, check = compile_avro_values(SCHEMA, "Doc"), compile_avro(SCHEMA, "Doc")
    document = encode(SCHEMA, {**random_doc(random.Random(12), 0), "text": "kept", "big": 2**62})
    assert values is not None
    assert check(document) is None
    assert values(document)["text"] == "kept"
    assert values(document)["big"] == 2**62


def test_types_of_several_namespaces_and_of_protocols_are_read() -> None:
    types = [
        {"type": "enum", "name": "Kind", "namespace": "a", "symbols": ["X"], "default": "X"},
        {
            "type": "record",
            "name": "Part",
            "fields": [{"name": "kind", "type": "a.Kind"}, {"name": "p", "type": "int"}],
        },
        {
            "type": "record",
            "name": "Whole",
            "namespace": "b",
            "fields": [
                {"name": "parts", "type": {"type": "array", "items": "org.example.Part"}, "default": []},
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["Y", "Z"]}},
                {"name": "again", "type": ["null", "Whole"], "default": None},
            ],
        },
    ]
    protocol = {"protocol": "P", "namespace": "org.example", "types": types, "messages": {}}
    values = compile_avro_values(protocol, "Whole")
    assert values is not None
    assert compile_avro(protocol, "Whole")(b"\x02\x00\x0e\x00\x02\x02\x00\x00\x00") is None
    assert values(b"\x02\x00\x0e\x00\x02\x02\x00\x00\x00") == {
        "parts": [{"kind": "X", "p": 7}],
        "kind": "Z",
        "again": {"parts": [], "kind": "Y", "again": None},
    }


@pytest.mark.parametrize(("items", "value"), [("null", None), ({"type": "record", "name": "Empty", "fields": []}, {})])
def test_arrays_of_items_without_bytes_are_read(items: Any, value: Any) -> None:
    schema = {"type": "array", "items": items}
    assert read(schema, []) == []
    assert read(schema, [value, value]) == [value, value]


def test_deep_documents_are_read() -> None:
    schema = {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}
    values = compile_avro_values(schema, "L")
    assert values is not None
    assert compile_avro(schema, "L")(b"\x02" * 99 + b"\x00") is None
    assert extract(parse_path("n" + ".n" * 98), values(b"\x02" * 99 + b"\x00")) == {"n": None}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry(REGISTRY)


def test_the_registry_gives_the_values_of_a_document(registry: Registry) -> None:
    for schema, (data_type, compiled) in registry.entries.items():
        if data_type.file.extension == "schema.json":
            assert registry.values(b'{"id": "x"}', "application/json", schema, checked=True) == {"id": "x"}
            assert registry.values(b"\x00", "avro/binary", schema, checked=True) is None
        else:
            assert compiled.read_avro is not None
            assert registry.values(b"\x00\xff\xff\xff", "avro/binary", schema, checked=False) is None
    unknown = SchemaName("NOBODY", "Nothing", 1)
    assert registry.values(b'{"id": 1}', "application/json", unknown, checked=False) == {"id": 1}
    assert registry.values(b"\x00", "avro/binary", unknown, checked=False) is None


def test_values_of_avro_can_be_kept() -> None:
    assert metadata_value(read(logical("bytes", "decimal", precision=6, scale=2), b"\x07\xc6")).number == Decimal(
        "19.9"
    )
    assert metadata_value(read("double", float("nan"))).json == "null"
    assert metadata_value(read("float", float("inf"))).json == "null"
