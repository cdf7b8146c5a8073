"""The text of a mismatch: path and rule, never a value of the document."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import jsonschema_rs

MAX_SCHEMA_TEXT = 200
"""Characters of a schema's own text (pattern, constants) in a message."""

MAX_PATH = 50
"""Steps of a path in a message."""

NO_RULE = "does not match"
TOO_DEEP = "is nested too deeply for a rule that compares whole values"

Written = Callable[[str], str]
"""A pattern as the engine has it → as the schema writes it."""


def property_names(schema: Any) -> Iterator[str]:
    """The names that the schema gives to properties: they may be shown; all other names are content."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "dependentRequired", "dependentSchemas", "dependencies") and isinstance(
                value, dict
            ):
                yield from value
            if key == "required" and isinstance(value, list):
                yield from (name for name in value if isinstance(name, str))
            yield from property_names(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from property_names(value)


def text_of(error: jsonschema_rs.ValidationError, value: Any, names: frozenset[str], written: Written) -> str:
    """`<path>: <rule>` of the first mismatch in the value, or of the branch of anyOf or oneOf that stands out."""
    found = _most_specific(error)
    return f"{path_text(_path_in(value, found.instance_path), names)}: {_rule(found, written)}"


def _path_in(value: Any, parts: Sequence[str | int]) -> list[str | int]:
    """The path, with names as names: jsonschema-rs gives names made of digits as numbers."""
    found: list[str | int] = []
    for part in parts:
        if isinstance(value, list) and isinstance(part, int):
            found.append(part)
            value = value[part]
        elif isinstance(value, dict) and str(part) in value:
            found.append(str(part))
            value = value[str(part)]
        else:  # a name like 007
            return [*found, *("" for _ in parts[len(found) :])]
    return found


def _most_specific(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError:
    """The error inside anyOf or oneOf that got deepest into the document, where one branch stands out."""
    context = getattr(error.kind, "context", None)
    if not context:
        return error
    deepest = [max(branch, key=lambda each: len(each.instance_path)) for branch in context if branch]
    place = standing_out([len(each.instance_path) for each in deepest], len(error.instance_path))
    return error if place is None else _most_specific(deepest[place])


def standing_out(depths: Sequence[int], own: int) -> int | None:
    """The branch that got deeper into the document than all others, and deeper than its start."""
    most = max(depths, default=0)
    return list(depths).index(most) if most > own and list(depths).count(most) == 1 else None


def path_text(parts: Sequence[str | int], names: frozenset[str]) -> str:
    """`$.affected[0].ranges`; a name that the schema does not know is written `*`."""
    found = ["$"]
    for part in parts[:MAX_PATH]:
        if isinstance(part, int):
            found.append(f"[{part}]")
        elif part not in names or not part:
            found.append(".*")
        elif re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$-]*", part):
            found.append(f".{part}")
        else:
            found.append(f"[{json.dumps(part, ensure_ascii=False)}]")
    return "".join(found) + ("…" if len(parts) > MAX_PATH else "")


def _rule(error: jsonschema_rs.ValidationError, written: Written) -> str:
    kind: Any = error.kind
    match type(kind).__name__:
        case "Type":
            return rule_text("type", list(kind.types))
        case "Required":
            return rule_text("required", kind.property)
        case "Enum":
            return rule_text("enum", kind.options)
        case "Constant":
            return rule_text("const", kind.expected_value)
        case "Pattern":
            return rule_text("pattern", written(kind.pattern))
        case "BacktrackLimitExceeded" | "RegexEngineFailure":
            return TOO_MANY_STEPS
        case "Format":
            return rule_text("format", kind.format)
        case "PropertyNames":
            return name_text(_rule(kind.error, written))
        case "MultipleOf":
            return rule_text("multipleOf", kind.multiple_of)
        case _:
            return _rule_of_keyword(error, kind)


def _rule_of_keyword(error: jsonschema_rs.ValidationError, kind: Any) -> str:
    keyword = kind.name
    if keyword == "falseSchema" and error.schema_path[-1:] == ["additionalProperties"]:
        keyword = "additionalProperties"
    return rule_text(keyword, getattr(kind, "limit", ""))


TOO_MANY_STEPS = "a pattern needs too many steps on this text"


def name_text(rule: str) -> str:
    return f"has a property name that is not allowed: {rule}"


def rule_text(keyword: str, value: Any) -> str:
    """The requirement of a keyword of the schema; `value` is the value of the keyword, for `required` the missing
    name."""
    match keyword:
        case "type":
            return f"must be {' or '.join(sorted([value] if isinstance(value, str) else value))}"
        case "required":
            return f"required property '{value[:MAX_SCHEMA_TEXT]}' is missing"
        case "enum":
            return f"must be one of {_shown(value)}"
        case "const":
            return f"must be {_shown(value)}"
        case "pattern":
            return f"must match the pattern {value[:MAX_SCHEMA_TEXT]}"
        case "format":
            return f"must have the format {value}"
        case "multipleOf":
            return f"must be a multiple of {_number(value)}"
        case _:
            rule = _RULES.get(keyword)
            return rule.format(limit=_number(value)) if rule else f"does not match the rule {keyword}"


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


def _number(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_SCHEMA_TEXT else text[:MAX_SCHEMA_TEXT] + "…"


def _shown(value: Any) -> str:
    """A constant of the schema, cut to a length."""
    text = ", ".join(map(_json, value)) if isinstance(value, list) else _json(value)
    return text if len(text) <= MAX_SCHEMA_TEXT else text[:MAX_SCHEMA_TEXT] + "…"


def _json(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{json.dumps(key, ensure_ascii=False)}: {_json(each)}' for key, each in value.items())}}}"
        )
    return json.dumps(value, ensure_ascii=False, default=str)
