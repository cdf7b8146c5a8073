"""The endpoint of the references of a job and their outcomes."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.edge import Edge, MayReadJobs, TheEdge
from app.api.http.accept import wanted_format
from app.api.http.problems import responses
from app.api.jobs.reference_rows import ReferencePage, csv_header, csv_rows, json_page, ndjson_rows
from app.api.shapes.cursors import Cursor, Limit, ListOf, cursor_at, read_position_cursor
from app.api.shapes.examples import FAILED_REFERENCE, REFERENCE, page
from app.api.shapes.formats import ALIASES, CONTENT_TYPES, FORMATS
from app.api.shapes.ids import JobId, unknown
from app.api.shapes.texts import NO_NUL
from app.domain.jobs import TaskState
from app.domain.references import WantedReferences
from app.jobs.control import UnknownJob

router = APIRouter(prefix="/api/jobs", tags=["backfill jobs"])


@router.get(
    "/{job_id}/references",
    summary="List the references with their outcomes",
    response_model=ReferencePage,
    responses={
        200: {
            "description": "In the order of submission: a page as JSON, everything as CSV or NDJSON.",
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": "position,id,version,state,errorMessage,…\r\n"},
                "application/json": {"example": page(REFERENCE, FAILED_REFERENCE)},
                "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"position":0,"id":…}\n'},
            },
        },
        **responses(400, 401, 403, 404, 406, 503),
    },
)
async def list_references(
    request: Request,
    _caller: MayReadJobs,
    edge: TheEdge,
    job_id: JobId,
    state: Annotated[TaskState | None, Query(description="only references in this state")] = None,
    id_: Annotated[
        str | None,
        Query(alias="id", description="only references whose id begins with this text", max_length=512, pattern=NO_NUL),
    ] = None,
    cause: Annotated[
        str | None,
        Query(
            description="only references that failed with this cause, as `…/failures` lists it",
            max_length=1000,
            pattern=NO_NUL,
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """`Accept: text/csv` or `application/x-ndjson` streams all pages, from `cursor` on where there is one. CSV joins
    nested names (`errorMessage`, `objectKey`) and puts a `'` before what a spreadsheet would execute."""
    wanted = WantedReferences(state, id_, cause)
    after = read_position_cursor(ListOf.REFERENCES, cursor)
    form = wanted_format(request.headers.getlist("accept"), FORMATS, ALIASES)
    if form == "json":
        await _check(edge, job_id, wanted)
        found = await edge.references.page(job_id, wanted, after, limit)
        following = None if found.next is None else cursor_at(ListOf.REFERENCES, found.next)
        return Response(json_page(found.references, following), media_type=CONTENT_TYPES[form])
    return await streamed(edge, job_id, wanted, after, form)


async def streamed(edge: Edge, job_id: UUID, wanted: WantedReferences, after: int, form: str) -> Response:
    """All wanted references as a file, CSV or NDJSON. Raises ApiProblem 404."""
    await _check(edge, job_id, wanted)
    pages = edge.references.pages(job_id, wanted, after)
    first = await anext(pages, None)  # errors must be raised before anything is sent

    async def content() -> AsyncIterator[bytes]:
        if form == "csv":
            yield csv_header()
        references = first
        while references is not None:
            yield csv_rows(references) if form == "csv" else ndjson_rows(references)
            references = await anext(pages, None)

    headers = {
        "Content-Type": CONTENT_TYPES[form],
        "Content-Disposition": f'attachment; filename="references-{job_id}.{form}"',
    }
    return StreamingResponse(content(), headers=headers)


async def _check(edge: Edge, job_id: UUID, wanted: WantedReferences) -> None:
    try:
        await edge.references.check(job_id, wanted)
    except UnknownJob:
        raise unknown(job_id) from None
