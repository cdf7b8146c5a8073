"""A schema with everything it refers to in one piece, as it is stored beside the data."""

import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs

Retrieve = Callable[[str], Any]


def bundle(schema: Any, base_uri: str, retrieve: Retrieve) -> Any:
    """The schema with everything it refers to embedded under `$defs` (`definitions` before 2019-09), each with its
    `$id`; the schema itself where it refers to nothing outside."""
    found: dict[str, Any] = {}

    def recorded(uri: str) -> Any:
        document = retrieve(uri)
        found[uri] = document
        return document

    jsonschema_rs.validator_for(
        schema, base_uri=base_uri, retriever=recorded, pattern_options=jsonschema_rs.FancyRegexOptions()
    )
    if not found:
        return schema
    dialect = str(schema.get("$schema", "2020-12"))
    container = "$defs" if re.search("2019-09|2020-12", dialect) else "definitions"
    name = "id" if "draft-04" in dialect else "$id"
    embedded = {uri: {**document, name: uri} for uri, document in sorted(found.items()) if isinstance(document, dict)}
    return {**schema, name: schema.get(name, base_uri), container: {**schema.get(container, {}), **embedded}}
