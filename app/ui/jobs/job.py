"""One job: how far, how fast, until when; what is wrong; what can be done."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.api.evidence.models import ProofView
from app.api.jobs import control, failures, submit_and_report
from app.api.jobs.models import JobView
from app.api.shapes.ids import JobId
from app.domain.jobs import JobState
from app.evidence.proofs import NoProof
from app.ui import texts
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/jobs/{job_id}")
async def look(request: Request, page: ThePage, operator: ReadsJobs, job_id: JobId) -> Response:
    Filters(request, ())
    job = await control.look(operator.caller, page.edge, job_id)
    wrong = await failures.list_failures(operator.caller, page.edge, job_id) if job.counts.failed else None
    proves = job.state is JobState.COMPLETED and operator.caller.has("audit", "read")
    proof, unproven = await _proof(page, job_id) if proves else (None, None)
    return render(
        request,
        page,
        "job.html",
        operator,
        job=job,
        mark=texts.mark_of(job),
        wrong=wrong,
        acts=texts.acts_of(job) if operator.caller.has("backfilljob", "write") else [],
        took=_took(job),
        proof=proof,
        unproven=unproven,
        course=await page.minutes.of(job_id),
        ended=job.state is JobState.COMPLETED,
        trace_url=page.trace_url,
    )


async def _proof(page: Page, job_id: UUID) -> tuple[ProofView | None, str | None]:
    """The proof of a job that has ended, else why there is none."""
    try:
        return ProofView.of(await page.edge.proofs.find(job_id)), None
    except NoProof as reason:
        return None, str(reason)


def _took(job: JobView) -> float | None:
    """Seconds from the start to the end of a job that has ended."""
    return None if job.completed is None else (job.completed - job.started).total_seconds()


@router.get("/ui/jobs/{job_id}/events")
async def follow(request: Request, page: ThePage, operator: ReadsJobs, job_id: JobId) -> Response:
    Filters(request, ())
    return await control.follow(request, operator.caller, page.edge, job_id)


@router.get("/ui/jobs/{job_id}/report.yaml")
async def report(request: Request, page: ThePage, operator: ReadsJobs, job_id: JobId) -> Response:
    """The report as a file; `?merged=true` over the job and its retries."""
    merged = Filters(request, ("merged",)).given.get("merged") == "true"
    answer = await submit_and_report.read_report(page.edge, operator.caller, job_id, None, merged)
    answer.headers["Content-Disposition"] = f'attachment; filename="report-{job_id}.yaml"'
    return answer
