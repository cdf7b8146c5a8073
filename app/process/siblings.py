"""The metrics of all equal processes: each answers on a socket of its own, and whoever is asked asks the others."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.process.member import Member
from app.telemetry import metrics
from app.telemetry.exposition import merged

PATIENCE = 1.0
"""Seconds that the others have to answer; all are asked at the same time."""

LONGEST = 16 * 2**20
"""Bytes of an answer; a process that sends more counts as one that does not answer."""

END = b"# EOF\n"
"""The last line of an answer: without it, its process ended while it answered."""


@dataclass(slots=True)
class Siblings:
    """`own` gives the metrics of this process, as text."""

    member: Member
    own: Callable[[], bytes]
    _gathering: "asyncio.Task[bytes] | None" = None

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answers the others meanwhile."""
        path = self._path(self.member.number)
        with contextlib.suppress(OSError):
            path.unlink()  # of a process that was killed
        server = await self._listen(path)
        try:
            yield
        finally:
            if server is not None:
                server.close()
            with contextlib.suppress(OSError):
                path.unlink()
            if not self.member.has_parent:  # whose part it would be
                shutil.rmtree(self.member.directory, ignore_errors=True)

    async def _listen(self, path: Path) -> asyncio.Server | None:
        """None where the parent has gone, and with it the directory: this process is about to stop."""
        try:
            return await asyncio.start_unix_server(self._answer, str(path))
        except OSError:
            if self.member.has_parent:
                raise
            return None

    async def metrics(self) -> bytes:
        """The metrics of all processes. Those of a process that does not answer in time are left out.

        Who asks while they are gathered gets the same answer: anybody may ask, and each answer costs all processes.
        """
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._gather())
            self._gathering.add_done_callback(self._gathered)
        return await asyncio.shield(self._gathering)  # who goes away does not end it for the others

    def _gathered(self, _done: "asyncio.Task[bytes]") -> None:
        self._gathering = None

    async def _gather(self) -> bytes:
        answers = await asyncio.gather(*map(self._ask, self.member.others))
        found = dict(zip(self.member.others, answers, strict=True))
        found[self.member.number] = self.own()
        for number in sorted(found):
            metrics.PROCESS_UP.labels(str(number)).set(found[number] is not None)
        texts = {number: text for number, text in sorted(found.items()) if text is not None}
        return await asyncio.to_thread(merged, texts) + metrics.render(metrics.OF_ALL_PROCESSES)

    def _path(self, number: int) -> Path:
        return self.member.directory / str(number)

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError), contextlib.closing(writer):
            async with asyncio.timeout(PATIENCE):
                writer.write(self.own() + END)
                await writer.drain()

    async def _ask(self, number: int) -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_unix_connection(str(self._path(number)), limit=2**20)
                with contextlib.closing(writer):
                    return await _whole(reader)
        except (OSError, TimeoutError):
            return None


async def _whole(reader: asyncio.StreamReader) -> bytes | None:
    """What is sent until the end; None where it is cut off, or too long."""
    pieces: list[bytes] = []
    size = 0
    while piece := await reader.read(2**20):
        pieces.append(piece)
        size += len(piece)
        if size > LONGEST:
            return None
    text = b"".join(pieces)
    return text.removesuffix(END) if text.endswith(END) else None
