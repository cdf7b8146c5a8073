"""Values are written as Avro: what is read is written to the same bytes; nothing is written that reads otherwise."""

import io
import json
import math
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.avro.check import compile_avro
from app.avro.values import compile_avro_values
from app.avro.write import compile_avro_writer
from app.avro.writers_schema import WritersSchema
from app.catalog.registry import load_registry
from app.domain.archive_types import SchemaName
from tests.unit.broker.golden import commands, events, schemas_registered

REGISTRY = Path(__file__).parents[3] / "contracts" / "archive-types"
NAMED: list[dict[str, Any]] = [
    {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]},
    {"type": "fixed", "name": "Four", "size": 4},
    {"type": "fixed", "name": "Uuid", "size": 16, "logicalType": "uuid"},
    {"type": "fixed", "name": "Money", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 4},
    {"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"},
]
LOGICAL: list[dict[str, Any]] = [
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "time-micros"},
    *({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("millis", "micros", "nanos")),
    *({"type": "long", "logicalType": f"local-timestamp-{unit}"} for unit in ("millis", "micros", "nanos")),
    {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 7},
    {"type": "bytes", "logicalType": "big-decimal"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "long", "logicalType": "nobody-knows"},
    {"type": "int", "logicalType": "timestamp-millis"},
]
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
SIMPLE = [*PRIMITIVES, *LOGICAL, *(each["name"] for each in NAMED)]


def named(kind: str) -> dict[str, Any]:
    return next(each for each in NAMED if each["name"] == kind)


def document_schema(kind: Any) -> dict[str, Any]:
    """A record with one field of this type, and fields that define the named types before."""
    fields = [{"name": each["name"].lower(), "type": ["null", each], "default": None} for each in NAMED]
    return {"type": "record", "name": "R", "fields": [*fields, {"name": "f", "type": kind}]}


@st.composite
def types(draw: st.DrawFn, depth: int = 3) -> Any:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(SIMPLE))
    match draw(st.sampled_from(["array", "map", "union", "record"])):
        case "array":
            return {"type": "array", "items": draw(types(depth - 1).filter(lambda each: each != "null"))}
        case "map":
            return {"type": "map", "values": draw(types(depth - 1))}
        case "record":
            inner = [{"name": f"m{place}", "type": draw(types(depth - 1))} for place in range(draw(st.integers(1, 3)))]
            return {"type": "record", "name": "", "fields": inner}
        case _:
            found = draw(st.lists(types(depth - 1), min_size=2, max_size=5, unique_by=union_kind))
            return [each for each in found if not isinstance(each, list)] or ["null"]


def union_kind(kind: Any) -> str:
    """Of one kind, a union has one type; here of records too."""
    return "union" if isinstance(kind, list) else str(kind["type"] if isinstance(kind, dict) else kind)


def raw_values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as bytes have them, without logical types."""
    if isinstance(kind, list):
        return st.one_of([st.tuples(st.just(union_name(each)), raw_values(each)) for each in kind])
    if isinstance(kind, str) and kind not in PRIMITIVES:
        kind = named(kind)
    match kind if isinstance(kind, str) else kind["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "int":
            return st.integers(-(2**31), 2**31 - 1) | st.integers(0, 86_400_000)
        case "long":
            return st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**12), 10**12)
        case "float":
            return st.floats(width=32, allow_nan=False)
        case "double":
            return st.floats(allow_nan=False)
        case "bytes":
            return st.binary(min_size=1, max_size=14)
        case "string":
            return st.text(max_size=8) | st.sampled_from(["2024-01-31", "10:15:30.000", "RED", "YWJj", "A" * 36])
        case "enum":
            return st.sampled_from(kind["symbols"])
        case "fixed":
            size = 7 if kind["name"] == "Money" else kind["size"]
            return st.binary(min_size=size, max_size=size).map(lambda data: data.rjust(kind["size"], b"\0"))
        case "array":
            return st.lists(raw_values(kind["items"]), max_size=3)
        case "map":
            return st.dictionaries(st.text(max_size=3), raw_values(kind["values"]), max_size=3)
        case _:
            return st.fixed_dictionaries({each["name"]: raw_values(each["type"]) for each in kind["fields"]})


def union_name(kind: Any) -> str:
    return str(kind["name"]) if isinstance(kind, dict) and kind["type"] == "record" else union_kind(kind)


def encoded(schema: Any, value: Any) -> bytes:
    plain = json.loads(json.dumps(schema).replace('"logicalType"', '"doc"'))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), value)
    return out.getvalue()


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    kind = renamed(draw(types()), count())
    schema = document_schema(kind)
    return schema, encoded(schema, {"f": draw(raw_values(kind))})


def renamed(kind: Any, names: Iterator[int]) -> Any:
    """Every record with a name of its own."""
    if isinstance(kind, list):
        return [renamed(each, names) for each in kind]
    if isinstance(kind, dict):
        name = {"name": f"R{next(names)}"} if kind["type"] == "record" else {}
        return {key: renamed(each, names) for key, each in kind.items()} | name
    return kind


@given(documents())
def test_what_is_read_is_written_and_reads_as_the_same(given_document: tuple[dict[str, Any], bytes]) -> None:
    schema, document = given_document
    read, write = compile_avro_values(schema, "R"), compile_avro_writer(schema, "R")
    if read is None:
        return
    value = read(document)
    written = write(value)
    assert compile_avro(schema, "R")(written) is None
    assert read(written) == value
    if "[" not in json.dumps(schema["fields"][-1]["type"]) and not has_decimal(schema["fields"][-1]["type"]):
        assert written == document  # nothing to choose: the very same bytes


def has_decimal(kind: Any) -> bool:
    """Of bytes, a number has one shortest form, and the document may have a longer one."""
    return '"decimal"' in json.dumps(kind)


def write_one(kind: Any, value: Any) -> bytes:
    """The bytes of one value; the record around it takes none."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}
    return compile_avro_writer(schema, "R")({"f": value})


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


UUID = logical("fixed", "uuid", name="U", size=16)
LOCAL_MILLIS = logical("long", "local-timestamp-millis")
MONEY = logical("bytes", "decimal", precision=5, scale=2)
MILLIS = logical("long", "timestamp-millis")


@pytest.mark.parametrize(
    ("kind", "value", "same"),
    [
        ("long", 5.0, 5),
        ("int", Decimal("7.00"), 7),
        ("double", 5, 5.0),
        ("double", Decimal("0.1"), 0.1),
        ("float", Decimal("0.1"), 0.1),
        (MONEY, 1.5, Decimal("1.50")),
        (MONEY, 7, Decimal("7.00")),
        (MONEY, Decimal("-999.990000"), Decimal("-999.99")),
        (MONEY, Decimal("1E+2"), Decimal("100.00")),
        (MONEY, Decimal("0E+999999"), 0),
        (MILLIS, "2024-01-31T10:15:30Z", "2024-01-31T10:15:30.000Z"),
        (MILLIS, "2024-01-31T10:15:30.5+01:00", "2024-01-31T09:15:30.500Z"),
        (MILLIS, "2024-01-31t10:15z", "2024-01-31T10:15:00.000Z"),
        (MILLIS, "2024-01-31T10:15:30.123000000Z", "2024-01-31T10:15:30.123Z"),
        (MILLIS, 0, "1970-01-01T00:00:00.000Z"),
        (logical("long", "local-timestamp-micros"), "0001-01-01T00:00", "0001-01-01T00:00:00.000000"),
        (logical("int", "time-millis"), "10:15", "10:15:00.000"),
        (logical("int", "date"), 0, "1970-01-01"),
        (
            {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"},
            "0A" * 4 + "-0a0a" * 3 + "-" + "0a" * 6,
            None,
        ),
    ],
)
def test_other_forms_of_the_same_value_are_taken(kind: Any, value: Any, same: Any) -> None:
    read = compile_avro_values({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}, "R")
    assert read is not None
    assert read(write_one(kind, value))["f"] == (value.lower() if same is None else same)


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("null", 0, "must be null"),
        ("boolean", 1, "must be boolean"),
        ("int", True, "must be a whole number"),
        ("int", 2**31, "a number does not fit into 32 bits"),
        ("long", -(2**63) - 1, "a number does not fit into 64 bits"),
        ("long", 1.5, "must be a whole number"),
        ("long", Decimal("1e999999999"), "must be a whole number"),
        ("long", Decimal("NaN"), "must be a whole number"),
        ("long", "1", "must be a whole number"),
        ("double", Decimal("0.12345678901234567890"), "a number has more digits than a double keeps"),
        ("double", 2**53 + 1, "a number has more digits than a double keeps"),
        ("double", 10**400, "a number is too large for a double"),
        ("double", Decimal("1e400"), "a number has more digits than a double keeps"),
        ("double", True, "must be a number"),
        ("float", 0.1234567890123, "a number has more digits than a float keeps"),
        ("float", 1e300, "a number is too large for a float"),
        ("string", 7, "must be text"),
        ("string", "\ud800", "a text has half of a surrogate pair, which has no UTF-8"),
        ("bytes", "not base64!", "must be base64 text"),
        ("bytes", "YWI", "must be base64 text"),
        ("bytes", "YWJ=", "must be base64 text"),
        ("bytes", "ä", "must be base64 text"),
        ("bytes", b"ab", "must be base64 text"),
        ({"type": "fixed", "name": "F", "size": 2}, "YWJj", "must have 2 bytes"),
        (UUID, "12", "must be a UUID"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "B", "must be one of the symbols of the enum"),
        (MONEY, Decimal("0.001"), "a number has more than 2 digits behind the point"),
        (MONEY, Decimal("1000"), "a number has more than 5 digits"),
        (MONEY, Decimal("1e999999999"), "a number has more than 5 digits"),
        (logical("bytes", "decimal", precision=10**9), Decimal("1e999999998"), "a number has more than 4000 digits"),
        (MONEY, "1.5", "must be a number"),
        (MONEY, Decimal("Infinity"), "must be a number"),
        (logical("int", "date"), "31.01.2024", "must be a date like 2024-01-31"),
        (logical("int", "date"), "2023-02-29", "must be a date like 2024-01-31"),
        (logical("int", "date"), "2024-W05-3", "must be a date like 2024-01-31"),
        (MILLIS, "2024-01-31T10:15:30", "must be a time with its zone like 2024-01-31T10:15:30Z"),
        (MILLIS, "2024-01-31", "must be a time with its zone like 2024-01-31T10:15:30Z"),
        (MILLIS, "0001-01-01T00:00:00+01:00", "must be a time with its zone like 2024-01-31T10:15:30Z"),
        (MILLIS, "2024-01-31T10:15:30.0001Z", "a time has more digits than 1,000 parts of a second"),
        (logical("long", "timestamp-nanos"), "9999-01-01T00:00:00Z", "a number does not fit into 64 bits"),
        (
            logical("long", "local-timestamp-millis"),
            "2024-01-31T10:15:30Z",
            "must be a local time like 2024-01-31T10:15:30",
        ),
        (logical("int", "time-millis"), "25:00:00", "must be a time like 10:15:30"),
        (logical("int", "time-millis"), "2024-01-31T10:15:30", "must be a time like 10:15:30"),
        ({"type": "array", "items": "int"}, {"a": 1}, "must be a list"),
        ({"type": "map", "values": "int"}, [1], "must be a map"),
        ({"type": "map", "values": "int"}, {7: 1}, "must be text"),
        (["null", "int"], "a", "must be a whole number"),
        (["int", "string"], None, "must be one of the types of the union"),
        (["int", "boolean"], "a", "must be one of the types of the union"),
    ],
)
def test_what_would_read_as_another_value_is_refused_without_it(kind: Any, value: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=r"^\$") as caught:
        write_one(kind, value)
    place = ".f.*" if isinstance(kind, dict) and kind["type"] == "map" and value != [1] else ".f"
    assert str(caught.value) == f"${place}: {rule}"


def test_infinity_and_what_is_no_number_are_kept() -> None:
    read = compile_avro_values({"type": "record", "name": "R", "fields": [{"name": "f", "type": "double"}]}, "R")
    assert read is not None
    assert read(write_one("double", math.inf))["f"] == math.inf
    assert math.isnan(read(write_one("double", math.nan))["f"])
    assert len(write_one("float", math.nan)) == 4


PERSON = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "tags", "type": {"type": "array", "items": ["null", {"type": "map", "values": "int"}]}},
        {
            "name": "home",
            "type": {"type": "record", "name": "Home", "fields": [{"name": "street", "type": ["null", "string"]}]},
        },
    ],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": None}, "$.name: must be text"),
        ({"tags": [None, {"secret": "x"}]}, "$.tags[1].*: must be a whole number"),
        ({"home": {}}, "$.home.street: is missing"),
        ({"home": {"street": None, "secret": 1}}, "$.home: has 1 member that the record has no field for"),
        ({"secret": 1, "more": 2}, "$: has 2 members that the record has no field for"),
        ({"home": "secret"}, "$.home: must be a record"),
    ],
)
def test_the_place_is_named_and_no_key_that_is_content(change: dict[str, Any], said: str) -> None:
    good = {"name": "n", "tags": [], "home": {"street": "s"}}
    write = compile_avro_writer(PERSON, "R")
    assert compile_avro(PERSON, "R")(write(good)) is None
    with pytest.raises(ValueError, match=r"^\$") as caught:
        write({**good, **change})
    assert str(caught.value) == said


INNER = {
    "type": "record",
    "name": "I",
    "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 2}],
}


@pytest.mark.parametrize(
    ("kind", "default", "read_as"),
    [
        ("string", "d", "d"),
        (["null", "string"], None, None),
        (["string", "null"], "d", "d"),
        ("bytes", "\u00ff", "/w=="),
        ("double", 1, 1.0),
        ("float", 3.14159265358979, 3.1415927),
        (MONEY, "\u0001\u0000", Decimal("2.56")),
        (MILLIS, 0, "1970-01-01T00:00:00.000Z"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "fixed", "name": "F", "size": 2}, "ab", "YWI="),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": "bytes"}, {"a": "a"}, {"a": "YQ=="}),
        (
            INNER,
            {"a": 1},
            {"a": 1, "b": 2},
        ),
    ],
)
def test_a_missing_field_has_its_default(kind: Any, default: Any, read_as: Any) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind, "default": default}]}
    read = compile_avro_values(schema, "R")
    assert read is not None
    write = compile_avro_writer(schema, "R")
    assert read(write({})) == read(write({})) == {"f": read_as}


@pytest.mark.parametrize(
    ("union", "value", "branch"),
    [
        (["bytes", "string"], "YWJj", 1),
        (["bytes", "null"], "YWJj", 0),
        (["double", "long"], 5, 1),
        (["long", "double"], 5.0, 1),
        (["double", MONEY], Decimal("1.50"), 1),
        (["double", MONEY], Decimal("0.001"), 0),
        ([MILLIS, "string"], "2024-01-31T10:15:30.000Z", 0),
        ([MILLIS, "string"], "2024-01-31T10:15:30Z", 1),
        ([MILLIS, "null"], "2024-01-31T10:15:30Z", 0),
        (["string", MILLIS], "2024-01-31T10:15:30.000Z", 0),
        (["boolean", "int"], True, 0),
        ([logical("int", "date"), "long"], 0, 1),
        ([logical("int", "date"), "null"], 0, 0),
        ([logical("int", "date"), logical("long", "time-micros")], -1, 1),
        ([logical("int", "date"), "string"], 2**31 - 1, 0),
        ([{"type": "enum", "name": "E", "symbols": ["A"]}, "string"], "A", 0),
        ([{"type": "enum", "name": "E", "symbols": ["A"]}, "string"], "B", 1),
        (["null", {"type": "array", "items": "int"}], [], 1),
    ],
)
def test_of_a_union_it_is_the_first_type_that_keeps_the_value(union: list[Any], value: Any, branch: int) -> None:
    assert write_one(union, value)[0] == branch * 2


def test_of_several_records_it_is_the_one_with_these_fields() -> None:
    def record(name: str, *fields: str) -> dict[str, Any]:
        return {"type": "record", "name": name, "fields": [{"name": each, "type": "int"} for each in fields]}

    union = [record("A", "a"), record("B", "a", "b"), {"type": "map", "values": "int"}]
    assert write_one(union, {"a": 1})[0] == 0
    assert write_one(union, {"a": 1, "b": 2})[0] == 2
    assert write_one(union, {"c": 1})[0] == 4


def test_types_that_hold_each_other_are_tried_once_each() -> None:
    """Each level has two types that look alike: trying both at each of 60 levels would never end."""
    leaf = {"name": "leaf", "type": ["null", "int"]}
    second = {"type": "record", "name": "B", "fields": [{"name": "next", "type": ["null", "A", "B"]}, leaf]}
    first = {"type": "record", "name": "A", "fields": [{"name": "next", "type": ["null", "A", second]}, leaf]}
    root = {"type": "record", "name": "R", "fields": [{"name": "f", "type": first}]}
    value: dict[str, Any] = {"next": None, "leaf": "no number"}
    for _ in range(60):
        value = {"next": value, "leaf": None}
    begin = time.process_time()
    with pytest.raises(ValueError, match="must be one of the types of the union"):
        compile_avro_writer(root, "R")({"f": value})
    assert time.process_time() - begin < 1


def test_what_is_nested_deeper_than_documents_are_read_is_refused() -> None:
    node = {"type": "record", "name": "R", "fields": [{"name": "n", "type": ["null", "R"]}]}
    write, check = compile_avro_writer(node, "R"), compile_avro(node, "R")

    def nested(levels: int) -> Any:
        value: Any = {"n": None}
        for _ in range(levels - 1):
            value = {"n": value}
        return value

    assert check(write(nested(100))) is None
    with pytest.raises(ValueError, match="nested too deeply"):
        write(nested(101))


def test_a_list_of_nulls_is_as_long_as_the_check_allows() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "f", "type": {"type": "array", "items": "null"}}]}
    write = compile_avro_writer(schema, "R")
    assert compile_avro(schema, "R")(write({"f": [None] * 65_536})) is None
    with pytest.raises(ValueError, match="more than 65,536 items without content"):
        write({"f": [None] * 65_537})


def test_the_registry_encodes_the_values_of_a_document() -> None:
    registry = load_registry(REGISTRY)
    schema = SchemaName("DEMO", "DecreeDocument", 1)
    decree = {
        "decreeNumber": "D-1",
        "version": 3,
        "issued": "2024-01-31",
        "status": "ISSUED",
        "customer": {"id": "C-7"},
        "paragraphs": ["one", "two"],
        "scan": "YWJj",
    }
    document = registry.encode_avro(schema, decree)
    assert registry.problem(document, "avro/binary", schema) is None
    whole = {**decree, "customer": {"id": "C-7", "name": None}}
    assert registry.values(document, "avro/binary", schema, checked=True) == whole
    with pytest.raises(ValueError, match=r"^\$\.status: must be one of the symbols of the enum$"):
        registry.encode_avro(schema, {**decree, "status": "SECRET"})
    with pytest.raises(
        ValueError, match="Unknown archive data schema DEMO/DecreeDocument version 2; there is version 1"
    ):
        registry.encode_avro(SchemaName("DEMO", "DecreeDocument", 2), decree)
    with pytest.raises(ValueError, match="PSF/OsvRecord version 1 is not described by Avro"):
        registry.encode_avro(SchemaName("PSF", "OsvRecord", 1), decree)


def test_what_the_java_service_sent_is_written_to_the_same_bytes() -> None:
    """Records of Apache Avro itself: read into values as paths see them, and written again."""
    records = [*commands(), *events()]
    assert records
    for record in records:
        framed = bytes.fromhex(record["value_hex"])
        schema = schemas_registered()[int.from_bytes(framed[1:5], "big")]
        values = WritersSchema([json.dumps(schema)]).values(framed, 5)
        assert compile_avro_writer(schema, schema["name"])(values) == framed[5:]
