"""A key that is taken: the version of this job is the result, else one of equal content, else a new version."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.archiver.describe import Target, describe
from app.archiver.store import RACE_TRIES, store
from app.domain.artifacts import ArchiveTask, Artifact, StoredArtifact
from app.domain.errors import PermanentFailure, Unavailable
from app.domain.jobs import Reference, TaskId
from app.objectstore import ObjectRejected, PreconditionFailed
from tests.support.core import BUCKET, Core, registry
from tests.support.scripted_source import document
from tests.support.tampered import Life, Tampered

(TYPE,) = registry().types()
NOW = datetime.now(UTC)


@pytest.fixture
def objects(core: Core) -> Any:
    return Tampered(core.objects, Life())


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(random, "uniform", lambda *_: 0)
    return iter(())


def task_of(job_id: UUID, started: datetime = NOW, version: int | None = 1) -> ArchiveTask:
    return ArchiveTask(TaskId(job_id, 0), Reference("doc", version), "M", None, started, 0, 4, "x", "1" * 32)


def artifact_of(task: ArchiveTask, content: str = "same", days: int = 90, **headers: str) -> Artifact:
    found = document(content, metadata=tuple(headers.items()))
    return describe(found, task, replace(TYPE, expiration_days=days), Target(BUCKET), "schema-version")


async def stored(
    objects: Any, job_id: UUID, content: str = "same", *, locks: bool = True, **rest: Any
) -> StoredArtifact:
    task = task_of(job_id, rest.pop("started", NOW))
    return await store(objects, artifact_of(task, content, **rest), task, locks=locks)


async def test_a_free_key_is_taken(core: Core, objects: Any) -> None:
    found = await stored(objects, uuid4(), author="Zoë & Co")
    (version,) = await core.versions()
    assert (found.version_id, found.size, found.sha256) == (
        version.version_id,
        version.size,
        version.user_metadata["hash"],
    )
    assert found.retain_until is not None
    assert found.metadata == (("author", "Zoë & Co"),)
    assert objects.calls == {"put": 1}


async def test_a_repeat_of_the_job_finds_its_version_although_the_document_changed(core: Core, objects: Any) -> None:
    job_id = uuid4()
    first = await stored(objects, job_id, author="first")
    again = await stored(objects, job_id, "changed", author="other")
    assert again == first
    assert objects.calls["versions"] == 0  # the current version says it: no listing is asked for
    assert len(await core.versions()) == 1


async def test_the_version_of_this_job_is_found_below_those_of_others(core: Core, objects: Any) -> None:
    mine, other = uuid4(), uuid4()
    first = await stored(objects, mine, "mine")
    await stored(objects, other, "other")
    assert (await stored(objects, mine, "other")).version_id == first.version_id
    assert len(await core.versions()) == 2


async def test_equal_content_of_another_job_is_the_result(core: Core, objects: Any) -> None:
    first = await stored(objects, uuid4())
    assert (await stored(objects, uuid4())).version_id == first.version_id
    assert len(await core.versions()) == 1


async def test_other_content_is_a_new_version(core: Core, objects: Any) -> None:
    first, second = await stored(objects, uuid4(), "one"), await stored(objects, uuid4(), "two")
    assert first.key == second.key
    assert first.version_id != second.version_id
    assert len(await core.versions()) == 2


async def test_equal_content_below_the_current_version_is_the_result(core: Core, objects: Any) -> None:
    first = await stored(objects, uuid4(), "one")
    await stored(objects, uuid4(), "two")
    assert (await stored(objects, uuid4(), "one")).version_id == first.version_id


@pytest.mark.parametrize(("days", "lengthened"), [(90, False), (91, True), (30, False)])
async def test_a_lock_that_ends_too_early_is_lengthened(core: Core, objects: Any, days: int, lengthened: bool) -> None:
    first = await stored(objects, uuid4(), days=90)
    found = await stored(objects, uuid4(), days=days)
    (version,) = await core.versions()
    assert found.retain_until == version.retain_until
    assert objects.calls["lengthen_lock"] == lengthened
    assert first.retain_until is not None
    assert version.retain_until is not None
    assert (version.retain_until > first.retain_until) is lengthened


async def test_an_object_without_a_lock_gets_one(core: Core, objects: Any) -> None:
    await stored(objects, uuid4(), locks=False)
    found = await stored(objects, uuid4())
    (version,) = await core.versions()
    assert version.retain_until is not None
    assert version.retain_until == found.retain_until
    assert version.retain_until > NOW + timedelta(days=89)


async def test_without_locks_none_is_asked_for_and_none_lengthened(core: Core, objects: Any) -> None:
    await stored(objects, uuid4(), locks=False)
    assert (await stored(objects, uuid4(), locks=False)).retain_until is None
    assert objects.calls["lengthen_lock"] == 0


async def test_a_version_that_is_gone_while_its_lock_is_lengthened_is_put_again(core: Core, objects: Any) -> None:
    first = await stored(objects, uuid4(), locks=False)

    async def gone() -> None:
        for file in (core.topics.parent / "objects" / BUCKET / first.key).iterdir():
            file.unlink()

    objects.before("lengthen_lock", gone)
    found = await stored(objects, uuid4())
    assert found.version_id != first.version_id
    assert [each.version_id for each in await core.versions()] == [found.version_id]


async def test_who_loses_a_race_looks_again(core: Core, objects: Any) -> None:
    await stored(objects, uuid4(), "there before")

    async def another_wins() -> None:
        await stored(core.objects, uuid4(), "of another")

    objects.before("put", another_wins, which=lambda upload: upload.if_match is not None)
    found = await stored(objects, uuid4(), "mine")
    assert objects.calls["put"] == 4
    assert found.version_id in {each.version_id for each in await core.versions()}
    assert len(await core.versions()) == 3


async def test_a_race_lost_to_the_same_content_ends_with_that(core: Core, objects: Any) -> None:
    async def another_wins() -> None:
        await stored(core.objects, uuid4())

    objects.before("put", another_wins)
    await stored(objects, uuid4())
    assert len(await core.versions()) == 1


async def test_a_store_that_refuses_every_condition_is_not_available(objects: Any) -> None:
    objects.before("put", PreconditionFailed("for ever"), times=99)
    with pytest.raises(Unavailable, match="10 conditional puts of one key in a row were refused"):
        await stored(objects, uuid4())
    assert objects.calls["put"] == RACE_TRIES


async def test_what_the_store_never_takes_fails_the_task(objects: Any) -> None:
    objects.before("put", ObjectRejected("metadata too large"))
    with pytest.raises(PermanentFailure) as failure:
        await stored(objects, uuid4())
    assert failure.value.message == "Failed storing artifact: metadata too large"


async def test_an_outage_is_no_answer(objects: Any) -> None:
    objects.before("put", Unavailable("objectstore", "away"))
    with pytest.raises(Unavailable, match="away"):
        await stored(objects, uuid4())
