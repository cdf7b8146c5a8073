"""Detects changed metadata definitions and creates a run for each; gives the archiver the definition in force."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.archive_types import Catalog
from app.db import audit, definitions, dialect, runs
from app.db.database import Database
from app.db.definitions import AppliedDefinition
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.audit import Act, AuditEntry
from app.domain.definitions import NOTHING, Definition, change, extracts_the_same
from app.domain.extraction import compile_paths
from app.domain.runs import NOBODY, Mode, Run, RunState, Starter
from app.telemetry import metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`enabled` switches the runs. While it is off, definitions are not applied: once it is on, the runs are
    created."""

    enabled: bool
    batch_size: int
    all_versions: bool


def _entry(new: AppliedDefinition, now: datetime) -> AuditEntry:
    """A changed definition in the audit log."""
    details = {
        "revision": new.revision,
        "keys": {key.key: key.path for key in new.keys if key.active},
        "inactive": [key.key for key in new.keys if not key.active] or None,
    }
    return AuditEntry(Act.METADATA_APPLIED, f"archive-type/{new.archive_type}", now, None, details)


class Definitions:
    """The definitions as this process has applied them; `on_run` is called when a run was created."""

    def __init__(self, database: Database, options: RunOptions, on_run: Callable[[], None]) -> None:
        self._database = database
        self._options = options
        self._on_run = on_run
        self._applied: dict[str, Definition] = {}
        self._configured: dict[str, ArchiveTypeConfiguration] = {}

    def of(self, archive_type: str) -> Definition:
        """The definition to extract with now; it is empty for an archive type that is not configured."""
        return self._applied.get(archive_type, NOTHING)

    async def apply(self, catalog: Catalog) -> None:
        """Compares each configuration with its applied definition and creates the runs. Raises Unavailable.

        Comparison, new definition and run are one transaction, under a lock: ten processes make one run.
        """
        named = {each.name: each for each in catalog.configurations if each.is_remote_data or each.is_live}
        for configuration in named.values():
            await self._apply(configuration)
        await self._remove_all_but(named)

    async def _apply(self, configuration: ArchiveTypeConfiguration) -> None:
        async def compare(connection: AsyncConnection) -> tuple[int, Run | None]:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            applied = await definitions.find(connection, configuration.name)
            revision = 0 if applied is None else applied.revision
            keys = () if applied is None else applied.keys
            if not self._options.enabled:
                return _revision_of(applied, configuration), None
            changed = change(keys, configuration.metadata_extraction_paths, revision + 1)
            if changed is None:
                return revision, None
            now = datetime.now(UTC)
            # What is only removed or put in another order makes no value stale: the revision stays, nothing is owed.
            revision += bool(changed.affected)
            new = AppliedDefinition(
                configuration.name, configuration.message_type, configuration.id, revision, changed.keys
            )
            await definitions.replace(connection, new, now)
            run = None
            if changed.affected:
                owed = await _supersede(connection, configuration.name, now)
                affected = tuple(dict.fromkeys((*changed.affected, *owed)))
                active = {key.key for key in changed.keys if key.active}
                run = await self._create(connection, new, tuple(key for key in affected if key in active), now)
            await audit.append(connection, [_entry(new, now)])
            return revision, run

        revision, run = await self._database.run(compare)
        self._configured[configuration.name] = configuration
        self._applied[configuration.name] = Definition(revision, compile_paths(configuration.metadata_extraction_paths))
        if run is not None:
            self._tell(run)

    async def _remove_all_but(self, named: Collection[str]) -> None:
        """Deactivates the keys of configurations that were removed; their values stay."""

        async def remove(connection: AsyncConnection) -> None:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            removed: list[AuditEntry] = []
            for archive_type in await definitions.with_active_keys(connection):
                applied = None if archive_type in named else await definitions.find(connection, archive_type)
                changed = None if applied is None else change(applied.keys, (), applied.revision)
                if applied is not None and changed is not None:
                    new = replace(applied, keys=changed.keys)
                    now = datetime.now(UTC)
                    await definitions.replace(connection, new, now)
                    removed.append(_entry(new, now))
                    log.info("the metadata keys of %s are inactive: it is not configured any more", archive_type)
            if removed:
                await audit.append(connection, removed)

        if self._options.enabled:
            await self._database.run(remove)
        for archive_type in self._configured.keys() - set(named):
            del self._configured[archive_type], self._applied[archive_type]

    async def sweep(self) -> None:
        """Creates a run when there are artifacts of an older revision and no open run: an old process archived them.

        No run is created when a person cancelled the run to this revision, until the definition changes again. When
        another process changed a definition and changed it back, this process takes over that process's revision.
        """
        metrics.METADATA_RUNS_OPEN.set(await self._database.run(runs.count_open))
        for configuration in list(self._configured.values()):
            await self._sweep(configuration)

    async def _sweep(self, configuration: ArchiveTypeConfiguration) -> None:
        async def look(connection: AsyncConnection) -> tuple[AppliedDefinition | None, Run | None]:
            await dialect.lock(connection, dialect.LOCK_DEFINITION)
            applied = await definitions.find(connection, configuration.name)
            if applied is None or not self._options.enabled:
                return applied, None
            if any(run.mode is Mode.AUTOMATIC for run in await runs.open_of(connection, configuration.name)):
                return applied, None
            if await runs.was_cancelled(connection, configuration.name, applied.revision):
                return applied, None
            keys = tuple(key.key for key in applied.keys if key.active)
            return applied, await self._create(connection, applied, keys, datetime.now(UTC))

        applied, run = await self._database.run(look)
        if (revision := _revision_of(applied, configuration)) > self.of(configuration.name).revision:
            self._applied[configuration.name] = replace(self._applied[configuration.name], revision=revision)
        if run is not None:
            self._tell(run)

    async def _create(
        self, connection: AsyncConnection, applied: AppliedDefinition, keys: tuple[str, ...], now: datetime
    ) -> Run | None:
        """A run over all artifacts of an older revision; none when there are no such artifacts, or no key to fill."""
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


def _revision_of(applied: AppliedDefinition | None, configuration: ArchiveTypeConfiguration) -> int:
    """The revision of values made by this configuration; 0, which every run covers, when the configuration is not
    applied."""
    if applied is None or not extracts_the_same(applied.keys, configuration.metadata_extraction_paths):
        return 0
    return applied.revision


async def _supersede(connection: AsyncConnection, archive_type: str, now: datetime) -> list[str]:
    """Ends the runs that a new definition replaces; returns the keys that they had to fill, which the next run must
    fill."""
    owed: list[str] = []
    for run in await runs.open_of(connection, archive_type):
        await runs.end(connection, run.id, RunState.SUPERSEDED, now)
        seconds = (now - run.started).total_seconds()
        text = "metadata backfill superseded by a newer definition: %s, %.3f s"
        log.info(text, run.progress_text, seconds, extra={"run_id": str(run.id)})
        if run.mode is Mode.AUTOMATIC:
            owed += run.keys
    return owed


def new_run(
    applied: AppliedDefinition,
    keys: tuple[str, ...],
    mode: Mode,
    now: datetime,
    by: Starter = NOBODY,
    *,
    all_versions: bool,
) -> Run:
    """A new run; its counts follow from its batches."""
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
        paused_at=None,
        paused_seconds=0,
        started_by_name=by.name,
        started_by_ext_id=by.ext_id,
        traceparent=by.traceparent,
        total=0,
        batches=0,
        open=0,
        processed=0,
        updated=0,
        nulls=0,
        failed=0,
    )
