"""Interrupted, away or ill: what was done is kept, and nothing is looked at twice or left out."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typing_extensions import override

from app.domain.errors import Unavailable
from app.domain.jobs import Reference, TaskId
from app.objectstore import ListedVersion, ObjectVersion
from app.verify import read_back, run
from app.verify.progress import StateError
from tests.unit.verify.archived import Archived, documents, files_of


class Between:
    """Stands before the store, counts what is read and does something at the n-th object or page."""

    def __init__(self, objects: Any, at: int = -1, do: Any = None) -> None:
        self._objects, self.at, self.do = objects, at, do
        self.reads: Counter[str] = Counter()
        self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
        self.reads[f"{key} {version_id}"] += 1
        if sum(self.reads.values()) == self.at:
            self.do()
        found: ObjectVersion | None = await self._objects.head(bucket, key, version_id)
        return found

    async def list_versions(self, bucket: str, after: str | None = None) -> AsyncIterator[Sequence[ListedVersion]]:
        async for page in self._objects.list_versions(bucket, after):
            self.pages += 1
            if self.pages == self.at:
                self.do()
            yield page


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def away() -> None:
    raise Unavailable("objectstore", "gone fishing")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_back, "PAUSES", ())
    monkeypatch.setattr(run, "PAGE", 7)


async def test_after_ctrl_c_it_goes_on_and_counts_each_object_once(archived: Archived, tmp_path: Path) -> None:
    stored = await archived.job(*documents(40))
    await archived.job(*documents(10, 100))
    for place in (0, 10, 25, 39):
        files_of(tmp_path / "pas" / "objects", stored[place])[0].unlink()
    real, results = archived.objects, []
    for attempt in range(20):
        archived.objects = Between(real, at=11, do=interrupt)
        results.append(await archived.verify(resume=attempt > 0, unknown=False))
        if results[-1].code != 130:
            break
        assert "goes on with --resume" in results[-1].err
        assert archived.state.exists()
    assert len(results) > 2
    assert results[-1].code == 1
    assert results[-1].counts["tasks"] == 50
    assert (results[-1].counts["ok"], results[-1].counts["missing"]) == (46, 4)
    printed = [line for result in results for line in result.out.splitlines() if "summary" not in line]
    assert len(printed) == len(set(printed)) == 4
    assert not archived.state.exists()


async def test_a_damaged_schema_file_is_one_finding_with_all_its_objects_after_interruptions_too(
    archived: Archived, tmp_path: Path
) -> None:
    await archived.job(*documents(40))
    schemas = tmp_path / "pas" / "objects" / archived.bucket / "archive-data-schema"
    next(path for path in schemas.rglob("*.json") if path.is_file()).with_suffix("").unlink()
    real, results = archived.objects, []
    for attempt in range(20):
        archived.objects = Between(real, at=11, do=interrupt)
        results.append(await archived.verify(resume=attempt > 0, unknown=False))
        if results[-1].code != 130:
            break
    assert len(results) > 2
    [finding] = [each for result in results for each in result.findings]
    assert finding["objects"] == 40
    assert (results[-1].code, results[-1].counts["tasks"], results[-1].counts["findings"]) == (1, 40, 1)


async def test_the_search_for_unknown_objects_goes_on_behind_its_last_key(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.objectstore.filesystem.PAGE", 3)
    for number in range(20):
        await archived.put(TaskId(uuid4(), 0), Reference(f"O{number}"), b"o", datetime.now(UTC), 30)
    real, results = archived.objects, []
    for attempt in range(20):
        archived.objects = Between(real, at=3, do=interrupt)
        archived.objects.reads["do not count heads"] = 1000
        results.append(await archived.verify(resume=attempt > 0))
        if results[-1].code != 130:
            break
    assert len(results) > 2
    printed = [line for result in results for line in result.out.splitlines() if "summary" not in line]
    assert len(printed) == len(set(printed)) == 20
    assert (results[-1].counts["unknown"], results[-1].counts["versions"]) == (20, 21)


async def test_a_store_that_is_away_is_exit_3_and_the_rest_follows(archived: Archived) -> None:
    await archived.job(*documents(30))
    real = archived.objects
    broken = Between(real, at=15, do=away)
    broken.check = _refused_after(broken, 15)  # type: ignore[attr-defined]
    archived.objects = broken
    result = await archived.verify()
    assert result.code == 3
    assert "gone fishing" in result.err
    archived.objects = real
    again = await archived.verify(resume=True)
    assert (again.code, again.counts["tasks"], again.counts["ok"]) == (0, 30, 30)


def _refused_after(between: Between, number: int) -> Any:
    async def check(buckets: Sequence[str]) -> None:
        if sum(between.reads.values()) >= number:
            away()

    return check


async def test_an_object_that_the_store_does_not_give_is_a_finding(archived: Archived) -> None:
    await archived.job(*documents(3))
    archived.objects = Between(archived.objects, at=2, do=away)
    result = await archived.verify(unknown=False)
    assert result.code == 1
    assert [each["kind"] for each in result.findings] == ["unreadable"]
    assert result.findings[0]["differences"][0]["found"] == "gone fishing"


async def test_a_store_that_gives_nothing_at_all_is_no_list_of_findings(archived: Archived) -> None:
    await archived.job(*documents(60))
    real = archived.objects

    class Refusing(Between):
        @override
        async def head(self, *place: Any) -> ObjectVersion | None:
            away()
            return None

    archived.objects = Refusing(real)
    result = await archived.verify()
    assert result.code == 3
    assert "20 objects in a row cannot be read" in result.err
    archived.objects = real
    again = await archived.verify(resume=True)
    assert (again.code, again.counts["tasks"]) == (0, 60)


async def test_progress_of_another_verification_and_other_files_are_not_touched(archived: Archived) -> None:
    await archived.job(*documents(20))
    archived.objects = Between(archived.objects, at=9, do=interrupt)
    assert (await archived.verify()).code == 130
    with pytest.raises(StateError, match="other options"):
        await archived.verify(resume=True, since=datetime.now(UTC))
    archived.state.write_text("my shopping list")
    with pytest.raises(StateError, match="is no file of `pas verify`"):
        await archived.verify()
    assert archived.state.read_text() == "my shopping list"
    archived.state = archived.state.parent / "absent" / "state.json"
    with pytest.raises(StateError, match="--state"):
        await archived.verify()


async def test_resume_without_progress_begins_at_the_start(archived: Archived) -> None:
    await archived.job(*documents(2))
    result = await archived.verify(resume=True)
    assert (result.code, result.counts["tasks"]) == (0, 2)
    assert "begins at the start" in result.err
