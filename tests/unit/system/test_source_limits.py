"""The limits of the sources of this process, written when they differ, and shown of all that are configured."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import func, select

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db.database import Database
from app.db.tables import source_minute
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.minutes import Allowance
from app.sources.pacing import SourcePacers, source_key
from app.system.source_limits import SourceLimits
from tests.support.rows import NOW

URI = "https://source.example/a/{id}"
ONE = ArchiveTypeConfiguration("M", "m", uri=URI)
ALSO = ArchiveTypeConfiguration("N", "n", uri="https://source.example/b/{id}")
LIVE = ArchiveTypeConfiguration("P", "p")
MINUTE = int(NOW.timestamp() // 60)


def limits_of(database: Database) -> SourceLimits:
    return SourceLimits(database, LiveCatalog(Catalog((ONE, ALSO, LIVE))), SourcePacers(64), uuid4())


async def test_a_dip_between_two_looks_is_seen_and_minutes_without_work_are_not_lost(database: Database) -> None:
    limits = limits_of(database)
    await limits.look(NOW, thin=True)
    assert await limits.of(1, NOW) == [], "nothing was asked yet"
    pacer = limits.pacers.of(source_key(URI))
    limits.pacers.of("https://gone.example:443")
    await limits.look(NOW, thin=False)
    pacer.congestion.throttled(0, 1.0)
    for _ in range(12):
        pacer.congestion.answered(pacer.congestion.round, 2.0)
    pacer.in_flight = 6
    assert pacer.limit > 4
    await limits.look(NOW, thin=False)
    pacer.in_flight = 0
    later = NOW + timedelta(minutes=2)
    await limits.look(later, thin=False)
    (found,) = await limits.of(1, later)
    assert (found.name, found.step) == ("M, N", 1)
    assert found.parts == (
        Allowance(MINUTE, 4, 6),
        Allowance(MINUTE + 1, None, 0),
        Allowance(MINUTE + 2, pacer.limit, 0),
    )


async def test_what_is_the_same_is_not_written_again(database: Database) -> None:
    limits = limits_of(database)
    limits.pacers.of(source_key(URI))
    await limits.look(NOW, thin=False)
    assert limits._samples(MINUTE) == []
    await limits.end()
    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(source_minute))).scalar() == 2
