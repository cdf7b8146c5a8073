"""Which values a batch writes: the rule of each mode, and revisions that are never taken back."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.db import definitions as applied_definitions
from app.db import runs, values
from app.db.database import Database
from app.db.definitions import AppliedDefinition
from app.db.metadata_tables import error, value
from app.domain.definitions import DefinedKey
from app.domain.extraction import metadata_value
from app.domain.runs import Mode, Run
from app.metadata.definitions import new_run
from tests.support.metadata import (
    TYPE,
    Documents,
    all_runs,
    archived,
    artifact_ids,
    catalog,
    definitions,
    insert,
    rows,
    stored_values,
    work_off,
)

NOW = datetime.now(UTC)
KEYS = (DefinedKey("filled", "x", 1, True), DefinedKey("stale", "x", 3, True), DefinedKey("absent", "x", 3, True))
OLD = {"filled": "old", "stale": "old"}
NEW = {key.key: metadata_value("new") for key in KEYS}


async def prepare(database: Database, mode: Mode, revision: int = 3) -> Run:
    """Artifact r0 has values of revision 2, one of them by a path that is older than revision 3; r1 has newer ones."""
    applied = AppliedDefinition(TYPE, TYPE, None, revision, KEYS)
    await database.run(lambda c: applied_definitions.replace(c, applied, NOW))
    await insert(
        database,
        archived("r0", revision=2, values=OLD),
        archived("r1", revision=9, values={**OLD, "absent": "old"}),
    )
    return new_run(applied, tuple(key.key for key in KEYS), mode, NOW, all_versions=False)


@pytest.mark.parametrize(
    ("mode", "written"),
    [
        (Mode.AUTOMATIC, {"stale", "absent"}),
        (Mode.FAILED, {"stale", "absent"}),
        (Mode.MISSING, {"absent"}),
        (Mode.ALL, {"filled", "stale", "absent"}),
    ],
)
async def test_each_mode_writes_what_it_may(database: Database, mode: Mode, written: set[str]) -> None:
    run = await prepare(database, mode)
    first, newer = await artifact_ids(database)
    changed, nulls = await database.run(lambda c: values.write(c, run, {first: NEW, newer: NEW}))
    found = await stored_values(database)
    assert {key for key, kept in found["r0"].items() if kept == ('"new"', 3)} == written
    assert {key for key, kept in found["r0"].items() if kept == ('"old"', 2)} == {"filled", "stale"} - written
    assert set(found["r1"].values()) == {('"old"', 9)}, "a higher revision is never replaced"
    assert changed == 1
    assert nulls == 0


async def test_writing_again_changes_nothing(database: Database) -> None:
    run = await prepare(database, Mode.AUTOMATIC)
    [first, _] = await artifact_ids(database)
    await database.run(lambda c: values.write(c, run, {first: NEW}))
    before = await stored_values(database)
    assert await database.run(lambda c: values.write(c, run, {first: NEW})) == (0, 0)
    assert await stored_values(database) == before


async def test_mode_all_counts_only_what_differs(database: Database) -> None:
    run = await prepare(database, Mode.ALL)
    [first, _] = await artifact_ids(database)
    same = {"filled": metadata_value("old")}
    assert await database.run(lambda c: values.write(c, run, {first: same})) == (0, 0)


async def test_an_older_run_replaces_nothing_that_a_newer_definition_wrote(database: Database) -> None:
    run = await prepare(database, Mode.ALL)
    [first, _] = await artifact_ids(database)
    await database.run(lambda c: values.write(c, replace(run, revision=5), {first: NEW}))
    stale = {key: metadata_value("late") for key in NEW}
    await database.run(lambda c: values.write(c, replace(run, revision=4), {first: stale}))
    assert set((await stored_values(database))["r0"].values()) == {('"new"', 5)}


@pytest.mark.parametrize(
    ("found", "kind", "number"),
    [
        ("ä😀\0\ud800" + "x" * 5000, "text", None),
        (4711, "number", 4711),
        (-0.1, "number", -0.1),
        (10**300, "number", 1e300),
        (10**5000, "number", None),
        (True, "boolean", None),
        ([1, None, {"a": "b"}], "json", None),
        (None, "null", None),
    ],
    ids=["text", "integer", "fraction", "large", "beyond all", "boolean", "list", "null"],
)
async def test_every_kind_of_value_is_kept_exactly(database: Database, found: Any, kind: str, number: Any) -> None:
    run = await prepare(database, Mode.AUTOMATIC)
    [first, _] = await artifact_ids(database)
    kept = metadata_value(found)
    _, nulls = await database.run(lambda c: values.write(c, run, {first: {"absent": kept}}))
    [row] = await rows(database, select(value).where(value.c.artifact_id == first, value.c.key == "absent"))
    assert (row.kind, row.json, row.text) == (kind, kept.json, kept.text)
    assert row.text_head == (None if kept.text is None else kept.text[:200])
    assert row.number == pytest.approx(number)
    assert nulls == (found is None)


async def manual(database: Database, mode: Mode, *keys: str) -> Run:
    async def create(connection: Any) -> Run:
        applied = await applied_definitions.find(connection, TYPE)
        assert applied is not None
        return await runs.create(connection, new_run(applied, keys, mode, NOW, all_versions=False), 10)

    return await database.run(create)


async def test_mode_missing_is_for_artifacts_that_lack_a_key(database: Database) -> None:
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    await insert(
        database, archived("both", revision=1, values={"a": 1, "b": 2}), archived("one", revision=1, values={"a": 1})
    )
    run = await manual(database, Mode.MISSING, "a", "b")
    assert run.total == 1
    await work_off(database, Documents({"one": {"x": {"a": 9, "b": 9}}}))
    assert await stored_values(database) == {
        "both": {"a": ("1", 1), "b": ("2", 1)},
        "one": {"a": ("1", 1), "b": ("9", 1)},
    }
    [done] = await all_runs(database)
    assert (done.processed, done.updated) == (1, 1)


async def test_mode_failed_is_for_artifacts_whose_last_reading_failed(database: Database) -> None:
    await insert(database, archived("well"), archived("gone"))
    await definitions(database).apply(catalog(a="x.a"))
    await work_off(database, Documents({"well": {"x": {"a": 1}}}))
    run = await manual(database, Mode.FAILED, "a")
    assert run.total == 1
    await work_off(database, Documents({"gone": {"x": {"a": 2}}}))
    assert await stored_values(database) == {"well": {"a": ("1", 1)}, "gone": {"a": ("2", 1)}}
    assert [row.resolved for row in await rows(database, select(error.c.resolved))] == [True]
    assert (await manual(database, Mode.FAILED, "a")).total == 0, "nothing is left"


async def test_a_run_over_nothing_is_completed_at_once(database: Database) -> None:
    await definitions(database).apply(catalog(a="x.a"))
    run = await manual(database, Mode.ALL, "a")
    assert (run.state, run.total, run.open) == ("completed", 0, 0)
    assert run.completed is not None


async def test_an_error_is_resolved_only_by_a_run_over_the_keys_that_failed(database: Database) -> None:
    process = definitions(database)
    await process.apply(catalog(a="x.a", b="x.b"))
    await insert(database, archived("r0", revision=1, values={"a": 1, "b": "old"}))
    await process.apply(catalog(a="x.a", b="y.b"))
    await work_off(database, Documents({}))
    assert (await manual(database, Mode.FAILED, "a")).total == 1
    document = Documents({"r0": {"x": {"a": 1}, "y": {"b": "new"}}})
    await work_off(database, document)
    assert [row.resolved for row in await rows(database, select(error.c.resolved))] == [False], "b was not read"
    assert (await manual(database, Mode.FAILED, "b")).total == 1
    await work_off(database, document)
    assert await stored_values(database) == {"r0": {"a": ("1", 1), "b": ('"new"', 2)}}
    assert (await manual(database, Mode.FAILED, "a", "b")).total == 0


async def test_an_error_over_a_key_that_was_removed_since_is_resolved_without_it(database: Database) -> None:
    await insert(database, archived("r0"))
    process = definitions(database)
    await process.apply(catalog(a="x.a", b="x.b"))
    await work_off(database, Documents({}))
    await process.apply(catalog(a="x.a"))
    assert (await manual(database, Mode.FAILED, "a")).total == 1
    await work_off(database, Documents({"r0": {"x": {"a": 1}}}))
    assert (await manual(database, Mode.FAILED, "a")).total == 0


async def test_large_values_are_written_by_several_statements_and_counted_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(7)))
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    monkeypatch.setattr(values, "SLICE", 2_000)
    large = {f"r{i}": {"x": {"a": f"{i}" * 900, "b": None if i % 2 else "b"}} for i in range(7)}
    await work_off(database, Documents(large))
    [done] = await all_runs(database)
    assert (done.processed, done.updated, done.nulls, done.failed) == (7, 7, 3, 0)
    assert {key: found["a"][0] for key, found in (await stored_values(database)).items()} == {
        f"r{i}": f'"{f"{i}" * 900}"' for i in range(7)
    }


async def test_what_the_database_does_not_take_costs_one_artifact(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(5)))
    await definitions(database).apply(catalog(a="x.a"))
    written = values.write

    async def write(connection: Any, of: Run, extracted: Any) -> tuple[int, int]:
        if any(found["a"].json == "3" for found in extracted.values()):
            raise ValueError("a value that does not fit")
        return await written(connection, of, extracted)

    monkeypatch.setattr(values, "write", write)
    await work_off(database, Documents({f"r{i}": {"x": {"a": i}} for i in range(5)}))
    [done] = await all_runs(database)
    assert (done.state, done.processed, done.updated, done.failed) == ("completed", 5, 4, 1)
    assert sorted(await stored_values(database)) == ["r0", "r1", "r2", "r4"]
    [failed] = await rows(database, select(error.c.message))
    assert failed.message == "Internal error: ValueError; the log has it"
