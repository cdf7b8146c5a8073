"""What is stored beside the data stands alone: another validator reads it without any other file."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for
from referencing import Registry as Resources

from app.catalog.archive_types import CatalogError
from app.catalog.bundles import bundle
from app.catalog.registry import compile_stored, load_registry
from app.domain.archive_types import SchemaName
from tests.unit.catalog.test_registry import thing, write
from tests.unit.catalog.test_schema_cost import nothing

THING = SchemaName("Sys", "Thing", 1)
D4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
D6 = {"$schema": "http://json-schema.org/draft-06/schema#"}
D7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
D19 = {"$schema": "https://json-schema.org/draft/2019-09/schema"}
D20 = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
NUMBER = {"definitions": {"number": {"type": "integer", "maximum": 9}}}
REFERENCE = {"$ref": "#/definitions/number", "type": "string"}
"""Before 2019-09 nothing counts beside a `$ref`."""
PATH = {"properties": {"a": {"$ref": "../_common/a.schema.json"}}}
PATH_TO_NUMBER = {"properties": {"a": {"$ref": "#/definitions/number"}}}

KINDS: dict[str, tuple[Any, dict[str, Any], list[Any], list[Any]]] = {
    "draft-07, the root is a $ref": ({**D7, **PATH}, {"a": {**D7, **REFERENCE, **NUMBER}}, [1], ["x", 10]),
    "draft-06, the root is a $ref": ({**D6, **PATH}, {"a": {**D6, **REFERENCE, **NUMBER}}, [1], ["x", 10]),
    "draft-04, the root is a $ref": ({**D4, **PATH}, {"a": {**D4, **REFERENCE, **NUMBER}}, [1], ["x", 10]),
    "its dialect is that of who refers to it": ({**D7, **PATH}, {"a": {**REFERENCE, **NUMBER}}, [1], ["x", 10]),
    "2020-12, the root is a $ref": (PATH, {"a": {"$ref": "#/definitions/number", **NUMBER}}, [1], ["x", 10]),
    "false": (PATH, {"a": False}, [], [1, "x"]),
    "true": (PATH, {"a": True}, [1, "x"], []),
    "false in draft-04": ({**D4, **PATH}, {"a": False}, [], [1]),
    "draft-07 tuples under 2020-12": (PATH, {"a": {**D7, "items": [{"type": "null"}]}}, [[], [None]], [[1]]),
    "draft-04 under 2020-12": (
        PATH,
        {"a": {**D4, "minimum": 1, "exclusiveMinimum": True, **NUMBER}},
        [2],
        [1],
    ),
    "draft-07 whose root is a $ref under 2020-12": (PATH, {"a": {**D7, **REFERENCE, **NUMBER}}, [1], ["x"]),
    "2019-09 tuples under 2020-12": (PATH, {"a": {**D19, "items": [{"type": "null"}]}}, [[None]], [[1]]),
    "an anchor": (
        {"properties": {"a": {"$ref": "../_common/a.schema.json#it"}}},
        {"a": {"$defs": {"x": {"$anchor": "it", "type": "integer"}}}},
        [1],
        ["x"],
    ),
    "a part of draft-07": (
        {**D7, "properties": {"a": {"$ref": "../_common/a.schema.json#/definitions/number"}}},
        {"a": {**D7, **NUMBER}},
        [1],
        ["x"],
    ),
    "a chain": (
        PATH,
        {"a": {"$ref": "b.schema.json"}, "b": {"$ref": "c.schema.json#/$defs/x"}, "c": {"$defs": {"x": {"const": 1}}}},
        [1],
        [2],
    ),
    "a chain in draft-07": (
        {**D7, **PATH},
        {"a": {**D7, "$ref": "b.schema.json"}, "b": {**D7, "$ref": "c.schema.json"}, "c": {**D7, "const": 1}},
        [1],
        [2],
    ),
    "files that refer to each other": (
        PATH,
        {
            "a": {"type": "object", "properties": {"b": {"$ref": "b.schema.json"}}},
            "b": {"type": "array", "items": {"$ref": "a.schema.json"}},
        },
        [{"b": [{"b": []}]}],
        [{"b": [{"b": 1}]}],
    ),
    "a relative $id": (PATH, {"a": {"$id": "a.schema.json", "type": "integer"}}, [1], ["x"]),
    "a relative $id that is followed": (
        {"properties": {"a": {"$ref": "/names/a"}}},
        {"a": {"$id": "/names/a", "type": "integer"}},
        [1],
        ["x"],
    ),
    "an $id elsewhere": (
        {"properties": {"a": {"$ref": "https://example.org/a"}}},
        {
            "a": {
                "$id": "https://example.org/a",
                "properties": {"b": {"$ref": "#/$defs/x"}},
                "$defs": {"x": {"const": 1}},
            }
        },
        [{"b": 1}],
        [{"b": 2}],
    ),
    "a relative $id of the schema itself": (
        {"$id": "Thing_v1.schema.json", **PATH},
        {"a": {"type": "integer"}},
        [1],
        ["x"],
    ),
    "an id of draft-04": (
        {**D4, "id": "https://example.org/thing", "properties": {"a": {"$ref": "https://example.org/a"}}},
        {"a": {**D4, "id": "https://example.org/a", "type": "integer"}},
        [1],
        ["x"],
    ),
    "the schema is only a $ref": (
        {**D7, "$ref": "../_common/a.schema.json"},
        {
            "a": {**D7, **PATH["properties"]["a"], "$ref": "b.schema.json"},
            "b": {**D7, "properties": {"a": {"const": 1}}},
        },
        [1],
        [2],
    ),
    "the schema is a $ref in 2020-12": (
        {"$ref": "../_common/a.schema.json"},
        {"a": {"properties": {"a": {"type": "integer"}}}},
        [1],
        ["x"],
    ),
    "the schema names itself by its file": (
        {"properties": {"a": {"$ref": "Thing_v1.schema.json#/$defs/x"}}, "$defs": {"x": {"type": "integer"}}},
        {},
        [1],
        ["x"],
    ),
    "the schema names itself by its file in draft-07": (
        {
            **D7,
            "$ref": "Thing_v1.schema.json#/definitions/x",
            "definitions": {"x": PATH_TO_NUMBER, **NUMBER["definitions"]},
        },
        {},
        [1],
        ["x", 10],
    ),
    "the schema names itself by its path in draft-04": (
        {**D4, "properties": {"a": {"$ref": "../thing/Thing_v1.schema.json#/definitions/number"}}, **NUMBER},
        {},
        [1],
        ["x"],
    ),
    "a $ref at the root that would be right at the top of the registry": (
        {**D7, "$ref": "../../_top/x.schema.json#/$defs/x"},
        {"../../_top/x": {**D7, "$defs": {"x": PATH_TO_NUMBER}, **NUMBER}},
        [1],
        ["x", 10],
    ),
    "a name of its own inside, relative to that of the schema": (
        {
            "$id": "https://example.org/a/thing",
            "$defs": {"x": {"$id": "b/c", "$ref": "d"}},
            "properties": {"a": {"$ref": "b/c"}},
        },
        {"a": {"$id": "https://example.org/a/b/d", "type": "integer"}},
        [1],
        ["x"],
    ),
    "a definition that has the name of a file already": (
        {
            "$defs": {"registry:///sys/_common/a.schema.json": {"type": "object"}},
            **PATH,
            "$ref": "#/$defs/registry:~1~1~1sys~1_common~1a.schema.json",
        },
        {"a": {"type": "integer"}},
        [1],
        ["x"],
    ),
    "long numbers": (PATH, {"a": {"maximum": 12345678901234567890123}}, [1], [12345678901234567890124]),
}


def made(root: Path, schema: Any, files: dict[str, Any]) -> Path:
    return write(thing(root, schema), {f"sys/_common/{name}.schema.json": each for name, each in files.items()})


@pytest.mark.parametrize(("schema", "files", "good", "bad"), KINDS.values(), ids=KINDS)
def test_a_bundle_is_read_by_another_validator_without_any_file(
    tmp_path: Path, schema: Any, files: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    registry = load_registry(made(tmp_path, schema, files))
    ours = registry.entries[THING][1]
    stored = json.loads(ours.file.content)
    again = compile_stored(ours.file.content, "schema.json", "Thing")
    other = validator_for(stored)(stored, registry=Resources())
    for values, fits in ((good, True), (bad, False)):
        for value in values:
            document = json.dumps({"a": value}).encode()
            assert (ours.check(document) is None) == fits, value
            assert (again.check(document) is None) == fits, value
            assert other.is_valid({"a": value}) == fits, value
    assert bundle(stored, "registry:///elsewhere", nothing) is stored


@pytest.mark.parametrize(
    ("schema", "files", "said"),
    [
        (
            {"properties": {"a": {"$ref": "../_common/a.schema.json#/definitions/number"}}},
            {"a": {**D7, **NUMBER}},
            "a part of a file with another dialect",
        ),
        (
            {**D7, "properties": {"a": {"$ref": "http://json-schema.org/draft-07/schema#"}}},
            {},
            "$ref http://json-schema.org/draft-07/schema#: a meta-schema cannot be referred to",
        ),
        (PATH, {"a": {"$id": "https://example.org/a"}}, "refer to it by its $id, https://example.org/a"),
        (PATH, {"a": {"$id": "names/a"}}, "refer to it by its $id, registry:///sys/_common/names/a"),
        (
            {"properties": {"a": {"$ref": "https://example.org/a"}}},
            {"a": {"$id": "https://example.org/a"}, "b": {"$id": "https://example.org/a"}},
            "it is the $id of sys/_common/a.schema.json and sys/_common/b.schema.json",
        ),
        (
            {**D7, "properties": {"a": {"$ref": "../_common/a.schema.json#/properties/x"}}},
            {"a": {**D7, "$ref": "#/definitions/number", "properties": {"x": {}}, **NUMBER}},
            "cannot be stored in one piece with what it refers to",
        ),
    ],
)
def test_what_cannot_be_bundled_is_refused_with_file_and_reason(
    tmp_path: Path, schema: Any, files: dict[str, Any], said: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        load_registry(made(tmp_path, schema, files))
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("sys/thing/Thing_v1.schema.json: ")
    assert said in mistake


def test_what_was_stored_before_stays_as_it_is(tmp_path: Path) -> None:
    """A different content under the name of a schema that is stored is an error."""
    schema: dict[str, Any] = {"$id": "https://example.org/thing", **PATH, "$defs": {"mine": {"maximum": 1.50}}}
    files: dict[str, Any] = {
        "a": {"$ref": "b.schema.json#/$defs/x", "title": "Straße"},
        "b": {**D7, "$defs": {"x": {"const": 1e5}}},
    }
    files["b"] = {"$defs": {"x": {"const": 1e5}}}
    schema["properties"] = {"a": {"$ref": "registry:///sys/_common/a.schema.json"}}
    stored = load_registry(made(tmp_path, schema, files)).entries[THING][1].file.content
    before = {
        **schema,
        "$defs": {
            "mine": {"maximum": 1.5},
            "registry:///sys/_common/a.schema.json": {**files["a"], "$id": "registry:///sys/_common/a.schema.json"},
            "registry:///sys/_common/b.schema.json": {**files["b"], "$id": "registry:///sys/_common/b.schema.json"},
        },
    }
    assert stored == (json.dumps(before, ensure_ascii=False, indent=2) + "\n").encode()


def test_one_type_does_not_hurt_another(tmp_path: Path) -> None:
    write(made(tmp_path, {**D7, **PATH}, {"a": {**D7, **REFERENCE, **NUMBER}}), {"sys/_common/odd.schema.json": "{"})
    assert load_registry(tmp_path).entries[THING][1].check(b'{"a":1}') is None
