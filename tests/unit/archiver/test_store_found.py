"""A key that is taken: the version of this job is the result, else one of equal content, else a new version."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.archiver.describe import Target, describe
from app.archiver.store import TRIES, store
from app.domain.artifacts import ArchiveTask, Artifact, StoredArtifact
from app.domain.errors import PermanentFailure, Unavailable
from app.domain.jobs import Reference, TaskId
from app.objectstore import ObjectRejected, ObjectVersion, PreconditionFailed, Upload
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


async def test_what_a_store_that_crashed_did_not_make_the_current_version_is_found_before_another_is_put(
    core: Core, objects: Any
) -> None:
    task = task_of(uuid4())
    objects.after("put", Unavailable("objectstore", "crashed"))
    with pytest.raises(Unavailable):
        await store(objects, artifact_of(task), task, locks=True)
    (left,) = await core.versions()

    async def no_current_version(*_: object) -> None:
        return None

    objects.head = no_current_version
    objects.put = None  # it would be taken
    found = await store(objects, artifact_of(task), task, locks=True, again=True)
    assert found.version_id == left.version_id


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


async def test_a_race_that_is_lost_many_times_is_no_outage(core: Core, objects: Any) -> None:
    async def another_wins() -> None:
        await stored(core.objects, uuid4(), f"of another {objects.calls['put']}")

    objects.before("put", another_wins, times=2 * TRIES)
    found = await stored(objects, uuid4(), "mine")
    assert objects.calls["put"] == 2 * TRIES + 1
    assert found.version_id in {each.version_id for each in await core.versions()}


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
    assert objects.calls["put"] == TRIES


async def test_what_the_store_never_takes_fails_the_task(objects: Any) -> None:
    objects.before("put", ObjectRejected("metadata too large"))
    with pytest.raises(PermanentFailure) as failure:
        await stored(objects, uuid4())
    assert failure.value.message == "Failed storing artifact: metadata too large"


async def test_an_outage_is_no_answer(objects: Any) -> None:
    objects.before("put", Unavailable("objectstore", "away"))
    with pytest.raises(Unavailable, match="away"):
        await stored(objects, uuid4())


async def planted(core: Core, like: Artifact, content: bytes, **metadata: str | None) -> ObjectVersion:
    """An object that somebody else put under the key, with the metadata of `like` but for these (None: without)."""
    changed = {
        **like.user_metadata,
        "job-id": str(uuid4()),
        **{name.replace("_", "-"): v for name, v in metadata.items()},
    }
    told = {name: value for name, value in changed.items() if value is not None}
    sha256 = hashlib.sha256(content).hexdigest()
    return await core.objects.put(Upload(BUCKET, like.key, content, "x/y", sha256, told, None, None))


def forget_the_hash_of(core: Core, version: ObjectVersion) -> None:
    """Its ETag is none any more, as with keys that the owner of a store manages."""
    file = core.topics.parent / "objects" / BUCKET / version.key / f"{version.version_id}.json"
    file.chmod(0o600)
    file.write_text(json.dumps({**json.loads(file.read_text()), "etag": '"opaque"'}))


def other_bytes(artifact: Artifact) -> bytes:
    """As many as the document has."""
    return artifact.content.replace(b"same", b"SAME")


@pytest.mark.parametrize("opaque", [False, True])
async def test_content_that_only_says_to_have_the_hash_is_no_result(core: Core, objects: Any, opaque: bool) -> None:
    task = task_of(uuid4())
    lying = await planted(core, artifact_of(task), other_bytes(artifact_of(task)))
    if opaque:
        forget_the_hash_of(core, lying)
    found = await store(objects, artifact_of(task), task, locks=True)
    assert found.version_id != lying.version_id
    assert len(await core.versions()) == 2


async def test_content_of_this_job_that_has_another_hash_than_it_says_is_no_result(core: Core, objects: Any) -> None:
    task = task_of(uuid4())
    lying = await planted(core, artifact_of(task), b"other", job_id=str(task.id.job_id))
    assert (await store(objects, artifact_of(task), task, locks=True)).version_id != lying.version_id


async def test_of_a_version_of_this_job_that_says_no_hash_it_is_read_from_the_content(core: Core, objects: Any) -> None:
    task = task_of(uuid4())
    own = await planted(core, artifact_of(task), b"other", job_id=str(task.id.job_id), hash=None)
    found = await store(objects, artifact_of(task), task, locks=True)
    assert (found.version_id, found.sha256) == (own.version_id, hashlib.sha256(b"other").hexdigest())


async def test_equal_content_is_the_result_whatever_the_etag_is(core: Core, objects: Any) -> None:
    first = await stored(objects, uuid4())
    (version,) = await core.versions()
    forget_the_hash_of(core, version)
    assert (await stored(objects, uuid4())).version_id == first.version_id


async def test_equal_content_that_the_store_does_not_give_is_put_again(core: Core, objects: Any) -> None:
    first = await stored(objects, uuid4())
    (version,) = await core.versions()
    forget_the_hash_of(core, version)

    async def not_given(*_: Any) -> Any:
        raise Unavailable("objectstore", "it is in an archive of its own")
        yield b""

    objects.read = not_given
    assert (await stored(objects, uuid4())).version_id != first.version_id


@pytest.mark.parametrize(("theirs", "ours", "used"), [
    ("GOVERNANCE", "COMPLIANCE", False), ("GOVERNANCE", "GOVERNANCE", True), ("COMPLIANCE", "GOVERNANCE", True),
    ("COMPLIANCE", "COMPLIANCE", True), (None, "COMPLIANCE", True),
])  # fmt: skip
async def test_equal_content_whose_lock_is_weaker_than_the_settings_ask_is_no_result(
    core: Core, objects: Any, theirs: str | None, ours: str, used: bool
) -> None:
    first = await stored(objects, uuid4())

    async def versions(*arguments: Any) -> list[ObjectVersion]:
        return [replace(each, lock_mode=theirs) for each in await core.objects.versions(*arguments)]

    objects.versions, objects.lock_mode = versions, ours
    assert ((await stored(objects, uuid4())).version_id == first.version_id) is used


@pytest.mark.parametrize("said", ["", "zero", "0", "-1", "9" * 30, "1.0"])
async def test_metadata_of_others_that_cannot_be_are_passed_over(core: Core, objects: Any, said: str) -> None:
    task = task_of(uuid4())
    theirs = await planted(core, artifact_of(task), artifact_of(task).content, schema_version=said, author="a%00b")
    found = await store(objects, artifact_of(task), task, locks=True)
    assert (found.version_id, found.schema_version) == (theirs.version_id, TYPE.schema.version)
    assert found.metadata == (("author", "a%00b"),)


async def test_of_many_versions_only_those_are_looked_at_that_may_be_the_result(
    core: Core, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await stored(objects, uuid4(), f"longer than the other {number}")
    looked_at: list[list[bool]] = []

    async def versions(bucket: str, key: str, which: Any) -> Any:
        everything = [each async for page in core.objects.list_versions(bucket) for each in page if each.key == key]
        looked_at.append([which(each) for each in everything])
        return await core.objects.versions(bucket, key, which)

    objects.versions = versions
    await stored(objects, uuid4(), "new", started=NOW + timedelta(days=2))
    assert looked_at == [[False] * 3]

    async def another_wins() -> None:
        await stored(core.objects, uuid4(), "of another")

    objects.before("put", another_wins, which=lambda upload: upload.if_match is not None)
    await stored(objects, uuid4(), "mine", started=NOW)
    assert [sum(each) for each in looked_at[1:]] == [4, 1]  # those of the first look are known
