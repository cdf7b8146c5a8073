"""Rows of artifacts: one for each stored object, and one current one for each id and version."""

import asyncio
from uuid import uuid4

from sqlalchemy import func, select

from app.db import artifacts
from app.db.database import Database
from app.db.metadata_tables import artifact
from tests.servers import Postgres
from tests.support.metadata import archived, artifact_ids, insert, opened, postgres_url, rows, stored_values


async def objects(database: Database) -> dict[str, bool]:
    """Version id → superseded."""
    found = await rows(database, select(artifact.c.version_id, artifact.c.superseded))
    return {row.version_id: row.superseded for row in found}


async def test_the_newest_object_of_an_id_and_version_is_the_current_one(database: Database) -> None:
    await insert(database, archived("r", 1, object_id="first"), archived("r", 2, object_id="other version"))
    await insert(database, archived("r", 1, object_id="second", minutes=1))
    assert await objects(database) == {"first": True, "second": False, "other version": False}


async def test_what_was_archived_before_but_comes_later_is_superseded_from_the_start(database: Database) -> None:
    await insert(database, archived("r", object_id="new", minutes=5))
    await insert(database, archived("r", object_id="late", minutes=1))
    assert await objects(database) == {"new": False, "late": True}


async def test_of_several_in_one_batch_the_newest_is_current(database: Database) -> None:
    await insert(database, archived("r", object_id="before"))
    new = [archived("r", object_id=f"o{minutes}", minutes=minutes) for minutes in (2, 3, 1)]
    await insert(database, *new)
    assert await objects(database) == {"before": True, "o1": True, "o2": True, "o3": False}


async def test_an_object_that_a_second_job_adopts_keeps_its_row(database: Database) -> None:
    first = archived("r", object_id="same", revision=1, values={"a": 1})
    await insert(database, first)
    await insert(database, archived("r", object_id="same", revision=2, values={"a": 2}, minutes=9))
    await insert(database, archived("x", object_id="twice"), archived("x", object_id="twice"))
    assert await objects(database) == {"same": False, "twice": False}
    assert await stored_values(database) == {"r": {"a": ("1", 1)}}
    [row] = await rows(database, select(artifact.c.job_id).where(artifact.c.version_id == "same"))
    assert row.job_id == first.job_id


async def test_types_of_one_reference_are_apart(database: Database) -> None:
    await insert(database, archived("ab", 1), archived("a", 1), archived("a", None))
    assert len(await artifact_ids(database, superseded=False)) == 3


async def test_two_connections_that_insert_the_same_reference_leave_one_current(postgres: Postgres) -> None:
    async with opened(postgres_url(postgres)) as database:
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


async def test_many_connections_with_the_same_references_in_any_order(postgres: Postgres) -> None:
    async with opened(postgres_url(postgres)) as database:
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
