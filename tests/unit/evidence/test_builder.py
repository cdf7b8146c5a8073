"""The proof of a completed job: its leaves, its locks, and one of each whatever happens while it is built."""

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, update

from app.db.tables import job, job_proof, task
from app.domain.errors import PermanentFailure, Unavailable
from app.domain.jobs import Reference
from app.domain.notes import verified
from app.domain.proofs import checkpoint_key, leaves_key
from app.evidence import builder as module
from app.evidence.placing import upload_of
from app.evidence.signer import Signer
from app.objectstore import Upload
from tests.support.core import BUCKET, Core
from tests.support.proofs import build_all, builder, check, lines_in_bucket, proof_of, read, versions_of_proof
from tests.support.tampered import Died, Life, Tampered


async def archived(core: Core, *references: str | Reference) -> UUID:
    job_id = await core.submit(*references)
    await core.archive(job_id)
    return job_id


async def test_a_completed_job_has_a_proof_of_all_its_references(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a", "b", "c")
    assert await build_all(builder(core, signer)) == 1
    await check(core, signer, job_id)
    leaves = [json.loads(line) for line in await lines_in_bucket(core, job_id)]
    rows = await core.tasks(job_id)
    stored = [json.loads(row.stored) for row in rows]
    assert leaves == [
        {
            "position": place,
            "id": id_,
            "state": "succeeded",
            "bucket": BUCKET,
            "key": of["key"],
            "versionId": of["version_id"],
            "sha256": of["sha256"],
            "size": of["size"],
            "retainUntil": of["retain_until"][:23] + "Z",
        }
        for place, (id_, of) in enumerate(zip("abc", stored, strict=True))
    ]
    proof = await proof_of(core, job_id)
    assert verified(proof.checkpoint, [signer.verifier])[0].endswith("\nresult succeeded\n")


async def test_a_leaf_is_canonical_json_and_says_why_a_reference_failed(core: Core, signer: Signer) -> None:
    core.source.answers("bäd\u2028", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    job_id = await archived(core, "bäd\u2028", "good")
    await build_all(builder(core, signer))
    await check(core, signer, job_id)
    failed, _ = await lines_in_bucket(core, job_id)
    (row, _) = await core.tasks(job_id)
    expected = '{"id":"bäd\u2028","message":' + json.dumps(row.message) + ',"position":0,"state":"failed"}'
    assert failed.decode() == expected


async def test_open_jobs_owe_none_and_each_completed_one_is_built_once(core: Core, signer: Signer) -> None:
    open_one = await core.submit("x")
    first, second = await archived(core, "a"), await archived(core, "b")
    built = builder(core, signer)
    assert await build_all(built) == 2
    assert await build_all(built) == 0
    for each in (first, second):
        await check(core, signer, each)
    assert (await core.job(open_one)).proven_at is None
    await core.archive(open_one)
    assert await build_all(built) == 1


async def test_its_objects_are_locked_as_long_as_the_longest_of_the_job(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a", "b")
    row = (await core.tasks(job_id))[1]
    longest = datetime(2046, 5, 8, tzinfo=UTC)
    stored = json.loads(row.stored) | {"retain_until": longest.isoformat()}
    where = (task.c.job_id == job_id, task.c.position == 1)
    await core.database.run(lambda c: c.execute(update(task).where(*where).values(stored=json.dumps(stored))))
    await build_all(builder(core, signer))
    assert [each.retain_until for each in await versions_of_proof(core, job_id)] == [longest, longest]
    assert (await proof_of(core, job_id)).retain_until == longest


async def test_what_has_no_locked_object_is_not_locked(core: Core, signer: Signer) -> None:
    core.source.answers("a", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    job_id = await archived(core, "a")
    await build_all(builder(core, signer))
    await check(core, signer, job_id)
    assert [each.retain_until for each in await versions_of_proof(core, job_id)] == [None, None]


async def test_a_lock_that_is_over_is_not_asked_for(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    (row,) = await core.tasks(job_id)
    stored = json.loads(row.stored) | {"retain_until": "2020-01-01T00:00:00+00:00"}
    await core.database.run(lambda c: c.execute(update(task).values(stored=json.dumps(stored))))
    await build_all(builder(core, signer))
    await check(core, signer, job_id)
    assert [each.retain_until for each in await versions_of_proof(core, job_id)] == [None, None]


STEPS = [
    ("database", "run", 1), ("database", "run", 2), ("objects", "put", 1), ("objects", "put", 2),
]  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("part", "method", "nth"), STEPS)
async def test_a_process_that_dies_anywhere_leaves_one_proof(
    core: Core, signer: Signer, monkeypatch: pytest.MonkeyPatch, part: str, method: str, nth: int, when: str
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    job_id = await archived(core, "a", "b", "c")
    life = Life()
    parts: dict[str, Any] = {"database": Tampered(core.database, life), "objects": Tampered(core.objects, life)}
    calls = 0

    def which(*_: Any) -> bool:
        nonlocal calls
        calls += 1
        return calls == nth

    getattr(parts[part], when)(method, life.end, which=which)
    with pytest.raises(Died):
        await build_all(builder(core, signer, **parts))
    await core.database.run(lambda c: c.execute(update(job_proof).values(claimed_until=None)))  # the lease ends
    await build_all(builder(core, signer))
    await check(core, signer, job_id)


async def test_a_lease_of_a_dead_process_is_waited_for_and_forgotten_where_there_is_one_process(
    core: Core, signer: Signer
) -> None:
    job_id = await archived(core, "a")
    life = Life()
    objects = Tampered(core.objects, life)
    objects.before("put", life.end)
    with pytest.raises(Died):
        await build_all(builder(core, signer, database=Tampered(core.database, life), objects=objects))
    assert await build_all(builder(core, signer)) == 0
    stop = asyncio.Event()
    running = asyncio.create_task(builder(core, signer, alone=True).run(stop))
    async with asyncio.timeout(10):
        while (await core.job(job_id)).proven_at is None:  # noqa: ASYNC110 - the builder tells nobody
            await asyncio.sleep(0.01)
    stop.set()
    await running
    await check(core, signer, job_id)


async def test_outages_are_waited_for_and_the_proof_is_free_at_once(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    objects = Tampered(core.objects, Life())
    objects.before("put", Unavailable("objectstore", "away"), times=2)
    built = builder(core, signer, objects=objects)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await built.build_next(asyncio.Event())
    assert await built.build_next(asyncio.Event())
    await check(core, signer, job_id)


async def test_two_builders_of_one_job_make_one_proof(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a", "b")
    objects = Tampered(core.objects, Life())

    async def another_builds() -> None:
        await core.database.run(lambda c: c.execute(update(job_proof).values(claimed_until=None)))
        assert await build_all(builder(core, signer)) == 1

    objects.before("put", another_builds)
    await build_all(builder(core, signer, objects=objects))
    await check(core, signer, job_id)


async def test_leaves_that_were_packed_in_another_way_are_the_same_leaves(
    core: Core, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await archived(core, "a", "b")
    life = Life()
    objects = Tampered(core.objects, life)
    objects.after("put", life.end)
    monkeypatch.setattr("app.evidence.leaf_file.LEVEL", 9)
    with pytest.raises(Died):
        await build_all(builder(core, signer, objects=objects))
    monkeypatch.undo()
    await core.database.run(lambda c: c.execute(update(job_proof).values(claimed_until=None)))
    assert await build_all(builder(core, signer)) == 1
    assert len(await core.objects.versions(BUCKET, leaves_key(job_id))) == 1


async def test_a_checkpoint_of_a_former_key_stays(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    life = Life()
    database = Tampered(core.database, life)
    old = Signer("psf/old", Ed25519PrivateKey.generate())
    puts = 0

    async def second_put() -> None:
        nonlocal puts
        puts += 1
        if puts == 2:
            await life.end()

    objects = Tampered(core.objects, life)
    objects.after("put", second_put, times=2)
    with pytest.raises(Died):
        await build_all(builder(core, old, database=database, objects=objects))
    await core.database.run(lambda c: c.execute(update(job_proof).values(claimed_until=None)))
    await build_all(builder(core, signer, former=(old.verifier,)))
    proof = await proof_of(core, job_id)
    assert verified(proof.checkpoint, [old.verifier])[1] == old.verifier
    assert len(await core.objects.versions(BUCKET, checkpoint_key(job_id))) == 1


async def test_the_checkpoint_of_a_live_job_says_so(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    await core.database.run(lambda c: c.execute(update(job).values(kind="live")))
    await build_all(builder(core, signer))
    assert (await proof_of(core, job_id)).checkpoint.partition("\n\n")[0].endswith("\nresult succeeded\nkind live")


async def test_what_somebody_else_put_there_prevents_no_proof(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    for key in (leaves_key(job_id), checkpoint_key(job_id)):
        await core.objects.put(upload_of(BUCKET, key, b"x", _sha256(b"x"), None))
    await build_all(builder(core, signer))
    proof = await proof_of(core, job_id)
    assert (await read(core, checkpoint_key(job_id), proof.checkpoint_version)).decode() == proof.checkpoint
    assert len(await core.objects.versions(BUCKET, checkpoint_key(job_id))) == 2


async def test_an_object_that_only_says_it_has_the_hash_is_not_taken(core: Core, signer: Signer) -> None:
    job_id = await archived(core, "a")
    objects = Tampered(core.objects, Life())
    uploads: list[Upload] = []

    def noted(upload: Upload) -> bool:
        uploads.append(upload)
        return True

    async def somebody_is_first() -> None:
        other = upload_of(BUCKET, leaves_key(job_id), b"x", _sha256(b"x"), None)
        await core.objects.put(replace(other, user_metadata={"hash": uploads[0].sha256}))

    objects.before("put", somebody_is_first, which=noted)
    await build_all(builder(core, signer, objects=objects))
    proof = await proof_of(core, job_id)
    newest, planted = await core.objects.versions(BUCKET, leaves_key(job_id))
    assert proof.leaves_version == newest.version_id
    assert planted.size == 1


async def test_a_job_that_misses_rows_gets_none_and_the_others_do(
    core: Core, signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    cut, whole = await archived(core, "a", "b"), await archived(core, "c")
    await core.database.run(lambda c: c.execute(delete(task).where(task.c.job_id == cut, task.c.position == 1)))
    await build_all(builder(core, signer))
    assert (await core.job(cut)).proven_at is None
    assert "it had 2 references, and the database has 1 of them" in caplog.text
    await check(core, signer, whole)


@pytest.mark.parametrize("stored", ["{}", "x", "[]", '{"retain_until": 1}'])
async def test_a_row_that_cannot_be_read_costs_its_job_the_proof_and_no_other(
    core: Core, signer: Signer, stored: str
) -> None:
    broken, whole = await archived(core, "a"), await archived(core, "b")
    await core.database.run(lambda c: c.execute(update(task).where(task.c.job_id == broken).values(stored=stored)))
    await build_all(builder(core, signer))
    assert (await core.job(broken)).proven_at is None
    await check(core, signer, whole)


async def test_a_large_proof_goes_through_a_file_that_is_removed(
    core: Core, signer: Signer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("app.evidence.leaf_file.IN_MEMORY", 10)
    job_id = await archived(core, *(f"r{number}" for number in range(50)))
    await build_all(builder(core, signer))
    await check(core, signer, job_id)
    assert not list((tmp_path / "temporary").iterdir())


async def test_a_process_that_stops_leaves_the_rest_to_others(
    core: Core, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    job_id = await archived(core, "a", "b", "c")
    stop = asyncio.Event()
    stop.set()
    assert not await builder(core, signer).build_next(stop)
    monkeypatch.undo()
    assert await build_all(builder(core, signer)) == 1
    await check(core, signer, job_id)


def test_upload_kinds() -> None:
    kinds = [upload_of("b", key, b"", "", None).content_type for key in ("leaves.ndjson.gz", "checkpoint", "c.tsr")]
    assert kinds == ["application/gzip", "text/plain; charset=utf-8", "application/timestamp-reply"]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
