"""The filters of the list of jobs."""

from typing import Annotated, Literal

from fastapi import Depends, Query

from app.api.shapes.texts import NO_NUL
from app.domain.jobs import JobFilter, JobKind, JobResult, JobState
from app.domain.waiting import WaitingFor

Waits = Literal["true", "false", "source", "objectstore", "broker", "schema-registry"]

_WAITS: dict[str, bool | WaitingFor] = {"true": True, "false": False, **{str(each): each for each in WaitingFor}}


async def _wanted(
    state: Annotated[JobState | None, Query(description="only jobs in this state")] = None,
    result: Annotated[JobResult | None, Query(description="only completed jobs with this result")] = None,
    message: Annotated[
        str | None, Query(description="only jobs of this message", min_length=1, max_length=512, pattern=NO_NUL)
    ] = None,
    kind: Annotated[JobKind | None, Query(description="only jobs of this kind")] = None,
    started_by: Annotated[
        str | None,
        Query(
            alias="startedBy",
            description="only jobs of this person: name, ext_id or subject",
            min_length=1,
            max_length=512,
            pattern=NO_NUL,
        ),
    ] = None,
    waiting: Annotated[
        Waits | None, Query(description="only jobs that wait (`true`), do not (`false`), or wait for this")
    ] = None,
) -> JobFilter:
    return JobFilter(
        state=state,
        result=result,
        message=message,
        kind=kind,
        started_by=started_by,
        waiting=None if waiting is None else _WAITS[waiting],
    )


Wanted = Annotated[JobFilter, Depends(_wanted)]
