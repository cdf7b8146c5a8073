"""A new job: written as YAML or made of a CSV of references, tried, then submitted as its plan says."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.api.jobs import preflight
from app.api.jobs.preflight_views import PreflightView
from app.api.jobs.submit_and_report import Submission, submitted
from app.api.shapes.ids import read_id
from app.domain.mistakes import Mistake
from app.domain.references_csv import CsvMistake, references_of
from app.ui import texts
from app.ui.answers import led_to, render
from app.ui.forms import MEDIA_TYPE, fields_of, refuse_other_sites
from app.ui.operator import Operator, WritesJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN_AGAIN = 2 * 1024 * 1024
"""Characters of a submission that come back in the editor; a larger one stays where it came from."""


@dataclass(frozen=True, slots=True)
class JobDraft:
    """The form as it was sent, and what became of it."""

    job_id: str = field(default_factory=lambda: str(uuid4()))
    yaml: str = ""
    csv: str = ""
    type: str = ""
    name: str = ""
    tried: PreflightView | None = None
    problem: str | None = None
    mistakes: Sequence[Mistake] = ()
    notes: Sequence[str] = ()
    status: int = 200


@router.get("/ui/jobs/new")
async def new(request: Request, page: ThePage, operator: WritesJobs) -> Response:
    Filters(request, ())
    return await _form(request, page, operator, JobDraft())


@router.post("/ui/jobs/new")
async def make(request: Request, page: ThePage, operator: WritesJobs) -> Response:
    refuse_other_sites(request)
    async with page.edge.uploads.body(request, [MEDIA_TYPE]) as body:
        fields = await asyncio.to_thread(fields_of, body, operator)
        sent = JobDraft(
            fields.get("jobId") or str(uuid4()),
            fields.get("yaml", "").replace("\r\n", "\n"),
            fields.get("csv", ""),
            fields.get("type", ""),
            fields.get("name", ""),
        )
        if fields.get("do") == "csv":
            return await _form(request, page, operator, await _of_csv(page, sent))
        try:
            if fields.get("do") == "try":
                wanted = await preflight.wanted_of(page.edge, bytearray(sent.yaml.encode()), None)
            else:
                job_id = read_id(sent.job_id, "job")
                given = Submission(job_id, bytearray(sent.yaml.encode()), fields.get("plan"))
                await submitted(request, page.edge, operator.caller, given)
                return led_to(request, page, f"/ui/jobs/{job_id}")
        except ApiProblem as problem:
            if problem.status not in (400, 409, 412, 413):
                raise
            return await _form(request, page, operator, _wrong(sent, problem))
    tried = await preflight.looked(request, page.edge, wanted)
    return await _form(request, page, operator, JobDraft(sent.job_id, sent.yaml, tried=tried))


def _wrong(sent: JobDraft, problem: ApiProblem) -> JobDraft:
    return JobDraft(sent.job_id, sent.yaml, problem=problem.detail, mistakes=problem.errors, status=problem.status)


async def _of_csv(page: Page, sent: JobDraft) -> JobDraft:
    """The draft with a submission of the references in its CSV."""
    notes: list[str] = []
    try:
        found = references_of(
            sent.csv.removeprefix("\ufeff"), lambda note: notes.append(note.removeprefix("Warning: "))
        )
    except CsvMistake as mistake:
        said = [Mistake("", None, line.removeprefix("Error: ")) for line in mistake.lines]
        return JobDraft(sent.job_id, sent.yaml, sent.csv, sent.type, sent.name, None, texts.BAD_CSV, said, (), 400)
    known = await page.edge.archive_types.known()
    chosen = [each.configuration for each in known.archive_types if each.configuration.name == sent.type]
    if not chosen:
        said = [Mistake("", None, "Choose the archive type.")]
        return JobDraft(sent.job_id, sent.yaml, sent.csv, sent.type, sent.name, None, texts.BAD_CSV, said, (), 400)
    lines = [f"message: {chosen[0].message_type}", f"topic: {chosen[0].topic}"]
    lines += [f"config-id: {_quoted(chosen[0].id)}"] if chosen[0].id and "/" in chosen[0].name else []
    lines += [f"name: {_quoted(sent.name)}"] if sent.name else []
    lines.append("archiveDataReferences:")
    for id_, version in found.references:
        lines.append(f"  - id: {_quoted(id_)}")
        lines += [] if version is None else [f"    version: {version}"]
    taken = f"{len(found.references):,} references were taken over."
    return JobDraft(sent.job_id, "\n".join(lines) + "\n", notes=[taken, *notes[:20]])


def _quoted(text: str) -> str:
    """In double quotes; what is not ASCII stays itself, as pairs of escapes mean nothing to YAML."""
    return json.dumps(text, ensure_ascii=False)


async def _form(request: Request, page: Page, operator: Operator, draft: JobDraft) -> Response:
    known = await page.edge.archive_types.known()
    types = [each.configuration for each in known.archive_types if each.configuration.is_remote_data]
    return render(
        request,
        page,
        "new_job.html",
        operator,
        status=draft.status,
        draft=draft,
        yaml=draft.yaml if len(draft.yaml) <= SHOWN_AGAIN else "",
        too_long=len(draft.yaml) > SHOWN_AGAIN,
        types=types,
        example=_example(types[0].message_type, types[0].topic, types[0].is_versioned) if types else "",
        verdicts=texts.VERDICTS,
    )


def _example(message: str, topic: str, versioned: bool) -> str:
    version = "\n    version: 1" if versioned else ""
    return f"message: {message}\ntopic: {topic}\narchiveDataReferences:\n  - id: …{version}\n"
