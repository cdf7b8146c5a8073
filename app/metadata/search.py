"""Searches artifacts: reads conditions, lists the keys, and pages without an open transaction between two pages."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from app.db import definitions, search
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.exact_json import write_json
from app.domain.extraction import comparable, searchable
from app.domain.search import Comparison, FoundArtifact, Search, SearchCondition
from app.metadata.stored_texts import stored_texts

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number as JSON writes it: `007` and `+1` are texts."""

_LIST_OR_OBJECT = re.compile(r"[ \t\r\n]*[\[{]")

_RANGES = (Comparison.GT, Comparison.GTE, Comparison.LT, Comparison.LTE)


class MetadataColumn(NamedTuple):
    """A key of an archive type. An inactive key was removed from its configuration, and its values stayed."""

    message_type: str
    config_id: str | None
    key: str
    active: bool


class PageOfArtifacts(NamedTuple):
    """`next` is the value of `before` for the next page, None on the last page."""

    artifacts: Sequence[FoundArtifact]
    next: int | None


class Artifacts:
    """The artifacts in the database. `configurations` are the present ones: a key has a column before it is applied.

    Every method raises Unavailable.
    """

    def __init__(self, database: Database, configurations: Callable[[], Sequence[ArchiveTypeConfiguration]]) -> None:
        self._database = database
        self._configurations = configurations

    async def columns(self) -> list[MetadataColumn]:
        """The columns of each archive type in the order of its configuration.

        The configuration counts, and not only the applied definition: when runs are off, definitions are not applied.
        """
        async with self._database.reading() as connection:
            applied = [MetadataColumn(*row) for row in await definitions.all_keys(connection)]
        found = {column[:3]: column for column in applied}
        for each in self._configurations():
            for path in each.metadata_extraction_paths:
                column = MetadataColumn(each.message_type, each.id, path.key, active=True)
                found[column[:3]] = column
        return sorted(found.values(), key=lambda column: (column.message_type, column.config_id or ""))

    async def find(self, id_: int) -> FoundArtifact | None:
        async with self._database.reading() as connection:
            return await search.find(connection, id_)

    async def page(self, wanted: Search, before: int | None, limit: int) -> PageOfArtifacts:
        """Artifacts below `before`, newest first: at most `limit`, and fewer where their metadata is large."""
        async with self._database.reading() as connection:
            found, more = await search.page(connection, wanted, before, limit)
        return PageOfArtifacts(found, found[-1].id if more else None)

    async def pages(self, wanted: Search, before: int | None, limit: int) -> AsyncIterator[Sequence[FoundArtifact]]:
        """All pages below `before`. Artifacts archived or superseded meanwhile may or may not be among them."""
        while True:
            page = await self.page(wanted, before, limit)
            if page.artifacts:
                yield page.artifacts
            if page.next is None:
                return
            before = page.next


def condition(key: str, operator: Comparison, operand: str) -> SearchCondition:
    """The condition on a key that a request gave. Raises ValueError, which says what the operand may be.

    An operand that is a JSON number is compared as a number; one beyond those that can be compared, and those in lists
    and objects, are found as the texts of equal numbers. A list or an object equals a stored one that is written with
    other blanks. A text to be found inside of a list or an object may be written as JSON or plainly.
    """
    text = searchable(operand)
    if operator is Comparison.ISNULL:
        if operand not in ("true", "false"):
            raise ValueError("must be true or false")
        return SearchCondition(key, operator, null=operand == "true")
    if operator is Comparison.CONTAINS:
        if not text:
            raise ValueError("must not be empty")
        return SearchCondition(key, operator, texts=tuple(dict.fromkeys((text, write_json(text)[1:-1]))))
    number = _number(operand)
    if operator in _RANGES:
        if number is None and _NUMBER.fullmatch(operand):
            raise ValueError("is beyond the numbers that can be compared (1.8e308, 1000 digits)")
        return SearchCondition(key, operator, texts=(text,), number=number)
    is_written_otherwise = number is None and (_NUMBER.fullmatch(operand) or _LIST_OR_OBJECT.match(operand))
    texts = stored_texts(operand) if is_written_otherwise else ()
    return SearchCondition(key, operator, texts=tuple(dict.fromkeys((text, *texts))), number=number)


def _number(text: str) -> Decimal | None:
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return comparable(Decimal(text))
    except InvalidOperation:  # an exponent of more than 18 digits
        return None
