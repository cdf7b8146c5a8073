"""Metadata runs as people see and control them: find, start by hand, dry run, pause, resume, cancel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import audit, dialect, runs, samples
from app.db.database import Database
from app.db.definitions import AppliedDefinition
from app.db.samples import SampledArtifact
from app.domain.archive_types import ExtractionPath
from app.domain.audit import Act, AuditEntry
from app.domain.errors import Unavailable
from app.domain.extraction import KeyedPath, MetadataValue, compile_paths
from app.domain.readiness import OBJECT_STORE
from app.domain.runs import NOBODY, Mode, Run, RunState, Starter
from app.metadata.definitions import RunOptions, new_run
from app.metadata.extract import Extractor, UnreadableDocument
from app.metadata.wanted import WantedRun, resolve
from app.telemetry import metrics

SAMPLE = 10
"""Artifacts that a dry run reads."""

DRY_RUN_PATIENCE = 20.0
"""Seconds that a dry run waits for the object store: a person waits for the answer."""

log = logging.getLogger(__name__)


class UnknownRun(Exception):
    """There is no run with this id."""


class ImpossibleForRun(Exception):
    """A run in this state cannot be paused, resumed or cancelled."""

    def __init__(self, state: RunState) -> None:
        super().__init__(f"the run is {state}")
        self.state = state


class TriedArtifact(NamedTuple):
    """The effect of a run on one artifact: key → JSON before and after. `new` is None for an artifact that cannot be
    read."""

    artifact_id: int
    old: dict[str, str]
    new: dict[str, str] | None
    error: str | None


class DryRun(NamedTuple):
    """How many artifacts a run would read, and its effect on the newest of them."""

    total: int
    sample: Sequence[TriedArtifact]


def _entry(run: Run, by: Starter) -> AuditEntry:
    """The start of a run in the audit log."""
    details = {
        "archiveType": run.archive_type,
        "keys": list(run.keys),
        "mode": str(run.mode),
        "total": run.total,
        "revision": run.revision,
    }
    return AuditEntry(Act.METADATA_RUN, f"run/{run.id}", datetime.now(UTC), by.actor, details)


class RunControl:
    """Every method raises Unavailable. `enabled`: whether metadata runs are switched on."""

    def __init__(
        self, database: Database, extractor: Extractor, options: RunOptions, on_due: Callable[[], None]
    ) -> None:
        self.enabled = options.enabled
        self._database = database
        self._extractor = extractor
        self._options = options
        self._on_due = on_due

    async def page(self, before: tuple[datetime, UUID] | None, limit: int) -> tuple[list[Run], bool]:
        """Runs, newest first, that follow the run `before` in the list; and whether there are more."""
        async with self._database.reading() as connection:
            found = await runs.page(connection, before, limit + 1)
        return found[:limit], len(found) > limit

    async def find(self, run_id: UUID) -> Run:
        """Raises UnknownRun."""
        async with self._database.reading() as connection:
            found = await runs.find(connection, run_id)
        if found is None:
            raise UnknownRun
        return found

    async def errors(self, run_id: UUID, after: int, limit: int) -> tuple[Sequence[Any], bool]:
        """Rows of `runs.errors`, ordered by artifact; and whether there are more."""
        async with self._database.reading() as connection:
            found = await runs.errors(connection, run_id, after, limit + 1)
        return found[:limit], len(found) > limit

    async def start(self, wanted: WantedRun, by: Starter) -> Run:
        """Starts a run by hand; a run without artifacts is completed at once. Raises Misfit."""

        async def create(connection: AsyncConnection) -> Run:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            applied, keys = await resolve(connection, wanted)
            new = self._new_run(applied, keys, wanted.mode, by)
            made = await runs.create(connection, new, self._options.batch_size)
            await audit.append(connection, [_entry(made, by)])
            return made

        run = await self._database.run(create)
        about = {"run_id": str(run.id)}
        text = "metadata backfill started by hand (%s): %d artifacts of %s, keys %s"
        log.info(text, run.mode, run.total, run.archive_type, ", ".join(run.keys), extra=about)
        if run.state is RunState.COMPLETED:
            log.info("metadata backfill completed: there was nothing to do", extra=about)
        else:
            metrics.METADATA_RUNS_OPEN.inc()
            self._on_due()
        return run

    async def try_out(self, wanted: WantedRun) -> DryRun:
        """The effect that such a run would have; nothing is written. Raises Misfit."""
        async with self._database.reading() as connection:
            applied, keys = await resolve(connection, wanted)
            run = self._new_run(applied, keys, wanted.mode, NOBODY)
            total = await runs.count(connection, run)
            sample = await samples.sample(connection, run, SAMPLE)
        paths = compile_paths(ExtractionPath(key.key, key.path) for key in applied.keys if key.key in keys)
        since = {key.key: key.path_revision for key in applied.keys}
        try:
            async with asyncio.timeout(DRY_RUN_PATIENCE):
                tried = await asyncio.gather(*(self._try(each, paths, since, wanted.mode) for each in sample))
        except TimeoutError:
            raise Unavailable(OBJECT_STORE, f"the sample was not read within {DRY_RUN_PATIENCE:.0f} s") from None
        return DryRun(total, tried)

    async def pause(self, run_id: UUID) -> Run:
        """Starts no further batch; a batch that was read is recorded. Raises UnknownRun, ImpossibleForRun."""
        return await self._steer(run_id, runs.pause, "paused")

    async def resume(self, run_id: UUID) -> Run:
        """Raises UnknownRun, ImpossibleForRun."""
        run = await self._steer(run_id, runs.resume, "resumed")
        self._on_due()
        return run

    async def cancel(self, run_id: UUID, by: Starter) -> Run:
        """Ends the run; the values that it has written stay. Raises UnknownRun, ImpossibleForRun."""

        async def end(connection: AsyncConnection, of: Run, now: datetime) -> bool:
            return await runs.end(connection, of.id, RunState.CANCELLED, now)

        run = await self._steer(run_id, end, f"cancelled by {by.name or by.ext_id or 'somebody without a name'}")
        metrics.METADATA_RUNS_OPEN.dec()
        return run

    async def _steer(
        self, run_id: UUID, act: Callable[[AsyncConnection, Run, datetime], Awaitable[bool]], what: str
    ) -> Run:
        now = datetime.now(UTC)

        async def work(connection: AsyncConnection) -> Run:
            found = await runs.find(connection, run_id, lock=True)
            if found is None:
                raise UnknownRun
            if not await act(connection, found, now):
                raise ImpossibleForRun(found.state)
            after = await runs.find(connection, run_id)
            assert after is not None  # noqa: S101 # its row is held
            return after

        run = await self._database.run(work)
        seconds = (now - run.started).total_seconds()
        log.info("metadata backfill %s: %s, %.3f s", what, run.progress_text, seconds, extra={"run_id": str(run_id)})
        return run

    def _new_run(self, applied: AppliedDefinition, keys: tuple[str, ...], mode: Mode, by: Starter) -> Run:
        return new_run(applied, keys, mode, datetime.now(UTC), by, all_versions=self._options.all_versions)

    async def _try(
        self, sampled: SampledArtifact, paths: Sequence[KeyedPath], since: dict[str, int], mode: Mode
    ) -> TriedArtifact:
        old = {key: kept.json for key, kept in sampled.values.items()}
        try:
            found = await self._extractor.read(sampled.object, paths)
        except UnreadableDocument as unreadable:
            return TriedArtifact(sampled.id, old, None, str(unreadable))
        return TriedArtifact(sampled.id, old, _after(sampled, found, since, mode), None)


def _after(
    sampled: SampledArtifact, found: dict[str, MetadataValue], since: dict[str, int], mode: Mode
) -> dict[str, str]:
    """The values after a run, by the rule of `db.values.write`."""
    after = {}
    for key, new in found.items():
        kept = sampled.values.get(key)
        stale = kept is not None and kept.revision < since[key]
        takes = kept is None or mode is Mode.ALL or (mode is Mode.FAILED and stale)
        after[key] = new.json if takes or kept is None else kept.json
    return after


def estimated_end(run: Run) -> datetime | None:
    """None when there is no estimate: nothing was processed yet, or the run is paused or has ended."""
    if run.state is not RunState.OPEN or not run.rate or run.total <= run.processed:
        return None
    return datetime.now(UTC) + timedelta(seconds=(run.total - run.processed) / run.rate)
