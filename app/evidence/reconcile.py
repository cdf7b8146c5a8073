"""Compares a list of references with the archive: what became of each, over all jobs that it was submitted in."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.known_messages import unknown_config_id, unknown_message
from app.catalog.live import LiveCatalog
from app.db import artifacts, reconcile
from app.db.database import Database
from app.db.reconcile import ArtifactOfReference, FoundTask
from app.domain.archive_types import archive_type_name
from app.domain.artifacts import StoredArtifact
from app.domain.jobs import Reference, TaskState
from app.domain.reconciled import Reconciled, ReferenceVerdict
from app.evidence.objects import LockTerms, look
from app.objectstore import ObjectStore

BATCH = 2_000
"""References that are looked up at once: some 20 ms of work between two turns of the event loop."""

VERIFIED_BATCH = 64
"""References whose objects are read before their verdicts are sent."""

READS = 8
"""Objects that are read at once for one list."""


class NotReconcilable(Exception):
    """Which archive type is meant cannot be said; the text is for the caller, `of` is the name of the parameter."""

    def __init__(self, text: str, of: str) -> None:
        super().__init__(text)
        self.of = of


@dataclass(frozen=True, slots=True)
class SearchedReferences:
    """Where references are looked for: names of archive types, and jobs, newest first.

    `any_version`: a reference without version may mean any version of the id. `is_live`: messages made tasks too.
    """

    types: Sequence[str]
    jobs: Sequence[UUID]
    any_version: bool
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Objects:
    """The store that verified objects are read from, and the lock that they must have."""

    store: ObjectStore
    terms: LockTerms


class Reconciliation:
    """Every method raises Unavailable. No transaction is open between two batches."""

    def __init__(self, database: Database, catalog: LiveCatalog, objects: Objects) -> None:
        self._database = database
        self._catalog = catalog
        self._objects = objects

    async def scope(self, message: str, config_id: str | None) -> SearchedReferences:
        """The scope of a message, of one of its configurations where `config_id` names it. Raises NotReconcilable.

        A configuration that was taken out of the settings is still known by what was archived and submitted for it.
        """
        configured = self._catalog.now.for_message(message)
        chosen = [each for each in configured if config_id in (None, each.id)]
        if len(chosen) > 1:
            ids = ", ".join(each.id or "" for each in chosen)
            raise NotReconcilable(f"has several configurations; choose one with configId: {ids}", "message")
        # With one configuration all that was ever archived for the message is meant: it may have got its id later.
        wanted = None if chosen and len(configured) == 1 else config_id
        async with self._database.reading() as connection:
            types = await reconcile.archive_types(connection, message, wanted)
            jobs = await reconcile.jobs_of(connection, message, wanted)
            is_live = await reconcile.has_live_jobs(connection, message)
        if not (chosen or types or jobs):
            raise self._unknown(message, config_id)
        if chosen:
            types = list(dict.fromkeys([archive_type_name(message, chosen[0].id), *types]))
        any_version = not chosen or chosen[0].is_versioned or not chosen[0].is_remote_data
        return SearchedReferences(types, jobs, any_version, is_live)

    def _unknown(self, message: str, config_id: str | None) -> NotReconcilable:
        configured = self._catalog.now.for_message(message)
        if not configured or config_id is None:
            return NotReconcilable(unknown_message(message, self._catalog.now.configurations), "message")
        ids = tuple(each.id for each in configured if each.id is not None)
        return NotReconcilable(unknown_config_id(message, config_id, ids), "configId")

    async def verdicts(
        self, scope: SearchedReferences, references: Iterable[Reference], *, verify: bool = False
    ) -> AsyncIterator[Sequence[Reconciled]]:
        """The verdicts in the order of the references, some at a time."""
        size = VERIFIED_BATCH if verify else BATCH
        block: list[Reference] = []
        for reference in references:
            block.append(reference)
            if len(block) == size:
                yield await self._block(scope, block, verify=verify)
                block = []
        if block:
            yield await self._block(scope, block, verify=verify)

    async def _block(
        self, scope: SearchedReferences, block: Sequence[Reference], *, verify: bool
    ) -> Sequence[Reconciled]:
        async with self._database.reading() as connection:
            found = await _found(connection, scope, block)
        if not verify:
            return found
        async with self._database.reading() as connection:
            ids = {each.artifact_id for each in found if each.artifact_id is not None}
            stored = await reconcile.objects(connection, sorted(ids))
        turns = asyncio.Semaphore(READS)

        async def verified(each: Reconciled) -> Reconciled:
            if each.verdict is not ReferenceVerdict.ARCHIVED or each.artifact_id is None:
                return each
            object_, until = stored[each.artifact_id]
            async with turns:
                return each._replace(verdict=await look(self._objects.store, object_, until, self._objects.terms))

        looks = [asyncio.create_task(verified(each)) for each in found]
        try:
            return await asyncio.gather(*looks)
        finally:
            for each in looks:
                each.cancel()


async def _found(
    connection: AsyncConnection, scope: SearchedReferences, block: Sequence[Reference]
) -> list[Reconciled]:
    keys = reconcile.keys_of(connection, block)
    current = await reconcile.current(connection, scope.types, set(keys))
    tasks = await reconcile.tasks(connection, scope.jobs, set(keys) - set(current))
    if scope.is_live:
        missing = {key: reference for key, reference in zip(keys, block, strict=True) if key not in current}
        for key, some in (await reconcile.live_tasks(connection, scope.types, missing)).items():
            tasks[key] = [*tasks.get(key, ()), *some]
    adopted = await _adopted(connection, tasks.values())
    verdicts = [
        _verdict(reference, current.get(key), tasks.get(key, ()), adopted)
        for reference, key in zip(block, keys, strict=True)
    ]
    if not scope.any_version:
        return verdicts
    ids = {
        each.reference.id
        for each in verdicts
        if each.verdict is ReferenceVerdict.UNKNOWN and not each.reference.version
    }
    by_id = await reconcile.current_of_any_version(connection, scope.types, ids)
    others = await reconcile.tasks_of_any_version(connection, scope.jobs, ids - set(by_id))
    adopted = await _adopted(connection, others.values())
    return [
        _verdict(each.reference, by_id.get(each.reference.id), others.get(each.reference.id, ()), adopted)
        if each.verdict is ReferenceVerdict.UNKNOWN and not each.reference.version
        else each
        for each in verdicts
    ]


Adopted = dict[artifacts.ObjectName, ArtifactOfReference]


async def _adopted(connection: AsyncConnection, tasks: Iterable[Sequence[FoundTask]]) -> Adopted:
    """Artifacts of succeeded tasks that have none of their own archive type: their object was there already."""
    stored: list[StoredArtifact] = [each.stored for some in tasks for each in some if each.stored is not None]
    return await reconcile.artifacts_of(connection, stored)


def _verdict(
    reference: Reference, current: ArtifactOfReference | None, tasks: Sequence[FoundTask], adopted: Adopted
) -> Reconciled:
    """The best verdict: archived, then open; else that of the newest job. `tasks` are those of the newest first."""
    if current is not None:
        return Reconciled(reference, ReferenceVerdict.ARCHIVED, current.id, current.job_id)
    for each in tasks:
        if each.state is TaskState.SUCCEEDED:
            own = None if each.stored is None else adopted.get(artifacts.object_name(each.stored))
            return Reconciled(reference, ReferenceVerdict.ARCHIVED, None if own is None else own.id, each.job_id)
    for each in tasks:
        if each.state is TaskState.OPEN and not each.without_data:
            return Reconciled(reference, ReferenceVerdict.OPEN, None, each.job_id)
    for each in tasks:
        verdict = (
            ReferenceVerdict.NO_DATA if each.without_data and each.state is TaskState.OPEN else ReferenceVerdict.FAILED
        )
        return Reconciled(reference, verdict, None, each.job_id)
    return Reconciled(reference, ReferenceVerdict.UNKNOWN)
