"""Reloads the archive types when their file changes, without a restart, and applies the new metadata definitions."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from app.catalog.archive_types import Catalog, CatalogError
from app.catalog.live import LiveCatalog
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.metadata.definitions import Definitions

LOOK_EVERY = 1.0
"""Seconds between two checks of the file. A change is loaded once two checks see the same: then it is written
completely."""

SWEEP_EVERY = 30.0
"""Seconds between two checks for artifacts that a process with an older definition archived."""

SHOWN = 5
"""Mistakes of a refused file that are shown where there is room for one text; the log has all."""

NOT_TAKEN = "taking the file over failed unexpectedly"

log = logging.getLogger(__name__)


class Reload:
    """`load` reads and checks the file. An invalid file is refused with the places of its mistakes; the old content
    stays in force, and `readiness` has the reason until the file is taken over."""

    def __init__(
        self,
        path: Path,
        seen: bytes,
        load: Callable[[], Catalog],
        catalog: LiveCatalog,
        definitions: Definitions,
        readiness: Readiness,
    ) -> None:
        """`seen` is the digest of the file, computed before `catalog` was read from the file."""
        self._path = path
        self._load = load
        self._catalog = catalog
        self._definitions = definitions
        self._readiness = readiness
        self._taken = self._seen = seen
        self._owed = False
        self._former = catalog.now
        self._swept = monotonic()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except Unavailable as outage:
                log.info("the metadata definitions are compared again later: %s", outage)

    async def look(self) -> None:
        """Checks once whether the file changed and, when it is time, whether artifacts need a run.

        Raises Unavailable; the next call then does what is left.
        """
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
        """Raises Unavailable. After any error the previous archive types stay in force."""
        try:
            await self._definitions.apply(self._catalog.now)
        except Unavailable:
            raise
        except Exception as error:
            self._refused_for(error)
            self._catalog.now = self._former
        self._former = self._catalog.now
        self._owed = False

    async def _take_over(self) -> None:
        try:
            self._catalog.now = await asyncio.to_thread(self._load)
        except CatalogError as error:
            for mistake in error.mistakes:
                log.error("archive types not taken over, the former ones stay in force: %s", mistake)
            self._readiness.configuration_refused(_mistakes_text(error.mistakes))
            return
        except Exception as error:  # whatever a file makes the reader run into
            self._refused_for(error)
            return
        log.info("new archive types loaded from %s", self._path)
        self._readiness.configuration_taken()
        self._owed = True

    def _refused_for(self, error: Exception) -> None:
        """Notes that an unexpected error prevents the file from being used."""
        log.exception("archive types not taken over, the former ones stay in force")
        name = type(error).__name__
        self._readiness.configuration_refused(f"{NOT_TAKEN} ({name}); the log has more")


def _mistakes_text(mistakes: Sequence[str]) -> str:
    """The mistakes as one text; of many the first ones."""
    more = len(mistakes) - SHOWN
    text = "; ".join(mistakes[:SHOWN])
    return f"{text}; and {more} more, which the log names" if more > 0 else text


def digest(path: Path) -> bytes:
    """A digest of the content: a file written again with the same content is not a change. A missing file has a digest
    too."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""
