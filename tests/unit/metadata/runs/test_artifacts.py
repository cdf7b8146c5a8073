"""Rows of artifacts: one for each stored object, and one current one for each id and version."""

from sqlalchemy import select

from app.db.database import Database
from app.db.metadata_tables import artifact
from tests.support.metadata import archived, artifact_ids, insert, rows, stored_values


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
