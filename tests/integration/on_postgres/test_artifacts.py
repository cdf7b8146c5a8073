"""Rows of artifacts; and many connections that write the same ones at once, which SQLite has not."""

import asyncio
from uuid import uuid4

from sqlalchemy import func, select

from app.db import artifacts
from app.db.database import Database
from app.db.metadata_tables import artifact
from tests.support.metadata import archived, artifact_ids, insert, rows
from tests.unit.metadata.runs.test_artifacts import *
from tests.unit.metadata.runs.test_artifacts import objects


async def test_two_connections_that_insert_the_same_reference_leave_one_current(database: Database) -> None:
    looked = asyncio.Barrier(2)
    waits = 2

    async def one(minutes: int) -> None:
        async def work(connection: object) -> None:
            nonlocal waits
            known = artifacts._known
            await known(connection, [archived("r")])  # type: ignore[arg-type]
            if waits:  # both have begun before either writes; tried again, one is alone
                waits -= 1
                await looked.wait()
            await artifacts.insert(connection, [archived("r", object_id=f"o{minutes}", minutes=minutes)])  # type: ignore[arg-type]

        await database.run(work)

    for _ in range(5):
        await asyncio.gather(one(1), one(2))
        found = await objects(database)
        assert found == {"o1": True, "o2": False}
        waits = 2
        await database.run(lambda c: c.execute(artifact.delete()))


async def test_many_connections_with_the_same_references_in_any_order(database: Database) -> None:
    names = [f"r{i}" for i in range(20)]
    shared = uuid4().hex

    async def process(number: int) -> None:
        order = names if number % 2 else names[::-1]
        await insert(database, *(archived(name, minutes=number) for name in order))
        await insert(database, archived("adopted", object_id=shared))

    await asyncio.gather(*(process(number) for number in range(8)))
    current = await rows(
        database,
        select(artifact.c.reference_id, artifact.c.archived_at).where(artifact.c.superseded.is_(False)),
    )
    assert sorted(row.reference_id for row in current) == sorted([*names, "adopted"])
    newest = (await rows(database, select(func.max(artifact.c.archived_at))))[0][0]
    assert {row.archived_at for row in current if row.reference_id != "adopted"} == {newest}
    assert len(await artifact_ids(database)) == 8 * 20 + 1
