"""Runs by hand: what is asked for and what is possible, a try that writes nothing, and each step of a run's life."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.runs import Mode, Run, RunState, Starter
from app.metadata import control
from app.metadata.control import ImpossibleForRun, RunControl, TriedArtifact, UnknownRun, estimated_end
from app.metadata.extract import Extractor
from app.metadata.wanted import Misfit, WantedRun
from tests.support.core import opened_core
from tests.support.metadata import (
    ENABLED,
    TYPE,
    Documents,
    archived,
    catalog,
    definitions,
    insert,
    open_batches,
    stored_values,
    together,
    work_off,
)

DORA = Starter("Dora", "0042", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class World:
    """Artifacts `a` to `c` of one archive type with the keys title and pages; `due` counts calls of `on_due`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.documents = Documents({name: {"title": f"of {name}", "pages": 3} for name in "abc"})
        self.due = 0
        self.control = RunControl(database, cast("Extractor", self.documents), ENABLED, self.on_due)

    def on_due(self) -> None:
        self.due += 1

    async def start(self, *keys: str, mode: Mode = Mode.ALL) -> Run:
        return await self.control.start(wanted(*keys, mode=mode), DORA)


def wanted(*keys: str, message: str = TYPE, config_id: str | None = None, mode: Mode = Mode.ALL) -> WantedRun:
    return WantedRun(message, config_id, keys, mode)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened_core(tmp_path) as core:
        world = World(core.database)
        await definitions(core.database).apply(catalog(title="title", pages="pages"))
        old = {"title": "old", "pages": 1}
        await insert(
            core.database, *(archived(name, values=old, revision=1, minutes=place) for place, name in enumerate("abc"))
        )
        yield world


async def test_a_run_by_hand_covers_all_artifacts_and_names_who_wanted_it(world: World) -> None:
    run = await world.start()
    assert (run.state, run.mode, run.total, run.keys, world.due) == (RunState.OPEN, Mode.ALL, 3, ("title", "pages"), 1)
    assert (run.started_by_name, run.started_by_ext_id, run.traceparent) == DORA[:3]
    await work_off(world.database, world.documents)
    assert (await world.control.find(run.id)).state is RunState.COMPLETED
    assert (await stored_values(world.database))["a"]["title"][0] == '"of a"'


async def test_a_run_of_some_keys_leaves_the_others(world: World) -> None:
    run = await world.start("pages", "pages")
    assert run.keys == ("pages",)
    await work_off(world.database, world.documents)
    assert {key: json for key, (json, _) in (await stored_values(world.database))["b"].items()} == {
        "title": '"old"',
        "pages": "3",
    }


async def test_a_run_over_nothing_is_completed_at_once(world: World) -> None:
    await definitions(world.database).apply(catalog("Other", key="x"))
    run = await world.control.start(wanted(message="Other"), DORA)
    assert (run.state, run.total, world.due) == (RunState.COMPLETED, 0, 0)


async def test_a_try_says_what_a_run_would_do_and_writes_nothing(world: World) -> None:
    before = await stored_values(world.database)
    tried = await world.control.try_out(wanted("title"))
    assert tried.total == 3
    assert [json.loads(each.new["title"]) for each in tried.sample if each.new] == ["of c", "of b", "of a"]
    assert {each.old["title"] for each in tried.sample} == {'"old"'}
    assert await stored_values(world.database) == before
    assert await open_batches(world.database) == []
    assert world.due == 0


async def test_a_try_of_what_is_missing_keeps_what_is_there(world: World) -> None:
    await insert(world.database, archived("new", values={"title": "kept"}, minutes=9))
    world.documents.by_reference["new"] = {"title": "of new", "pages": 9}
    tried = await world.control.try_out(wanted(mode=Mode.MISSING))
    assert [(each.old, each.new) for each in tried.sample] == [({"title": '"kept"'}, {"title": '"kept"', "pages": "9"})]


async def test_a_try_of_what_failed_covers_what_a_run_could_not_read(world: World) -> None:
    del world.documents.by_reference["b"]
    await world.start()
    await work_off(world.database, world.documents)
    world.documents.by_reference["b"] = {"title": "back", "pages": 2}
    tried = await world.control.try_out(wanted(mode=Mode.FAILED))
    assert (tried.total, [each.old["title"] for each in tried.sample]) == (1, ['"old"'])


async def test_an_object_that_cannot_be_read_is_named_in_the_try(world: World) -> None:
    del world.documents.by_reference["b"]
    tried = await world.control.try_out(wanted("title"))
    (failed,) = [each for each in tried.sample if each.error]
    assert failed == TriedArtifact(failed.artifact_id, failed.old, None, "the stored object is gone")


async def test_a_try_does_not_wait_for_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(control, "DRY_RUN_PATIENCE", 0.01)
    monkeypatch.setattr(world.documents, "read", for_ever)
    with pytest.raises(Unavailable, match="objectstore: the sample was not read within 0 s"):
        await world.control.try_out(wanted())


async def test_a_run_is_paused_and_resumed(world: World) -> None:
    run = await world.start()
    assert (await world.control.pause(run.id)).paused_at is not None
    with pytest.raises(ImpossibleForRun):
        await world.control.pause(run.id)
    assert (await world.control.resume(run.id)).paused_at is None
    assert world.due == 2
    with pytest.raises(ImpossibleForRun):
        await world.control.resume(run.id)


async def test_a_cancelled_run_writes_nothing_more(world: World) -> None:
    run = await world.start()
    ended = await world.control.cancel(run.id, Starter(None, None))
    assert (ended.state, ended.completed is not None) == (RunState.CANCELLED, True)
    await work_off(world.database, world.documents)
    assert (await stored_values(world.database))["a"]["title"][0] == '"old"'


@pytest.mark.parametrize("what", ["pause", "resume", "cancel"])
async def test_what_has_ended_or_is_unknown_cannot_be_steered(world: World, what: str) -> None:
    more = (DORA,) if what == "cancel" else ()
    with pytest.raises(UnknownRun):
        await getattr(world.control, what)(uuid4(), *more)
    run = await world.start()
    await world.control.cancel(run.id, DORA)
    with pytest.raises(ImpossibleForRun, match="the run is cancelled") as impossible:
        await getattr(world.control, what)(run.id, *more)
    assert impossible.value.state is RunState.CANCELLED


async def test_runs_are_listed_newest_first_in_pages(world: World) -> None:
    ids = [(await world.start()).id for _ in range(3)]
    first, more = await world.control.page(None, 2)
    assert ([each.id for each in first], more) == ([ids[2], ids[1]], True)
    rest, more = await world.control.page((first[-1].started, first[-1].id), 2)
    assert ([each.id for each in rest], more) == ([ids[0]], False)
    with pytest.raises(UnknownRun):
        await world.control.find(uuid4())


async def test_errors_of_a_run_come_in_pages(world: World) -> None:
    world.documents.by_reference.clear()
    run = await world.start()
    await work_off(world.database, world.documents)
    first, more = await world.control.errors(run.id, 0, 2)
    assert (len(first), more) == (2, True)
    rest, more = await world.control.errors(run.id, first[-1].artifact_id, 2)
    assert (len(rest), more) == (1, False)


@pytest.mark.parametrize(
    ("asked", "mistakes"),
    [
        (wanted(message="Nobody"), {"messageType": "archive types with keys: DocCreated"}),
        (wanted(config_id="x"), {"configId": "configurations of the message type: none"}),
        (
            wanted("title", "no", "nor"),
            {"keys[1]": "active keys: pages, title", "keys[2]": "active keys: pages, title"},
        ),
    ],
)
async def test_what_fits_no_definition_is_named_with_what_would(
    world: World, asked: WantedRun, mistakes: dict[str, str]
) -> None:
    for method in (world.control.try_out(asked), world.control.start(asked, DORA)):
        with pytest.raises(Misfit) as misfit:
            await method
        told = {each.path: each.message for each in misfit.value.mistakes}
        assert told.keys() == mistakes.keys()
        for path, end in mistakes.items():
            assert sorted(told[path].rpartition(": ")[2].split(", ")) == sorted(end.rpartition(": ")[2].split(", "))
    assert world.due == 0


async def test_several_configurations_ask_which(world: World) -> None:
    two = together(catalog("Two", "a", key="x"), catalog("Two", "b", key="x"))
    await definitions(world.database).apply(two)
    with pytest.raises(Misfit, match="configId: is missing; the message type has several configurations: a, b"):
        await world.control.start(wanted(message="Two"), DORA)
    assert (await world.control.start(wanted(message="Two", config_id="b"), DORA)).archive_type == "Two/b"


async def test_a_type_whose_keys_were_all_removed_has_nothing_to_run(world: World) -> None:
    await definitions(world.database).apply(catalog("Other", key="x"))
    with pytest.raises(Misfit, match="the archive type has no active key"):
        await world.control.start(wanted(), DORA)


async def test_a_list_of_what_is_possible_has_an_end(world: World) -> None:
    many = catalog("Many", **{f"key{number:02}": "x" for number in range(40)})
    await definitions(world.database).apply(many)
    with pytest.raises(Misfit, match=r"key29 and 10 more$"):
        await world.control.start(wanted("no", message="Many"), DORA)


async def test_an_end_is_estimated_while_a_run_goes_on(world: World) -> None:
    run = await world.start()
    assert estimated_end(run) is None
    await work_off(world.database, world.documents)
    assert estimated_end(await world.control.find(run.id)) is None
