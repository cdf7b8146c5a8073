"""The endpoint of the failures of a job, by cause."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.edge import MayReadJobs, TheEdge
from app.api.http.problems import responses
from app.api.shapes import examples
from app.api.shapes.examples import shown
from app.api.shapes.ids import JobId, unknown
from app.api.shapes.moments import Moment
from app.domain.failures import Failures
from app.jobs.control import UnknownJob

router = APIRouter(prefix="/api/jobs", tags=["backfill jobs"])


class ExampleView(BaseModel):
    """A reference that failed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    position: Annotated[int, Field(description="place in the submission, from 0")]
    id: str
    version: int | None
    message: str | None
    trace_id: str | None


class CauseView(BaseModel):
    """A cause: failures whose messages differ only in parts that depend on the document or the attempt."""

    cause: str
    count: int
    first: Moment
    last: Moment
    examples: list[ExampleView]


class FailuresView(BaseModel):
    failed: int
    causes: list[CauseView]
    others: Annotated[int, Field(description="failures of causes that are not listed")]

    @classmethod
    def of(cls, failures: Failures) -> "FailuresView":
        return cls(
            failed=failures.failed,
            causes=[
                CauseView(
                    cause=each.cause,
                    count=each.count,
                    first=each.first,
                    last=each.last,
                    examples=[
                        ExampleView(
                            position=example.position,
                            id=example.reference.id,
                            version=example.reference.version,
                            message=example.message,
                            trace_id=example.trace_id,
                        )
                        for example in each.examples
                    ],
                )
                for each in failures.causes
            ],
            others=failures.others,
        )


@router.get(
    "/{job_id}/failures",
    summary="List the failures by cause",
    responses={200: shown("Most first.", examples.FAILURES), **responses(400, 401, 403, 404, 503)},
)
async def list_failures(_caller: MayReadJobs, edge: TheEdge, job_id: JobId) -> FailuresView:
    """Up to 100 causes, each with the number of its failures, the times of the first and the last one, and three
    references. `others` counts the failures of all other causes. A `cause` can be used to filter `…/references` and to
    `retry`."""
    try:
        return FailuresView.of(await edge.failed.by_cause(job_id))
    except UnknownJob:
        raise unknown(job_id) from None
