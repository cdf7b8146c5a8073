"""Searches artifacts by what they are and by their metadata: pages by id, newest first. None commits.

A condition joins `artifact_metadata` instead of asking whether a row exists: key and artifact are unique there, and the
index gives the artifacts of one value in the order of their ids. So a page of equal values is read off the index, be it
the value of one artifact, of most, or of the oldest only; other conditions look at values until the page is full.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.artifacts import TEXT_HEAD
from app.db.metadata_tables import Id, artifact, value
from app.db.stored_objects import stored_object
from app.domain.archive_types import archive_type_name
from app.domain.extraction import ValueKind
from app.domain.search import Comparison, FoundArtifact, FoundValue, Search, SearchCondition

HAS_VALUE = value.c.text_head.is_not(None)
"""The condition of the index, which has no nulls: PostgreSQL uses it only where the query has this condition too."""

_HAS_WORDS = value.c.kind.in_((ValueKind.TEXT, ValueKind.BOOLEAN))
"""The kinds whose text is looked into and compared."""


PLANNING = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_mergejoin', 'off', true)"
)
"""A plan for all operands would treat a value that most have like one that nobody has. A merge begins with the newest
artifact and walks to where the first match is; a value that only old ones have makes that long."""


SMALL = 2048
"""Bytes of a value that is read before it is known how much is found."""

MOST = 2 * 2**20
"""Bytes of the values of a page. With the artifact that passes it the page ends: values are as large as documents."""

AT_FIRST = 5
"""Artifacts whose values SQLite looks at first, then twice as many: it reads all of a value to know its length."""


async def page(
    connection: AsyncConnection, search: Search, before: int | None, limit: int
) -> tuple[list[FoundArtifact], bool]:
    """Artifacts with an id below `before`, highest first, and whether there are more.

    At most `limit`, and fewer where their values are large.
    """
    if dialect.is_postgresql(connection):
        await connection.execute(PLANNING)
    rows = (await connection.execute(_page(connection, search, before, limit + 1))).all()
    found = await _found(connection, rows[:limit])
    return found, len(rows) > len(found)


async def find(connection: AsyncConnection, id_: int) -> FoundArtifact | None:
    rows = (await connection.execute(select(artifact).where(artifact.c.id == id_))).all()
    return next(iter(await _found(connection, rows)), None)  # one is whole, however large


def _page(connection: AsyncConnection, search: Search, before: int | None, limit: int) -> Any:
    wanted = [*_is(search), *([] if before is None else [artifact.c.id < before])]
    source: FromClause = artifact
    for place, condition in enumerate(search.conditions):
        if condition.operator is Comparison.ISNULL and condition.null:
            wanted.append(
                ~exists().where(value.c.artifact_id == artifact.c.id, value.c.key == condition.key, HAS_VALUE)
            )
            continue
        branches = [
            # The limit is said of the values too: the planner does not carry it over.
            select(value.c.artifact_id).where(
                value.c.key == condition.key, branch, *([] if before is None else [value.c.artifact_id < before])
            )
            for branch in _branches(connection, condition)
        ]
        rows = (branches[0] if len(branches) == 1 else _merged(branches)).subquery(f"m{place}")
        source = source.join(rows, rows.c.artifact_id == artifact.c.id)
    # Grouped, because the alternatives of a condition may find an artifact twice; in the order of ids that is no work.
    found = select(artifact).select_from(source).where(*wanted).group_by(artifact.c.id)
    return found.order_by(artifact.c.id.desc()).limit(limit)


def _merged(branches: Sequence[Select[tuple[int]]]) -> CompoundSelect[tuple[int]]:
    """The union of all alternatives, each in the order of ids: the planner does not order an alternative by itself."""
    ordered = [each.order_by(value.c.artifact_id.desc()).subquery() for each in branches]
    return union_all(*(select(each.c.artifact_id) for each in ordered))


def _is(search: Search) -> list[ColumnElement[bool]]:
    """The conditions on the artifact itself."""
    wanted: list[ColumnElement[bool]] = [] if search.all_versions else [artifact.c.superseded.is_(False)]
    if search.message_type is not None and search.config_id is not None:
        wanted.append(artifact.c.archive_type == archive_type_name(search.message_type, search.config_id))
    for column, operand in (
        (artifact.c.message_type, search.message_type),
        (artifact.c.config_id, search.config_id),
        (artifact.c.reference_id, search.reference_id),
        (artifact.c.reference_version, search.version),
        (artifact.c.system, search.system),
        (artifact.c.schema_name, search.schema),
        (artifact.c.job_id, search.job_id),
    ):
        if operand is not None:
            wanted.append(column == operand)
    if search.archived_from is not None:
        wanted.append(artifact.c.archived_at >= search.archived_from)
    if search.archived_to is not None:
        wanted.append(artifact.c.archived_at < search.archived_to)
    return wanted


def _branches(connection: AsyncConnection, condition: SearchCondition) -> list[ColumnElement[bool]]:
    """The conditions on a value, as alternatives that each have their index; a number is searched as text and as
    number."""
    number = _number(connection, condition.number)
    match condition.operator:
        case Comparison.EQ:
            texts = [_is_text(each) for each in condition.texts]
            return texts if number is None else [*texts, value.c.number == number]
        case Comparison.NE:
            other = and_(HAS_VALUE, value.c.text.not_in(condition.texts))
            return [other if number is None else and_(other, or_(value.c.number.is_(None), value.c.number != number))]
        case Comparison.CONTAINS:
            return [and_(HAS_VALUE, _contains(connection, condition.texts))]
        case Comparison.ISNULL:
            return [HAS_VALUE]
        case _:
            return [_ordered(connection, condition, number)]


def _is_text(text: str) -> ColumnElement[bool]:
    """A text shorter than the head is all of it. Saying so twice would make the planner expect fewer rows."""
    head = value.c.text_head == text[:TEXT_HEAD]
    return head if len(text) < TEXT_HEAD else and_(head, value.c.text == text)


def _contains(connection: AsyncConnection, texts: Sequence[str]) -> ColumnElement[bool]:
    """In texts, also those of booleans, and in the JSON of lists and objects, where it may be written otherwise.

    `LIKE` would not tell cases apart on SQLite.
    """
    place_of = func.strpos if dialect.is_postgresql(connection) else func.instr
    as_json = or_(*(place_of(value.c.text, each) > 0 for each in texts))
    as_text = place_of(value.c.text, texts[0]) > 0
    return or_(and_(_HAS_WORDS, as_text), and_(value.c.kind == ValueKind.JSON, as_json))


def _ordered(connection: AsyncConnection, condition: SearchCondition, number: Any) -> ColumnElement[bool]:
    """A number is compared with numbers, any other text with texts and booleans, by their characters' code points."""
    left: Any = value.c.number
    right: Any = number
    if number is None:
        left = value.c.text.collate("C") if dialect.is_postgresql(connection) else value.c.text
        right = condition.texts[0]
    compared: ColumnElement[bool] = {
        Comparison.GT: left > right,
        Comparison.GTE: left >= right,
        Comparison.LT: left < right,
        Comparison.LTE: left <= right,
    }[condition.operator]
    return compared if number is not None else and_(HAS_VALUE, _HAS_WORDS, compared)


def _number(connection: AsyncConnection, number: Decimal | None) -> Any:
    return number if number is None or dialect.is_postgresql(connection) else float(number)


_KINDS = {kind.value: kind for kind in ValueKind}


Values = dict[str, FoundValue]


async def _found(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[FoundArtifact]:
    """The first of these artifacts, with their values: all, or until the values are more than `MOST`."""
    left = [row.id for row in rows]
    portion = len(rows) if dialect.is_postgresql(connection) else AT_FIRST
    found: dict[int, Values] = {}
    size = 0
    while left and size <= MOST:
        ids, left = left[:portion], left[portion:]
        portion *= 2
        metadata, large = await _read_values(connection, ids, small=True)
        for id_ in ids:
            if size > MOST:
                break
            found[id_] = metadata[id_]
            size += large.get(id_, 0) + sum(len(each.json) for each in metadata[id_].values())
        if kept := [id_ for id_ in large if id_ in found]:
            found |= (await _read_values(connection, kept, small=False))[0]
    return [_artifact(row, found[row.id]) for row in rows if row.id in found]


async def _read_values(
    connection: AsyncConnection, ids: Sequence[int], *, small: bool
) -> tuple[dict[int, Values], dict[int, int]]:
    """The values of each artifact. Only the `small` ones: and the bytes of the others, of artifacts that have such."""
    metadata: dict[int, Values] = {id_: {} for id_ in ids}
    large: dict[int, int] = {}
    query, parameters = _values(connection.dialect.name, small=small), IDS.bind(connection, [(id_,) for id_ in ids])
    for id_, key, kind, json, size in (await connection.execute(query, parameters)).all():
        if json is None:
            large[id_] = large.get(id_, 0) + size
        else:
            metadata[id_][key] = FoundValue(_KINDS[kind], json)
    return metadata, large


@lru_cache
def _values(dialect_name: str, *, small: bool) -> Select[Any]:
    """The values of artifacts with their lengths; `small`: null instead of a larger value."""
    ids = IDS.clause(dialect_name)
    # PostgreSQL knows the bytes without reading the value.
    size = func.octet_length(value.c.json) if dialect_name == "postgresql" else func.length(value.c.json)
    json: ColumnElement[Any] = case((size <= SMALL, value.c.json)) if small else value.c.json
    return (
        select(value.c.artifact_id, value.c.key, value.c.kind, json, size)
        .where(value.c.artifact_id == ids.c.id)
        .order_by(value.c.artifact_id, value.c.key)
    )


IDS = dialect.Rows("ids", [("id", Id)])


def _artifact(row: Row[Any], metadata: Mapping[str, FoundValue]) -> FoundArtifact:
    return FoundArtifact(
        id=row.id,
        message_type=row.message_type,
        config_id=row.config_id,
        reference_id=row.reference_id,
        version=row.reference_version,
        object=stored_object(row),
        archived_at=row.archived_at,
        retain_until=row.retain_until,
        job_id=row.job_id,
        metadata=metadata,
    )
