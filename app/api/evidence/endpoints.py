"""The endpoint of the keys with which checkpoints are signed."""

from fastapi import APIRouter

from app.api.edge import MayReadAudit, TheEdge
from app.api.evidence.models import KeyPage
from app.api.http.problems import responses
from app.api.shapes.examples import SIGNING_KEY, page, shown

router = APIRouter(prefix="/api/evidence", tags=["evidence"])


@router.get(
    "/keys",
    summary="List the keys that sign",
    responses={200: shown("The keys, the present one first.", page(SIGNING_KEY)), **responses(400, 401, 403, 503)},
)
async def keys(_caller: MayReadAudit, edge: TheEdge) -> KeyPage:
    """The present key and those of the past as C2SP verifier keys; none where nothing is signed.

    Who checks a proof years later needs a key from elsewhere than this service: keep it when it is new.
    """
    return KeyPage.of(edge.signing.keys, edge.signing.present)
