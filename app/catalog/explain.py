"""Finds, step by step, why a document does not match: in the memory of its path and the time of a few checks.

jsonschema-rs collects all mismatches of all branches, which for a schema that refers to itself grows without bound with
the depth of the document. Here each step asks only whether a subschema matches.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from app.catalog.mismatch import (
    NO_RULE,
    TOO_DEEP,
    TOO_MANY_STEPS,
    Written,
    name_text,
    path_text,
    rule_text,
    standing_out,
)
from app.catalog.patterns import Options
from app.catalog.schema_graph import Graph, Node

EXPLAIN_PATIENCE = 3.0
"""Seconds of CPU of looking for the place; then the message says how far it got."""

EXPLAIN_DEADLINE = 8.0
"""The same on the clock, for a machine that has other work: less than a check may take."""

MAX_FAILURES = 1_000
"""Mismatches of a branch that are compared."""

FLAT = "pas:flat"
"""The name of the file with all nodes."""

Path = tuple[str | int, ...]

_FIRST = ("type", "const", "enum")
"""Keywords whose mismatch is reported first: it explains most."""

_FLAGS = {"maximum": "exclusiveMaximum", "minimum": "exclusiveMinimum"}

_ASKED = frozenset(
    (
        *("type", "const", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems"),
        *("minProperties", "maxProperties", "contentEncoding", "contentMediaType"),
    )
)
"""Keywords without subschemas, each of which can be checked alone."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A mismatch. `branches` are the alternatives of an anyOf or oneOf of which none matches, for `value`."""

    path: Path
    rule: str
    branches: tuple[int, ...] = ()
    value: Any = None


class Explainer:
    """Explains mismatches of an exact graph, whose patterns are in the engine's form.

    `keywords` are rules that replace those of the engine.
    """

    def __init__(
        self, graph: Graph, patterns: Options, keywords: dict[str, type], names: frozenset[str], written: Written
    ) -> None:
        self._graph = graph
        self._patterns = patterns
        self._keywords = keywords
        self._names = names
        self._written = written
        self._dialect = {"$schema": graph.dialect} if graph.dialect else {}
        self._flat = flat_schemas(graph)
        all_of_them = {**self._dialect, "definitions": {f"n{place}": each for place, each in enumerate(self._flat)}}
        self._registry = jsonschema_rs.Registry([(FLAT, all_of_them)])
        self._known: dict[Any, jsonschema_rs.Validator] = {}
        self._until = (0.0, 0.0)
        self._reached: Path = ()

    def text(self, value: Any) -> str:
        """`<path>: <rule>` for a value that does not match."""
        self._until = (time.thread_time() + EXPLAIN_PATIENCE, time.monotonic() + EXPLAIN_DEADLINE)
        self._reached = ()
        try:
            found = self._most_specific(next(self._failures(0, value, ())))
        except _OutOfTimeError:
            return f"{path_text(self._reached, self._names)}: {NO_RULE}"
        return f"{path_text(found.path, self._names)}: {found.rule}"

    def _most_specific(self, failure: _Failure) -> _Failure:
        while failure.branches:
            self._reached = failure.path
            if any(self._matches(branch, failure.value) for branch in failure.branches):
                return failure  # more than one: nothing is wrong inside
            deepest = []
            for branch in failure.branches:
                found = islice(self._failures(branch, failure.value, failure.path), MAX_FAILURES)
                deepest.append(max(found, key=lambda each: len(each.path)))
            place = standing_out([len(each.path) for each in deepest], len(failure.path))
            if place is None:
                return failure
            failure = deepest[place]
        return failure

    def _failures(self, place: int, value: Any, path: Path) -> Iterator[_Failure]:
        """Mismatches in the order of the schema; at least one."""
        left = [(place, value, path)]
        while left:
            place, value, path = left.pop()
            if len(path) > len(self._reached) and not left:
                self._reached = path
            found: list[_Failure] = []
            further: list[tuple[int, Any, Path]] = []
            try:
                self._look(place, value, path, found, further)
            except _TooDeepError:
                found = [_Failure(path, TOO_DEEP)]
            if not found and not further:
                found = [_Failure(path, self._remaining(self._graph.nodes[place], value))]
            yield from found
            left.extend(reversed(further))

    def _look(
        self, place: int, value: Any, path: Path, found: list[_Failure], further: list[tuple[int, Any, Path]]
    ) -> None:
        node = self._graph.nodes[place]
        if not isinstance(node.schema, dict):
            found.append(_Failure(path, rule_text("falseSchema", "")))
            return
        if node.is_link:
            further.append((node.same[0][2], value, path))  # what does not match is there
            return
        for keyword in sorted(node.plain, key=lambda each: each not in _FIRST):
            rule = self._plain_rule(place, keyword, node.plain[keyword], value)
            if rule is not None:
                found.append(_Failure(path, rule))
        self._look_at_same(node, value, path, found, further)
        if isinstance(value, dict):
            self._look_at_members(node, value, path, found, further)
        elif isinstance(value, list):
            self._look_at_items(place, node, value, path, found, further)

    def _plain_rule(self, place: int, keyword: str, asked: Any, value: Any) -> str | None:
        if keyword in ("minContains", "maxContains"):
            return None  # with `contains`
        if not isinstance(value, dict) and keyword in ("required", "dependentRequired", "dependencies"):
            return None
        match keyword:
            case "required":
                missing = next((name for name in asked if name not in value), None) if isinstance(asked, list) else None
            case "dependentRequired" | "dependencies":
                missing = next(
                    (
                        name
                        for present, several in asked.items()
                        if present in value
                        for name in ([several] if isinstance(several, str) else several)
                        if name not in value
                    ),
                    None,
                )
            case _:
                if keyword not in _ASKED or (keyword in _FLAGS.values() and isinstance(asked, bool)):
                    return None
                schema = {keyword: asked}
                beside = self._graph.nodes[place].plain
                if keyword == "contentMediaType" and "contentEncoding" in beside:
                    encoding = {"contentEncoding": beside["contentEncoding"]}
                    if not self._valid((place, "contentEncoding"), encoding, value):
                        return None  # with `contentEncoding`
                    schema |= encoding
                flag = _FLAGS.get(keyword, "")  # draft-04 excludes the limit by a flag beside it
                if beside.get(flag) is True:
                    schema[flag] = True
                if self._valid((place, keyword), schema, value):
                    return None
                if flag in schema:
                    return rule_text(flag, asked)
                if keyword == "pattern":
                    return self._pattern_rule(place, asked, value)
                return rule_text(keyword, asked)
        return None if missing is None else rule_text("required", missing)

    def _pattern_rule(self, place: int, pattern: str, value: Any) -> str:
        try:
            self._known[(place, "pattern")].validate(value)
        except jsonschema_rs.ValidationError as error:
            if type(error.kind).__name__ in ("BacktrackLimitExceeded", "RegexEngineFailure"):
                return TOO_MANY_STEPS
        return rule_text("pattern", self._written(pattern))

    def _look_at_same(
        self, node: Node, value: Any, path: Path, found: list[_Failure], further: list[tuple[int, Any, Path]]
    ) -> None:
        choices: dict[str, list[int]] = {"anyOf": [], "oneOf": []}
        single = {keyword: target for keyword, _, target in node.same if keyword in ("if", "then", "else")}
        for keyword, key, target in node.same:
            match keyword:
                case "anyOf" | "oneOf":
                    choices[keyword].append(target)
                case "not":
                    if self._matches(target, value):
                        found.append(_Failure(path, rule_text("not", "")))
                case "if":
                    other = single.get("then" if self._matches(target, value) else "else")
                    if other is not None and not self._matches(other, value):
                        further.append((other, value, path))
                case "then" | "else":
                    pass
                case "dependentSchemas" | "dependencies":
                    if isinstance(value, dict) and key in value and not self._matches(target, value):
                        further.append((target, value, path))
                case _:
                    if not self._matches(target, value):
                        further.append((target, value, path))
        for keyword, branches in choices.items():
            if branches:
                good = sum(self._matches(branch, value) for branch in branches)
                if (good != 1) if keyword == "oneOf" else not good:
                    found.append(_Failure(path, rule_text(keyword, ""), tuple(branches), value))

    def _look_at_members(
        self,
        node: Node,
        value: Mapping[str, Any],
        path: Path,
        found: list[_Failure],
        further: list[tuple[int, Any, Path]],
    ) -> None:
        if not (node.properties or node.patterns or node.additional is not None or node.names is not None):
            return
        for name, member in value.items():
            if len(further) >= MAX_FAILURES:
                break
            targets = [node.properties[name]] if name in node.properties else []
            for number, (pattern, target) in enumerate(node.patterns):
                if self._valid(("name", number, id(node)), {"pattern": pattern}, name):
                    targets.append(target)
            if not targets and node.additional is not None:
                if self._graph.nodes[node.additional].schema is False:
                    found.append(_Failure(path, rule_text("additionalProperties", "")))
                else:
                    targets.append(node.additional)
            further.extend((target, member, (*path, name)) for target in targets if not self._matches(target, member))
            if node.names is not None and not self._matches(node.names, name):
                inner = self._most_specific(next(self._failures(node.names, name, ())))
                found.append(_Failure(path, name_text(inner.rule)))

    def _look_at_items(
        self,
        place: int,
        node: Node,
        value: list[Any],
        path: Path,
        found: list[_Failure],
        further: list[tuple[int, Any, Path]],
    ) -> None:
        if node.prefix or node.items is not None:
            for index, item in enumerate(value):
                if len(further) >= MAX_FAILURES:
                    break
                target = node.prefix[index] if index < len(node.prefix) else node.items
                if target is not None and not self._matches(target, item):
                    if index >= len(node.prefix) and self._graph.nodes[target].schema is False:
                        keyword = "items" if "prefixItems" in node.schema else "additionalItems"
                        rule = rule_text(keyword if isinstance(node.schema.get("items"), list) else "falseSchema", "")
                        if keyword == "additionalItems":
                            found.append(_Failure(path, rule))
                            break
                    further.append((target, item, (*path, index)))
        if node.contains is not None:
            keywords = ("contains", "minContains", "maxContains")
            asked = {each: self._flat[place][each] for each in keywords if each in self._flat[place]}
            if not self._valid((place, "contains"), asked, value):
                found.append(_Failure(path, rule_text("contains", "")))

    def _remaining(self, node: Node, value: Any) -> str:
        """The mismatch when all keywords that can be checked alone match."""
        if node.unevaluated_properties is not None and isinstance(value, dict):
            return rule_text("unevaluatedProperties", "")
        if node.unevaluated_items is not None and isinstance(value, list):
            return rule_text("unevaluatedItems", "")
        return NO_RULE

    def _matches(self, place: int, value: Any) -> bool:
        schema = self._graph.nodes[place].schema
        return schema if isinstance(schema, bool) else self._valid(place, {"$ref": reference(place)}, value)

    def _valid(self, key: Any, schema: dict[str, Any], value: Any) -> bool:
        if time.thread_time() > self._until[0] or time.monotonic() > self._until[1]:
            raise _OutOfTimeError
        validator = self._known.get(key)
        if validator is None:
            validator = self._known[key] = jsonschema_rs.validator_for(
                {**self._dialect, **schema},
                registry=self._registry,
                pattern_options=self._patterns,
                keywords=self._keywords or None,
            )
        try:
            return validator.is_valid(value)
        except ValueError:
            raise _TooDeepError from None


def reference(place: int) -> str:
    return f"{FLAT}#/definitions/n{place}"


def flat_schemas(graph: Graph) -> list[Any]:
    """Each node of an exact graph by itself: subschemas are references to other nodes."""
    return [each.schema if isinstance(each.schema, bool) else _flat(each, old=graph.old) for each in graph.nodes]


def _flat(node: Node, *, old: bool) -> dict[str, Any]:
    def to(place: int) -> dict[str, str]:
        return {"$ref": reference(place)}

    flat: dict[str, Any] = dict(node.plain)
    for keyword, key, target in node.same:
        match keyword:
            case "allOf" | "anyOf" | "oneOf":
                flat.setdefault(keyword, []).append(to(target))
            case "dependentSchemas" | "dependencies":
                flat[keyword] = {**flat.get(keyword, {}), key: to(target)}
            case "$ref" | "$dynamicRef" | "$recursiveRef":
                if old:
                    return to(target)
                flat.setdefault("allOf", []).append(to(target))
            case _:
                flat[keyword] = to(target)
    if node.properties:
        flat["properties"] = {name: to(target) for name, target in node.properties.items()}
    if node.patterns:
        flat["patternProperties"] = {pattern: to(target) for pattern, target in node.patterns}
    for keyword, place in (
        ("additionalProperties", node.additional),
        ("propertyNames", node.names),
        ("unevaluatedProperties", node.unevaluated_properties),
        ("contains", node.contains),
        ("unevaluatedItems", node.unevaluated_items),
    ):
        if place is not None:
            flat[keyword] = to(place)
    if isinstance(node.schema.get("items"), list):
        flat["items"] = [to(target) for target in node.prefix]
        if node.items is not None:
            flat["additionalItems"] = to(node.items)
    else:
        if node.prefix:
            flat["prefixItems"] = [to(target) for target in node.prefix]
        if node.items is not None:
            flat["items"] = to(node.items)
    return flat


class _OutOfTimeError(Exception):
    pass


class _TooDeepError(Exception):
    """A value cannot be compared: jsonschema-rs hashes 255 levels."""
