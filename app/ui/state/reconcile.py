"""Reconcile: a list that somebody expects to be archived, compared; what is missing is offered as a new job."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import Reference
from app.domain.reconciled import OF_OBJECTS, WHOLE, Reconciled, ReferenceVerdict
from app.domain.references_csv import CsvMistake, references_of
from app.evidence.reconcile import NotReconcilable
from app.ui import texts
from app.ui.answers import render
from app.ui.forms import MEDIA_TYPE, fields_of, refuse_other_sites
from app.ui.operator import Operator, ReadsJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 100
"""Gaps that are listed; all of them go into the new job."""

SHOWN_AGAIN = 512 * 1024
"""Characters of a list that come back into the form."""


@dataclass(slots=True)
class Compared:
    """The counts of a list, and what is missing of it: neither archived nor open."""

    counts: Counter[ReferenceVerdict] = field(default_factory=Counter)
    gaps: list[Reconciled] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ListDraft:
    """The form as it was sent, and what became of it."""

    types: Sequence[ArchiveTypeConfiguration]
    sent: dict[str, str] = field(default_factory=dict)
    compared: Compared | None = None
    mistakes: Sequence[str] = ()

    @property
    def chosen(self) -> ArchiveTypeConfiguration | None:
        return next((each for each in self.types if each.name == self.sent.get("type")), None)

    @property
    def verify(self) -> bool:
        return "verify" in self.sent


@router.get("/ui/reconcile")
async def ask(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    Filters(request, ())
    return _form(request, page, operator, ListDraft(await _types(page)))


@router.post("/ui/reconcile")
async def compare(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    refuse_other_sites(request)
    async with page.edge.uploads.body(request, [MEDIA_TYPE]) as body, page.edge.reconciles.one():
        sent = await asyncio.to_thread(fields_of, body, operator)
        draft = ListDraft(await _types(page), sent)
        if draft.chosen is None:
            return _form(request, page, operator, replace(draft, mistakes=["Choose the archive type."]))
        try:
            text = draft.sent.get("csv", "").removeprefix("\ufeff")
            found = await asyncio.to_thread(references_of, text, lambda _: None)
            compared = await _compared(page, draft.chosen, found.references, verify=draft.verify)
        except CsvMistake as mistake:
            said = [line.removeprefix("Error: ") for line in mistake.lines]
            return _form(request, page, operator, replace(draft, mistakes=said))
        except NotReconcilable as error:
            raise ApiProblem(400, f"{draft.chosen.name} {error}") from error
    return _form(request, page, operator, replace(draft, compared=compared))


async def _compared(
    page: Page,
    chosen: ArchiveTypeConfiguration,
    references: Sequence[tuple[str, int | None]],
    *,
    verify: bool,
) -> Compared:
    """Raises NotReconcilable."""
    compared = Compared()
    scope = await page.edge.reconciliation.scope(chosen.message_type, chosen.id)
    expected = (Reference(*each) for each in references)
    async for some in page.edge.reconciliation.verdicts(scope, expected, verify=verify):
        compared.counts.update(each.verdict for each in some)
        compared.gaps += [each for each in some if each.verdict not in WHOLE]
    return compared


async def _types(page: Page) -> list[ArchiveTypeConfiguration]:
    return [each.configuration for each in (await page.edge.archive_types.known()).archive_types]


def _form(request: Request, page: Page, operator: Operator, draft: ListDraft) -> Response:
    given, compared = draft.sent.get("csv", ""), draft.compared
    return render(
        request,
        page,
        "reconcile.html",
        operator,
        status=400 if draft.mistakes else 200,
        draft=draft,
        csv=given if len(given) <= SHOWN_AGAIN else "",
        counts=[] if compared is None else _counts(compared, verify=draft.verify),
        shown=[] if compared is None else compared.gaps[:SHOWN],
        gaps_csv="" if compared is None else _csv(compared.gaps),
        verdicts=texts.RECONCILED,
    )


def _counts(compared: Compared, *, verify: bool) -> list[tuple[ReferenceVerdict, int]]:
    return [(each, compared.counts[each]) for each in ReferenceVerdict if verify or each not in OF_OBJECTS]


def _csv(gaps: Sequence[Reconciled]) -> str:
    """As a new job takes it: `id,version`, or `id` where no reference has a version."""
    versioned = any(each.reference.version is not None for each in gaps)
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["id", "version"] if versioned else ["id"])
    rows.writerows(each.reference if versioned else each.reference[:1] for each in gaps)
    return out.getvalue()
