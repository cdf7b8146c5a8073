"""The endpoints of artifacts: search, columns, one artifact and its content."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Any
from unicodedata import category
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator

from app.api.artifacts import tables as tables_out
from app.api.artifacts.models import (
    MAX_ID,
    OPENAPI_PARAMETERS,
    ArtifactPage,
    ArtifactQuery,
    ArtifactView,
    ColumnPage,
    ColumnView,
    asks_for_metadata,
    cursor_of,
    read_query,
)
from app.api.auth.callers import Caller
from app.api.edge import Edge, MayReadArtifacts, MaySearchArtifacts, TheEdge
from app.api.http.accept import wanted_format
from app.api.http.problems import ApiProblem, responses
from app.api.shapes.examples import ARTIFACT, COLUMN, page, shown
from app.api.shapes.formats import ALIASES, CONTENT_TYPES, FORMATS
from app.domain.search import FoundArtifact
from app.metadata.content import Content, Gone
from app.metadata.search import MetadataColumn

router = APIRouter(prefix="/api/artifacts", tags=["artifacts"])

_WORD = r"[\w!#$&^.+-]+"
_CONTENT_TYPE = re.compile(rf"{_WORD}/{_WORD}( *; *{_WORD}=({_WORD}|\"[ -~]*\"))*", re.ASCII)

_SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Documents are confidential, and nothing a browser may guess about."""


def _plain(text: str) -> str:
    """An id in its plain form; `1_0` and `+1`, which Python also takes for numbers, are refused."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        raise ValueError("must be a whole number from 1")
    return text


ArtifactId = Annotated[int, BeforeValidator(_plain), Path(ge=1, le=MAX_ID)]


async def _known(_caller: MayReadArtifacts, edge: TheEdge, artifact_id: ArtifactId) -> FoundArtifact:
    """The artifact of the path, once the caller may see it."""
    artifact = await edge.artifacts.find(artifact_id)
    if artifact is None:
        raise ApiProblem(404, f"There is no artifact {artifact_id}.")
    return artifact


KnownArtifact = Annotated[FoundArtifact, Depends(_known)]


@router.get(
    "",
    summary="Search artifacts",
    response_model=ArtifactPage,
    responses={
        200: {
            "description": "Newest first: a page as JSON, everything as CSV or NDJSON.",
            "content": {
                "text/csv": {"schema": {"type": "string"}, "example": "id,messageType,…,metadata.customer_id\r\n"},
                "application/json": {"example": page(ARTIFACT)},
                "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"id":17,…}\n'},
            },
        },
        **responses(400, 401, 403, 406, 503),
    },
    openapi_extra={"parameters": OPENAPI_PARAMETERS},
)
async def search(request: Request, edge: TheEdge, _caller: MaySearchArtifacts) -> Response:
    """For each id and version the newest stored object. `Accept: text/csv` or `application/x-ndjson`, or `format`,
    streams all pages; CSV has a column for each metadata key, and a `'` before texts that a spreadsheet would execute.
    When `Accept` names none of these formats the answer is JSON; it is 406 when `Accept` excludes JSON (`q=0`)."""
    items = request.query_params.multi_items()
    columns = await edge.artifacts.columns() if asks_for_metadata(items) else []
    query = read_query(items, {column.key for column in columns})
    form = query.format or wanted_format(request.headers.getlist("accept"), FORMATS, ALIASES)
    if form == "json":
        page = await edge.artifacts.page(query.search, query.before, query.limit)
        return Response(
            tables_out.json_page(page.artifacts, cursor_of(page.next)), media_type="application/json", headers=_SAFE
        )
    if form == "csv" and not columns:
        columns = await edge.artifacts.columns()
    return await streamed(edge, query, columns, form)


async def streamed(edge: Edge, query: ArtifactQuery, columns: list[MetadataColumn], form: str) -> Response:
    """All that a search finds as a file, CSV or NDJSON; CSV has a column for each key of `columns` that fits."""
    keys = _keys(columns, query) if form == "csv" else []
    pages = edge.artifacts.pages(query.search, query.before, query.limit)
    first = await anext(pages, None)

    async def content() -> AsyncIterator[bytes]:
        if form == "csv":
            yield tables_out.csv_header(keys)
        page = first
        while page is not None:
            yield tables_out.csv_rows(page, keys) if form == "csv" else tables_out.ndjson_rows(page)
            page = await anext(pages, None)

    return StreamingResponse(
        content(),
        headers={
            **_SAFE,
            "Content-Type": CONTENT_TYPES[form],
            "Content-Disposition": f'attachment; filename="artifacts.{form}"',
        },
    )


@router.get(
    "/columns",
    summary="List the metadata keys",
    responses={200: shown("All keys there are.", page(COLUMN)), **responses(401, 403, 503)},
)
async def columns(edge: TheEdge, _caller: MayReadArtifacts) -> ColumnPage:
    """The keys of each archive type, also those that were removed from its configuration."""
    found = await edge.artifacts.columns()
    return ColumnPage(items=[ColumnView(**column._asdict()) for column in found])


@router.get(
    "/{artifact_id}",
    summary="Look at an artifact",
    response_model=ArtifactView,
    responses={200: shown("The artifact.", ARTIFACT), **responses(400, 401, 403, 404, 503)},
)
async def look(artifact: KnownArtifact) -> Response:
    return Response(tables_out.json_artifact(artifact), media_type="application/json", headers=_SAFE)


@router.get(
    "/{artifact_id}/content",
    summary="Read the content of an artifact",
    response_class=Response,
    responses={
        200: {
            "description": "The stored bytes, as an attachment, with the content type they were archived with.",
            "content": {"*/*": {"schema": {"description": "as it was archived"}, "example": "…"}},
            "headers": {
                "Repr-Digest": {"description": "SHA-256 (RFC 9530)", "schema": {"type": "string"}},
                "Content-Disposition": {"schema": {"type": "string"}},
            },
        },
        **responses(400, 401, 403, 404, 410, 503),
    },
)
async def content(edge: TheEdge, caller: MayReadArtifacts, artifact: KnownArtifact) -> Response:
    """The stored bytes, read by version id and checked against the stored SHA-256 while they stream. The end is sent
    only when the hash is right; otherwise the answer breaks off. Who read it is in the audit log."""
    try:
        found = await opened(edge, caller, artifact)
    except Gone as gone:
        until = artifact.retain_until
        ended = f"; it was retained until {until:%Y-%m-%d}" if until else ""
        raise ApiProblem(410, f"The object of artifact {artifact.id} is no longer in the store{ended}.") from gone
    return StreamingResponse(found.verified(), headers=_content_headers(artifact))


async def opened(edge: TheEdge, caller: Caller, artifact: FoundArtifact) -> Content:
    """The content, and an entry in the audit log that the caller reads it. Raises Gone, Unavailable."""
    found = await edge.contents.open(artifact)
    try:
        await edge.audit_log.read(artifact.id, caller.actor)
    except BaseException:
        await found.close()
        raise
    return found


def _content_headers(artifact: FoundArtifact) -> dict[str, str]:
    stored = artifact.object
    known = _CONTENT_TYPE.fullmatch(stored.content_type)
    digest = b64encode(bytes.fromhex(stored.sha256)).decode()
    return {
        **_SAFE,
        "Content-Type": stored.content_type if known else "application/octet-stream",
        "Content-Length": str(artifact.object.size),
        "Content-Disposition": _disposition(artifact),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Repr-Digest": f"sha-256=:{digest}:",
    }


def _disposition(artifact: FoundArtifact) -> str:
    """A file name made of the reference, without characters that a file system or a reader could misunderstand."""
    media_type = artifact.object.content_type.partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    extension = "json" if is_json else "avro" if media_type == "avro/binary" else "bin"
    name = "".join("_" if category(c)[0] in "CZ" or c in '/\\:*?"<>|' else c for c in artifact.reference_id[:150])
    version = "" if artifact.version is None else f"_v{artifact.version}"
    full = quote(f"{name.strip('.') or '_'}{version}.{extension}", safe="")
    return f"attachment; filename=\"artifact-{artifact.id}.{extension}\"; filename*=UTF-8''{full}"


def _keys(columns: list[MetadataColumn], query: ArtifactQuery) -> list[str]:
    """The keys that the artifacts of a search can have, each once, in the order of the configurations."""
    search: Any = query.search
    return list(
        dict.fromkeys(
            column.key
            for column in columns
            if search.message_type in (None, column.message_type) and search.config_id in (None, column.config_id)
        )
    )
