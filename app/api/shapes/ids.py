"""Ids of jobs and runs in addresses and bodies."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from app.api.http.problems import ApiProblem

EXAMPLE_ID = "88dbb65f-9634-4685-bc86-17b72d715d3e"


def canonical(text: str) -> UUID | None:
    """The UUID; None for any text but a UUID with hyphens, in upper or lower case."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


InPath = Path(json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID])


def read_id(text: str, of: str) -> UUID:
    """The id of a job or a run (`of`) in the path; raises ApiProblem 400 for anything but a UUID with hyphens."""
    parsed = canonical(text)
    if parsed is None:
        raise ApiProblem(400, f"The {of} id of the address is not a UUID with hyphens, like {EXAMPLE_ID}.")
    return parsed


def known_job_id(job_id: Annotated[str, InPath]) -> UUID:
    return read_id(job_id, "job")


JobId = Annotated[UUID, Depends(known_job_id)]


def unknown(job_id: UUID) -> ApiProblem:
    return ApiProblem(404, f"There is no job {job_id}.")
