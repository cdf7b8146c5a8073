"""The history of jobs, written in the transaction of each change: actions for people, events to be published, and
entries of the audit log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Text, Uuid, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import audit, jobs
from app.db.tables import UtcDateTime, job, job_action, job_event
from app.domain.audit import Act, Actor, AuditEntry, subject_of_job
from app.domain.jobs import ACTIONS, BY_FAILURES, PUBLISHED, Action, Job, JobChange, JobKind


class JobHistory:
    """`publishes`: whether events of the changes of backfill jobs are published too. Nothing here commits."""

    def __init__(self, *, publishes: bool) -> None:
        self._publishes = publishes

    async def record(
        self,
        connection: AsyncConnection,
        job_id: UUID,
        change: JobChange,
        by: str | None,
        at: datetime,
        *,
        actor: Actor | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """`by`: what people call who did it; None when nobody did, as when a job completes. `actor` and `details` are
        for the audit log.

        The caller has locked or changed the row of the job in this transaction, so the changes of a job are recorded in
        their order. It locks no other row behind: the head of the audit log is the last.
        """
        if change in ACTIONS:
            await connection.execute(
                insert(job_action).from_select(
                    ["job_id", "position", "what", "by", "at"],
                    select(
                        literal(job_id, Uuid),
                        func.count(),
                        literal(str(change), Text),
                        literal(by or "", Text),
                        literal(at, UtcDateTime),
                    )
                    .select_from(job_action)
                    .where(job_action.c.job_id == job_id),
                )
            )
        publishes = self._publishes and change in PUBLISHED
        changed = await jobs.find(connection, job_id) if publishes or change in _DESCRIBED else None
        if publishes and changed is not None and changed.kind is JobKind.BACKFILL:
            payload = orjson.dumps(_payload(changed, change, by)).decode()
            event = {"job_id": job_id, "at": at, "payload": payload, "traceparent": changed.traceparent}
            await connection.execute(insert(job_event).values(**event))
        if actor is None and by is not None and by != BY_FAILURES:
            actor = Actor(name=by)
        told = {**_details(changed, change), **(details or {})}
        if by == BY_FAILURES:
            told["by"] = by
        await audit.append(connection, [AuditEntry(Act(f"job.{change}"), subject_of_job(job_id), at, actor, told)])


_DESCRIBED = (JobChange.SUBMITTED, JobChange.COMPLETED)
"""Changes whose entries in the audit log describe the job."""


def _details(changed: Job | None, change: JobChange) -> dict[str, Any]:
    if changed is None or change not in _DESCRIBED:
        return {}
    if change is JobChange.SUBMITTED:
        return {
            "contentHash": changed.content_hash.hex(),
            "references": changed.total,
            "message": changed.message,
            "retryOf": None if changed.retry_of is None else str(changed.retry_of),
            "kind": str(changed.kind),
        }
    counts = {"total": changed.total, "succeeded": changed.succeeded, "failed": changed.failed}
    return {"result": None if changed.result is None else str(changed.result), "counts": counts}


def _payload(changed: Job, change: JobChange, by: str | None) -> dict[str, object]:
    """`BackfillJobStateChangedEvent.payload`: the job as it stands after the change."""
    return {
        "jobId": str(changed.id),
        "messageName": changed.message,
        "change": change,
        "state": changed.state,
        "result": changed.result,
        "counts": {
            "total": changed.total,
            "open": changed.open,
            "succeeded": changed.succeeded,
            "failed": changed.failed,
        },
        "by": by,
    }


async def actions(connection: AsyncConnection, job_ids: Sequence[UUID]) -> dict[UUID, list[Action]]:
    """The actions on each of these jobs, in order; jobs without actions are absent."""
    found: dict[UUID, list[Action]] = {}
    if job_ids:
        statement = (
            select(job_action)
            .where(job_action.c.job_id.in_(job_ids))
            .order_by(job_action.c.job_id, job_action.c.position)
        )
        for row in await connection.execute(statement):
            found.setdefault(row.job_id, []).append(Action(JobChange(row.what), row.by, row.at))
    return found


async def retries(connection: AsyncConnection, job_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """The retries of each of these jobs, in the order of their start; jobs without retries are absent."""
    found: dict[UUID, list[UUID]] = {}
    if job_ids:
        statement = (
            select(job.c.retry_of, job.c.id).where(job.c.retry_of.in_(job_ids)).order_by(job.c.started, job.c.id)
        )
        for of, retry in await connection.execute(statement):
            found.setdefault(of, []).append(retry)
    return found
