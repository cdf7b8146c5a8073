"""What can be done to a job, each after a question that says what it will do."""

from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.api.jobs import control
from app.api.shapes.ids import JobId, read_id
from app.ui import texts
from app.ui.answers import led_to, render
from app.ui.forms import read_form
from app.ui.operator import WritesJobs
from app.ui.page import ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

STEPS = {"pause": control.pause, "resume": control.resume, "cancel": control.cancel, "redrive": control.redrive}


@router.get("/ui/jobs/{job_id}/do/{act}")
async def ask(request: Request, page: ThePage, operator: WritesJobs, job_id: JobId, act: str) -> Response:
    cause = Filters(request, ("cause",)).text("cause", 1000)
    job = await control.look(operator.caller, page.edge, job_id)
    return render(
        request,
        page,
        "act.html",
        operator,
        job=job,
        act=_named(act),
        cause=cause,
        new_id=uuid4(),
        mark=texts.mark_of(job),
    )


@router.post("/ui/jobs/{job_id}/do/{act}")
async def do(request: Request, page: ThePage, operator: WritesJobs, job_id: JobId, act: str) -> Response:
    fields = await read_form(request, operator)
    name = _named(act).name
    if name in STEPS:
        await STEPS[name](operator.caller, page.edge, job_id)
        return led_to(request, page, f"/ui/jobs/{job_id}")
    new_id: UUID = read_id(fields.get("newId", ""), "new job")
    await control.retried(request, operator.caller, page.edge, job_id, new_id, fields.get("cause"))
    return led_to(request, page, f"/ui/jobs/{new_id}")


def _named(act: str) -> texts.JobAct:
    if act not in texts.ACTS:
        raise ApiProblem(404, "There is no such thing to do.")
    return texts.ACTS[act]
