"""A JSON Schema, with all that it refers to, as a graph: which subschemas check the same value, which a part of it."""

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

for _schemes in (urllib.parse.uses_relative, urllib.parse.uses_netloc):
    if "registry" not in _schemes:
        _schemes.append("registry")  # urljoin, which referencing uses, joins only for schemes that it knows

MAX_NODES = 50_000
"""Subschemas of one schema that are looked at; the largest public ones have some thousand."""

Retrieve = Callable[[str], Any]

STRUCTURE = frozenset(
    {"$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment", "$defs"}
    | {"definitions", "$ref", "$dynamicRef", "$recursiveRef", "title", "description", "default", "examples"}
    | {"deprecated", "readOnly", "writeOnly", "contentSchema"}
)
"""Keywords that check nothing themselves; contentEncoding and contentMediaType do in draft-06 and draft-07."""

OLD_DIALECTS = ("draft-03", "draft-04", "draft-06", "draft-07")
"""A `$ref` hides all other keywords beside it."""


@dataclass(slots=True)
class Node:
    """A subschema. All numbers are places in `Graph.nodes`.

    `same` are (keyword, key, subschema) for the value itself; a key is the place in a list, or a name. The others are
    for its parts: members by name and by pattern, all other members, names; items by place, all others, and `contains`.
    `plain` are the keywords without subschemas.
    """

    schema: Any
    same: list[tuple[str, int | str, int]] = field(default_factory=list)
    properties: dict[str, int] = field(default_factory=dict)
    patterns: list[tuple[str, int]] = field(default_factory=list)
    additional: int | None = None
    names: int | None = None
    unevaluated_properties: int | None = None
    prefix: list[int] = field(default_factory=list)
    items: int | None = None
    contains: int | None = None
    unevaluated_items: int | None = None
    plain: dict[str, Any] = field(default_factory=dict)

    @property
    def is_link(self) -> bool:
        """Whether the node only refers to one other subschema."""
        if len(self.same) != 1 or self.same[0][0] not in ("$ref", "$dynamicRef", "$recursiveRef", "allOf"):
            return False
        return not (set(self.schema) - STRUCTURE - {"allOf"})

    @property
    def unevaluated(self) -> bool:
        return self.unevaluated_properties is not None or self.unevaluated_items is not None


@dataclass(slots=True)
class Graph:
    """`nodes[0]` is the schema. `exact`: each reference has one target, and all files have one dialect; else the graph
    has more edges than the schema, never fewer."""

    nodes: list[Node]
    dialect: str | None
    exact: bool

    @property
    def old(self) -> bool:
        return is_old(self.dialect)


class TooIntricate(Exception):
    """The schema cannot be analysed as a graph."""


def is_old(dialect: str | None) -> bool:
    return dialect is not None and any(name in dialect for name in OLD_DIALECTS)


def read_graph(schema: Any, base_uri: str, retrieve: Retrieve) -> Graph:
    """The graph of everything that the schema reaches; `retrieve(uri)` as for compiling. Raises TooIntricate."""
    try:
        return _Reader(schema, base_uri, retrieve).read()
    except (Unresolvable, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TooIntricate(str(error)) from error


class _Reader:
    def __init__(self, schema: Any, base_uri: str, retrieve: Retrieve) -> None:
        self.dialect = _dialect(schema)
        self.specification = specification_with(self.dialect) if self.dialect else DRAFT202012
        self.documents: list[Any] = [schema]
        self.retrieve = retrieve
        root = self._resource(schema)
        registry = Registry(retrieve=self._fetch).with_resource(base_uri, root)  # type: ignore[call-arg]
        self.root = registry.resolver(base_uri).in_subresource(root)
        self.schema = schema
        self.nodes: list[Node] = []
        self.places: dict[tuple[int, str], int] = {}
        self.left: list[tuple[int, Any]] = []
        self.exact = True

    def _resource(self, schema: Any) -> Resource[Any]:
        return Resource.from_contents(schema, default_specification=self.specification)

    def _fetch(self, uri: str) -> Resource[Any]:
        found = self.retrieve(uri)
        self.documents.append(found)
        return self._resource(found)

    def read(self) -> Graph:
        self._place_found(self.schema, self.root)
        while self.left:
            place, resolver = self.left.pop()
            node = self.nodes[place]
            if isinstance(node.schema, dict):
                self._fill(node, resolver)
        self.exact = self.exact and all(
            dialect == self.dialect for document in self.documents for dialect in _dialects(document)
        )
        return Graph(self.nodes, self.dialect, self.exact)

    def _place(self, schema: Any, resolver: Any) -> int:
        """The place of the node of this subschema; a new node is filled later."""
        if isinstance(schema, dict) and any(name in schema for name in ("$id", "id")):
            resolver = resolver.in_subresource(self._resource(schema))
        return self._place_found(schema, resolver)

    def _place_found(self, schema: Any, resolver: Any) -> int:
        """The same for what a reference leads to: its resolver starts from its name already."""
        key = (id(schema), resolver._base_uri)  # two of them when a file is reached under two names
        if key not in self.places:
            if len(self.nodes) >= MAX_NODES:
                raise TooIntricate(f"more than {MAX_NODES:,} subschemas")
            self.places[key] = len(self.nodes)
            self.nodes.append(Node(schema))
            self.left.append((self.places[key], resolver))
        return self.places[key]

    def _fill(self, node: Node, resolver: Any) -> None:
        schema = node.schema
        if isinstance(schema.get("$ref"), str):
            found = resolver.lookup(schema["$ref"])
            node.same.append(("$ref", 0, self._place_found(found.contents, found.resolver)))
            if is_old(self.dialect):
                return
        for keyword, anchor in (("$dynamicRef", "$dynamicAnchor"), ("$recursiveRef", "$recursiveAnchor")):
            if isinstance(schema.get(keyword), str):
                self._add_dynamic(node, keyword, anchor, schema[keyword], resolver)
        for keyword, value in schema.items():
            self._add(node, keyword, value, resolver)

    def _add_dynamic(self, node: Node, keyword: str, anchor: str, reference: str, resolver: Any) -> None:
        found = resolver.lookup(reference)
        targets = {self._place_found(found.contents, found.resolver)}
        name: Any = reference.rpartition("#")[2] if keyword == "$dynamicRef" else True
        for document in self.documents:
            for each in _dicts(document):
                if each.get(anchor) == name:
                    place = self._place_found if each is self.schema else self._place
                    targets.add(place(each, self.root if document is self.schema else found.resolver))
        self.exact = self.exact and len(targets) == 1
        node.same.extend((keyword, number, target) for number, target in enumerate(sorted(targets)))

    def _add(self, node: Node, keyword: str, value: Any, resolver: Any) -> None:
        def place(subschema: Any) -> int:
            return self._place(subschema, resolver)

        match keyword, value:
            case (("allOf" | "anyOf" | "oneOf"), list()):
                node.same.extend((keyword, number, place(each)) for number, each in enumerate(value))
            case (("not" | "if" | "then" | "else"), (dict() | bool())):
                node.same.append((keyword, 0, place(value)))
            case (("dependentSchemas" | "dependencies"), dict()):
                for name, each in value.items():
                    if isinstance(each, dict | bool):
                        node.same.append((keyword, name, place(each)))
                    else:
                        node.plain.setdefault(keyword, {})[name] = each
            case "properties", dict():
                node.properties = {name: place(each) for name, each in value.items()}
            case "patternProperties", dict():
                node.patterns = [(pattern, place(each)) for pattern, each in value.items()]
            case "additionalProperties", (dict() | bool()):
                node.additional = place(value)
            case "propertyNames", (dict() | bool()):
                node.names = place(value)
            case "unevaluatedProperties", (dict() | bool()):
                node.unevaluated_properties = place(value)
            case "prefixItems", list():
                node.prefix = [place(each) for each in value]
            case "items", list():
                node.prefix = [place(each) for each in value]
                if isinstance(node.schema.get("additionalItems"), dict | bool):
                    node.items = place(node.schema["additionalItems"])
            case "items", (dict() | bool()):
                node.items = place(value)
            case "contains", (dict() | bool()):
                node.contains = place(value)
            case "unevaluatedItems", (dict() | bool()):
                node.unevaluated_items = place(value)
            case "additionalItems", _:
                pass
            case _:
                if keyword not in STRUCTURE:
                    node.plain[keyword] = value


def _dialect(schema: Any) -> str | None:
    found = schema.get("$schema") if isinstance(schema, Mapping) else None
    return found if isinstance(found, str) else None


def _dialects(document: Any) -> Iterator[str]:
    return (each["$schema"] for each in _dicts(document) if isinstance(each.get("$schema"), str))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the schema, also those that are not schemas."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)
