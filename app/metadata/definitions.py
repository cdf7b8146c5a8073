"""Notices changes of the definitions and owes a run for each; tells the archiver what to extract, by which revision."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.archive_types import Catalog
from app.db import definitions, dialect, runs
from app.db.database import Database
from app.db.definitions import AppliedDefinition
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.definitions import NOTHING, Definition, change
from app.domain.extraction import compile_paths
from app.domain.runs import Mode, Run, RunState
from app.telemetry import metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`enabled` switches runs only: without it definitions are not advanced, so that switching it on owes the runs."""

    enabled: bool
    batch_size: int
    all_versions: bool


class Definitions:
    """The definitions as this process has applied them; `on_run` is called when a run was created."""

    def __init__(self, database: Database, options: RunOptions, on_run: Callable[[], None]) -> None:
        self._database = database
        self._options = options
        self._on_run = on_run
        self._applied: dict[str, Definition] = {}

    def of(self, archive_type: str) -> Definition:
        """What to extract now; nothing for an archive type that is not configured."""
        return self._applied.get(archive_type, NOTHING)

    async def apply(self, catalog: Catalog) -> None:
        """Compares each configuration with its applied definition and owes the runs. Raises Unavailable.

        Comparison, new definition and run are one transaction, under a lock: ten processes make one run.
        """
        for configuration in catalog.configurations:
            if configuration.is_remote_data:
                await self._apply(configuration)

    async def _apply(self, configuration: ArchiveTypeConfiguration) -> None:
        async def compare(connection: AsyncConnection) -> tuple[int, Run | None]:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            applied = await definitions.find(connection, configuration.name)
            revision = 0 if applied is None else applied.revision
            keys = () if applied is None else applied.keys
            changed = change(keys, configuration.metadata_extraction_paths, revision + 1)
            if changed is None or not self._options.enabled:
                return revision, None
            now = datetime.now(UTC)
            # What is only removed or put in another order makes no value stale: the revision stays, nothing is owed.
            revision += bool(changed.affected)
            new = AppliedDefinition(
                configuration.name, configuration.message_type, configuration.id, revision, changed.keys
            )
            await definitions.replace(connection, new, now)
            if not changed.affected:
                return revision, None
            owed = await _supersede(connection, configuration.name, now)
            affected = tuple(dict.fromkeys((*changed.affected, *owed)))
            active = {key.key for key in changed.keys if key.active}
            return revision, await self._create(connection, new, tuple(key for key in affected if key in active), now)

        revision, run = await self._database.run(compare)
        self._applied[configuration.name] = Definition(revision, compile_paths(configuration.metadata_extraction_paths))
        if run is not None:
            self._tell(run)

    async def sweep(self) -> None:
        """Owes a run where artifacts of an older revision are and none is open: an old process archived them.

        Not where somebody cancelled the run to this revision: that holds until the definition changes again.
        """
        metrics.METADATA_RUNS_OPEN.set(await self._database.run(runs.count_open))
        if not self._options.enabled:
            return
        for archive_type in self._applied:
            await self._sweep(archive_type)

    async def _sweep(self, archive_type: str) -> None:
        async def look(connection: AsyncConnection) -> Run | None:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            applied = await definitions.find(connection, archive_type)
            if applied is None:
                return None
            if any(run.mode is Mode.AUTOMATIC for run in await runs.open_of(connection, archive_type)):
                return None
            if await runs.was_cancelled(connection, archive_type, applied.revision):
                return None
            keys = tuple(key.key for key in applied.keys if key.active)
            return await self._create(connection, applied, keys, datetime.now(UTC))

        run = await self._database.run(look)
        if run is not None:
            self._tell(run)

    async def _create(
        self, connection: AsyncConnection, applied: AppliedDefinition, keys: tuple[str, ...], now: datetime
    ) -> Run | None:
        """A run over all artifacts of an older revision; none where there are no such artifacts, or no key to fill."""
        wanted = new_run(applied, keys, Mode.AUTOMATIC, now, all_versions=self._options.all_versions)
        if not keys or not await runs.any_candidate(connection, wanted):
            return None
        return await runs.create(connection, wanted, self._options.batch_size)

    def _tell(self, run: Run) -> None:
        log.info(
            "metadata backfill started: %d artifacts of %s, keys %s",
            run.total,
            run.archive_type,
            ", ".join(run.keys),
            extra={"run_id": str(run.id)},
        )
        metrics.METADATA_RUNS_OPEN.inc()
        self._on_run()


async def _supersede(connection: AsyncConnection, archive_type: str, now: datetime) -> list[str]:
    """Ends the runs that a new definition overtakes; returns the keys that they had to fill: the next run's task."""
    owed: list[str] = []
    for run in await runs.open_of(connection, archive_type):
        await runs.end(connection, run.id, RunState.SUPERSEDED, now)
        log.info("metadata backfill superseded by a newer definition", extra={"run_id": str(run.id)})
        if run.mode is Mode.AUTOMATIC:
            owed += run.keys
    return owed


def new_run(
    applied: AppliedDefinition,
    keys: tuple[str, ...],
    mode: Mode,
    now: datetime,
    *,
    all_versions: bool,
    name: str | None = None,
    ext_id: str | None = None,
    traceparent: str | None = None,
) -> Run:
    """A run as it begins; its counts follow from its batches."""
    return Run(
        id=uuid4(),
        archive_type=applied.archive_type,
        message_type=applied.message_type,
        config_id=applied.config_id,
        keys=keys,
        mode=mode,
        revision=applied.revision,
        all_versions=all_versions,
        state=RunState.OPEN,
        started=now,
        completed=None,
        last_settled=None,
        started_by_name=name,
        started_by_ext_id=ext_id,
        traceparent=traceparent,
        total=0,
        batches=0,
        open=0,
        processed=0,
        updated=0,
        nulls=0,
        failed=0,
    )
