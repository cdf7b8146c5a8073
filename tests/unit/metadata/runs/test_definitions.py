"""Changes of the definitions: noticed once, owed in the same transaction, by however many processes."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from app.catalog.archive_types import Catalog
from app.db import definitions as applied_definitions
from app.db import runs
from app.db.database import Database
from app.db.metadata_tables import batch, run
from app.domain.live_rules import LiveRule, PayloadRule, ReferencePaths
from app.domain.paths import Path
from app.domain.runs import Mode, RunState
from app.metadata.definitions import RunOptions
from tests.support.metadata import (
    DISABLED,
    ENABLED,
    TYPE,
    Documents,
    all_runs,
    archived,
    catalog,
    definitions,
    insert,
    rows,
    stored_values,
    together,
    work_off,
)


async def revision_of(database: Database) -> int:
    async with database.reading() as connection:
        applied = await applied_definitions.find(connection, TYPE)
    return 0 if applied is None else applied.revision


async def archive(database: Database, number: int, **more: Any) -> None:
    await insert(database, *(archived(f"r{i}", **more) for i in range(number)))


async def test_a_new_key_owes_a_run_over_all_that_was_archived(database: Database) -> None:
    await archive(database, 25)
    await definitions(database).apply(catalog(a="x.a"))
    [found] = await all_runs(database)
    assert (found.keys, found.mode, found.state, found.revision) == (("a",), Mode.AUTOMATIC, RunState.OPEN, 1)
    assert (found.total, found.batches, found.open) == (25, 3, 3)


async def test_an_archive_type_whose_data_is_in_its_messages_has_a_definition_too(database: Database) -> None:
    await archive(database, 2)
    live = LiveRule(ReferencePaths(Path(("id",))), PayloadRule(None, "S", "T", 1))
    [with_source] = catalog(a="x.a").configurations
    here = definitions(database)
    await here.apply(Catalog((replace(with_source, uri=None, live=live),)))
    [found] = await all_runs(database)
    assert (found.keys, found.total) == (("a",), 2)
    assert here.of(TYPE).revision == 1


async def test_the_same_definition_again_owes_nothing(database: Database) -> None:
    await archive(database, 1)
    await definitions(database).apply(catalog(a="x.a"))
    await definitions(database).apply(catalog(a="x.a"))
    assert len(await all_runs(database)) == 1
    assert await revision_of(database) == 1


async def test_run_and_definition_are_one_transaction(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await archive(database, 1)

    async def crash(*arguments: Any, **more: Any) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "extend", crash)
        with pytest.raises(RuntimeError):
            await definitions(database).apply(catalog(a="x.a"))
    assert await revision_of(database) == 0
    assert not await all_runs(database)
    await definitions(database).apply(catalog(a="x.a"))
    assert len(await all_runs(database)) == 1


async def test_while_disabled_the_definition_is_not_advanced_and_enabling_owes_the_run(database: Database) -> None:
    off = definitions(database, DISABLED)
    await off.apply(catalog(a="x.a"))
    assert await revision_of(database) == 0
    assert [key for key, _ in off.of(TYPE).paths] == ["a"], "extraction stays"
    await insert(database, archived("r0", revision=off.of(TYPE).revision, values={"a": "of the old path"}))
    await definitions(database).apply(catalog(a="y.a"))
    [found] = await all_runs(database)
    assert found.total == 1
    await work_off(database, Documents({"r0": {"y": {"a": "new"}}}))
    assert await stored_values(database) == {"r0": {"a": ('"new"', 1)}}


async def test_a_removed_key_owes_nothing_and_keeps_its_values(database: Database) -> None:
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    await insert(database, archived("r0", revision=1, values={"a": 1, "b": 2}))
    process = definitions(database)
    await process.apply(catalog(b="x.b"))
    assert not await all_runs(database)
    assert await revision_of(database) == 1
    assert [key for key, _ in process.of(TYPE).paths] == ["b"]
    assert await stored_values(database) == {"r0": {"a": ("1", 1), "b": ("2", 1)}}
    async with database.reading() as connection:
        keys = await applied_definitions.all_keys(connection)
    assert [(key, active) for _, _, key, active in keys] == [("b", True), ("a", False)]


async def test_a_newer_definition_supersedes_the_run_and_takes_its_keys_over(database: Database) -> None:
    await archive(database, 5)
    await definitions(database).apply(catalog(a="x.a"))
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    old, new = await all_runs(database)
    assert old.state is RunState.SUPERSEDED
    assert old.completed is not None
    assert (new.state, set(new.keys), new.revision) == (RunState.OPEN, {"a", "b"}, 2)
    left = await rows(database, select(func.count()).where(batch.c.run_id == old.id, batch.c.state == "open"))
    assert left[0][0] == 0, "its batches are not published any more"


async def test_a_key_removed_while_its_run_goes_on_is_not_filled_any_more(database: Database) -> None:
    await archive(database, 1)
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    await definitions(database).apply(catalog(b="x.b"))
    await work_off(database, Documents({"r0": {"x": {"a": 1, "b": 2}}}))
    assert await stored_values(database) == {"r0": {"b": ("2", 1)}}
    [found] = await all_runs(database)
    assert found.state is RunState.COMPLETED


async def test_what_an_old_process_archives_later_is_swept_up(database: Database) -> None:
    process = definitions(database)
    await process.apply(catalog(a="x.a"))
    await insert(database, archived("new", revision=1, values={"a": 1}), archived("old"))
    await process.sweep()
    [found] = await all_runs(database)
    assert (found.total, found.keys, found.mode) == (1, ("a",), Mode.AUTOMATIC)
    await process.sweep()
    assert len(await all_runs(database)) == 1, "one is open"
    await work_off(database, Documents({"old": {"x": {"a": 2}}, "new": {"x": {"a": "not read"}}}))
    assert await stored_values(database) == {"new": {"a": ("1", 1)}, "old": {"a": ("2", 1)}}
    await process.sweep()
    assert len(await all_runs(database)) == 1


async def test_a_cancelled_run_is_not_started_again_by_the_sweep(database: Database) -> None:
    await archive(database, 3)
    process = definitions(database)
    await process.apply(catalog(a="x.a"))
    [found] = await all_runs(database)
    await database.run(lambda c: runs.end(c, found.id, RunState.CANCELLED, found.started))
    await process.sweep()
    assert len(await all_runs(database)) == 1
    await process.apply(catalog(a="x.a", b="x.b"))
    assert (await all_runs(database))[-1].total == 3, "the next definition takes all up that is of an older one"


async def test_types_with_an_id_have_definitions_of_their_own(database: Database) -> None:
    process = definitions(database)
    await process.apply(together(catalog(config_id="one", a="x.a"), catalog(config_id="two", b="x.b")))
    assert [key for key, _ in process.of(f"{TYPE}/one").paths] == ["a"]
    assert [key for key, _ in process.of(f"{TYPE}/two").paths] == ["b"]
    assert process.of("Unknown").paths == ()


async def test_only_one_automatic_run_of_a_type_can_be_open(database: Database) -> None:
    await archive(database, 3)
    await definitions(database).apply(catalog(a="x.a"))
    await definitions(database).apply(catalog(a="y.a"))
    await definitions(database).apply(catalog(a="z.a"))
    states = [row.state for row in await rows(database, select(run.c.state).order_by(run.c.started))]
    assert sorted(states) == ["open", "superseded", "superseded"]


async def test_what_is_archived_by_paths_that_were_never_applied_is_of_no_revision(database: Database) -> None:
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    off = definitions(database, DISABLED)
    await off.apply(catalog(b="x.b", a="x.a"))
    assert off.of(TYPE).revision == 1, "in another order they are the same"
    for file in (catalog(a="y.a", b="x.b"), catalog(a="x.a"), catalog(a="x.a", b="x.b", c="x.c")):
        await off.apply(file)
        assert off.of(TYPE).revision == 0
    await off.apply(catalog(a="y.a"))
    await insert(database, archived("r0", revision=off.of(TYPE).revision, values={"a": "of y.a"}))
    process = definitions(database)
    await process.apply(catalog(a="x.a", b="x.b"))
    await process.sweep()
    await work_off(database, Documents({"r0": {"x": {"a": "of x.a", "b": 2}}}))
    assert await stored_values(database) == {"r0": {"a": ('"of x.a"', 1), "b": ("2", 1)}}


@pytest.mark.parametrize("options", [ENABLED, DISABLED], ids=["enabled", "disabled"])
async def test_a_definition_that_others_changed_and_changed_back_is_taken_over(
    database: Database, options: RunOptions
) -> None:
    other = definitions(database)
    await other.apply(catalog(a="x.a"))
    process = definitions(database, options)
    await process.apply(catalog(a="x.a"))
    await other.apply(catalog(a="y.a"))
    await process.sweep()
    assert process.of(TYPE).revision == 1, "it extracts something else: an old process"
    await other.apply(catalog(a="x.a"))
    await process.sweep()
    assert process.of(TYPE).revision == 3
    await insert(database, archived("r0", revision=process.of(TYPE).revision, values={"a": 1}))
    await other.sweep()
    assert await all_runs(database) == []


async def test_the_keys_of_a_configuration_that_is_gone_are_inactive_until_it_comes_back(database: Database) -> None:
    process = definitions(database)
    await process.apply(catalog(a="x.a"))
    await insert(database, archived("r0", revision=1, values={"a": 1}))
    await process.apply(catalog("Another", b="x.b"))
    async with database.reading() as connection:
        found = {key: active for _, _, key, active in await applied_definitions.all_keys(connection)}
    assert found == {"a": False, "b": True}
    assert process.of(TYPE).paths == ()
    await insert(database, archived("r1"))
    await process.sweep()
    assert await all_runs(database) == [], "nothing is to be filled"
    await process.apply(catalog(a="x.a"))
    [run] = await all_runs(database)
    assert (run.keys, run.total, run.revision) == (("a",), 2, 2)
    await work_off(database, Documents({"r0": {"x": {"a": "not taken"}}, "r1": {"x": {"a": 2}}}))
    assert await stored_values(database) == {"r0": {"a": ("1", 1)}, "r1": {"a": ("2", 2)}}


async def test_without_runs_nothing_becomes_inactive(database: Database) -> None:
    await definitions(database).apply(catalog(a="x.a"))
    await definitions(database, DISABLED).apply(catalog("Another", b="x.b"))
    async with database.reading() as connection:
        assert await applied_definitions.with_active_keys(connection) == [TYPE]
