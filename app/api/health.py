"""Health, metrics: open to everybody, and never waiting for anything."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.domain.readiness import Readiness
from app.telemetry import metrics

router = APIRouter(tags=["operation"])


@router.get("/health/live", summary="Is the process alive?")
async def live() -> dict[str, str]:
    return {"status": "up"}


@router.get("/health/ready", summary="Can it take submissions?", responses={503: {"description": "Not now."}})
async def ready(request: Request) -> JSONResponse:
    """503 until database, topics, bucket and keys were each seen once, while the database is away, while stopping.

    Later outages of the others are named with 200: a submission is still accepted, its work waits.
    """
    readiness: Readiness = request.app.state.readiness
    status = "stopping" if readiness.stopping else "ready" if readiness.ready else "not ready"
    body = {"status": status, "problems": readiness.problems}
    return JSONResponse(body, 200 if readiness.ready else 503, headers={"Cache-Control": "no-store"})


@router.get("/metrics", summary="Metrics in the Prometheus text format", response_class=Response)
async def show_metrics(request: Request) -> Response:
    problems = request.app.state.readiness.problems
    for component, gauge in metrics.UNAVAILABLE.items():
        gauge.set(component in problems)
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)
