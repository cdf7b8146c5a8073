"""What a preflight says would become of each reference, and that it writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from app.archiver import preflight
from app.archiver.describe import Target
from app.archiver.preflight import AskedSource, BucketState, Preflight, Preflights
from app.archiver.sample import SampledReference, SampleVerdict
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure, Unavailable
from app.domain.forecast import Price
from app.domain.jobs import Reference
from app.objectstore import ObjectRejected
from app.sources.pacing import SourceBusy
from tests.support.core import BUCKET, Core, configuration
from tests.support.scripted_source import SCHEMA, document
from tests.support.tampered import Life, Tampered

READ = "Failed reading artifact from source service: "


@pytest.fixture
def objects(core: Core) -> Any:
    return Tampered(core.objects, Life())


async def look(
    core: Core,
    objects: Any,
    *references: str,
    attempts: int = 4,
    total: int | None = None,
    locks: bool = True,
    target: Target | None = None,
    price: Price | None = None,
) -> Preflight:
    source: Any = core.source
    preflights = Preflights(target or Target(BUCKET), source, core.registry, objects, locks=locks, price=price)
    sample = [Reference(each) for each in references]
    return await preflights.look(AskedSource(configuration(), attempts, ""), sample, total or len(sample))


async def verdict(core: Core, objects: Any, answer: Any, *, attempts: int = 4) -> tuple[SampleVerdict, str | None]:
    core.source.answers("doc", answer)
    found = await look(core, objects, "doc", attempts=attempts)
    assert found.ok is (found.sample[0].verdict is SampleVerdict.WOULD_SUCCEED)
    return found.sample[0].verdict, found.sample[0].message


async def test_what_would_succeed_is_described_and_nothing_is_written(core: Core, objects: Any) -> None:
    found = await look(core, objects, "doc")
    (sampled,) = found.sample
    assert found.ok
    assert (sampled.verdict, sampled.bucket, sampled.schema) == (SampleVerdict.WOULD_SUCCEED, BUCKET, SCHEMA)
    assert (sampled.content_type, sampled.size, sampled.retention_days) == ("application/json", 16, 90)
    assert sampled.present is False
    assert found.buckets == [BucketState(BUCKET, None)]
    assert set(objects.calls) == {"head", "versions", "examine"}
    assert (await core.versions(), await core.versions(schemas=True)) == ([], [])
    assert core.source.in_hand == 0


async def test_without_locks_there_is_no_retention(core: Core, objects: Any) -> None:
    found = await look(core, objects, "doc", locks=False)
    assert (found.sample[0].retention_days, found.forecast.locked_until) == (None, None)


async def test_the_key_is_that_under_which_the_task_stores_it(core: Core, objects: Any) -> None:
    found = await look(core, objects, "doc")
    await core.archive(await core.submit("doc"))
    assert [each.key for each in await core.versions()] == [found.sample[0].key]
    assert (await look(core, objects, "doc")).sample[0].present is True
    core.source.answers("doc", document("changed"))
    assert (await look(core, objects, "doc")).sample[0].present is False


@pytest.mark.parametrize(
    ("answer", "said", "message"),
    [
        (PermanentFailure(READ + "HTTP 404"), SampleVerdict.WOULD_FAIL, READ + "HTTP 404"),
        (
            document(bucket="foreign"),
            SampleVerdict.WOULD_FAIL,
            READ + "header Archive-Storage-Bucket names a bucket not",
        ),
        (document(b"{}"), SampleVerdict.WOULD_FAIL, "Archive data does not match schema PEER/Doc version 1"),
        (NoArchiveData(), SampleVerdict.NO_DATA, "the source has no archive data"),
        (TransientFailure("HTTP 500"), SampleVerdict.NOT_SURE, "would be tried again: HTTP 500"),
        (SourceBusy(30, "it rests"), SampleVerdict.NOT_SURE, "would wait for 30 s: it rests"),
        (RuntimeError("secret"), SampleVerdict.NOT_SURE, "internal error; the log has it"),
    ],
)
async def test_what_would_become_of_other_answers(
    core: Core, objects: Any, answer: Any, said: SampleVerdict, message: str
) -> None:
    found, told = await verdict(core, objects, answer)
    assert found is said
    assert told is not None
    assert told.startswith(message)
    assert len(core.source.asked) == 1


async def test_a_job_without_retries_fails_of_what_is_transient(core: Core, objects: Any) -> None:
    found = await verdict(core, objects, TransientFailure("HTTP 500"), attempts=1)
    assert found == (SampleVerdict.WOULD_FAIL, READ + "HTTP 500 (1 attempt)")


async def test_what_uses_up_no_attempt_fails_nobody(core: Core, objects: Any) -> None:
    found = await verdict(core, objects, TransientFailure("HTTP 429", keeps_attempt=True), attempts=1)
    assert found == (SampleVerdict.NOT_SURE, "would be tried again: HTTP 429")


async def test_a_source_that_does_not_answer_is_not_waited_for_long(
    core: Core, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "SAMPLE_PATIENCE", 0.01)
    found = await verdict(core, objects, asyncio.Event().wait)
    assert found == (SampleVerdict.NOT_SURE, "no answer within 0 s")


async def test_a_schema_that_is_stored_with_other_content_is_a_failure(core: Core, objects: Any) -> None:
    await core.archive(await core.submit("doc"))
    (stored,) = await core.versions(schemas=True)
    file = core.topics.parent / "objects" / BUCKET / stored.key / f"{stored.version_id}.json"
    file.chmod(0o644)
    file.write_text(file.read_text().replace(stored.user_metadata["hash"], "0" * 64))
    (sampled,) = (await look(core, objects, "doc")).sample
    assert sampled.verdict is SampleVerdict.WOULD_FAIL
    assert sampled.message is not None
    assert "a changed schema needs a new version" in sampled.message


@pytest.mark.parametrize("error", [Unavailable("objectstore", "away"), ObjectRejected("key too long")])
async def test_where_the_store_does_not_say_presence_is_not_known(core: Core, objects: Any, error: Exception) -> None:
    objects.before("head", error)
    (sampled,) = (await look(core, objects, "doc")).sample
    assert (sampled.verdict, sampled.present) == (SampleVerdict.WOULD_SUCCEED, None)


async def test_a_forecast_is_made_of_the_sample_for_all_references(core: Core, objects: Any) -> None:
    core.source.answers("none", NoArchiveData())
    core.source.answers("away", TransientFailure("HTTP 500"))
    found = await look(core, objects, "doc", "none", "away", total=1000, price=Price(10**9, "CHF"))
    forecast = found.forecast
    assert forecast.references == 1000
    assert forecast.bytes is not None
    assert forecast.bytes.likely == 16 / 2 * 1000  # "away" tells nothing
    assert forecast.locked_until == forecast.day_after(90) == (forecast.ends + timedelta(days=90)).date()
    assert forecast.cost is not None
    assert forecast.cost.currency == "CHF"
    assert forecast.seconds is not None
    assert [each.seconds is None for each in found.sample] == [False, False, True]


async def test_time_that_a_request_waits_for_its_turn_is_not_that_of_the_source(core: Core, objects: Any) -> None:
    async def turn() -> None:
        await asyncio.sleep(0.5)

    core.source.turn = turn
    (sampled,) = (await look(core, objects, "doc")).sample
    assert sampled.seconds is not None
    assert sampled.seconds < 0.5


async def test_a_store_that_does_not_answer_does_not_make_the_forecast_longer(core: Core, objects: Any) -> None:
    objects.before("head", lambda: wait_and_fail(0.5))
    (sampled,) = (await look(core, objects, "doc")).sample
    assert sampled.seconds is not None
    assert sampled.seconds < 0.5


async def wait_and_fail(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise Unavailable("objectstore", "away")


async def test_a_large_sample_is_asked_for_five_at_a_time(core: Core, objects: Any) -> None:
    waiting = most = 0

    async def turn() -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await asyncio.sleep(0.001)
        waiting -= 1

    core.source.turn = turn
    found = await look(core, objects, *(f"doc-{number}" for number in range(50)))
    assert (len(found.sample), found.ok, most) == (50, True, 5)


async def test_a_slow_sample_ends_after_a_minute(core: Core, objects: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PATIENCE", 0.2)
    monkeypatch.setattr(preflight, "AT_ONCE", 1)
    core.source.answers("slow", never)
    found = await look(core, objects, "doc", "slow", "late")
    said = [(each.verdict, each.message) for each in found.sample]
    assert said == [
        (SampleVerdict.WOULD_SUCCEED, None),
        (SampleVerdict.NOT_SURE, "no answer within 0 s"),
        (SampleVerdict.NOT_SURE, "not asked for: the others took 0 s"),
    ]


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("act", "problem"),
    [(Unavailable("objectstore", "no such bucket"), "no such bucket"), (never, "no answer within 0 s")],
)
async def test_a_bucket_that_takes_nothing_is_named(
    core: Core,
    objects: Any,
    monkeypatch: pytest.MonkeyPatch,
    act: Exception | Callable[[], Awaitable[None]],
    problem: str,
) -> None:
    monkeypatch.setattr(preflight, "STORE_PATIENCE", 0.02)
    objects.before("examine", act)
    found = await look(core, objects, "doc")
    assert found.buckets == [BucketState(BUCKET, problem)]
    assert not found.ok


async def test_a_store_that_does_not_answer_keeps_nobody(
    core: Core, objects: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "STORE_PATIENCE", 0.02)
    objects.before("head", never)
    assert (await look(core, objects, "doc")).sample[0].present is None


async def test_buckets_that_documents_ask_for_are_looked_at_too(core: Core, objects: Any) -> None:
    await core.objects.prepare(["other"], core.registry.types())
    core.source.answers("doc", document(bucket="other"))
    found = await look(core, objects, "doc", "plain", target=Target(BUCKET, allowed_buckets=frozenset({"other"})))
    assert [each.bucket for each in found.sample] == ["other", BUCKET]
    assert found.buckets == [BucketState(BUCKET, None), BucketState("other", None)]


async def test_one_that_fails_is_enough_to_say_no(core: Core, objects: Any) -> None:
    core.source.answers("bad", PermanentFailure("no"))
    found = await look(core, objects, "good", "bad")
    assert [type(each) for each in found.sample] == [SampledReference, SampledReference]
    assert not found.ok
