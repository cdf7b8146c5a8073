"""Metadata runs: listed, looked at, paused, resumed, cancelled."""

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.api.runs import endpoints
from app.api.runs.endpoints import RunId
from app.domain.runs import RunState
from app.ui import texts
from app.ui.answers import led_to, render
from app.ui.forms import read_form
from app.ui.operator import ReadsJobs, WritesJobs
from app.ui.page import ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

STEPS = {"pause": endpoints.pause, "resume": endpoints.resume, "cancel": endpoints.cancel}
OFFERED = {RunState.OPEN: ("pause", "cancel"), RunState.PAUSED: ("resume", "cancel")}


@router.get("/ui/metadata")
async def list_runs(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    filters = Filters(request, ("cursor",))
    found = await endpoints.list_runs(operator.caller, page.edge, filters.text("cursor"), 50)
    return render(
        request,
        page,
        "runs.html",
        operator,
        runs=[(run, texts.RUNS[run.state]) for run in found.items],
        enabled=page.edge.run_control.enabled,
        first=filters.query(cursor=None) if filters.given else None,
        following=None if found.next is None else filters.query(cursor=found.next),
    )


@router.get("/ui/metadata/{run_id}")
async def look(request: Request, page: ThePage, operator: ReadsJobs, run_id: RunId) -> Response:
    Filters(request, ())
    run = await endpoints.look(operator.caller, page.edge, run_id)
    may = operator.caller.has("backfilljob", "write")
    return render(
        request,
        page,
        "run.html",
        operator,
        run=run,
        mark=texts.RUNS[run.state],
        acts=[texts.RUN_ACTS[name] for name in OFFERED.get(run.state, ())] if may else [],
        open=run.state is RunState.OPEN,
    )


@router.get("/ui/metadata/{run_id}/do/{act}")
async def ask(request: Request, page: ThePage, operator: WritesJobs, run_id: RunId, act: str) -> Response:
    Filters(request, ())
    run = await endpoints.look(operator.caller, page.edge, run_id)
    return render(request, page, "run_act.html", operator, run=run, act=_named(act), mark=texts.RUNS[run.state])


@router.post("/ui/metadata/{run_id}/do/{act}")
async def do(request: Request, page: ThePage, operator: WritesJobs, run_id: RunId, act: str) -> Response:
    await read_form(request, operator)
    await STEPS[_named(act).name](operator.caller, page.edge, run_id)
    return led_to(request, page, f"/ui/metadata/{run_id}")


def _named(act: str) -> texts.JobAct:
    if act not in texts.RUN_ACTS:
        raise ApiProblem(404, "There is no such thing to do.")
    return texts.RUN_ACTS[act]
