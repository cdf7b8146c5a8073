"""Health and metrics: open to everybody. Health waits for nothing, metrics for the other processes of this service."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from app.domain.readiness import COMPONENTS, Readiness
from app.telemetry import metrics


def _shown(description: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": list(example), "properties": {name: {} for name in example}}
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


_READY: dict[int | str, dict[str, Any]] = {
    200: _shown("Ready.", {"status": "ready", "problems": {"broker": "missing topic: psf-createartifact"}}),
    503: _shown("Not now.", {"status": "not ready", "problems": {"database": "not seen yet"}}),
}
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All metrics of this process, or of all processes that `pas serve --processes` started here.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "pas_jobs_submitted_total 58.0\n"}},
    }
}


def exposition(readiness: Readiness) -> bytes:
    """The metrics of this process, whose state is `readiness`, in the Prometheus text format."""
    for component in (*COMPONENTS, *readiness.optional):
        metrics.UNAVAILABLE.labels(component).set(component in readiness.problems)
    metrics.CONFIGURATION_WELL.set(readiness.configuration.well)
    return metrics.render()


def health_routes(readiness: Readiness, metrics_of_all: Callable[[], Awaitable[bytes]] | None = None) -> APIRouter:
    """The routes of health and metrics for a process whose state is `readiness`.

    `metrics_of_all`: of all processes, where this is one of several.
    """
    router = APIRouter(tags=["operation"])

    @router.get("/health/live", summary="Is the process alive?", responses={200: _shown("It is.", {"status": "up"})})
    async def live() -> dict[str, str]:
        return {"status": "up"}

    @router.get("/health/ready", summary="Can it take submissions?", responses=_READY)
    async def ready() -> JSONResponse:
        """503 until database, topics, bucket and keys were each seen once, while the database is unavailable, and while
        the service stops.

        Later outages of other components are named with 200: a submission is still accepted, its work waits. A changed
        file of archive types that could not be taken over is named as `configuration`, with 200 too.
        """
        status = "stopping" if readiness.stopping else "ready" if readiness.ready else "not ready"
        body = {"status": status, "problems": readiness.problems}
        return JSONResponse(body, 200 if readiness.ready else 503, headers={"Cache-Control": "no-store"})

    @router.get(
        "/metrics", summary="Metrics in the Prometheus text format", response_class=Response, responses=_METRICS
    )
    async def show_metrics() -> Response:
        text = exposition(readiness) if metrics_of_all is None else await metrics_of_all()
        return Response(text, media_type=metrics.CONTENT_TYPE)

    return router
