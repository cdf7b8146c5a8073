"""The JSON of jobs."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from app.api.shapes.ids import EXAMPLE_ID, canonical
from app.api.shapes.moments import Moment
from app.domain.jobs import BY_FAILURES, JobResult, JobState
from app.jobs import control


class JobCounts(BaseModel):
    """The references by state; `no_data_yet` is how many open ones wait for their source to have data."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    total: int
    open: int
    succeeded: int
    failed: int
    no_data_yet: int


class JobView(BaseModel):
    """The present state of a job. `rate` is in references per second."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    job_id: UUID
    message: str
    topic: str
    config_id: str | None
    state: JobState
    result: JobResult | None
    paused: bool
    paused_at: Moment | None
    paused_by: Annotated[
        str | None, Field(description=f"`{BY_FAILURES}`: the job itself, as too many of its references failed")
    ]
    retry_of: Annotated[UUID | None, Field(description="the job whose failed references these are")]
    counts: JobCounts
    rate: Annotated[float | None, Field(description="references finished per second since the start")]
    estimated_end: Moment | None
    started: Moment
    completed: Moment | None
    started_by_name: str | None
    started_by_ext_id: str | None
    no_data_at: Annotated[Moment | None, Field(description="when a source last had no data")]

    @classmethod
    def of(cls, view: control.JobStatus) -> "JobView":
        job = view.job
        paused = job.paused and job.state is JobState.OPEN  # an older release may end a paused job
        return cls(
            job_id=job.id,
            message=job.message,
            topic=job.topic,
            config_id=job.config_id,
            state=job.state,
            result=job.result,
            paused=paused,
            paused_at=job.paused_at if paused else None,
            paused_by=job.paused_by if paused else None,
            retry_of=job.retry_of,
            counts=JobCounts(
                total=job.total,
                open=job.open,
                succeeded=job.succeeded,
                failed=job.failed,
                no_data_yet=view.without_data,
            ),
            rate=view.rate,
            estimated_end=view.estimated_end,
            started=job.started,
            completed=job.completed,
            started_by_name=job.started_by_name,
            started_by_ext_id=job.started_by_ext_id,
            no_data_at=view.without_data_at,
        )


class JobPage(BaseModel):
    items: list[JobView]
    next: Annotated[str | None, Field(description="`cursor` of the next page")]


class RetryRequest(BaseModel):
    """Asks for a job of the failed references of another job."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    job_id: Annotated[
        str, Field(description="id of the new job, a UUID of your choice", json_schema_extra={"format": "uuid"})
    ]

    @field_validator("job_id")
    @classmethod
    def _canonical(cls, text: str) -> str:
        if canonical(text) is None:
            raise ValueError(f"is not a UUID with hyphens, like {EXAMPLE_ID}")
        return text
