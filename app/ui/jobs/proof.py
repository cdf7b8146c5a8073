"""The proof of a job: what is proven, its leaves, the proof of one reference, and how to check it."""

from contextlib import aclosing
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from app.api.evidence import endpoints
from app.api.evidence.models import InclusionView, ProofView
from app.api.http.problems import ApiProblem
from app.api.jobs import control
from app.api.shapes.ids import JobId
from app.domain.leaves import Leaf, LeafError, read_leaf
from app.domain.mistakes import Mistake
from app.domain.proofs import JobProof
from app.domain.reference_rules import MAX_VERSION
from app.evidence.proofs import AlteredProof, NoProof
from app.ui.answers import render
from app.ui.operator import Operator, ReadsAudit
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

FIELDS = ("id", "version")

SHOWN = 20
"""Leaves that are listed; the others are found by their reference, or downloaded."""


@router.get("/ui/jobs/{job_id}/proof")
async def look(request: Request, page: ThePage, operator: ReadsAudit, job_id: JobId) -> Response:
    filters = Filters(request, FIELDS)
    id_, version = _asked(filters)
    proof = await endpoints.found(page.edge, job_id)
    missing = found = None
    if id_ is not None:
        try:
            found = await endpoints.inclusion(operator.caller, page.edge, job_id, id_, version)
        except ApiProblem as problem:
            if problem.status != 404:
                raise
            missing = problem.detail
    leaves, gone = await _first_leaves(page, proof)
    present = page.edge.signing.present
    return render(
        request,
        page,
        "proof.html",
        operator,
        status=404 if missing else 200,
        job_id=job_id,
        title=await _title(page, operator, job_id),
        proof=ProofView.of(proof),
        given=filters.given,
        query=filters.query(),
        found=found,
        leaf=None if found is None else orjson.loads(found.leaf),
        missing=missing,
        leaves=leaves,
        gone=gone,
        key=None if present is None else str(present),
    )


@router.get("/ui/jobs/{job_id}/proof.json")
async def download(request: Request, page: ThePage, operator: ReadsAudit, job_id: JobId) -> Response:
    """The proof of one reference, as the API gives it."""
    id_, version = _asked(Filters(request, FIELDS))
    if id_ is None:
        raise ApiProblem(400, "The query has mistakes.", errors=[Mistake("id", None, "is missing")])
    proof: InclusionView = await endpoints.inclusion(operator.caller, page.edge, job_id, id_, version)
    headers = {"Content-Disposition": f'attachment; filename="proof-{job_id}.json"'}
    return Response(proof.model_dump_json(by_alias=True, indent=2), headers=headers, media_type="application/json")


@router.get("/ui/jobs/{job_id}/leaves.ndjson")
async def leaves(request: Request, page: ThePage, operator: ReadsAudit, job_id: JobId) -> Response:
    Filters(request, ())
    return await endpoints.leaves(operator.caller, page.edge, job_id)


@router.get("/ui/jobs/{job_id}/checkpoint")
async def checkpoint(request: Request, page: ThePage, operator: ReadsAudit, job_id: JobId) -> Response:
    """The signed checkpoint of the proof, as a file to be kept."""
    Filters(request, ())
    proof = await endpoints.proof_of(operator.caller, page.edge, job_id)
    headers = {"Content-Disposition": f'attachment; filename="checkpoint-{job_id}"'}
    return Response(proof.checkpoint, headers=headers, media_type="text/plain; charset=utf-8")


def _asked(filters: Filters) -> tuple[str | None, int | None]:
    """Id and version of the reference. Raises ApiProblem 400."""
    version = filters.text("version", 10)
    if version is not None and not (version.isascii() and version.isdigit() and 1 <= int(version) <= MAX_VERSION):
        mistake = Mistake("version", None, f"is a number from 1 to {MAX_VERSION:,}")
        raise ApiProblem(400, "The query has mistakes.", errors=[mistake])
    return filters.text("id"), None if version is None else int(version)


async def _first_leaves(page: Page, proof: JobProof) -> tuple[list[Leaf], str | None]:
    """The first leaves as they lie in the bucket; else why they cannot be read."""
    try:
        async with aclosing(page.edge.proofs.leaves(proof)) as pages:  # type: ignore[type-var]
            async for lines in pages:
                return [read_leaf(line) for line in lines[:SHOWN]], None
    except (NoProof, AlteredProof) as error:
        return [], f"{error}"
    except LeafError as error:
        return [], f"a leaf in the bucket {error}"
    return [], None


async def _title(page: Page, operator: Operator, job_id: UUID) -> str | None:
    """What the job is called, for those who may see it."""
    if not operator.caller.has("backfilljob", "read"):
        return None
    job = await control.look(operator.caller, page.edge, job_id)
    return job.name or job.message
