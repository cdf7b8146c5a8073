"""The endpoints of the audit log: entries, signed head, proof of an entry."""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator

from app.api.audit.rows import (
    EntryPage,
    EntryProofView,
    csv_header,
    csv_rows,
    json_page,
    ndjson_rows,
)
from app.api.edge import Edge, MayReadAudit, TheEdge
from app.api.http.accept import wanted_format
from app.api.http.problems import MEDIA_TYPE, ApiProblem, responses
from app.api.shapes.cursors import Cursor, Limit, ListOf, cursor_at, read_number_cursor
from app.api.shapes.examples import AUDIT_DIFFERS, AUDIT_ENTRY, AUDIT_PROOF, page, shown
from app.api.shapes.formats import ALIASES, CONTENT_TYPES, FORMATS
from app.api.shapes.moments import moment_of
from app.api.shapes.texts import NO_NUL
from app.domain.audit import Act
from app.evidence.audit_log import AuditFilter, LogDiffers, NotSigned, UnknownEntry

router = APIRouter(prefix="/api/audit", tags=["evidence"])

Text = Annotated[str | None, Query(min_length=1, max_length=512, pattern=NO_NUL)]

Since = Annotated[datetime, BeforeValidator(moment_of)]

UNSIGNED = "Nothing is signed here: jeap.processarchive.evidence.signing-key is not set."

DIFFERS = {
    "description": "The log is not what was signed before, as `/health/ready` says too: nothing of it is signed",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": AUDIT_DIFFERS}},
}


@router.get(
    "",
    summary="List the audit log",
    response_model=EntryPage,
    responses={
        200: {
            "description": "Newest first: a page as JSON, everything as CSV or NDJSON.",
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": "seq,at,whoSubject,whoName,…\r\n"},
                "application/json": {"example": page(AUDIT_ENTRY)},
                "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"seq":17,"at":…}\n'},
            },
        },
        **responses(400, 401, 403, 406, 503),
    },
)
async def entries(
    request: Request,
    _caller: MayReadAudit,
    edge: TheEdge,
    subject: Annotated[Text, Query(description="exactly, for example `job/<id>`")] = None,
    who: Annotated[Text, Query(description="exactly: a subject, name, ext_id or client")] = None,
    what: Annotated[Act | None, Query(description="kind of the act")] = None,
    since: Annotated[
        Since | None, Query(description="only entries of that time and later; a date is its beginning")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Every act that changed what is archived, kept or shown. `Accept: text/csv` or `application/x-ndjson` streams all
    pages."""
    wanted = AuditFilter(subject, who, None if what is None else str(what), since)
    before = None if cursor is None else read_number_cursor(ListOf.AUDIT, cursor)
    form = wanted_format(request.headers.getlist("accept"), FORMATS, ALIASES)
    if form == "json":
        found, more = await edge.audit_log.page(wanted, before, limit)
        following = cursor_at(ListOf.AUDIT, found[-1].seq) if more else None
        return Response(json_page(found, following), media_type=CONTENT_TYPES[form])
    return await streamed(edge, wanted, before, form)


async def streamed(edge: Edge, wanted: AuditFilter, before: int | None, form: str) -> Response:
    """All wanted entries as a file, CSV or NDJSON."""
    pages = edge.audit_log.pages(wanted, before)
    first = await anext(pages, None)  # errors must be raised before anything is sent

    async def content() -> AsyncIterator[bytes]:
        if form == "csv":
            yield csv_header()
        some = first
        while some is not None:
            yield csv_rows(some) if form == "csv" else ndjson_rows(some)
            some = await anext(pages, None)

    headers = {"Content-Type": CONTENT_TYPES[form], "Content-Disposition": f'attachment; filename="audit.{form}"'}
    return StreamingResponse(content(), headers=headers)


@router.get(
    "/checkpoint",
    summary="Get the signed head of the audit log",
    response_class=Response,
    responses={
        200: {
            "description": "A signed note (C2SP) of the present size of the log.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": AUDIT_PROOF["checkpoint"]}},
        },
        409: DIFFERS,
        **responses(400, 401, 403, 404, 503),
    },
)
async def checkpoint(_caller: MayReadAudit, edge: TheEdge) -> Response:
    """Whoever keeps it can show later that the log was cut or rewritten. 404 where nothing is signed."""
    try:
        note = await edge.audit_log.checkpoint()
    except (NotSigned, LogDiffers) as error:
        raise refusal(error) from None
    return Response(note, media_type="text/plain; charset=utf-8")


def refusal(error: NotSigned | LogDiffers) -> ApiProblem:
    """Why nothing is signed: there is no key, or the log is not what it was."""
    if isinstance(error, NotSigned):
        return ApiProblem(404, UNSIGNED)
    return ApiProblem(409, f"The audit log is not what it was, so nothing of it is signed: {error}.")


@router.get(
    "/proof",
    summary="Prove that an entry is in the audit log",
    responses={
        200: shown("The proof, for the log as it is now.", AUDIT_PROOF),
        409: DIFFERS,
        **responses(400, 401, 403, 404, 503),
    },
)
async def proof(
    _caller: MayReadAudit,
    edge: TheEdge,
    seq: Annotated[int, Query(ge=0, le=2**63 - 1, description="number of the entry")],
) -> EntryProofView:
    """404 where there is no such entry, and where nothing is signed."""
    try:
        found = await edge.audit_log.proof(seq)
    except (NotSigned, LogDiffers) as error:
        raise refusal(error) from None
    except UnknownEntry:
        raise ApiProblem(404, f"The audit log has no entry {seq}.") from None
    except ValueError as error:
        raise ApiProblem(404, f"There is no proof: {error}; `pas audit verify` says what is wrong.") from error
    return EntryProofView(
        index=found.index,
        leaf=found.leaf.decode(),
        hashes=[b64encode(each).decode() for each in found.hashes],
        checkpoint=found.checkpoint,
    )
