"""Avro documents: whatever fastavro writes is accepted, everything else refused, quickly and without values."""

import io
import json
import random
import time
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from app.avro.check import compile_avro

SCHEMA = {
    "type": "record",
    "name": "Doc",
    "namespace": "org.example",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "number", "type": "int"},
        {"name": "big", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "flag", "type": "boolean"},
        {"name": "ratio", "type": ["null", "float", "double"]},
        {"name": "raw", "type": {"type": "fixed", "name": "Four", "size": 4}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "lines", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
        {"name": "map", "type": {"type": "map", "values": ["null", "bytes"]}},
        {"name": "next", "type": ["null", "Doc"]},
    ],
}


PARSED = fastavro.parse_schema(SCHEMA)


def random_doc(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    return {
        "text": "".join(rng.choices("aé€😀\x00", k=rng.randrange(5))),
        "number": rng.randrange(-(2**31), 2**31),
        "big": rng.randrange(-(2**63), 2**63),
        "flag": rng.random() < 0.5,
        "ratio": rng.choice([None, 1.5]),
        "raw": rng.randbytes(4),
        "kind": rng.choice("AB"),
        "lines": [[rng.randrange(-5, 5) for _ in range(rng.randrange(3))] for _ in range(rng.randrange(3))],
        "map": {str(key): rng.choice([None, b"x"]) for key in range(rng.randrange(3))},
        "next": random_doc(rng, depth - 1) if depth and rng.random() < 0.5 else None,
    }


def encode(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def record(kind: Any) -> Callable[[bytes], str | None]:
    return compile_avro({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}, "R")


def test_what_fastavro_writes_is_accepted() -> None:
    check, rng = compile_avro(SCHEMA, "Doc"), random.Random(1)
    for _ in range(500):
        assert check(encode(PARSED, random_doc(rng))) is None


def test_every_byte_must_be_consumed_and_none_may_miss() -> None:
    check, rng = compile_avro(SCHEMA, "Doc"), random.Random(2)
    for _ in range(50):
        document = encode(PARSED, random_doc(rng))
        assert check(document + b"\0") == "$: 1 bytes behind the record"
        for end in range(len(document)):
            assert check(document[:end]) is not None


def test_what_is_accepted_can_be_read_by_fastavro() -> None:
    schema = json.loads(json.dumps(SCHEMA).replace('"logicalType": "timestamp-millis"', '"doc": ""'))
    check, parsed, rng, accepted = compile_avro(schema, "Doc"), fastavro.parse_schema(schema), random.Random(3), 0
    for _ in range(20_000):
        document = bytearray(encode(parsed, random_doc(rng, 1)))
        document[rng.randrange(len(document))] = rng.randrange(256)
        if check(bytes(document)) is None:
            accepted += 1
            fastavro.schemaless_reader(io.BytesIO(document), parsed, None)
    assert accepted > 500


@pytest.mark.parametrize(
    ("kind", "document", "problem"),
    [
        ("boolean", b"\x02", "$.f: must be boolean"),
        ("string", b"\x01", "$.f: a length is negative"),
        ("string", b"\x02\xff", "$.f: a text is not UTF-8"),
        ("int", b"\x80\x80\x80\x80\x10", "$.f: a number does not fit into 32 bits"),
        ("long", b"\xff" * 11, "$.f: a number has too many bytes"),
        (["null", "int"], b"\x01", "$.f: must be one of the types of the union"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x02", "$.f: must be one of the symbols of the enum"),
        ({"type": "array", "items": "boolean"}, b"\x04\x01\x07\x00", "$.f[1]: must be boolean"),
        ({"type": "map", "values": "boolean"}, b"\x02\x02s\x07\x00", "$.f.*: must be boolean"),
    ],
)
def test_a_mismatch_names_path_and_rule(kind: Any, document: bytes, problem: str) -> None:
    assert record(kind)(document) == problem


def test_blocks_with_a_size_are_read() -> None:
    assert record({"type": "array", "items": "int"})(b"\x03\x04\x02\x04\x00") is None


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "array", "items": "null"},
        {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}},
        {"type": "array", "items": {"type": "fixed", "name": "Zero", "size": 0}},
        {"type": "array", "items": "string"},
    ],
)
def test_a_few_bytes_cannot_stand_for_billions_of_items(kind: Any) -> None:
    started = time.perf_counter()
    assert record(kind)(b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00") is not None
    assert record(kind)(b"\xfe\xff\x07" * 1000 + b"\x00") is not None
    assert time.perf_counter() - started < 1


ONE = {"type": "record", "name": "One", "fields": [{"name": "n", "type": "null"}]}


@pytest.mark.parametrize(("items", "last"), [("null", 13), (ONE, 6)])
def test_values_without_bytes_are_counted_over_all_arrays_of_a_document(items: Any, last: int) -> None:
    check = record({"type": "array", "items": {"type": "array", "items": items}})
    few, many = b"\2\x90\x4e\0\0", b"\x90\x4e" + b"\x90\x4e\0" * 5_000 + b"\0"
    assert check(few) is None
    assert check(many) == f"$.f[{last}]: more than 65,536 items without content"
    assert check(few) is None  # each document has its own count


def test_deep_recursion_is_refused() -> None:
    schema = {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]}
    check = compile_avro(schema, "L")
    assert check(b"\x02" * 50 + b"\x00") is None
    assert str(check(b"\x02" * 1_000_000 + b"\x00")).endswith("nested too deeply")
    nested = {"type": "record", "name": "L", "fields": [{"name": "n", "type": {"type": "array", "items": "L"}}]}
    assert str(compile_avro(nested, "L")(b"\x02" * 1_000_000)).endswith("nested too deeply")


def test_the_record_of_a_protocol_is_found_by_name() -> None:
    types = [
        {"type": "record", "name": "Part", "fields": [{"name": "p", "type": "int"}]},
        {"type": "record", "name": "Whole", "fields": [{"name": "w", "type": "Part"}]},
    ]
    protocol = {"protocol": "P", "namespace": "org.example", "types": types, "messages": {}}
    assert compile_avro(protocol, "Whole")(b"\x02") is None
    with pytest.raises(ValueError, match="no record named Other"):
        compile_avro(protocol, "Other")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "recrd"},
        7,
        [],
        {"protocol": "P"},
        {"type": "record", "name": "R", "fields": [{"name": "f", "type": "Unknown"}]},
        {"type": "record", "name": "R", "fields": [{"name": "f", "type": {"type": "array"}}]},
    ],
)
def test_a_schema_that_is_not_valid_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"valid|no record|no types"):
        compile_avro(schema, "R")
