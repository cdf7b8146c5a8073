"""Which schemas can make much work of a small document, and which only look so."""

import json
import re
from typing import Any

import pytest

from app.catalog.json_schema import compile_json_schema
from app.catalog.schema_cost import MAX_CALLS, SAFE_CALLS, cost_of
from app.catalog.schema_graph import read_graph

BASE = "registry:///s/t/T.schema.json"


def nothing(uri: str) -> Any:
    raise LookupError(uri)


def branch(kind: str) -> dict[str, Any]:
    left = {"left": {"$ref": "#/$defs/n"}, "kind": {"const": kind}}
    return {"type": "object", "properties": left, "required": ["kind"]}


def chain(length: int, link: str, last: Any, levels: int = 2) -> dict[str, Any]:
    """`length` definitions, each with `levels` references to the next one, in place or for the member `k`."""
    definitions = {}
    for number in range(length):
        following = {"$ref": f"#/$defs/d{number + 1}"}
        part = {"properties": {"k": following}} if link != "$ref" else following
        keyword = "allOf" if link == "$ref" else link
        definitions[f"d{number}"] = {keyword: [json.loads(json.dumps(part)) for _ in range(levels)]}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{length}": last}}


N = {"$ref": "#/$defs/n"}
NEXT = {"properties": {"next": N}}
COSTLY: dict[str, Any] = {
    "the sum or product of the issue": {
        **N,
        "$defs": {"n": {"oneOf": [{"type": "integer"}, branch("add"), branch("mul")]}},
    },
    "allOf with the same member twice": {"$ref": "#/$defs/n", "$defs": {"n": {"allOf": [NEXT, {**NEXT}]}}},
    "anyOf through two definitions": {
        **N,
        "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}, "a": NEXT, "b": {**NEXT}},
    },
    "items and contains": {"items": {"$ref": "#"}, "contains": {"$ref": "#"}},
    "a name and a pattern": {"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^[ab]": {"$ref": "#"}}},
    "if and then": {"if": NEXT, "then": {**NEXT}, "$defs": {"n": {"$ref": "#"}}},
    "not and allOf": {"not": {"not": NEXT}, "allOf": [{**NEXT}], "$defs": {"n": {"$ref": "#"}}},
    "a dependent schema": {"dependentSchemas": {"a": NEXT}, "allOf": [{**NEXT}], "$defs": {"n": {"$ref": "#"}}},
    "unevaluated properties": {
        **N,
        "$defs": {"n": {"oneOf": [{"type": "null"}, {"type": "object", **NEXT}], "unevaluatedProperties": False}},
    },
    "dynamic references": {
        "$dynamicAnchor": "n",
        "allOf": [{"properties": {"a": {"$dynamicRef": "#n"}}}, {"properties": {"a": {"$dynamicRef": "#n"}}}],
    },
    "recursive references": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$recursiveAnchor": True,
        "anyOf": [{"items": {"$recursiveRef": "#"}}, {"items": {"$recursiveRef": "#"}}],
    },
    "dependencies of draft-07": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "dependencies": {"a": {"items": {"$ref": "#"}}},
        "allOf": [{"items": {"$ref": "#"}}],
    },
    "thirty levels without a circle": chain(30, "anyOf", {"type": "string"}),
    "thirty levels for one value": chain(30, "$ref", {"type": "string"}),
    "a circle beside another": {
        "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}},
        "anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#/$defs/a"}}],
    },
}
CHEAP: dict[str, Any] = {
    "a tree": {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "integer"}}},
    "a linked list": {"properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}},
    "a list of lists": {"type": ["array", "string"], "items": {"$ref": "#"}},
    "patterns that do not meet": {"patternProperties": {"^a": {"$ref": "#"}}, "properties": {"b": {"$ref": "#"}}},
    "all other properties": {"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
    "a branch by type": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "anyOf": [{"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}],
    },
    "twenty alternatives": {"items": {"oneOf": [{"properties": {"kind": {"const": each}}} for each in range(20)]}},
    "a circle that nothing leads to": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "no schema, only content": {"const": {"$ref": "#"}, "enum": [{"allOf": [{"$ref": "#"}]}], "default": {"$ref": "#"}},
}
ENDLESS: dict[str, Any] = {
    "itself": {"$ref": "#"},
    "a to b to a": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "through allOf": {"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}},
    "through not and if": {"not": {"if": {"$ref": "#"}, "then": False}},
    "through a dependent schema": {"dependentSchemas": {"a": {"$ref": "#"}}},
    "a dynamic reference": {"$dynamicAnchor": "n", "allOf": [{"$dynamicRef": "#n"}]},
    "a recursive reference": {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "anyOf": [{"type": "null"}, {"$recursiveRef": "#"}],
    },
    "with unevaluated properties": {"allOf": [{"$ref": "#"}], "unevaluatedProperties": False},
}


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "x/y.json", "properties": {"a": {"$ref": "y.json#/$defs/x"}}, "$defs": {"x": {"type": "null"}}},
        {"$defs": {"x": {"$id": "b/c.json", "$ref": "c.json#/$defs/y", "$defs": {"y": {}}}}, "$ref": "b/c.json"},
    ],
    ids=["of the schema", "of a definition"],
)
def test_a_relative_name_is_joined_once(schema: Any) -> None:
    assert not compile_json_schema(schema, BASE, nothing).costly
    assert read_graph(schema, BASE, nothing).exact


@pytest.mark.parametrize("schema", COSTLY.values(), ids=COSTLY)
def test_a_schema_that_multiplies_with_the_depth_is_costly(schema: Any) -> None:
    assert compile_json_schema(schema, BASE, nothing).costly


@pytest.mark.parametrize("schema", CHEAP.values(), ids=CHEAP)
def test_a_schema_that_only_refers_to_itself_is_not(schema: Any) -> None:
    check = compile_json_schema(schema, BASE, nothing)
    assert not check.costly
    assert check.lane(b"{}") is None


@pytest.mark.parametrize("schema", ENDLESS.values(), ids=ENDLESS)
def test_a_schema_that_never_goes_into_the_document_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match="refers to itself without going into the document"):
        compile_json_schema(schema, BASE, nothing)


def test_a_schema_with_calls_inside_calls_needs_a_stack_of_its_own() -> None:
    def calls(length: int) -> int:
        schema = chain(length, "$ref", {"properties": {"n": {"$ref": "#"}}}, levels=1)
        return cost_of(read_graph(schema, BASE, nothing), lambda pattern, name: bool(re.search(pattern, name))).calls

    assert calls(3) < SAFE_CALLS < calls(20) < MAX_CALLS < calls(300)
    long = chain(300, "$ref", {"properties": {"n": {"$ref": "#"}}}, levels=1)
    with pytest.raises(ValueError, match="subschemas refer to each other for the same value"):
        compile_json_schema(long, BASE, nothing)


def test_what_other_files_hold_counts() -> None:
    files = {"registry:///s/_common/n.schema.json": {"anyOf": [{"items": {"$ref": "#"}}, {"contains": {"$ref": "#"}}]}}
    schema = {"properties": {"a": {"$ref": "../_common/n.schema.json"}}}
    assert compile_json_schema(schema, BASE, files.__getitem__).costly
