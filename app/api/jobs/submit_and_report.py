"""The endpoints of backfill jobs that speak YAML: submit, report."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.auth.callers import Caller
from app.api.edge import Edge, MayReadJobs, MayWriteJobs, TheEdge
from app.api.http.problems import ApiProblem, responses
from app.api.http.request_trace import request_span
from app.api.jobs.submitters import submitter_of
from app.api.jobs.yaml_report import report_head, report_tasks
from app.api.shapes.examples import PLAN
from app.api.shapes.ids import JobId, unknown
from app.api.submission.read import IN_ONE_LINE, MEDIA_TYPES, REQUEST_BODY, read_submission, unfit
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import JobResult, JobState, TaskState
from app.jobs.plans import HEADER, PlanChanged
from app.jobs.submit import DifferentContent, DoesNotFit

router = APIRouter(prefix="/api/jobs", tags=["backfill jobs"])

EXAMPLE_REPORT = """\
message: JmeDecreeDocumentCreatedEvent
topic: jme-process-archive-decreedocumentcreated
job-state: completed
job-result: succeeded
job-id: 88dbb65f-9634-4685-bc86-17b72d715d3e
started: 2026-05-08T07:26:37.123Z
report-created: 2026-05-08T07:30:15.456Z
started-by-name: John Doe
started-by-ext_id: "287365"
archiveDataReferences:
  - id: DOC-2024-001
    version: 1
    state: succeeded
"""

PLAN_CHANGED = "What would happen is not what the plan says; nothing was stored. Make a new preflight."

_WORD = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
REPORT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["message", "topic", "job-state", "job-id", "started", "archiveDataReferences"],
    "additionalProperties": False,
    "properties": {
        "message": _WORD,
        "topic": _WORD,
        "config-id": _WORD,
        "job-state": {"enum": list(JobState)},
        "job-result": {"enum": list(JobResult), "description": "absent while the job is open"},
        "job-id": {"type": "string", "format": "uuid"},
        "retries": {
            "type": "array",
            "items": {"type": "string", "format": "uuid"},
            "description": "the jobs that the report is over too, of a merged one",
        },
        "started": _TIME,
        "report-created": {**_TIME, "description": "when the job completed; absent while it is open"},
        "started-by-name": _WORD,
        "started-by-ext_id": _WORD,
        "archiveDataReferences": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "state"],
                "additionalProperties": False,
                "properties": {
                    "id": _WORD,
                    "version": {"type": "integer", "minimum": 1},
                    "state": {"enum": list(TaskState)},
                    "error": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"message": _WORD, "traceId": _WORD},
                    },
                },
            },
        },
    },
}


@router.put(
    "/{job_id}",
    summary="Submit a job",
    response_class=Response,
    responses={
        200: {
            "description": "Accepted, or the same job was submitted before with the same content.",
            "headers": {"Location": {"description": "the report", "schema": {"type": "string"}}},
        },
        **responses(400, 401, 403, 408, 409, 412, 413, 415, 503),
    },
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def submit(
    request: Request,
    edge: TheEdge,
    caller: MayWriteJobs,
    job_id: JobId,
    plan: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="`plan` of a preflight: a new job is accepted only if that is still what would happen",
            examples=[PLAN],
        ),
    ] = None,
) -> Response:
    """Stores the job and a task for each reference; the commands follow as soon as broker and window allow.

    Idempotent: the same content again is 200 and starts nothing, other content is 409.
    """
    given = None if plan is None else ", ".join(request.headers.getlist(HEADER))  # several headers are no plan
    async with edge.uploads.body(request, MEDIA_TYPES, IN_ONE_LINE) as body:
        await submitted(request, edge, caller, Submission(job_id, body, given))
    return Response(headers={"Location": f"{request.scope.get('root_path', '')}/api/jobs/{job_id}/report"})


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody submits; `plan`: accepted only where that is still what would happen."""

    job_id: UUID
    body: bytearray
    plan: str | None


async def submitted(request: Request, edge: Edge, caller: Caller, given: Submission) -> None:
    """Stores the job. Raises ApiProblem: 400 with the mistakes, 409, 412, 413, 503."""
    job_id = given.job_id
    with request_span(request, "PUT /api/jobs/{job_id}") as span:
        span.set("pas.job_id", str(job_id))
        content = await read_submission(edge.yaml_reader, edge.submissions, given.body, edge.max_references)

        def approve(configuration: ArchiveTypeConfiguration) -> None:
            if given.plan is not None:
                edge.plans.check(given.plan, content.content_hash, configuration)

        try:
            await edge.submissions.submit(job_id, content, submitter_of(caller, span.traceparent), approve)
        except DoesNotFit as error:
            raise unfit(error) from error
        except PlanChanged as error:
            raise ApiProblem(412, PLAN_CHANGED, errors=error.mistakes) from error
        except DifferentContent as error:
            raise ApiProblem(409, f"Job {job_id} exists with different content; nothing was changed.") from error


@router.get(
    "/{job_id}/report",
    summary="Read the report of a job",
    response_class=Response,
    responses={
        200: {
            "description": "What became of every reference, in the order of submission.",
            "content": {"application/yaml": {"schema": REPORT_SCHEMA, "example": EXAMPLE_REPORT}},
        },
        **responses(400, 401, 403, 404, 503),
    },
)
async def read_report(
    edge: TheEdge,
    _caller: MayReadJobs,
    job_id: JobId,
    state: Annotated[TaskState | None, Query(description="only references in this state")] = None,
    merged: Annotated[bool, Query(description="over the job and its retries")] = False,
) -> Response:
    """Streamed as YAML. The head is read first: the tasks of an open job may be newer than it.

    The merged report has each reference once, with its state in the last retry (or retry of a retry) that has it; it is
    open while one of these jobs is open.
    """
    retries: list[UUID] | None = None
    if merged:
        whole = await edge.merged_reports.find(job_id)
        if whole is None:
            raise unknown(job_id)
        job, retries = whole.job, [each.id for each in whole.retries]
        pages = edge.merged_reports.pages(whole, state)
    else:
        found = await edge.reports.find(job_id)
        if found is None:
            raise unknown(job_id)
        job, pages = found, edge.reports.pages(job_id, state)
    first = await anext(pages, None)

    async def content() -> AsyncIterator[bytes]:
        yield report_head(job, empty=first is None, retries=retries)
        if first is not None:
            yield report_tasks(first)
        async for page in pages:
            yield report_tasks(page)

    return StreamingResponse(content(), media_type="application/yaml")
