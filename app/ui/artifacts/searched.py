"""The search for artifacts: by reference, archive type, time and metadata, with the columns that one chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.api.artifacts.endpoints import streamed
from app.api.artifacts.models import METADATA, cursor_of, read_query
from app.api.http.problems import ApiProblem
from app.domain.mistakes import Mistake
from app.domain.search import Comparison, FoundArtifact
from app.metadata.search import MetadataColumn
from app.ui import texts
from app.ui.answers import render
from app.ui.operator import ReadsArtifacts
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PLAIN = ("messageType", "referenceId", "archivedFrom", "archivedTo", "allVersions", "cursor")
"""Fields that the API has too."""

CONDITIONS = ("1", "2", "3")
"""Conditions on metadata that the form has room for."""

COLUMN = "col."
"""Before the key of a column that is shown."""

PAGE = 50


@dataclass(frozen=True, slots=True)
class AskedSearch:
    """The form, as a search of the API and as it is shown again."""

    filters: Filters
    keys: Sequence[str]
    items: list[tuple[str, str]]

    @property
    def shown(self) -> list[str]:
        return [key for key in self.keys if f"{COLUMN}{key}" in self.filters.given]


def _asked(request: Request, columns: Sequence[MetadataColumn]) -> AskedSearch:
    """Raises ApiProblem 400."""
    keys = list(dict.fromkeys(column.key for column in columns))
    names = [f"{part}{number}" for number in CONDITIONS for part in ("key", "op", "value")]
    filters = Filters(request, (*PLAIN, *names, *(f"{COLUMN}{key}" for key in keys)))
    items = [(name, filters.given[name]) for name in PLAIN if name in filters.given]
    for number in CONDITIONS:
        key = filters.given.get(f"key{number}")
        if key is not None:
            operator = filters.given.get(f"op{number}", Comparison.EQ)
            value = filters.given.get(f"value{number}", "true" if operator == Comparison.ISNULL else "")
            items.append((f"{METADATA}{key}[{operator}]", value))
    return AskedSearch(filters, keys, items)


@router.get("/ui/artifacts")
async def search(request: Request, page: ThePage, operator: ReadsArtifacts) -> Response:
    columns = await page.edge.artifacts.columns()
    asked = _asked(request, columns)
    found: Sequence[FoundArtifact] = ()
    following: str | None = None
    mistakes: tuple[Mistake, ...] = ()
    try:
        query = read_query(asked.items, set(asked.keys))
        listed = await page.edge.artifacts.page(query.search, query.before, PAGE)
        found, following = listed.artifacts, cursor_of(listed.next)
    except ApiProblem as problem:
        mistakes = tuple(problem.errors)
    return render(
        request,
        page,
        "artifacts.html",
        operator,
        status=400 if mistakes else 200,
        found=found,
        mistakes=mistakes,
        asked=asked,
        given=asked.filters.given,
        conditions=_rooms(asked),
        operators=[(each, texts.OPERATORS[each]) for each in Comparison],
        types=await _types(page),
        query=asked.filters.query(cursor=None),
        filtered=bool(asked.items),
        first=asked.filters.query(cursor=None) if "cursor" in asked.filters.given else None,
        following=None if following is None else asked.filters.query(cursor=following),
    )


@router.get("/ui/artifacts.csv")
async def download(request: Request, page: ThePage, _operator: ReadsArtifacts) -> Response:
    columns = await page.edge.artifacts.columns()
    asked = _asked(request, columns)
    return await streamed(page.edge, read_query(asked.items, set(asked.keys)), columns, "csv")


def _rooms(asked: AskedSearch) -> list[str]:
    """The conditions that are given, and one more to be filled."""
    given = [number for number in CONDITIONS if f"key{number}" in asked.filters.given]
    free = [number for number in CONDITIONS if number not in given]
    return [*given, *free[:1]]


async def _types(page: Page) -> list[str]:
    known = await page.edge.archive_types.known()
    return list(dict.fromkeys(each.configuration.message_type for each in known.archive_types))
