"""The endpoints of backfill jobs that speak JSON: list, show, follow, pause, resume, cancel, redrive, retry."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.auth.callers import Caller
from app.api.edge import Edge, MayReadJobs, MayWriteJobs, TheEdge
from app.api.http.event_streams import Vanished
from app.api.http.json_bodies import read_json_body
from app.api.http.problems import ApiProblem, responses
from app.api.http.request_trace import request_span
from app.api.jobs.events import JOB
from app.api.jobs.filters import Wanted
from app.api.jobs.models import JobPage, JobView, RetryRequest
from app.api.jobs.submitters import submitter_of
from app.api.shapes import examples
from app.api.shapes.cursors import Cursor, Limit, ListOf, read_started_cursor, started_cursor
from app.api.shapes.examples import page, shown
from app.api.shapes.ids import EXAMPLE_ID, JobId, unknown
from app.domain.jobs import JobState
from app.jobs import control
from app.jobs.control import ImpossibleForJob, UnknownJob
from app.jobs.submit import DifferentContent

router = APIRouter(prefix="/api/jobs", tags=["backfill jobs"])

MAX_BODY = 16_384
"""Bytes of a body in JSON: a cause has up to 1,000 characters, each up to 12 bytes where it is escaped."""

SHOWN = shown("The job as it stands.", examples.JOB)
RETRIED = {**examples.JOB, "retryOf": "5f0c7a52-33a3-4d3f-9a0e-3f5e0f1a7c11"}
EVENT = {  # of each event: so readers of the document take it before OpenAPI 3.2
    "type": "object",
    "required": ["id", "data"],
    "properties": {
        "id": {"enum": list(JobState), "description": "state of the job; no event follows `completed`"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobView"},
        },
    },
}
RETRY = {"jobId": EXAMPLE_ID}
LOCATION = {"Location": {"description": "the new job", "schema": {"type": "string"}}}


@router.get(
    "",
    summary="List jobs",
    responses={
        200: shown("A page of jobs.", page(examples.WAITING_JOB, examples.JOB)),
        **responses(400, 401, 403, 503),
    },
)
async def list_jobs(
    _caller: MayReadJobs,
    edge: TheEdge,
    wanted: Wanted,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> JobPage:
    """Newest first, each as `GET /api/jobs/{job_id}` shows it."""
    found, more = await edge.job_control.page(read_started_cursor(ListOf.JOBS, cursor), limit, wanted)
    following = started_cursor(ListOf.JOBS, found[-1].job.started, found[-1].job.id) if more else None
    return JobPage(items=[JobView.of(view) for view in found], next=following)


@router.get("/{job_id}", summary="Look at a job", responses={200: SHOWN, **responses(400, 401, 403, 404, 503)})
async def look(_caller: MayReadJobs, edge: TheEdge, job_id: JobId) -> JobView:
    """Counts, rate and estimated end of the job, and what it waits for. `noDataYet` counts open references whose source
    had no data."""
    return await _shown(job_id, edge.job_control.view(job_id))


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: the job as it stands whenever it changes, at most once a second. The "
            "stream ends with the job, the service or the token.",
            "content": {"text/event-stream": {"schema": EVENT, "example": "id: open\ndata: {…}\n\n"}},
        },
        204: {"description": "The job has ended, and the `Last-Event-ID` says that this is known."},
        **responses(400, 401, 403, 404, 503),
    },
)
async def follow(request: Request, caller: MayReadJobs, edge: TheEdge, job_id: JobId) -> Response:
    """Each event is a full snapshot, as of `GET /api/jobs/{job_id}`. A client that was cut off connects again."""
    with _refusals(job_id):
        view = await edge.job_control.view(job_id)

    async def look() -> control.JobStatus:
        try:
            return await edge.job_control.view(job_id)
        except UnknownJob:
            raise Vanished from None

    return edge.event_streams.answer(JOB, view, look, request.headers.get("last-event-id"), caller.expires)


@router.post(
    "/{job_id}/pause", summary="Pause a job", responses={200: SHOWN, **responses(400, 401, 403, 404, 409, 503)}
)
async def pause(caller: MayWriteJobs, edge: TheEdge, job_id: JobId) -> JobView:
    """Within a second no further task starts; running tasks end, nothing is lost. 409 if the job has ended or is
    paused."""
    return await _shown(job_id, edge.job_control.pause(job_id, caller.called, caller.actor))


@router.post(
    "/{job_id}/resume", summary="Resume a job", responses={200: SHOWN, **responses(400, 401, 403, 404, 409, 503)}
)
async def resume(caller: MayWriteJobs, edge: TheEdge, job_id: JobId) -> JobView:
    """Continues a paused job where it stopped; failures so far do not count towards the failure threshold again. 409
    unless the job is paused."""
    return await _shown(job_id, edge.job_control.resume(job_id, caller.called, caller.actor))


@router.post(
    "/{job_id}/cancel", summary="Cancel a job", responses={200: SHOWN, **responses(400, 401, 403, 404, 409, 503)}
)
async def cancel(caller: MayWriteJobs, edge: TheEdge, job_id: JobId) -> JobView:
    """Open references that are not stored fail with `cancelled by <who>`; stored ones are still announced, then the job
    is completed. 409 if the job has ended or is cancelled."""
    async with edge.changes.one():
        return await _shown(job_id, edge.job_control.cancel(job_id, caller.called, caller.actor))


@router.post(
    "/{job_id}/redrive",
    summary="Set off what is open again",
    responses={200: SHOWN, **responses(400, 401, 403, 404, 503)},
)
async def redrive(caller: MayWriteJobs, edge: TheEdge, job_id: JobId) -> JobView:
    """Publishes the commands of all open tasks again, also of tasks whose source had no data. Harmless to repeat, and
    nothing happens to a job that has ended."""
    async with edge.changes.one():
        return await _shown(job_id, edge.job_control.redrive(job_id, caller.called, caller.actor))


@router.post(
    "/{job_id}/retry",
    summary="Retry what failed, in a new job",
    response_class=Response,
    status_code=201,
    responses={
        201: shown("The new job.", RETRIED, model=JobView, headers=LOCATION),
        200: shown("The job, which was made before.", RETRIED, model=JobView, headers=LOCATION),
        **responses(400, 401, 403, 404, 408, 409, 413, 415, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": RetryRequest.model_json_schema(),
                    "example": RETRY,
                }
            },
        }
    },
)
async def retry(request: Request, caller: MayWriteJobs, edge: TheEdge, job_id: JobId) -> Response:
    """A new job with the references that have failed so far, under the id that you choose. A repeated
    request is the same job. With `cause` only references that failed with this cause. 409 when no reference has failed
    (with this cause), when the id belongs to another job, or when the configuration does not fit any more."""
    wanted = await read_json_body(request, MAX_BODY, RetryRequest, RETRY)
    new_id = UUID(wanted.job_id)
    view, made = await retried(request, caller, edge, job_id, new_id, wanted.cause)
    headers = {"Location": f"{request.scope.get('root_path', '')}/api/jobs/{new_id}"}
    return JSONResponse(view.model_dump(mode="json", by_alias=True), 201 if made else 200, headers)


async def retried(
    request: Request, caller: Caller, edge: Edge, job_id: UUID, new_id: UUID, cause: str | None
) -> tuple[JobView, bool]:
    """The new job, and whether it was made now. Raises ApiProblem: 404, 409."""
    with request_span(request, "POST /api/jobs/{job_id}/retry") as span:
        span.set("pas.job_id", str(new_id))
        by = submitter_of(caller, span.traceparent)
        try:
            async with edge.changes.one():
                with _refusals(job_id):
                    made = await edge.retries.retry(job_id, new_id, by, cause)
        except DifferentContent:
            raise ApiProblem(409, f"{_another(new_id, job_id, cause)}; nothing was changed.") from None
    return await _shown(new_id, edge.job_control.view(new_id)), made


def _another(new_id: UUID, job_id: UUID, cause: str | None) -> str:
    return f"Job {new_id} exists and is not {'a' if cause is None else 'that'} retry of {job_id}"


async def _shown(job_id: UUID, acting: Awaitable[control.JobStatus]) -> JobView:
    with _refusals(job_id):
        return JobView.of(await acting)


@contextmanager
def _refusals(job_id: UUID) -> Iterator[None]:
    """Refusals as problems: 404 for an unknown job, 409 for an operation that its state does not allow."""
    try:
        yield
    except UnknownJob:
        raise unknown(job_id) from None
    except ImpossibleForJob as impossible:
        raise ApiProblem(409, f"Job {job_id} {impossible.reason}; nothing was changed.") from None
