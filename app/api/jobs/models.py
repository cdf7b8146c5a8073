"""The JSON of jobs."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from app.api.shapes.ids import EXAMPLE_ID, canonical
from app.api.shapes.moments import Moment
from app.domain.jobs import BY_FAILURES, JobChange, JobKind, JobResult, JobState
from app.domain.waiting import Waiting, WaitingFor
from app.jobs import control


class JobCounts(BaseModel):
    """The references by state; `no_data_yet` counts open references whose source had no data."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    total: int
    open: int
    succeeded: int
    failed: int
    no_data_yet: int


class ActionView(BaseModel):
    """An action on a job."""

    what: JobChange
    by: Annotated[str, Field(description=f"who did it; `{BY_FAILURES}`: the job itself")]
    at: Moment


class WaitingView(BaseModel):
    """What a job waits for."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    for_: Annotated[WaitingFor, Field(alias="for")]
    name: Annotated[
        str,
        Field(
            description="for a source the message type, `<type>/<config id>` where that has several; else the component"
        ),
    ]
    since: Annotated[Moment, Field(description="beginning of the outage")]
    reason: Annotated[str, Field(description="failure of the last try")]
    next_try: Annotated[Moment | None, Field(description="null: within seconds")]

    @classmethod
    def of(cls, waiting: Waiting) -> "WaitingView":
        return cls(
            for_=waiting.for_,
            name=waiting.name,
            since=waiting.since,
            reason=waiting.reason,
            next_try=waiting.next_try,
        )


class JobView(BaseModel):
    """The present state of a job. `rate` is in references per second."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    job_id: UUID
    kind: JobKind
    name: Annotated[str | None, Field(description="name that the submission gave it")]
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
    cancelled_at: Moment | None
    cancelled_by: str | None
    actions: Annotated[list[ActionView], Field(description="actions on the job, in order")]
    retry_of: Annotated[UUID | None, Field(description="the job whose failed references these are")]
    retries: Annotated[
        list[UUID], Field(description="jobs that retry references that failed in it, the first one first")
    ]
    counts: JobCounts
    waiting: Annotated[
        WaitingView | None, Field(description="null while the job makes progress, is paused or is completed")
    ]
    rate: Annotated[
        float | None,
        Field(
            description="references finished per second in the last minute; of the whole run once the job is "
            "completed; null before the first finished reference"
        ),
    ]
    estimated_end: Annotated[
        Moment | None,
        Field(
            description="null while the job waits or is paused, and when no reference was finished in the last minute"
        ),
    ]
    started: Moment
    completed: Moment | None
    started_by_name: str | None
    started_by_ext_id: str | None
    trace_id: Annotated[str | None, Field(description="trace of the request that submitted it")]
    no_data_at: Annotated[Moment | None, Field(description="when a source last had no data")]

    @classmethod
    def of(cls, view: control.JobStatus) -> "JobView":
        job = view.job
        paused = job.paused and job.state is JobState.OPEN  # an older release may end a paused job
        return cls(
            job_id=job.id,
            kind=job.kind,
            name=job.name,
            message=job.message,
            topic=job.topic,
            config_id=job.config_id,
            state=job.state,
            result=job.result,
            paused=paused,
            paused_at=job.paused_at if paused else None,
            paused_by=job.paused_by if paused else None,
            cancelled_at=job.cancelled_at,
            cancelled_by=job.cancelled_by,
            actions=[ActionView(what=each.what, by=each.by, at=each.at) for each in view.actions],
            retry_of=job.retry_of,
            retries=list(view.retries),
            counts=JobCounts(
                total=job.total,
                open=job.open,
                succeeded=job.succeeded,
                failed=job.failed,
                no_data_yet=view.without_data,
            ),
            waiting=None if job.waiting is None else WaitingView.of(job.waiting),
            rate=view.rate,
            estimated_end=view.estimated_end,
            started=job.started,
            completed=job.completed,
            started_by_name=job.started_by_name,
            started_by_ext_id=job.started_by_ext_id,
            trace_id=job.trace_id,
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
    cause: Annotated[
        str | None,
        Field(description="only references that failed with this cause, as `…/failures` lists it", max_length=1000),
    ] = None

    @field_validator("job_id")
    @classmethod
    def _canonical(cls, text: str) -> str:
        if canonical(text) is None:
            raise ValueError(f"is not a UUID with hyphens, like {EXAMPLE_ID}")
        return text

    @field_validator("cause")
    @classmethod
    def _storable(cls, text: str | None) -> str | None:
        if text is not None and "\0" in text:
            raise ValueError("contains a NUL character, which no cause has")
        return text
