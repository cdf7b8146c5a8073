"""One artifact: where it lies, its metadata, and its content when one asks for it."""

from fastapi import APIRouter, Request, Response

from app.api.artifacts import endpoints
from app.api.artifacts.endpoints import ArtifactId
from app.api.http.problems import ApiProblem
from app.domain.search import FoundArtifact
from app.metadata.content import AlteredContent, Gone
from app.ui import texts
from app.ui.answers import render
from app.ui.artifacts.laid_out import laid_out
from app.ui.operator import Operator, ReadsArtifacts
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 512 * 1024
"""Bytes of a document that is shown; a larger one is downloaded."""


@router.get("/ui/artifacts/{artifact_id}")
async def look(request: Request, page: ThePage, operator: ReadsArtifacts, artifact_id: ArtifactId) -> Response:
    wanted = Filters(request, ("content",)).given.get("content") == "show"
    artifact = await _known(page, artifact_id)
    stored = artifact.object
    kind = stored.content_type.partition(";")[0].strip().lower()
    readable = (kind == "application/json" or kind.endswith("+json")) and stored.size <= SHOWN
    return render(
        request,
        page,
        "artifact.html",
        operator,
        artifact=artifact,
        readable=readable,
        content=await _content(page, operator, artifact) if wanted and readable else None,
    )


@router.get("/ui/artifacts/{artifact_id}/content")
async def download(request: Request, page: ThePage, operator: ReadsArtifacts, artifact_id: ArtifactId) -> Response:
    Filters(request, ())
    return await endpoints.content(page.edge, operator.caller, await _known(page, artifact_id))


async def _known(page: Page, artifact_id: int) -> FoundArtifact:
    artifact = await page.edge.artifacts.find(artifact_id)
    if artifact is None:
        raise ApiProblem(404, f"There is no artifact {artifact_id}.")
    return artifact


async def _content(page: Page, operator: Operator, artifact: FoundArtifact) -> str:
    """The document, laid out; as it is where it is not JSON. Raises ApiProblem."""
    try:
        opened = await endpoints.opened(page.edge, operator.caller, artifact)
        text = b"".join([piece async for piece in opened.verified()]).decode()
    except Gone:
        raise ApiProblem(410, texts.GONE) from None
    except AlteredContent:
        raise ApiProblem(502, texts.ALTERED) from None
    except UnicodeDecodeError:
        raise ApiProblem(415, texts.NOT_TEXT) from None
    return laid_out(text) or text
