"""Sessions in the database: begun here, known to every process, renewed once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.db import sessions as rows
from app.db.database import Database
from app.db.tables import page_session
from app.domain.errors import Unavailable
from app.sessions import store
from app.sessions.sealing import Sealing, UnreadableSeal, hashed
from app.sessions.store import Sessions, SessionTokens

NOW = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url)
    yield opened
    await opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def tokens(name: str = "a", lasts: float = 600, refresh: str | None = "r") -> SessionTokens:
    return SessionTokens(name, NOW.timestamp() + lasts, refresh)


async def never(_tokens: SessionTokens) -> SessionTokens | None:
    raise AssertionError("not to be renewed")


async def test_any_process_with_the_key_of_the_settings_knows_the_session(database: Database) -> None:
    one, other, stranger = (Sessions(database, Sealing(key), Clock()) for key in (b"key", b"key", b"another"))
    key = await one.begin(tokens())
    assert await other.find(key, never) == tokens()
    assert await stranger.find(key, never) is None
    assert await one.find("x" * 43, never) is None
    assert await other.end(key) == tokens()
    assert await one.find(key, never) is None
    async with database.reading() as connection:
        assert (await connection.execute(select(page_session))).all() == []


async def test_the_table_holds_neither_key_nor_token(database: Database) -> None:
    sessions = Sessions(database, Sealing(b"key"), Clock())
    key = await sessions.begin(tokens("very-secret"))
    async with database.reading() as connection:
        row = (await connection.execute(select(page_session))).one()
    assert row.id == hashed(key)
    assert b"very-secret" not in row.tokens
    other = await sessions.begin(tokens("another"))
    await database.run(lambda c: rows.renew(c, hashed(key), row.tokens))
    await database.run(lambda c: rows.renew(c, hashed(other), row.tokens))
    assert await sessions.find(other, never) is None, "tokens of one session are of no use in another"


async def test_a_session_ends_after_its_time_and_its_row_goes_with_the_next_login(database: Database) -> None:
    clock = Clock()
    sessions = Sessions(database, Sealing(b"key"), clock)
    key = await sessions.begin(tokens(lasts=1e6))
    clock.now += store.LASTS + timedelta(seconds=1)
    assert await sessions.find(key, never) is None
    await sessions.begin(tokens())
    async with database.reading() as connection:
        assert len((await connection.execute(select(page_session))).all()) == 1


async def test_tokens_that_are_about_to_expire_are_renewed_once_by_whoever_comes_first(database: Database) -> None:
    clock, calls = Clock(), 0
    both = [Sessions(database, Sealing(b"key"), clock) for _ in range(2)]
    key = await both[0].begin(tokens(lasts=10))

    async def renew(old: SessionTokens) -> SessionTokens | None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.05)
        assert old.refresh == "r"
        return tokens("fresh", refresh="r2")

    found = await asyncio.gather(*(each.find(key, renew) for each in both * 3))
    assert {each.access for each in found if each} == {"fresh"}
    assert (len(found), calls) == (6, 1)


async def test_an_issuer_that_refuses_ends_the_session_and_one_that_is_away_does_not(database: Database) -> None:
    clock = Clock()
    sessions = Sessions(database, Sealing(b"key"), clock)
    key = await sessions.begin(tokens(lasts=10))

    async def away(_tokens: SessionTokens) -> SessionTokens | None:
        raise Unavailable("issuer", "refused")

    async def refuses(_tokens: SessionTokens) -> SessionTokens | None:
        return None

    assert await sessions.find(key, away) == tokens(lasts=10), "good for ten seconds more"
    clock.now += timedelta(seconds=11)
    with pytest.raises(Unavailable):
        await sessions.find(key, away)
    assert await sessions.find(key, refuses) is None
    assert await sessions.find(key, never) is None


async def test_without_a_refresh_token_the_session_ends_with_the_token(database: Database) -> None:
    clock = Clock()
    sessions = Sessions(database, Sealing(b"key"), clock)
    key = await sessions.begin(tokens(lasts=10, refresh=None))
    assert await sessions.find(key, never) is not None
    clock.now += timedelta(seconds=11)
    assert await sessions.find(key, never) is None


def test_what_was_sealed_opens_with_the_same_key_and_purpose_only() -> None:
    sealed = Sealing(b"key").seal(b"content", b"purpose")
    assert Sealing(b"key").open(sealed, b"purpose") == b"content"
    for sealing, content, purpose in (
        (Sealing(b"other"), sealed, b"purpose"),
        (Sealing(b"key"), sealed, b"other"),
        (Sealing(b"key"), sealed[:-1] + bytes([sealed[-1] ^ 1]), b"purpose"),
        (Sealing(b"key"), b"", b"purpose"),
    ):
        with pytest.raises(UnreadableSeal):
            sealing.open(content, purpose)
