"""How a database stands to this release: migrated where that is allowed, else refused, and closed meanwhile."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.db import migrations
from app.db.connect import Unusable
from app.db.database import Database
from app.db.migrations import Standing
from app.domain.errors import NotPrepared, StartRefused, Unavailable
from app.domain.readiness import DATABASE, Readiness
from app.process.probes import OLDER, PREPARING, check_database, refuse_unusable
from tests.support.core import opened_core


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Database]:
    """Not migrated yet."""
    database = Database(f"sqlite:///{tmp_path}/empty.sqlite")
    yield database
    await database.close()


@pytest.fixture
async def current(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_core(tmp_path) as core:
        yield core.database


def standings(monkeypatch: pytest.MonkeyPatch, *found: Standing | Exception) -> list[str]:
    """Databases that stand like this, look for look; what was done is noted."""
    log: list[str] = []
    left: Iterator[Standing | Exception] = iter(found)

    async def standing(database: Any) -> Standing:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def migrate(database: Database) -> None:
        log.append("migrated")
        with pytest.raises(NotPrepared, match=PREPARING):
            await database.ping()

    monkeypatch.setattr(migrations, "standing", standing)
    monkeypatch.setattr(migrations, "migrate", migrate)
    return log


async def test_an_empty_database_is_refused_without_migrate(empty: Database) -> None:
    with pytest.raises(StartRefused, match="run `pas migrate`, or start with --migrate"):
        await refuse_unusable(empty, migrate=False)
    with pytest.raises(StartRefused):
        await check_database(empty, migrate=False)


async def test_one_that_will_be_migrated_is_closed_until_then(empty: Database) -> None:
    await refuse_unusable(empty, migrate=True)
    with pytest.raises(NotPrepared, match=PREPARING):
        await empty.ping()
    await check_database(empty, migrate=True)
    await empty.ping()
    assert await migrations.standing(empty) is Standing.CURRENT


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_current_database_is_used_as_it_is(current: Database, migrate: bool) -> None:
    await refuse_unusable(current, migrate=migrate)
    await check_database(current, migrate=migrate)
    await current.ping()


async def test_while_it_is_migrated_that_is_said(
    current: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = standings(monkeypatch, Standing.OLDER, Standing.CURRENT)
    readiness = Readiness((DATABASE,))
    with caplog.at_level(logging.INFO):
        await check_database(current, migrate=True, readiness=readiness)
    assert log == ["migrated"]
    assert readiness.problems == {DATABASE: PREPARING}
    assert [record.getMessage() for record in caplog.records] == [f"the database {PREPARING}"]
    await current.ping()


async def test_a_newer_database_is_used_and_never_migrated(
    current: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = standings(monkeypatch, Standing.NEWER)
    await check_database(current, migrate=True)
    assert log == []
    assert "migrated by a newer release" in caplog.text


async def test_one_that_is_older_still_after_a_migration_is_refused(
    current: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    standings(monkeypatch, Standing.OLDER, Standing.OLDER)
    with pytest.raises(StartRefused, match=OLDER[:30]):
        await check_database(current, migrate=True)


async def test_what_is_not_for_us_is_refused_at_the_start_and_closed_later(
    current: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    unusable = Unusable("holds tables of somebody else")
    standings(monkeypatch, unusable, unusable)
    with pytest.raises(StartRefused, match="holds tables of somebody else"):
        await refuse_unusable(current, migrate=True)
    with pytest.raises(Unusable):
        await check_database(current, migrate=True)
    with pytest.raises(Unavailable, match="holds tables of somebody else"):
        await current.ping()


async def test_one_that_does_not_answer_is_looked_at_later(current: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    standings(monkeypatch, Unavailable(DATABASE, "away"))
    await refuse_unusable(current, migrate=False)
    await current.ping()
