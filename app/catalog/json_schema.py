"""JSON Schemas compiled once, and the text of a mismatch: path and rule, never a value of the document."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs
import orjson
from jsonschema import validators
from jsonschema.exceptions import SchemaError

BACKTRACK_LIMIT = 50_000
"""Steps of a pattern with look-around or back-references on one text, about 0.5 ms; more fails the document.

All other patterns run on an engine that is linear in the text and has no such limit.
"""

MAX_SCHEMA_TEXT = 200
"""Characters of a schema's own text (pattern, constants) in a message."""

Retrieve = Callable[[str], Any]


def compile_json_schema(schema: Any, base_uri: str, retrieve: Retrieve) -> Callable[[bytes], str | None]:
    """A check `document → None or "<path>: <rule>"`. References are resolved by `retrieve(uri)` only, which raises
    LookupError for what the registry does not have. Raises ValueError with the reason when the schema is not valid."""
    check_schema(schema)
    fetched: list[Any] = [schema]

    def recorded(uri: str) -> Any:
        found = retrieve(uri)
        fetched.append(found)
        return found

    validator = _compile(schema, base_uri, recorded)
    names = frozenset(name for each in fetched for name in _property_names(each))

    def check(document: bytes) -> str | None:
        try:
            value = orjson.loads(document)
        except orjson.JSONDecodeError as error:
            return f"not valid JSON (line {error.lineno}, column {error.colno})"
        if validator.is_valid(value):
            return None
        try:
            validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            found = _most_specific(error)
            return f"{_path(found.instance_path, names)}: {_rule(found)}"
        return "$: does not match"

    return check


def check_schema(schema: Any) -> None:
    """The schema against its metaschema (2020-12 unless `$schema` says otherwise). Raises ValueError."""
    if not isinstance(schema, dict | bool):
        raise ValueError("a JSON Schema must be an object")
    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    kind: Any = validators.Draft202012Validator
    if dialect is not None:
        kind = validators.validator_for(schema, default=validators.Draft3Validator)
    if kind is validators.Draft3Validator:  # older than anything here compiles, so it serves as "not found"
        raise ValueError(f"$schema names an unknown dialect: {dialect}")
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a valid JSON Schema: {error.json_path}: {error.message[:300]}") from None


def _compile(schema: Any, base_uri: str, retrieve: Retrieve) -> jsonschema_rs.Validator:
    linear = jsonschema_rs.RegexOptions()
    bounded = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT)
    try:
        return _validator(schema, base_uri, retrieve, linear)
    except jsonschema_rs.ValidationError:
        pass  # perhaps a pattern that the linear engine does not know
    try:
        return _validator(schema, base_uri, retrieve, bounded)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(error.message.split("\n")[0][:400]) from None


def _validator(
    schema: Any,
    base_uri: str,
    retrieve: Retrieve,
    patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions,
) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema, base_uri=base_uri, retriever=retrieve, pattern_options=patterns)


def bundle(schema: Any, base_uri: str, retrieve: Retrieve) -> Any:
    """The schema with everything it refers to embedded under `$defs` (`definitions` before 2019-09), each with its
    `$id`; the schema itself where it refers to nothing outside."""
    found: dict[str, Any] = {}

    def recorded(uri: str) -> Any:
        document = retrieve(uri)
        found[uri] = document
        return document

    _compile(schema, base_uri, recorded)
    if not found:
        return schema
    dialect = str(schema.get("$schema", "2020-12"))
    container = "$defs" if re.search("2019-09|2020-12", dialect) else "definitions"
    name = "id" if "draft-04" in dialect else "$id"
    embedded = {uri: {**document, name: uri} for uri, document in sorted(found.items()) if isinstance(document, dict)}
    return {**schema, name: schema.get(name, base_uri), container: {**schema.get(container, {}), **embedded}}


def _property_names(schema: Any) -> Iterator[str]:
    """Names that the schema itself gives to properties: they may be shown; other names are content."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "dependentRequired", "dependentSchemas", "dependencies") and isinstance(
                value, dict
            ):
                yield from value
            if key == "required" and isinstance(value, list):
                yield from (name for name in value if isinstance(name, str))
            yield from _property_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _property_names(value)


def _most_specific(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError:
    """The error inside anyOf or oneOf that got deepest into the document, where one branch stands out."""
    context = getattr(error.kind, "context", None)
    if not context:
        return error
    deepest = [max(branch, key=lambda each: len(each.instance_path)) for branch in context if branch]
    depths = sorted((len(each.instance_path) for each in deepest), reverse=True)
    if not depths or depths[0] <= len(error.instance_path) or depths[1:2] == depths[:1]:
        return error
    return _most_specific(next(each for each in deepest if len(each.instance_path) == depths[0]))


def _path(parts: list[str | int], names: frozenset[str]) -> str:
    """`$.affected[0].ranges`; a name that the schema does not know is written `*`."""
    found = ["$"]
    for part in parts[:50]:
        if isinstance(part, int):
            found.append(f"[{part}]")
        elif part not in names:
            found.append(".*")
        elif re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$-]*", part):
            found.append(f".{part}")
        else:
            found.append(f"[{json.dumps(part, ensure_ascii=False)}]")
    return "".join(found) + ("…" if len(parts) > 50 else "")


def _rule(error: jsonschema_rs.ValidationError) -> str:
    kind: Any = error.kind
    match type(kind).__name__:
        case "Type":
            return f"must be {' or '.join(sorted(kind.types))}"
        case "Required":
            return f"required property '{kind.property[:MAX_SCHEMA_TEXT]}' is missing"
        case "Enum":
            return f"must be one of {_shown(kind.options)}"
        case "Constant":
            return f"must be {_shown(kind.expected_value)}"
        case "Pattern":
            return f"must match the pattern {kind.pattern[:MAX_SCHEMA_TEXT]}"
        case "BacktrackLimitExceeded" | "RegexEngineFailure":
            return "a pattern needs too many steps on this text"
        case "Format":
            return f"must have the format {kind.format}"
        case "PropertyNames":
            return f"has a property name that is not allowed: {_rule(kind.error)}"
        case "MultipleOf":
            return f"must be a multiple of {kind.multiple_of}"
        case _:
            return _rule_of_keyword(error, kind)


def _rule_of_keyword(error: jsonschema_rs.ValidationError, kind: Any) -> str:
    keyword = kind.name
    if keyword == "falseSchema" and error.schema_path[-1:] == ["additionalProperties"]:
        keyword = "additionalProperties"
    rule = _RULES.get(keyword)
    return rule.format(limit=getattr(kind, "limit", "")) if rule else f"does not match the rule {keyword}"


_RULES: Mapping[str, str] = {
    "additionalItems": "has more items than are described",
    "additionalProperties": "has a property that is not described",
    "unevaluatedProperties": "has a property that is not described",
    "unevaluatedItems": "has an item that is not described",
    "anyOf": "matches none of the alternatives (anyOf)",
    "oneOf": "must match exactly one of the alternatives (oneOf)",
    "not": "matches what is excluded (not)",
    "contains": "has not the number of matching items (contains)",
    "falseSchema": "is not allowed",
    "uniqueItems": "has equal items",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "minLength": "must have at least {limit} characters",
    "maxLength": "must have at most {limit} characters",
    "minProperties": "must have at least {limit} properties",
    "maxProperties": "must have at most {limit} properties",
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be greater than {limit}",
    "exclusiveMaximum": "must be less than {limit}",
}


def _shown(value: Any) -> str:
    """A constant of the schema, cut."""
    text = ", ".join(map(_json, value)) if isinstance(value, list) else _json(value)
    return text if len(text) <= MAX_SCHEMA_TEXT else text[:MAX_SCHEMA_TEXT] + "…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
