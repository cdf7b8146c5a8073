"""The schema beside the data is put once per bucket, found where it lies already, and never replaced."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from app.archiver.schema_files import SchemaFiles
from app.domain.archive_types import SchemaFile
from app.domain.errors import PermanentFailure, Unavailable
from tests.support.core import BUCKET, Core, registry
from tests.support.tampered import Life, Tampered

(TYPE,) = registry().types()
OTHER = SchemaFile(b'{"type": "object"}', "schema.json", hashlib.sha256(b'{"type": "object"}').hexdigest())


@pytest.fixture
def objects(core: Core) -> Any:
    return Tampered(core.objects, Life())


async def test_a_schema_is_put_once_and_says_what_it_is(core: Core, objects: Any) -> None:
    files = SchemaFiles(objects)
    assert await files.ensure(BUCKET, TYPE) == await files.ensure(BUCKET, TYPE)
    assert objects.calls == {"put": 1}
    (version,) = await core.versions(schemas=True)
    assert version.key == "archive-data-schema/PEER_Doc_1.schema.json"
    assert version.user_metadata == {
        "hash": TYPE.file.sha256,
        "system": "PEER",
        "schema": "Doc",
        "schema-version": "1",
    }
    assert version.retain_until is None


async def test_many_tasks_that_start_together_put_it_once(objects: Any) -> None:
    files = SchemaFiles(objects)
    assert len(set(await asyncio.gather(*(files.ensure(BUCKET, TYPE) for _ in range(20))))) == 1
    assert objects.calls["put"] == 1


async def test_processes_that_start_together_use_the_same_object(core: Core, objects: Any) -> None:
    ids = await asyncio.gather(*(SchemaFiles(objects).ensure(BUCKET, TYPE) for _ in range(5)))
    assert len(set(ids)) == 1
    assert len(await core.versions(schemas=True)) == 1


async def test_each_bucket_has_its_own(core: Core, objects: Any) -> None:
    await core.objects.prepare(["other"], [TYPE])
    files = SchemaFiles(objects)
    assert await files.ensure(BUCKET, TYPE) != await files.ensure("other", TYPE)


async def test_a_changed_schema_of_the_same_version_is_refused(core: Core, objects: Any) -> None:
    await SchemaFiles(objects).ensure(BUCKET, TYPE)
    with pytest.raises(PermanentFailure, match=r"differs from what is stored .* a changed schema needs a new version"):
        await SchemaFiles(objects).ensure(BUCKET, replace(TYPE, file=OTHER))
    assert len(await core.versions(schemas=True)) == 1


async def test_a_schema_behind_a_delete_marker_makes_work_wait_and_names_the_way_out(objects: Any) -> None:
    await SchemaFiles(objects).ensure(BUCKET, TYPE)
    files = SchemaFiles(objects)

    async def nothing_there(*_: Any) -> None:
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "head", nothing_there)
        with pytest.raises(Unavailable, match="remove its delete marker"):
            await files.ensure(BUCKET, TYPE)
    assert await files.ensure(BUCKET, TYPE)


async def test_a_put_that_failed_is_tried_again_by_the_next_task(core: Core, objects: Any) -> None:
    objects.before("put", Unavailable("objectstore", "away"))
    files = SchemaFiles(objects)
    first, second = await asyncio.gather(files.ensure(BUCKET, TYPE), files.ensure(BUCKET, TYPE), return_exceptions=True)
    assert isinstance(first, Unavailable)
    assert isinstance(second, str)


async def test_what_was_put_or_found_is_known_without_asking(objects: Any) -> None:
    files = SchemaFiles(objects)
    assert files.known(BUCKET, TYPE) is None
    assert await files.ensure(BUCKET, TYPE) == files.known(BUCKET, TYPE)
    assert files.known("other", TYPE) is None
