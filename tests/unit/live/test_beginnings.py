"""Where topics begin that the live flow never consumed: decided once for all processes, and nothing is missed after."""

from collections.abc import Mapping

from app.broker import Bounds
from app.db.database import Database
from app.live.beginnings import KeptBeginnings
from tests.unit.messaging.conftest import database

__all__ = ["database"]

TWO = {0: Bounds(3, 10), 1: Bounds(0, 4)}


async def begins(
    database: Database, *wanted: int, bounds: Mapping[int, Bounds] = TWO, earliest: bool = False
) -> Mapping[int, int]:
    return await KeptBeginnings(database, earliest=earliest).of("docs", wanted, bounds)


async def test_a_new_topic_begins_behind_its_last_records(database: Database) -> None:
    assert await begins(database, 0, 1) == {0: 10, 1: 4}


async def test_or_with_its_first_ones(database: Database) -> None:
    assert await begins(database, 0, 1, earliest=True) == {0: 3, 1: 0}


async def test_what_one_process_decided_holds_for_the_others_and_for_all_partitions(database: Database) -> None:
    assert await begins(database, 0) == {0: 10}
    later = {0: Bounds(3, 90), 1: Bounds(0, 90)}
    assert await begins(database, 1, bounds=later, earliest=True) == {1: 4}


async def test_partitions_that_appear_later_begin_with_their_first_record(database: Database) -> None:
    await begins(database, 0, 1)
    assert await begins(database, 2, bounds={**TWO, 2: Bounds(0, 7)}) == {2: 0}


async def test_a_topic_that_was_missing_begins_with_its_first_record(database: Database) -> None:
    await KeptBeginnings(database, earliest=False).missing("docs")
    assert await begins(database, 0, 1) == {0: 3, 1: 0}


async def test_a_topic_that_is_gone_for_a_while_stays_where_it_was(database: Database) -> None:
    await begins(database, 0, 1)
    await KeptBeginnings(database, earliest=False).missing("docs")
    assert await begins(database, 0, 1) == {0: 10, 1: 4}
