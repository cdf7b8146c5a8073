"""The endpoints of evidence: the keys that sign, and the proof of a job."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from app.api.edge import Edge, MayReadAudit, TheEdge
from app.api.evidence.models import InclusionView, KeyPage, ProofView
from app.api.http.problems import ApiProblem, responses
from app.api.shapes.examples import INCLUSION, LEAF, PROOF, SIGNING_KEY, page, shown
from app.api.shapes.ids import JobId, unknown
from app.domain.proofs import JobProof
from app.domain.reference_rules import MAX_VERSION
from app.evidence.proofs import AlteredProof, NoProof, UnknownJobOfProof

router = APIRouter(tags=["evidence"])


@router.get(
    "/api/evidence/keys",
    summary="List the keys that sign",
    responses={200: shown("The keys, the present one first.", page(SIGNING_KEY)), **responses(400, 401, 403, 503)},
)
async def keys(_caller: MayReadAudit, edge: TheEdge) -> KeyPage:
    """The present key and those of the past as C2SP verifier keys; none where nothing is signed.

    Who checks a proof years later needs a key from elsewhere than this service: keep it when it is new.
    """
    return KeyPage.of(edge.signing.keys, edge.signing.present)


@router.get(
    "/api/jobs/{job_id}/evidence",
    summary="Get the proof of a job",
    responses={200: shown("The signed checkpoint.", PROOF), **responses(400, 401, 403, 404, 503)},
)
async def proof_of(_caller: MayReadAudit, edge: TheEdge, job_id: JobId) -> ProofView:
    """404 with the reason while there is none: the job is open, or completed just now, or nothing is signed here."""
    return ProofView.of(await found(edge, job_id))


@router.get(
    "/api/jobs/{job_id}/evidence/leaves",
    summary="Get the leaves of the proof of a job",
    response_class=Response,
    responses={
        200: {
            "description": "One line of canonical JSON (RFC 8785) for each reference, in the order of submission.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}, "example": f"{LEAF}\n"}},
        },
        **responses(400, 401, 403, 404, 503),
    },
)
async def leaves(_caller: MayReadAudit, edge: TheEdge, job_id: JobId) -> Response:
    """As they lie in the bucket. Each line is hashed as it is, so nothing in it is escaped beyond what JSON needs."""
    pages = edge.proofs.leaves(await found(edge, job_id))
    try:
        first = await anext(pages, None)
    except (NoProof, AlteredProof) as error:
        raise ApiProblem(404, f"{error}.") from error

    async def content() -> AsyncIterator[bytes]:
        lines: Sequence[bytes] | None = first
        while lines is not None:
            yield b"".join([line + b"\n" for line in lines])
            lines = await anext(pages, None)

    name = f"leaves-{job_id}.ndjson"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content(), media_type="application/x-ndjson", headers=headers)


@router.get(
    "/api/jobs/{job_id}/evidence/proof",
    summary="Prove that a reference is in a job",
    responses={200: shown("The inclusion proof.", INCLUSION), **responses(400, 401, 403, 404, 503)},
)
async def inclusion(
    _caller: MayReadAudit,
    edge: TheEdge,
    job_id: JobId,
    id_: Annotated[str, Query(alias="id", description="id of the reference", min_length=1, max_length=512)],
    version: Annotated[int | None, Query(description="where the reference has one", ge=1, le=MAX_VERSION)] = None,
) -> InclusionView:
    """Reads the leaves as they lie in the bucket, and checks the proof before it is sent."""
    proof = await found(edge, job_id)
    try:
        async with edge.inclusion_turns.one():
            return InclusionView.of(await edge.proofs.inclusion(proof, id_, version))
    except (NoProof, AlteredProof) as error:
        raise ApiProblem(404, f"{error}.") from error


async def found(edge: Edge, job_id: UUID) -> JobProof:
    """Raises ApiProblem 404 with the reason."""
    try:
        return await edge.proofs.find(job_id)
    except UnknownJobOfProof:
        raise unknown(job_id) from None
    except NoProof as none:
        raise ApiProblem(404, f"{none}.") from none
