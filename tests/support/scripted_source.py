"""A source in the place of `SourceClient`: each reference is answered as its script says, and nothing is waited for."""

from collections.abc import Awaitable, Callable
from functools import partial

from app.domain.archive_types import ArchiveTypeConfiguration, SchemaName
from app.domain.artifacts import Document
from app.domain.jobs import Reference
from app.sources.memory import ByteBudget, HeldDocument, Lease
from app.sources.pacing import SourcePacers
from app.sources.patience import Absence

SCHEMA = SchemaName("PEER", "Doc", 1)

Answer = Document | Exception | Callable[[], Awaitable[None]]
"""A document, a failure, or something that happens before the next answer is given."""


def document(content: bytes | str | None = None, **changes: object) -> Document:
    """A valid one, `{"title": …}` where text is given."""
    if content is None or isinstance(content, str):
        content = f'{{"title": "{content or "a title"}"}}'.encode()
    return Document(**{"content": content, "content_type": "application/json", "schema": SCHEMA, **changes})  # type: ignore[arg-type]


class ScriptedSource:
    """`asked` has the references in the order in which they were asked for; `in_hand` counts documents in memory.

    A reference without a script has a document that names it. The last answer of a script is repeated. `turn` is
    awaited before each request: what happens while it waits for its turn.
    """

    def __init__(self) -> None:
        self.asked: list[Reference] = []
        self.pacers = SourcePacers(64)
        self.traceparents: list[str] = []
        self.absent: Absence | None = None
        self._budget = ByteBudget(1 << 30)
        self.turn: Callable[[], Awaitable[None]] | None = None
        self._scripts: dict[str, list[Answer]] = {}

    def answers(self, reference_id: str, *answers: Answer) -> None:
        self._scripts[reference_id] = list(answers)

    def fetching(
        self,
        configuration: ArchiveTypeConfiguration,
        reference: Reference,
        traceparent: str,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> HeldDocument:
        return HeldDocument(partial(self.fetch, configuration, reference, traceparent, confirm))

    async def fetch(
        self,
        configuration: ArchiveTypeConfiguration,
        reference: Reference,
        traceparent: str,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[Document, Lease]:
        assert configuration.uri is not None
        if self.turn is not None:
            await self.turn()
        if confirm is not None:
            await confirm()
        self.asked.append(reference)
        self.traceparents.append(traceparent)
        found = await self._next(reference)
        return found, await self._budget.lease()

    @property
    def in_hand(self) -> int:
        return self._budget.leases

    async def _next(self, reference: Reference) -> Document:
        script = self._scripts.get(reference.id, [])
        while script:
            answer = script.pop(0) if len(script) > 1 or callable(script[0]) else script[0]
            if isinstance(answer, Document):
                return answer
            if isinstance(answer, Exception):
                raise answer
            await answer()
        return document(reference.id)

    def absence(self, configuration: ArchiveTypeConfiguration) -> Absence | None:
        return self.absent
