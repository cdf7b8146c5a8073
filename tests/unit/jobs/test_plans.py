"""A submission with a plan is stored only where that is what would happen, and only a new job is held to its plan."""

from dataclasses import replace
from uuid import UUID

import pytest

from app.catalog.archive_types import Catalog
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.mistakes import Mistake
from app.domain.plans import Terms
from app.jobs.plans import PlanChanged, Plans
from app.jobs.submit import Accepted
from tests.support.core import DORA, Core, Submission, configuration, submission

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")
TERMS = Terms((), "archive", "NONE", frozenset(), frozenset(), "COMPLIANCE")
BODY = submission("a", "b")
PLAN = Plans(TERMS).text(BODY.content_hash, configuration())


async def submit(core: Core, body: Submission, plan: str, plans: Plans | None = None) -> Accepted:
    def approve(found: ArchiveTypeConfiguration) -> None:
        (plans or Plans(TERMS)).check(plan, body.content_hash, found)

    return await core.submissions.submit(JOB, body, DORA, approve)


async def test_a_job_as_planned_is_accepted_whatever_the_order_of_its_references(core: Core) -> None:
    assert await submit(core, submission("b", "a", num_of_retry=3), PLAN) is Accepted.NEW


async def test_a_job_that_is_not_as_planned_is_not_stored_and_told_what_changed(core: Core) -> None:
    with pytest.raises(PlanChanged) as refused:
        await submit(core, BODY, PLAN, Plans(replace(TERMS, bucket="other", lock_mode="GOVERNANCE")))
    assert [each.path for each in refused.value.mistakes] == ["Pas-Plan", "Pas-Plan"]
    assert "now GOVERNANCE" in str(refused.value)
    assert (await core.tasks(JOB), core.due) == ([], 0)


async def test_the_configuration_is_that_of_the_moment_of_the_submission(core: Core) -> None:
    core.catalog.now = Catalog((configuration(uri="https://elsewhere/{id}"),))
    with pytest.raises(PlanChanged) as refused:
        await submit(core, BODY, PLAN)
    text = "was made with another configuration of the archive type (address, OAuth client, metadata, …)"
    assert refused.value.mistakes == (Mistake("Pas-Plan", None, text),)


async def test_a_known_job_is_not_held_to_a_plan(core: Core) -> None:
    await submit(core, BODY, PLAN)
    assert await submit(core, BODY, "no plan") is Accepted.REPEATED


def test_a_body_with_mistakes_has_no_plan() -> None:
    with pytest.raises(ValueError, match="a body with mistakes has no plan"):
        Plans(TERMS).text(None, configuration())
