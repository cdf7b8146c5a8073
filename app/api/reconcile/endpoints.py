"""The endpoint of reconcile: a streamed list of references in, a streamed list of verdicts out."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.edge import MayReadJobs, TheEdge
from app.api.http.accept import wanted_format
from app.api.http.bodies import check_head, too_large
from app.api.http.problems import ApiProblem, responses, try_later
from app.api.reconcile.rows import counts_line, csv_header, csv_rows, error_line, ndjson_rows
from app.api.shapes.formats import ALIASES, CONTENT_TYPES, FORMATS
from app.api.shapes.texts import NO_NUL
from app.api.submission.expected import ExpectedHead, Kind
from app.api.submission.expected_reader import MAX_BYTES, MOST, Expected, TooManyBytes
from app.api.submission.read import EXAMPLE, MEDIA_TYPES, SUBMISSION_SCHEMA
from app.api.submission.reader import ReadingFailed
from app.domain.errors import Unavailable
from app.domain.mistakes import Mistake
from app.domain.reconciled import Reconciled, ReferenceVerdict
from app.evidence.reconcile import NotReconcilable

router = APIRouter(prefix="/api/reconcile", tags=["evidence"])

log = logging.getLogger(__name__)

KINDS: dict[str, Kind] = {
    "application/x-ndjson": "ndjson",
    "text/csv": "csv",
    **dict.fromkeys(MEDIA_TYPES, "yaml"),
    **{each: "ndjson" for each, name in ALIASES.items() if name == "ndjson"},
}
"""How the body is read, by its media type."""

ANSWERS = {name: FORMATS[name] for name in ("ndjson", "csv")}

_LINES = """\
{"id":"DOC-2024-001","version":1,"verdict":"archived","artifactId":17,"jobId":"88dbb65f-9634-4685-bc86-17b72d715d3e"}
{"id":"DOC-2024-002","version":1,"verdict":"unknown","artifactId":null,"jobId":null}
{"counts":{"archived":1,"open":0,"failed":0,"no-data":0,"unknown":1}}
"""

_BODY = {
    "required": True,
    "content": {
        "application/x-ndjson": {
            "schema": {"type": "string"},
            "example": '{"id":"DOC-2024-001","version":1}\n{"id":"DOC-2024-002","version":1}\n',
        },
        "text/csv": {"schema": {"type": "string"}, "example": "id,version\nDOC-2024-001,1\n"},
        "application/yaml": {
            "schema": {**SUBMISSION_SCHEMA, "required": ["archiveDataReferences"]},
            "example": EXAMPLE,
        },
    },
}

Text = Annotated[str | None, Query(min_length=1, max_length=255, pattern=NO_NUL)]


@router.post(
    "",
    summary="Compare a list of references with the archive",
    response_class=Response,
    responses={
        200: {
            "description": "A verdict for each reference, in the order of the list: `archived`, `open`, `failed`, "
            "`no-data`, or `unknown` where it was never submitted; with `verify` also `missing`, `different` and "
            "`unlocked`. The last line of NDJSON has the counts, or says why the answer ends early.",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}, "example": _LINES},
                "text/csv": {"schema": {"type": "string"}, "example": "id,version,verdict,artifactId,jobId\r\n"},
            },
        },
        **responses(400, 401, 403, 406, 408, 413, 415, 503),
    },
    openapi_extra={"requestBody": _BODY},
)
async def reconcile(
    request: Request,
    edge: TheEdge,
    _caller: MayReadJobs,
    message: Annotated[Text, Query(description="message type; where left out, that of the YAML")] = None,
    config_id: Annotated[Text, Query(alias="configId", description="where the message has several")] = None,
    verify: Annotated[bool, Query(description="read the object of each archived reference, and compare it")] = False,
) -> Response:
    """Up to 10,000,000 references. The list is read to its end before the first verdict is sent.

    A reference is archived where any job archived it, open where any job still works on it; else the verdict is that of
    the newest job. A reference without version is that without version; where there is none, any version of its id.
    """
    form = wanted_format(request.headers.getlist("accept"), ANSWERS, {})
    check_head(request, MAX_BYTES, tuple(KINDS))
    kind = KINDS[request.headers["content-type"].partition(";")[0].strip().lower()]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(edge.reconciles.one())
        expected = await _read(edge, request, kind)
        stack.callback(expected.close)
        message, config_id = _meant(expected.head, message, config_id)
        try:
            scope = await edge.reconciliation.scope(message, config_id)
        except NotReconcilable as error:
            raise ApiProblem(400, errors=[Mistake(error.of, None, str(error))]) from error
        pages = edge.reconciliation.verdicts(scope, expected, verify=verify)
        first = await anext(pages)  # errors must be raised before anything is sent
        content = _content(first, pages, form, stack.pop_all(), verify=verify)
        await anext(content)
    headers = {
        "Content-Type": CONTENT_TYPES[form],
        "Content-Disposition": f'attachment; filename="reconciled.{form}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(content, headers=headers)


async def _read(edge: TheEdge, request: Request, kind: Kind) -> Expected:
    """A list without mistakes. Raises ApiProblem 400, 413, 503."""
    try:
        expected = await edge.expected_reader.read(request.stream(), kind)
    except TooManyBytes:
        raise too_large(MAX_BYTES) from None
    except ReadingFailed as error:
        log.warning("a list of references could not be read: %s", error)
        raise try_later("The list could not be read now; send the same again.", close=True) from error
    head = expected.head
    if not head.mistakes and not head.too_many:
        return expected
    expected.close()
    if head.mistakes:
        raise ApiProblem(400, "The list has mistakes.", errors=head.mistakes)
    raise ApiProblem(413, f"A list may have at most {MOST} references; split it.", headers={"Connection": "close"})


def _meant(head: ExpectedHead, message: str | None, config_id: str | None) -> tuple[str, str | None]:
    """Message and config id, of the query or of the YAML. Raises ApiProblem 400 where they contradict each other."""
    pairs = (("message", message, head.message), ("configId", config_id, head.config_id))
    mistakes = [
        Mistake(name, None, f"is {asked!r}, and the list is of {said!r}")
        for name, asked, said in pairs
        if asked is not None and said is not None and asked != said
    ]
    meant = message or head.message
    if meant is None:
        mistakes.append(Mistake("message", None, "is missing; say which message the references are of"))
    if meant is None or mistakes:
        raise ApiProblem(400, errors=mistakes)
    return meant, config_id or head.config_id


async def _content(
    first: Sequence[Reconciled],
    pages: AsyncIterator[Sequence[Reconciled]],
    form: str,
    held: AsyncExitStack,
    *,
    verify: bool,
) -> AsyncIterator[bytes]:
    """What is sent, behind one piece of nothing: with that the caller makes sure that `held` is given back.

    CSV has no line for an error: the answer breaks off.
    """
    counts: Counter[ReferenceVerdict] = Counter()
    async with held:
        yield b""
        if form == "csv":
            yield csv_header()
        found: Sequence[Reconciled] | None = first
        try:
            while found is not None:
                counts.update(each.verdict for each in found)
                yield csv_rows(found) if form == "csv" else ndjson_rows(found)
                found = await anext(pages, None)
        except Unavailable as error:
            log.warning("a list of references was answered in part: %s", error)
            if form == "csv":
                raise
            yield error_line(f"The {error.component} {error.public_reason}; send the same again.")
            return
        if form == "ndjson":
            yield counts_line(counts, verify=verify)
