"""The endpoint that predicts the outcome of a job."""

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request

from app.api.edge import Edge, MayWriteJobs, TheEdge
from app.api.http.problems import responses
from app.api.http.request_trace import request_span
from app.api.jobs.preflight_views import BucketView, ForecastView, PreflightView, SampleView, WarningView
from app.api.shapes.examples import PREFLIGHT, shown
from app.api.submission.read import IN_ONE_LINE, MEDIA_TYPES, REQUEST_BODY, read_submission, unfit
from app.archiver.preflight import AskedSource
from app.archiver.sample import LARGEST_SAMPLE, places
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import Reference
from app.domain.mistakes import Mistake
from app.jobs.submit import DoesNotFit

router = APIRouter(prefix="/api/preflight", tags=["backfill jobs"])


@router.post(
    "",
    summary="See what would become of a job",
    responses={
        200: shown("What would happen.", PREFLIGHT),
        **responses(400, 401, 403, 408, 413, 415, 503),
    },
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def preflight(
    request: Request,
    edge: TheEdge,
    _caller: MayWriteJobs,
    sample: Annotated[
        int | None,
        Query(
            ge=1,
            le=LARGEST_SAMPLE,
            description="references that the source is asked for; without it 5, all of a job of up to 20",
        ),
    ] = None,
) -> PreflightView:
    """Takes the body of a submission and writes nothing: the body is checked as for a PUT; a sample of its references
    is fetched once, their documents checked against their schemas, and their buckets checked."""
    async with edge.uploads.body(request, MEDIA_TYPES, IN_ONE_LINE) as body:
        wanted = await wanted_of(edge, body, sample)
    return await looked(request, edge, wanted)


async def looked(request: Request, edge: Edge, wanted: "WantedSample") -> PreflightView:
    """Asks the source for the sample. Raises ApiProblem 503 while too many ask."""
    with request_span(request, "POST /api/preflight") as span:
        async with edge.preflight_turns.one():
            asked = AskedSource(wanted.configuration, wanted.attempts, span.traceparent)
            found = await edge.preflights.look(asked, wanted.sample, wanted.total)
    return PreflightView(
        ok=found.ok,
        message=wanted.configuration.message_type,
        topic=wanted.configuration.topic,
        config_id=wanted.configuration.id,
        references=wanted.total,
        sample=[SampleView.of(each, found.forecast) for each in found.sample],
        buckets=[BucketView.of(each) for each in found.buckets],
        warnings=[WarningView.of(each) for each in wanted.warnings],
        plan=wanted.plan,
        forecast=ForecastView.of(found.forecast),
    )


class WantedSample(NamedTuple):
    """The parts of a body that are kept; the rest is freed before the service waits for the source."""

    configuration: ArchiveTypeConfiguration
    sample: list[Reference]
    total: int
    attempts: int
    warnings: tuple[Mistake, ...]
    plan: str


async def wanted_of(edge: Edge, body: bytearray, sample: int | None) -> WantedSample:
    """Checks the body as for a PUT. Raises ApiProblem 400 with its mistakes, 413, 503."""
    content = await read_submission(edge.yaml_reader, edge.submissions, body, edge.max_references, warn=True)
    try:
        configuration = edge.submissions.fitting(content)
    except DoesNotFit as error:
        raise unfit(error) from error
    total = len(content.references)
    attempts = edge.max_attempts if content.num_of_retry is None else content.num_of_retry + 1
    return WantedSample(
        configuration,
        [content.references[place] for place in places(total, sample)],
        total,
        attempts,
        content.warnings,
        edge.plans.text(content.content_hash, configuration),
    )
