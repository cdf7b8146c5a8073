"""JSON documents: strict JSON, path and rule of a mismatch without any value, patterns that cannot stall."""

import time
from typing import Any

import pytest

from app.catalog.bundles import bundle
from app.catalog.json_schema import compile_json_schema


def nothing(uri: str) -> Any:
    raise LookupError("not in the registry")


def problem(schema: Any, document: bytes) -> str | None:
    return compile_json_schema(schema, "registry:///s/t/T.schema.json", nothing)(document)


@pytest.mark.parametrize(
    ("schema", "document", "expected"),
    [
        ({"required": ["id"]}, b"{}", "$: required property 'id' is missing"),
        ({"properties": {"a": {"type": ["string", "null"]}}}, b'{"a":1}', "$.a: must be null or string"),
        ({"properties": {"a b": {"const": 1}}}, b'{"a b":7}', '$["a b"]: must be 1'),
        ({"enum": ["x", 2]}, b'"SECRET"', '$: must be one of "x", 2'),
        ({"pattern": "^x$"}, b'"SECRET"', "$: must match the pattern ^x$"),
        ({"additionalProperties": False}, b'{"SECRET":1}', "$: has a property that is not described"),
        ({"additionalProperties": {"type": "null"}}, b'{"SECRET":1}', "$.*: must be null"),
        (
            {"propertyNames": {"maxLength": 3}},
            b'{"SECRET":1}',
            "$: has a property name that is not allowed: must have at most 3 characters",
        ),
        ({"items": {"minimum": 3}}, b"[3,4711]", None),
        ({"items": {"minimum": 3}}, b"[3,-4711]", "$[1]: must be at least 3"),
        ({"uniqueItems": True}, b"[4711,4711]", "$: has equal items"),
        ({"not": {}}, b'"SECRET"', "$: matches what is excluded (not)"),
        ({"contains": {"const": 1}}, b"[4711]", "$: has not the number of matching items (contains)"),
        ({"unevaluatedProperties": False}, b'{"SECRET":1}', "$: has a property that is not described"),
        ({"oneOf": [{}, {}]}, b'"SECRET"', "$: must match exactly one of the alternatives (oneOf)"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"},
            b'"SECRET"',
            "$: must have the format date",
        ),
        (
            {"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "null"}}, "type": "object"}]},
            b'{"a":4711}',
            "$.a: must be null",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, b"4711", "$: matches none of the alternatives (anyOf)"),
        (False, b"4711", "$: is not allowed"),
    ],
)
def test_a_mismatch_names_path_and_rule(schema: Any, document: bytes, expected: str | None) -> None:
    assert problem(schema, document) == expected


@pytest.mark.parametrize("name", ["4711", "007", "-1", "4711.5"])
def test_a_name_of_digits_is_content_too(name: str) -> None:
    schema = {"additionalProperties": {"items": {"type": "null"}, "properties": {"0": {"type": "null"}}}}
    assert problem(schema, b'{"%b":[null,1]}' % name.encode()) in ("$.*[1]: must be null", "$.*.*: must be null")
    assert problem(schema, b'{"%b":{"0":1}}' % name.encode()) in ('$.*["0"]: must be null', "$.*.*: must be null")


KEYWORDS = (
    "type const enum pattern format minLength maxLength minimum maximum exclusiveMinimum exclusiveMaximum multipleOf "
    "minItems maxItems uniqueItems contains required minProperties maxProperties additionalProperties not anyOf"
)


@pytest.mark.parametrize("document", [b'"SECRET"', b"471147", b'{"SECRET":"SECRET"}', b'["SECRET","SECRET"]'])
def test_no_rule_shows_a_value(document: bytes) -> None:
    arguments: dict[str, Any] = {
        "type": "null", "const": 0, "enum": [0], "pattern": "^x", "format": "date", "minLength": 99, "maxLength": 0,
        "minimum": 10**9, "maximum": 0, "exclusiveMinimum": 10**9, "exclusiveMaximum": 0, "multipleOf": 10**9,
        "minItems": 9, "maxItems": 0, "uniqueItems": True, "contains": False, "required": ["x"], "minProperties": 9,
        "maxProperties": 0, "additionalProperties": False, "not": {}, "anyOf": [False],
    }  # fmt: skip
    for keyword in KEYWORDS.split():
        for schema in ({keyword: arguments[keyword]}, {"additionalProperties": {keyword: arguments[keyword]}}):
            text = problem(schema, document) or ""
            assert "SECRET" not in text
            assert "471147" not in text


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "not valid JSON: it is empty"),
        (b" \n", "not valid JSON: nothing but blanks"),
        ('{"a":1}'.encode("utf-16"), "not valid JSON: not UTF-8, it looks like UTF-16 or UTF-32"),
        ('{"a":1}'.encode("utf-16-be"), "not valid JSON: not UTF-8, it looks like UTF-16 or UTF-32"),
        ('{"a":1}'.encode("utf-16-le"), "not valid JSON: not UTF-8, it looks like UTF-16 or UTF-32"),
        (b"[NaN]", "not valid JSON: NaN is no number of JSON (line 1, column 2)"),
        (b"[\n-Infinity]", "not valid JSON: Infinity is no number of JSON (line 2, column 2)"),
        (b"{'a':1}", "not valid JSON (line 1, column 2)"),
        (b'"\xff"', "not valid JSON: not UTF-8 (byte 2)"),
        (b"1 2", "not valid JSON (line 1, column 3)"),
        (b"[1,]", "not valid JSON (line 1, column 3)"),
        (b'"\x01"', "not valid JSON (line 1, column 2)"),
        (b"[01]", "not valid JSON (line 1, column 2)"),
        (b"[123456789012345678901,1.]", "not valid JSON (line 1, column 26)"),
        (b"{123456789012345678901:1}", "not valid JSON (line 1, column 2)"),
        (b"\xef\xbb\xbf{}", "not valid JSON: it starts with a byte order mark (U+FEFF), send it without"),
        (b"[" * 5000, "nested too deeply: more than 1,024 levels; JSON allows this, it is not kept"),
        (
            b"[1e999999999999999999999]",
            "a number has an exponent of more than 18 digits: JSON allows this, it is not kept",
        ),
    ],
)
def test_what_is_not_kept_says_why(document: bytes, said: str) -> None:
    assert problem({}, document) == said


@pytest.mark.parametrize(
    "document", [b'"\\ud800"', b'{"\\uDC00x":1}', b'["\\ud83d x"]', b'[123456789012345678901,"\\ud800"]']
)
def test_half_a_surrogate_pair_is_not_called_invalid_json(document: bytes) -> None:
    text = problem({}, document)
    assert text is not None
    assert text.startswith("a text has half of a surrogate pair (line 1, column ")
    assert "JSON allows this" in text
    assert problem({}, b'"\\ud83d\\ude00"') is None


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(?:(?=a)a+)+$", "(a*)*b", r"^((a+)\2?)+$"])
def test_patterns_that_backtrack_cannot_stall(pattern: str) -> None:
    started = time.perf_counter()
    assert problem({"pattern": pattern}, b'"' + b"a" * 5_000 + b'!"') is not None
    assert time.perf_counter() - started < 1


def test_look_around_and_back_references_work_on_ordinary_texts() -> None:
    assert problem({"pattern": r"^(?!\s*$).+"}, b'"x"') is None
    assert problem({"pattern": r"^(?!\s*$).+"}, b'"  "') is not None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strin"}, r"\$\.type"),
        ({"pattern": "("}, r"\$\.pattern: \( is not a pattern of ECMA-262"),
        ({"$defs": {"a": {"patternProperties": {"[": {}}}}}, r"\$\.\$defs\.a\.patternProperties: \["),
        ([], "must be an object"),
        ({"$schema": "https://example.org/other"}, "unknown dialect"),
        ({"$ref": "https://example.org/far.json"}, "not in the registry"),
        ({"$ref": "file:///etc/passwd"}, "not in the registry"),
        ({"$ref": "#/$defs/none"}, "none"),
    ],
)
def test_a_schema_that_cannot_work_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        problem(schema, b"{}")


def test_a_bundle_holds_everything_the_schema_refers_to() -> None:
    files = {
        "registry:///s/_common/a.schema.json": {"$defs": {"n": {"$ref": "b.schema.json"}}},
        "registry:///s/_common/b.schema.json": {"type": "integer"},
    }
    schema = {"properties": {"a": {"$ref": "../_common/a.schema.json#/$defs/n"}}}
    uri = "registry:///s/t/T.schema.json"
    bundled = bundle(schema, uri, files.__getitem__)
    assert list(bundled["$defs"]) == list(files)
    check = compile_json_schema(bundled, "registry:///elsewhere", nothing)
    assert check(b'{"a":1}') is None
    assert check(b'{"a":"x"}') == "$.a: must be integer"
    assert bundle(bundled, uri, nothing) is bundled
