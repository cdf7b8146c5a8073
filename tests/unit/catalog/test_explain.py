"""Why a document does not match, for schemas whose mismatches are too many to be collected."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest

from app.catalog import explain
from app.catalog.explain import Explainer
from app.catalog.json_schema import compile_json_schema
from app.catalog.lanes import LARGE_DOCUMENT, Lane, Later
from app.catalog.mismatch import property_names, text_of
from app.catalog.patterns import LINEAR
from app.catalog.schema_graph import read_graph
from tests.unit.catalog.test_schema_cost import BASE, COSTLY, N, nothing


def nested(depth: int, inner: str, head: str = '{"kind":"add","left":') -> bytes:
    return (head * depth + inner + "}" * depth).encode()


@pytest.mark.parametrize("depth", [1, 14, 17, 30, 300, 1_000])
def test_a_small_document_of_any_depth_has_a_text(depth: int) -> None:
    check = compile_json_schema(COSTLY["the sum or product of the issue"], BASE, nothing)
    assert check(nested(depth, '"x"')) == "$: must match exactly one of the alternatives (oneOf)"
    assert check(nested(depth, "7")) is None


def test_the_text_names_the_place_however_deep_it_is() -> None:
    value = {"properties": {"left": N, "value": {"type": "string"}}}
    check = compile_json_schema({**N, "$defs": {"n": {"allOf": [{"properties": {"left": N}}, value]}}}, BASE, nothing)
    for depth in (1, 30, 49):
        assert check(nested(depth, '{"value":4711}', '{"left":')) == f"${'.left' * depth}.value: must be string"
    assert check(nested(1_000, '{"value":4711}', '{"left":')) == f"${'.left' * 50}…: must be string"
    assert check(nested(1_000, '{"value":""}', '{"left":')) is None


CONTENT = {"contentMediaType": "application/json", "contentEncoding": "base64", "maxLength": 8}


@pytest.mark.parametrize(
    "dialect", ["http://json-schema.org/draft-06/schema#", "http://json-schema.org/draft-07/schema#"]
)
@pytest.mark.parametrize("inner", [CONTENT, {"allOf": [{"type": "string"}], **CONTENT}, {"allOf": [CONTENT]}])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("!!!", "does not match the rule contentEncoding"),
        ("aGk=", "does not match the rule contentMediaType"),
        ("e30gICAgICAg", "must have at most 8 characters"),
        ("e30=", None),
    ],
)
def test_the_content_of_a_text_is_explained_as_in_a_small_document(
    dialect: str, inner: dict[str, Any], text: str, rule: str | None
) -> None:
    check = compile_json_schema({"$schema": dialect, "properties": {"c": inner}}, BASE, nothing)
    for more in ("1", "1e400", f'"{"y" * 33_000}"'):
        found = check(f'{{"c":"{text}","x":{more}}}'.encode())
        assert found == (None if rule is None else f"$.c: {rule}")


@pytest.mark.parametrize("dialect", ["2019-09", "2020-12"])
def test_the_content_of_a_text_is_not_checked_where_the_dialect_only_notes_it(dialect: str) -> None:
    schema = {"$schema": f"https://json-schema.org/draft/{dialect}/schema", "properties": {"c": CONTENT, "x": False}}
    check = compile_json_schema(schema, BASE, nothing)
    assert check(b'{"c":"!!!","y":1e400}') is None
    assert str(check(b'{"c":"!!!","x":1e400}')).startswith("$.x: ")


def chosen(chance: random.Random, depth: int) -> Any:
    leaves: list[Any] = [{"type": "string"}, {"const": 1}, {"enum": ["a", 2]}, {"minLength": 2}, {"required": ["a"]}]
    leaves += [{"maximum": 3}, {"minItems": 1}, {"dependentRequired": {"a": ["b"]}}, {"not": {"type": "null"}}]
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(leaves)
    inner = [chosen(chance, depth - 1) for _ in range(3)]
    return chance.choice(
        [
            {"properties": {"a": inner[0], "b": inner[1]}},
            {"additionalProperties": inner[0]},
            {"items": inner[0]},
            {"anyOf": inner[:2]},
            {"oneOf": inner},
            {"allOf": inner[:2]},
            {"if": inner[0], "then": inner[1], "else": inner[2]},
            {"patternProperties": {"^a": inner[0]}, "propertyNames": {"maxLength": 1}},
            {"prefixItems": inner[:1], "items": inner[1]},
            {"properties": {"a": inner[0]}, "unevaluatedProperties": False},
            {"dependentSchemas": {"a": inner[0]}, "contains": inner[1]},
            {"$ref": "#/$defs/n"},
        ]
    )


def documents(chance: random.Random, depth: int) -> Any:
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(["a", "ab", 1, 2, 5, None, True])
    parts = [documents(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return dict(zip("abc", parts, strict=False)) if chance.random() < 0.6 else parts


def test_it_says_what_the_other_engine_says() -> None:
    """Of 120 schemas by chance. Where several rules do not match, either may name another first."""
    chance = random.Random(7)
    same = different = 0
    for _ in range(120):
        schema = {**chosen(chance, 3), "$defs": {"n": chosen(chance, 1)}}
        try:
            validator, graph = jsonschema_rs.validator_for(schema), read_graph(schema, BASE, nothing)
            compile_json_schema(schema, BASE, nothing)
        except ValueError:
            continue  # endless
        names = frozenset(property_names(schema))
        explainer = Explainer(graph, LINEAR, {}, names, str)
        for value in (documents(chance, 3) for _ in range(10)):
            if validator.is_valid(value):
                continue
            with pytest.raises(jsonschema_rs.ValidationError) as caught:
                validator.validate(value)
            found = explainer.text(value)
            assert found.startswith("$")
            assert not found.endswith("does not match"), (schema, value)
            if found == text_of(caught.value, value, names, str):
                same += 1
            else:
                different += 1
    assert same > 200
    assert different < same / 10


def test_a_text_that_takes_too_long_says_how_far_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "EXPLAIN_PATIENCE", -1.0)
    check = compile_json_schema(COSTLY["the sum or product of the issue"], BASE, nothing)
    assert check(nested(3, '"x"')) == "$: does not match"


@pytest.fixture
def mismatches() -> Any:
    """Each item matches no branch; together they make 300,000 mismatches."""
    item = {"oneOf": [{"type": "string"}, {"type": "null"}]}
    return compile_json_schema({"anyOf": [{"items": item}, {"type": "null"}, {"contains": item}]}, BASE, nothing)


def test_the_mismatches_of_many_items_are_not_collected(mismatches: Any) -> None:
    document = b"[" + b"1," * 99_999 + b"1]"
    with pytest.raises(Later) as later:
        mismatches(document, None)  # not in the event loop
    assert later.value.lane is Lane.LARGE
    assert mismatches(document, Lane.LARGE) == "$[0]: must match exactly one of the alternatives (oneOf)"
    assert mismatches(b"[1]", None) == "$[0]: must match exactly one of the alternatives (oneOf)"


@pytest.mark.parametrize("where", [None, Lane.LARGE, Lane.COSTLY])
def test_a_deep_document_that_does_not_match_has_a_text_too(where: Lane | None) -> None:
    """jsonschema-rs shows and compares values of at most 255 levels."""
    tree = compile_json_schema({"properties": {"a": {"$ref": "#"}, "b": {"type": "null"}}}, BASE, nothing)
    assert tree(nested(20, '{"b":1}', '{"a":'), where) == f"${'.a' * 20}.b: must be null"
    assert tree(nested(1_000, '{"b":1}', '{"a":'), Lane.LARGE) == f"${'.a' * 50}…: must be null"
    flat = compile_json_schema({"required": ["b"]}, BASE, nothing)
    assert flat(nested(400, "1", '{"a":'), where) == "$: required property 'b' is missing"
    equal = compile_json_schema({"uniqueItems": True}, BASE, nothing)
    deep = b"[" * 400 + b"1" + b"]" * 400
    assert equal(b"[%b,%b]" % (deep, deep), where) == "$: is nested too deeply for a rule that compares whole values"


def test_where_a_document_is_checked() -> None:
    def lane(schema: Any, document: bytes) -> Lane | None:
        return compile_json_schema(schema, BASE, nothing).lane(document)

    small, large = b'"' + b"a" * 3_000 + b'"', b'"' + b"a" * LARGE_DOCUMENT + b'"'
    assert lane({"pattern": "^a+$"}, small) is None
    assert lane({"pattern": "^a+$"}, large) is Lane.LARGE
    assert lane({"pattern": "^(?!b)a+$"}, small) is Lane.COSTLY
    assert lane({"pattern": "^(?!b)a+$"}, b'"a"') is None
    assert lane({"pattern": "^(.{0,1000}x){3}$"}, small) is None
    assert lane({"pattern": "^(.{0,1000}x){3}$"}, large[: LARGE_DOCUMENT // 2]) is Lane.COSTLY
    many = {"anyOf": [{"type": "null"} for _ in range(99)]}
    assert lane({"type": "string", "allOf": [json.loads(json.dumps(many))]}, large) is Lane.COSTLY


def test_long_numbers_are_compared_in_the_event_loop_only_when_they_are_few() -> None:
    check = compile_json_schema({"uniqueItems": True}, BASE, nothing)
    few, many = ("[" + ",".join(str(10**30 + each) for each in range(count)) + "]" for count in (20, 20_000))
    assert check(few.encode(), None) is None
    with pytest.raises(Later) as later:
        check(many.encode(), None)
    assert later.value.lane is Lane.LARGE
    assert check(many.encode(), Lane.LARGE) is None
    assert check(many.encode().replace(b"]", b",%d.0]" % 10**30), Lane.LARGE) == "$: has equal items"
