"""The endpoint that predicts the outcome of a job."""

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.edge import Edge, MayWriteJobs, TheEdge
from app.api.http.problems import responses
from app.api.http.request_trace import request_span
from app.api.shapes.examples import PREFLIGHT, shown
from app.api.submission.read import IN_ONE_LINE, MEDIA_TYPES, REQUEST_BODY, read_submission, unfit
from app.archiver.preflight import BucketLook, SampledReference, Verdict, places
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import Reference
from app.jobs.submit import DoesNotFit

router = APIRouter(prefix="/api/preflight", tags=["backfill jobs"])

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SampleView(BaseModel):
    """The expected outcome of one reference. The fields after `message` are set for a document that would be stored."""

    model_config = _CAMEL

    reference_id: str
    version: int | None
    verdict: Annotated[
        Verdict, Field(description="`no-data`: it would stay open; `not-sure`: no answer, or a pause is asked for")
    ]
    message: Annotated[str | None, Field(description="as the report would show it")]
    system: str | None
    schema_: Annotated[str | None, Field(alias="schema")]
    schema_version: int | None
    content_type: str | None
    size: Annotated[int | None, Field(description="bytes")]
    bucket: str | None
    key: str | None
    retention_days: Annotated[int | None, Field(description="of the object lock; null: it would not be locked")]
    present: Annotated[bool | None, Field(description="an object with the same content lies there already")]

    @classmethod
    def of(cls, sampled: SampledReference) -> "SampleView":
        schema = sampled.schema
        return cls(
            reference_id=sampled.reference.id,
            version=sampled.reference.version,
            verdict=sampled.verdict,
            message=sampled.message,
            system=schema.system if schema else None,
            schema_=schema.name if schema else None,
            schema_version=schema.version if schema else None,
            content_type=sampled.content_type,
            size=sampled.size,
            bucket=sampled.bucket,
            key=sampled.key,
            retention_days=sampled.retention_days,
            present=sampled.present,
        )


class BucketView(BaseModel):
    bucket: str
    problem: Annotated[str | None, Field(description="why nothing can be stored there now")]

    @classmethod
    def of(cls, look: BucketLook) -> "BucketView":
        return cls(bucket=look.bucket, problem=look.problem)


class PreflightView(BaseModel):
    model_config = _CAMEL

    ok: Annotated[bool, Field(description="every sample would succeed, every bucket is as it must be")]
    message: str
    topic: str
    config_id: Annotated[str | None, Field(description="the configuration that it resolves to, where it has an id")]
    references: Annotated[int, Field(description="number of tasks that the job would have")]
    sample: Annotated[list[SampleView], Field(description="up to 5, spread over the body")]
    buckets: list[BucketView]


@router.post(
    "",
    summary="See what would become of a job",
    responses={
        200: shown("What would happen.", PREFLIGHT),
        **responses(400, 401, 403, 408, 413, 415, 503),
    },
    openapi_extra={"requestBody": REQUEST_BODY},
)
async def preflight(request: Request, edge: TheEdge, _caller: MayWriteJobs) -> PreflightView:
    """Takes the body of a submission and writes nothing: the body is checked as for a PUT; up to 5 of its references
    are fetched once, their documents checked against their schemas, and their buckets checked."""
    with request_span(request, "POST /api/preflight") as span:
        wanted = await _wanted(request, edge)
        async with edge.preflight_turns.one():
            found = await edge.preflights.look(wanted.configuration, wanted.sample, wanted.attempts, span.traceparent)
    return PreflightView(
        ok=found.ok,
        message=wanted.configuration.message_type,
        topic=wanted.configuration.topic,
        config_id=wanted.configuration.id,
        references=wanted.total,
        sample=[SampleView.of(each) for each in found.sample],
        buckets=[BucketView.of(each) for each in found.buckets],
    )


class _PreflightRequest(NamedTuple):
    configuration: ArchiveTypeConfiguration
    sample: list[Reference]
    total: int
    attempts: int


async def _wanted(request: Request, edge: Edge) -> _PreflightRequest:
    """The parts of the body that are kept; the rest is freed before the service waits for the source."""
    async with edge.uploads.body(request, MEDIA_TYPES, IN_ONE_LINE) as body:
        content = await read_submission(edge.yaml_reader, edge.submissions, body, edge.max_references)
        try:
            configuration = edge.submissions.fitting(content)
        except DoesNotFit as error:
            raise unfit(error) from error
        total = len(content.references)
        attempts = edge.max_attempts if content.num_of_retry is None else content.num_of_retry + 1
        return _PreflightRequest(configuration, [content.references[place] for place in places(total)], total, attempts)
