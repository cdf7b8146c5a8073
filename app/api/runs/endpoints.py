"""The endpoints of metadata runs: list, show, start by hand, dry run, pause, resume, cancel."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from app.api.auth.callers import Caller
from app.api.edge import MayReadJobs, MayWriteJobs, TheEdge
from app.api.http.json_bodies import read_json_body
from app.api.http.problems import ApiProblem, responses
from app.api.http.request_trace import request_span
from app.api.runs.models import (
    DryRunView,
    RunDetail,
    RunError,
    RunErrorPage,
    RunPage,
    RunRequest,
    RunView,
    dry_run_json,
)
from app.api.shapes.cursors import (
    Cursor,
    Limit,
    ListOf,
    cursor_at,
    read_number_cursor,
    read_started_cursor,
    started_cursor,
)
from app.api.shapes.examples import DRY_RUN, RUN, RUN_ERRORS, page, shown
from app.api.shapes.ids import InPath, read_id
from app.domain.runs import Run, Starter
from app.metadata.control import ImpossibleForRun, RunControl, UnknownRun
from app.metadata.wanted import Misfit

router = APIRouter(prefix="/api/metadata-backfills", tags=["metadata runs"])

MAX_BODY = 64 * 1024
FIRST_ERRORS = 20
"""Errors that a run is shown with."""

BY_HAND = {"messageType": "JmeDecreeDocumentCreatedEvent", "keys": ["customer_id"], "mode": "all"}

PROPERTY = "jeap.processarchive.metadata-backfill.enabled"


STEERED = {200: shown("The run as it stands.", RUN), **responses(400, 401, 403, 404, 409, 503)}


def known_run_id(run_id: Annotated[str, InPath]) -> UUID:
    return read_id(run_id, "run")


RunId = Annotated[UUID, Depends(known_run_id)]


@router.get(
    "", summary="List the runs", responses={200: shown("A page of runs.", page(RUN)), **responses(400, 401, 403, 503)}
)
async def list_runs(_caller: MayReadJobs, edge: TheEdge, cursor: Cursor = None, limit: Limit = 50) -> RunPage:
    """Runs, newest first: automatic ones and those by hand."""
    found, more = await edge.run_control.page(read_started_cursor(ListOf.RUNS, cursor), limit)
    following = started_cursor(ListOf.RUNS, found[-1].started, found[-1].id) if more else None
    return RunPage(items=[RunView.of(run) for run in found], next=following)


@router.post(
    "",
    summary="Start a run by hand",
    response_class=Response,
    status_code=202,
    responses={
        202: shown(
            "The run; where there was nothing to do it is completed.",
            RUN,
            model=RunView,
            headers={"Location": {"description": "the run", "schema": {"type": "string"}}},
        ),
        200: shown("What a run would do (`dryRun`).", DRY_RUN, model=DryRunView),
        **responses(400, 401, 403, 408, 409, 413, 415, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": RunRequest.model_json_schema(),
                    "example": BY_HAND,
                }
            },
        }
    },
)
async def start(request: Request, caller: MayWriteJobs, edge: TheEdge) -> Response:
    """Fills keys of archived artifacts. With `dryRun` nothing is written: the answer has the number of artifacts that a
    run would read, and the values of the newest ones before and after. 409 when runs are switched off."""
    body = await read_json_body(request, MAX_BODY, RunRequest, BY_HAND)
    if not edge.run_control.enabled:
        raise ApiProblem(409, f"Metadata runs are switched off; set {PROPERTY} to true.")
    with request_span(request, "POST /api/metadata-backfills") as span:
        try:
            if body.dry_run:
                return Response(
                    dry_run_json(await edge.run_control.try_out(body.wanted)), media_type="application/json"
                )
            by = Starter(caller.name, caller.ext_id, span.traceparent, caller.subject or None, caller.client)
            run = await edge.run_control.start(body.wanted, by)
        except Misfit as misfit:
            raise ApiProblem(400, "No such run can be made.", errors=misfit.mistakes) from misfit
    root = request.scope.get("root_path", "")
    headers = {"Location": f"{root}/api/metadata-backfills/{run.id}"}
    return JSONResponse(RunView.of(run).model_dump(mode="json", by_alias=True), 202, headers)


@router.get(
    "/{run_id}",
    summary="Look at a run",
    responses={
        200: shown("The run and its first errors.", {**RUN, "errors": RUN_ERRORS}),
        **responses(400, 401, 403, 404, 503),
    },
)
async def look(_caller: MayReadJobs, edge: TheEdge, run_id: RunId) -> RunDetail:
    """Counts, rate and estimated end while the run is open, and the first errors."""
    run = await _known(run_id, edge.run_control.find)
    return RunDetail.with_errors(run, (await _errors(edge.run_control, run_id, 0, FIRST_ERRORS)).items)


@router.get(
    "/{run_id}/errors",
    summary="List the errors of a run",
    responses={200: shown("A page of errors.", page(*RUN_ERRORS)), **responses(400, 401, 403, 404, 503)},
)
async def list_errors(
    _caller: MayReadJobs, edge: TheEdge, run_id: RunId, cursor: Cursor = None, limit: Limit = 50
) -> RunErrorPage:
    """The artifacts that could not be read, by their id."""
    after = 0 if cursor is None else read_number_cursor(ListOf.RUN_ERRORS, cursor)
    await _known(run_id, edge.run_control.find)
    return await _errors(edge.run_control, run_id, after, limit)


@router.post("/{run_id}/pause", summary="Pause a run", responses=STEERED)
async def pause(_caller: MayWriteJobs, edge: TheEdge, run_id: RunId) -> RunView:
    """No further batch starts; nothing is lost. 409 unless the run is open."""
    return RunView.of(await _known(run_id, edge.run_control.pause))


@router.post("/{run_id}/resume", summary="Resume a run", responses=STEERED)
async def resume(_caller: MayWriteJobs, edge: TheEdge, run_id: RunId) -> RunView:
    """Continues a paused run. 409 unless the run is paused."""
    return RunView.of(await _known(run_id, edge.run_control.resume))


@router.post("/{run_id}/cancel", summary="Cancel a run", responses=STEERED)
async def cancel(caller: MayWriteJobs, edge: TheEdge, run_id: RunId) -> RunView:
    """Ends the run; the values that it has written stay. An automatic run is created again only when its definition
    changes. 409 if the run has ended."""
    return RunView.of(await _known(run_id, lambda id_: edge.run_control.cancel(id_, _who(caller))))


def _who(caller: Caller) -> Starter:
    return Starter(caller.name or caller.subject or None, caller.ext_id)


async def _known(run_id: UUID, act: Callable[[UUID], Awaitable[Run]]) -> Run:
    try:
        return await act(run_id)
    except UnknownRun:
        raise ApiProblem(404, f"There is no metadata run {run_id}.") from None
    except ImpossibleForRun as impossible:
        raise ApiProblem(409, f"The run is {impossible.state}; nothing was changed.") from None


async def _errors(control: RunControl, run_id: UUID, after: int, limit: int) -> RunErrorPage:
    found, more = await control.errors(run_id, after, limit)
    items = [RunError(artifact=row.artifact_id, message=row.message, at=row.at, resolved=row.resolved) for row in found]
    return RunErrorPage(items=items, next=cursor_at(ListOf.RUN_ERRORS, items[-1].artifact) if more else None)
