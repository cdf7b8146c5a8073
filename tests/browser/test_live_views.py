"""Views that move by themselves: what a person has opened stays open, and what goes wrong passes."""

import re
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.person import MakePerson, Person
from tests.support.archive_types import unversioned
from tests.support.service import Service

LOST = re.compile("Not connected")


@pytest.fixture
def slow_job(service: Service) -> UUID:
    """A job that is under way, with a chart."""
    job_id = uuid4()
    service.submit(job_id, unversioned("one", *(f"slow-moves-{number}" for number in range(1500))))
    return job_id


def moves(person: Person) -> None:
    """Waits until the view has changed by itself."""
    before = person.page.locator("dd.ok").inner_text()
    expect(person.page.locator("dd.ok")).not_to_have_text(before)


def test_a_table_that_was_opened_stays_open_while_it_changes(
    person: MakePerson, service: Service, slow_job: UUID
) -> None:
    ann = person()
    ann.at_job(slow_job)
    table = ann.page.get_by_role("table", name="").filter(has_text="From (UTC)")
    opening = ann.page.get_by_text("As a table")
    expect(opening).to_be_visible()
    opening.click()
    expect(table).to_be_visible()
    moves(ann)
    moves(ann)
    expect(table).to_be_visible()
    service.api("POST", f"/api/jobs/{slow_job}/cancel")


def test_what_is_shown_stays_while_the_service_cannot_answer(
    person: MakePerson, service: Service, slow_job: UUID
) -> None:
    ann = person()
    ann.at_job(slow_job)
    expect(ann.page.get_by_role("status")).to_have_text("Live")
    cannot(ann.page, "**/ui/jobs/**")
    expect(ann.page.get_by_role("status")).to_have_text(LOST)
    expect(ann.page.locator("dd.ok")).to_be_visible()
    ann.page.unroute_all()
    expect(ann.page.get_by_role("status")).to_have_text("Live")
    moves(ann)
    service.api("POST", f"/api/jobs/{slow_job}/cancel")
    ann.complaints[:] = [each for each in ann.complaints if "503" not in each]


def test_a_view_without_a_stream_says_so_too(person: MakePerson) -> None:
    ann = person()
    ann.goes("/ui/system")
    cannot(ann.page, "**/ui/system")
    expect(ann.page.get_by_role("status")).to_have_text(LOST)
    expect(ann.heading("Processes")).to_be_visible()
    ann.page.unroute_all()
    expect(ann.page.get_by_role("status")).to_have_text("")
    ann.complaints[:] = [each for each in ann.complaints if "503" not in each]


def test_what_cannot_be_copied_is_selected(person: MakePerson, slow_job: UUID) -> None:
    ann = person()
    ann.page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    ann.at_job(slow_job, "/references/0")
    ann.clicks("Copy the id")
    expect(ann.page.get_by_role("status")).to_contain_text("Selected")
    assert ann.page.evaluate("getSelection().toString()") == "one"


def cannot(page: Page, addresses: str) -> None:
    """From now on these are answered as while the database is away."""

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="text/html", body="<main id='view'><h1>Not available</h1></main>")

    page.route(addresses, refuse)
