"""A logical type that is not valid is ignored, as the Avro specification says; the start is not refused."""

import io
from decimal import Decimal
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from app.avro.check import compile_avro
from app.avro.logical_types import _most_digits
from app.avro.values import compile_avro_values

WRONG: dict[str, dict[str, Any]] = {
    "scale above precision": {"type": "bytes", "precision": 2, "scale": 3},
    "negative scale": {"type": "bytes", "precision": 2, "scale": -1},
    "scale as text": {"type": "bytes", "precision": 2, "scale": "1"},
    "scale as true": {"type": "bytes", "precision": 2, "scale": True},
    "no precision": {"type": "bytes"},
    "precision as text": {"type": "bytes", "precision": "2"},
    "precision as a fraction": {"type": "bytes", "precision": 2.0},
    "precision zero": {"type": "bytes", "precision": 0},
    "negative precision": {"type": "bytes", "precision": -1},
    "too small a fixed": {"type": "fixed", "name": "F", "size": 4, "precision": 10},
    "fixed of no bytes": {"type": "fixed", "name": "F", "size": 0, "precision": 1},
    "decimal of a text": {"type": "string", "precision": 2},
    "decimal of an int": {"type": "int", "precision": 2},
    "decimal of a record": {"type": "record", "name": "R", "fields": [], "precision": 2},
    "date of a text": {"type": "string", "logicalType": "date"},
    "date of a long": {"type": "long", "logicalType": "date"},
    "time-millis of a long": {"type": "long", "logicalType": "time-millis"},
    "timestamp of an int": {"type": "int", "logicalType": "timestamp-millis"},
    "uuid of too small a fixed": {"type": "fixed", "name": "F", "size": 8, "logicalType": "uuid"},
    "uuid of bytes": {"type": "bytes", "logicalType": "uuid"},
    "duration of bytes": {"type": "bytes", "logicalType": "duration"},
    "unknown": {"type": "long", "logicalType": "wallet-id"},
    "no text": {"type": "long", "logicalType": 7},
    "an object": {"type": "long", "logicalType": {"type": "decimal"}},
}
PLAIN: dict[Any, tuple[Any, Any]] = {
    "bytes": (b"\x01", "AQ=="),
    "string": ("x", "x"),
    "int": (7, 7),
    "long": (7, 7),
    "record": ({}, {}),
}


def written(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return out.getvalue()


@pytest.mark.parametrize("kind", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("wrapped", [False, True], ids=["a field", "in a union in an array"])
def test_a_wrong_logical_type_is_ignored(kind: dict[str, Any], wrapped: bool) -> None:
    kind = {"logicalType": "decimal", **kind}
    bare = {key: each for key, each in kind.items() if key in ("type", "name", "size", "fields")}
    value, read = PLAIN.get(kind["type"], (bytes(kind.get("size", 0)), None))

    def schema(of: Any) -> Any:
        inner = {"type": "array", "items": ["null", of]} if wrapped else of
        return {"type": "record", "name": "T", "fields": [{"name": "v", "type": inner}]}

    document = written(schema(bare), {"v": [value] if wrapped else value})
    assert compile_avro(schema(kind), "T")(document) is None
    values = compile_avro_values(schema(kind), "T")
    assert values is not None
    if read is not None:
        assert values(document) == {"v": [read] if wrapped else read}


def test_a_valid_one_still_counts() -> None:
    decimal = {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2}
    schema = {"type": "record", "name": "T", "fields": [{"name": "v", "type": decimal}]}
    values = compile_avro_values(schema, "T")
    assert values is not None
    assert values(written(schema, {"v": Decimal("1234567.89")})) == {"v": Decimal("1234567.89")}


def test_content_that_looks_like_a_logical_type_is_left_alone() -> None:
    default = {"logicalType": "decimal"}
    fields = [{"name": "v", "type": {"type": "map", "values": "string"}, "default": default}]
    assert compile_avro({"type": "record", "name": "T", "fields": fields}, "T")(b"\0") is None


def test_a_protocol_with_a_wrong_logical_type_is_read() -> None:
    record = {
        "type": "record",
        "name": "T",
        "fields": [{"name": "v", "type": {"logicalType": "decimal", **WRONG["scale above precision"]}}],
    }
    assert compile_avro({"protocol": "P", "types": [record]}, "T")(b"\x02a") is None


def test_the_digits_of_a_fixed_are_those_of_its_largest_number() -> None:
    for size in range(1, 400):
        assert _most_digits(size) == len(str(2 ** (8 * size - 1) - 1)) - 1
