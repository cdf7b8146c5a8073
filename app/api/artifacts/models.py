"""The query parameters of a search for artifacts, and the JSON of artifacts."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.http.problems import MAX_ERRORS, ApiProblem
from app.api.http.query import name_mistakes
from app.api.shapes.cursors import MISTAKE, ListOf, cursor_at, place_of
from app.api.shapes.moments import Moment, moment_of
from app.domain.mistakes import Mistake
from app.domain.nearest import there_are
from app.domain.search import Comparison, Search, SearchCondition
from app.metadata.search import condition

MAX_ID = 2**63 - 1
MAX_LIMIT = 1000
MAX_CONDITIONS = 20
"""Conditions on metadata in one search: each is a join."""

SHOWN_KEYS = 30
"""Keys that the answer to an unknown one names."""

METADATA = "metadata."


@dataclass(frozen=True, slots=True)
class ArtifactQuery:
    """A search, the place where its page begins (artifacts below `before`), and the format that was named."""

    search: Search
    before: int | None
    limit: int
    format: str | None


class Parameter(NamedTuple):
    """How a parameter is read (a ValueError says which values are possible) and shown in the OpenAPI document."""

    read: Callable[[str], Any]
    schema: dict[str, Any]
    about: str


def _text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("must be a text that is not empty, without NUL")
    return text


def _version(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text) or int(text) > 2**31 - 1:
        raise ValueError("must be an integer from 1 to 2147483647")
    return int(text)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or int(text) > MAX_LIMIT:
        raise ValueError(f"must be an integer from 1 to {MAX_LIMIT}")
    return int(text)


def _job_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be a UUID") from None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _format(text: str) -> str:
    if text not in ("json", "csv", "ndjson"):
        raise ValueError("must be json, csv or ndjson")
    return text


def cursor_of(before: int | None) -> str | None:
    return None if before is None else cursor_at(ListOf.ARTIFACTS, before)


def _cursor(text: str) -> int:
    try:
        found = re.fullmatch(r"[1-9][0-9]{0,18}", place_of(ListOf.ARTIFACTS, text))
    except ValueError:
        found = None
    if found is None or int(found[0]) > MAX_ID:
        raise ValueError(MISTAKE)
    return int(found[0])


_STRING = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "format": "date-time"}

PARAMETERS: dict[str, Parameter] = {
    "messageType": Parameter(_text, _STRING, "name of the message that it was archived for"),
    "configId": Parameter(_text, _STRING, "id of the archive type configuration"),
    "referenceId": Parameter(_text, _STRING, "id of the archive data reference, exactly"),
    "version": Parameter(_version, {"type": "integer", "minimum": 1}, "version of the reference"),
    "system": Parameter(_text, _STRING, "system of the schema"),
    "schema": Parameter(_text, _STRING, "name of the schema"),
    "jobId": Parameter(_job_id, {"type": "string", "format": "uuid"}, "job that archived it"),
    "archivedFrom": Parameter(moment_of, _TIME, "archived then or later; a date is its beginning in UTC"),
    "archivedTo": Parameter(moment_of, _TIME, "archived before that"),
    "allVersions": Parameter(
        _boolean,
        {"type": "boolean", "default": False},
        "also objects that a newer one of the same id and version superseded",
    ),
    "cursor": Parameter(_cursor, _STRING, "the `next` of the page before"),
    "limit": Parameter(
        _limit,
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100},
        "artifacts of a page at most, fewer where their metadata is large; CSV and NDJSON have all pages",
    ),
    "format": Parameter(
        _format, {"type": "string", "enum": ["json", "csv", "ndjson"]}, "instead of an `Accept` header"
    ),
}

_ABOUT_METADATA = """\
Conditions on metadata, all of which must hold: `metadata.customer_id=4711`, `metadata.amount[gt]=100`. Operators: `eq`
(the default), `ne`, `contains`, `gt`, `gte`, `lt`, `lte`, `isnull` (`true` or `false`). A number is compared with
stored numbers as a number; other texts with stored texts by code points. docs/search.md has the details."""

OPENAPI_PARAMETERS: list[dict[str, Any]] = [
    *(
        {"name": name, "in": "query", "required": False, "schema": each.schema, "description": each.about}
        for name, each in PARAMETERS.items()
    ),
    {
        "name": "metadata",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": True,
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        "example": {"metadata.customer_id": "4711", "metadata.amount[gt]": "100"},
        "description": _ABOUT_METADATA,
    },
]


def asks_for_metadata(items: Iterable[tuple[str, str]]) -> bool:
    return any(name.startswith(METADATA) for name, _ in items)


def read_query(items: Iterable[tuple[str, str]], keys: Collection[str]) -> ArtifactQuery:
    """The query of a request; `keys` are the known keys. Raises ApiProblem 400 with all mistakes."""
    items = list(items)
    of_metadata = {name for name, _ in items if name.startswith(METADATA)}
    mistakes = name_mistakes(items, tuple(PARAMETERS), of_metadata, "metadata.<key>[<operator>]")
    plain: dict[str, Any] = {}
    conditions: list[SearchCondition] = []
    for name, text in dict(items).items():
        try:
            if name.startswith(METADATA):
                key, operator = _key_and_operator(name.removeprefix(METADATA), keys)
                conditions.append(condition(key, operator, text))
            elif name in PARAMETERS:
                plain[name] = PARAMETERS[name].read(text)
        except ValueError as mistake:
            mistakes.append(Mistake(name, None, str(mistake)))
    if len(conditions) > MAX_CONDITIONS:
        mistakes.append(Mistake("metadata", None, f"at most {MAX_CONDITIONS} conditions are possible"))
    if mistakes:
        raise ApiProblem(400, "The search has mistakes.", errors=mistakes[:MAX_ERRORS])
    search = Search(
        message_type=plain.get("messageType"),
        config_id=plain.get("configId"),
        reference_id=plain.get("referenceId"),
        version=plain.get("version"),
        system=plain.get("system"),
        schema=plain.get("schema"),
        job_id=plain.get("jobId"),
        archived_from=plain.get("archivedFrom"),
        archived_to=plain.get("archivedTo"),
        conditions=tuple(conditions),
        all_versions=plain.get("allVersions", False),
    )
    return ArtifactQuery(search, plain.get("cursor"), plain.get("limit", 100), plain.get("format"))


def _key_and_operator(text: str, keys: Collection[str]) -> tuple[str, Comparison]:
    """`amount[gt]` → amount, gt; a key that ends in brackets itself can be followed by `[eq]`."""
    key, bracket, operator = text[:-1].rpartition("[") if text.endswith("]") else ("", "", "")
    if bracket and key in keys:
        if operator in list(Comparison):
            return key, Comparison(operator)
        if text not in keys:
            raise ValueError(f"has an unknown operator; there are {', '.join(Comparison)}")
    if text in keys:
        return text, Comparison.EQ
    there = there_are(key if bracket else text, sorted(keys), SHOWN_KEYS)
    raise ValueError(f"is a key of no archive type; {there} (GET /api/artifacts/columns)")


class ArtifactView(BaseModel):
    """An artifact. Metadata values are those of the document, with every digit of a number."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    id: int
    message_type: str
    config_id: str | None
    reference_id: str
    version: int | None
    system: str
    schema_: str = Field(alias="schema")
    schema_version: int
    content_type: str
    size: int = Field(description="bytes")
    hash: str = Field(description="SHA-256, hex")
    bucket: str
    key: str
    version_id: str
    archived_at: Moment
    retain_until: Moment | None
    job_id: UUID
    metadata: dict[str, Any]


class ArtifactPage(BaseModel):
    items: list[ArtifactView]
    next: str | None = Field(description="cursor of the next page")


class ColumnView(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    message_type: str
    config_id: str | None
    key: str
    active: bool = Field(description="false once it was removed from the configuration; its values stay")


class ColumnPage(BaseModel):
    items: list[ColumnView]
    next: str | None = None
