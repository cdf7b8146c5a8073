"""Takes over changes of the archive types' file without a restart, and keeps the definitions of metadata applied."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from app.catalog.archive_types import Catalog, CatalogError
from app.catalog.live import LiveCatalog
from app.domain.errors import Unavailable
from app.metadata.definitions import Definitions

LOOK_EVERY = 1.0
"""Seconds between two looks at the file. A change counts once two looks see the same: then it is written to its end."""

SWEEP_EVERY = 30.0
"""Seconds between two looks for artifacts that a process with an older definition archived."""

log = logging.getLogger(__name__)


class Reload:
    """`load` reads and checks the file; what is invalid is refused with its places, and the old one stays in force."""

    def __init__(
        self, path: Path, seen: bytes, load: Callable[[], Catalog], catalog: LiveCatalog, definitions: Definitions
    ) -> None:
        """`seen` is the digest of the file, taken before `catalog` was read from it."""
        self._path = path
        self._load = load
        self._catalog = catalog
        self._definitions = definitions
        self._taken = self._seen = seen
        self._owed = False
        self._former = catalog.now
        self._swept = monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except Unavailable as outage:
                log.info("definitions are compared later: %s", outage)

    async def look(self) -> None:
        """One look at the file and, when it is time, at the artifacts. Raises Unavailable; nothing is forgotten."""
        before, self._seen = self._seen, await asyncio.to_thread(digest, self._path)
        if before == self._seen != self._taken:
            self._taken = self._seen
            await self._take_over()
        if self._owed:
            await self._apply()
        if monotonic() - self._swept > SWEEP_EVERY:
            self._swept = monotonic()
            await self._definitions.sweep()

    async def _apply(self) -> None:
        """Raises Unavailable; whatever else happens, what was in force before stays so."""
        try:
            await self._definitions.apply(self._catalog.now)
        except Unavailable:
            raise
        except Exception:
            log.exception("archive types not taken over, the former ones stay in force")
            self._catalog.now = self._former
        self._former = self._catalog.now
        self._owed = False

    async def _take_over(self) -> None:
        try:
            self._catalog.now = await asyncio.to_thread(self._load)
        except CatalogError as error:
            for mistake in error.mistakes:
                log.error("archive types not taken over, the former ones stay in force: %s", mistake)
            return
        except Exception:  # whatever a file makes the reader run into
            log.exception("archive types not taken over, the former ones stay in force")
            return
        log.info("archive types taken over from %s", self._path)
        self._owed = True


def digest(path: Path) -> bytes:
    """Of the content: a file that is written again unchanged is no change. A file that is away counts as such."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""
