"""Plans of jobs: made by a preflight, checked by a submission."""

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.mistakes import Mistake
from app.domain.plans import Plan, Terms, changes, hashed_terms, plan_of

HEADER = "Pas-Plan"


class PlanChanged(Exception):
    """The job would not be archived as its plan says; `mistakes` names what has changed."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


class Plans:
    """Makes and checks plans. Asks no source: the plan of a submission is the same whatever its source answers."""

    def __init__(self, terms: Terms) -> None:
        self._lock_mode = terms.lock_mode
        self._terms = hashed_terms(terms)

    def text(self, content_hash: bytes | None, configuration: ArchiveTypeConfiguration) -> str:
        """The plan of a body without mistakes, as text."""
        return self._plan(content_hash, configuration).text()

    def check(self, text: str, content_hash: bytes | None, configuration: ArchiveTypeConfiguration) -> None:
        """Compares the plan `text` with the present one. Raises PlanChanged."""
        found = changes(text, self._plan(content_hash, configuration), self._lock_mode)
        if found:
            raise PlanChanged(tuple(Mistake(HEADER, None, message) for message in found))

    def _plan(self, content_hash: bytes | None, configuration: ArchiveTypeConfiguration) -> Plan:
        if content_hash is None:
            raise ValueError("a body with mistakes has no plan")
        return plan_of(content_hash, configuration, self._terms)
