"""Makes one schema of a schema and all that it refers to, as stored beside the data: it needs no other file."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urldefrag, urljoin

import jsonschema_rs

from app.catalog.patterns import BOUNDED, with_engine_patterns
from app.catalog.schema_graph import STRUCTURE, Retrieve, TooIntricate, is_old, read_graph

NOWHERE = "https://elsewhere.invalid/some/folder/schema"
"""The place of a stored schema for whoever reads it: references that need another one do not stand alone."""

_METASCHEMA = re.compile(r"https?://json-schema\.org/draft[-/]")


def bundle(schema: Any, base_uri: str, retrieve: Retrieve) -> Any:
    """The schema with everything it refers to embedded under `$defs` (`definitions` before 2019-09), each with its
    `$id`; the schema itself where it needs neither others nor its place.

    What is stored never changes, so the first form that stands alone is taken, and it is the oldest. Raises ValueError
    where none does.
    """
    found: dict[str, Any] = {}

    def recorded(uri: str) -> Any:
        document = retrieve(uri)
        found[uri] = document
        return document

    _compile(schema, base_uri, recorded)
    if not found and _problem(schema) is None:
        return schema
    _refuse_parts_of_other_dialects(schema, base_uri, found)
    plain = _embedded(schema, base_uri, {uri: each for uri, each in found.items() if isinstance(each, dict)}, None)
    if _problem(plain) is None:
        return plain
    careful = _embedded(
        _own_reference(schema, _dialect(schema)),
        base_uri,
        {uri: _careful(each, _dialect(each) or _dialect(schema)) for uri, each in found.items()},
        urljoin(base_uri, _identifier(schema) or ""),
    )
    problem = _problem(careful)
    if problem is not None:
        for reference in _references([schema, *found.values()]):
            if _METASCHEMA.match(reference):
                raise ValueError(
                    f"$ref {reference}: a meta-schema cannot be referred to, it is no file of the registry; refer to "
                    "a copy with another $id in a folder of shared schemas"
                )
        raise ValueError(
            f"cannot be stored in one piece with what it refers to ({', '.join(sorted(found)) or 'itself'}): "
            f"{problem}; use one dialect ($schema) for all of them, and no $id beside a $ref"
        )
    return careful


def identifier(schema: Any, file_uri: str) -> str | None:
    """The absolute name that the file gives itself: `$id`, or `id` in draft-04."""
    own = _identifier(schema)
    return None if own is None else urljoin(file_uri, own.rstrip("#"))


def _identifier(schema: Any) -> str | None:
    found = schema.get(_id_name(_dialect(schema))) if isinstance(schema, dict) else None
    return found if isinstance(found, str) else None


def _dialect(schema: Any) -> str | None:
    found = schema.get("$schema") if isinstance(schema, dict) else None
    return found if isinstance(found, str) else None


def _id_name(dialect: str | None) -> str:
    return "id" if dialect is not None and "draft-04" in dialect else "$id"


def _embedded(schema: dict[str, Any], base_uri: str, files: Mapping[str, Any], own: str | None) -> dict[str, Any]:
    """`own`: the name of the schema where that must not be relative, and embedded files have the key of their own
    dialect for their name."""
    dialect = str(schema.get("$schema", "2020-12"))
    container = "$defs" if re.search("2019-09|2020-12", dialect) else "definitions"
    name = _id_name(dialect)
    embedded = {
        uri: {**document, (name if own is None else _id_name(_dialect(document) or dialect)): uri}
        for uri, document in sorted(files.items())
    }
    bundled = {**schema, name: own or schema.get(name, base_uri)}
    if embedded:
        there = schema.get(container, {})
        bundled[container] = {**there, **{_free(uri, there): each for uri, each in embedded.items()}}
    return bundled


def _free(key: str, there: Mapping[str, Any]) -> str:
    while key in there:
        key += "_"
    return key


def _careful(document: Any, dialect: str | None) -> dict[str, Any]:
    """An embedded file that can have a name: not just true or false, and no `$ref` that hides the name."""
    if not isinstance(document, dict):
        return {} if document else {"not": {}}
    return _own_reference(document, dialect)


def _own_reference(schema: dict[str, Any], dialect: str | None) -> dict[str, Any]:
    if not (is_old(dialect) and isinstance(schema.get("$ref"), str)):
        return schema
    beside = {key: value for key, value in schema.items() if key in STRUCTURE - {"$ref"}}  # others do not count there
    return {**beside, "allOf": [{"$ref": schema["$ref"]}]}


def _compile(schema: Any, base_uri: str, retrieve: Retrieve) -> None:
    """Compiles a schema; all patterns were checked before, so any engine for patterns is good enough."""

    def prepared(uri: str) -> Any:
        return with_engine_patterns(retrieve(uri), {})

    jsonschema_rs.validator_for(
        with_engine_patterns(schema, {}), base_uri=base_uri, retriever=prepared, pattern_options=BOUNDED
    )


def _problem(bundled: Any) -> str | None:
    """Why the schema cannot stand alone, by two libraries that read schemas; None when it can."""
    try:
        _compile(bundled, NOWHERE, _refuse)
        read_graph(bundled, NOWHERE, _refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        return str(error.message).split("\n")[0][:300]
    except TooIntricate as error:
        return None if error.__cause__ is None else str(error)[:300]  # no more than too large to be looked at
    return None


def _refuse(uri: str) -> Any:
    raise LookupError(uri)


def _refuse_parts_of_other_dialects(schema: Any, base_uri: str, files: Mapping[str, Any]) -> None:
    """Refuses a reference to a part of a file with another dialect: only whole files name their dialect."""
    default = _dialect(schema)
    for uri, document in ((base_uri, schema), *files.items()):
        base = identifier(document, uri) or uri
        for reference in _references(document):
            target, fragment = urldefrag(urljoin(base, reference))
            if fragment and target in files and _named(files[target], default) != _named(document, default):
                raise ValueError(
                    f"$ref {reference}: a part of a file with another dialect ($schema) cannot be referred to; refer "
                    "to the whole file, or give both the same $schema"
                )


def _named(schema: Any, default: str | None) -> str:
    return (_dialect(schema) or default or "https://json-schema.org/draft/2020-12/schema").rstrip("#")


def _references(value: Any) -> list[str]:
    found: list[str] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if isinstance(each.get("$ref"), str):
                found.append(each["$ref"])
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)
    return found
