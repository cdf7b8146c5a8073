"""The page without a mouse, and without its script."""

from uuid import uuid4

from playwright.sync_api import expect

from tests.browser.person import MakePerson, Person
from tests.support.archive_types import unversioned
from tests.support.service import Service


def tabs_to(person: Person, name: str) -> None:
    """Presses Tab until the thing of that name has the focus."""
    for _ in range(60):
        person.page.keyboard.press("Tab")
        focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
        if person.page.evaluate(focused) == name:
            return
    raise AssertionError(f"Tab does not lead to {name}")


def test_a_job_is_paused_with_the_keyboard_alone(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"slow-keys-{number}" for number in range(1500))))
    ann = person(logged_in=False)
    ann.goes(f"/ui/jobs/{job_id}")
    tabs_to(ann, "Log in as the developer")
    ann.page.keyboard.press("Enter")
    expect(ann.heading("Progress")).to_be_visible()
    ann.page.keyboard.press("Tab")
    assert ann.page.evaluate("document.activeElement.className") == "skip"
    ann.page.keyboard.press("Enter")
    tabs_to(ann, "Pause")
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_role("dialog")).to_be_visible()
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_role("dialog")).to_be_hidden()
    assert ann.page.evaluate("document.activeElement.textContent") == "Pause", "the focus comes back"
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_role("dialog")).to_be_visible()
    tabs_to(ann, "Pause")
    ann.page.keyboard.press("Enter")
    ann.sees("Paused by Developer")
    service.api("POST", f"/api/jobs/{job_id}/cancel")


def test_the_focus_stays_where_it_is_while_the_view_moves(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"slow-focus-{number}" for number in range(1500))))
    ann = person()
    ann.goes("/ui/jobs")
    row = ann.page.get_by_role("row").filter(has_text=str(job_id))
    row.get_by_role("link").focus()
    before = row.inner_text()
    expect(row).not_to_have_text(before)
    assert str(job_id) in ann.page.evaluate("document.activeElement.href")
    service.api("POST", f"/api/jobs/{job_id}/cancel")


def test_without_the_script_all_works_but_what_moves(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"slow-plain-{number}" for number in range(1500))))
    ann = person(java_script_enabled=False)
    ann.page.get_by_label("State").select_option("open")
    ann.clicks("Filter")
    ann.page.get_by_role("row").filter(has_text=str(job_id)).get_by_role("link").click()
    ann.clicks("Pause", "link")
    ann.sees("nothing is lost")
    ann.clicks("Pause")
    ann.sees("Paused by Developer")
    ann.clicks("Log out")
    expect(ann.heading("Log in")).to_be_visible()
    ann.at_job(job_id)
    expect(ann.heading("Log in")).to_be_visible()
    service.api("POST", f"/api/jobs/{job_id}/cancel")
