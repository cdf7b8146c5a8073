"""A metadata run by hand: tried first, then started."""

from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.api.http.request_trace import request_span
from app.api.runs.endpoints import PROPERTY
from app.domain.mistakes import Mistake
from app.domain.runs import Mode, Starter
from app.metadata.control import DryRun
from app.metadata.wanted import Misfit, WantedRun
from app.ui import texts
from app.ui.answers import led_to, render
from app.ui.forms import read_form
from app.ui.operator import Operator, WritesJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MODES = (Mode.MISSING, Mode.FAILED, Mode.ALL)


@dataclass(frozen=True, slots=True)
class FormOutcome:
    """What became of a form; `fields` are shown again."""

    fields: dict[str, str] = field(default_factory=dict)
    tried: DryRun | None = None
    mistakes: tuple[Mistake, ...] = ()


@router.get("/ui/metadata-new")
async def new_run(request: Request, page: ThePage, operator: WritesJobs) -> Response:
    Filters(request, ())
    return await _form(request, page, operator, FormOutcome())


@router.post("/ui/metadata-new")
async def make(request: Request, page: ThePage, operator: WritesJobs) -> Response:
    fields = await read_form(request, operator)
    if not page.edge.run_control.enabled:
        raise ApiProblem(409, f"Metadata runs are switched off; set {PROPERTY} to true.")
    try:
        wanted = _wanted(fields)
        if fields.get("do") == "try":
            tried = await page.edge.run_control.try_out(wanted)
            return await _form(request, page, operator, FormOutcome(fields, tried))
        with request_span(request, "POST /api/metadata-backfills") as span:
            caller = operator.caller
            run = await page.edge.run_control.start(wanted, Starter(caller.name, caller.ext_id, span.traceparent))
    except Misfit as misfit:
        return await _form(request, page, operator, FormOutcome(fields, None, tuple(misfit.mistakes)))
    return led_to(request, page, f"/ui/metadata/{run.id}")


def _wanted(fields: dict[str, str]) -> WantedRun:
    """Raises Misfit."""
    message, _, config_id = fields.get("type", "").partition("/")
    keys = tuple(key.strip() for key in fields.get("keys", "").split(",") if key.strip())
    try:
        mode = Mode(fields.get("mode", Mode.MISSING))
    except ValueError:
        raise Misfit(Mistake("mode", None, f"is one of {', '.join(MODES)}")) from None
    return WantedRun(message, config_id or None, keys, mode)


async def _form(request: Request, page: Page, operator: Operator, outcome: FormOutcome) -> Response:
    known = await page.edge.archive_types.known()
    return render(
        request,
        page,
        "run_new.html",
        operator,
        status=400 if outcome.mistakes else 200,
        types=[each.configuration for each in known.archive_types if each.configuration.metadata_extraction_paths],
        modes=[(mode, texts.MODES[mode]) for mode in MODES],
        fields=outcome.fields,
        tried=outcome.tried,
        mistakes=outcome.mistakes,
        enabled=page.edge.run_control.enabled,
    )
