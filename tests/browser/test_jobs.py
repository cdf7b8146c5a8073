"""What people do with jobs on the page, by what they read there."""

import re
from uuid import uuid4

from playwright.sync_api import expect

from tests.browser.person import MakePerson
from tests.servers.source import Source
from tests.support.archive_types import OSV, unversioned
from tests.support.service import Service


def test_from_a_login_to_an_archived_job_and_the_retry_of_what_failed(person: MakePerson) -> None:
    ann = person()
    ann.clicks("New job", "link")
    ann.writes(f"message: {OSV.name}\ntopic: wrong\narchiveDataReferences:\n  - id: a\n  - id: a\n")
    ann.clicks("Check it")
    expect(ann.heading("The submission has mistakes.")).to_be_visible()
    ann.sees("is not the topic of message")
    expect(ann.page.locator(".gutter .bad")).to_have_text(["! 2\n", "! 5\n"])
    ann.clicks("Line 5", "link")
    assert ann.page.evaluate("getSelection().toString()") == "  - id: a"

    ids = "".join(f"  - id: {name}\n" for name in ("one", "two", "gone-1", "gone-2", "bad-1"))
    ann.writes(f"message: {OSV.name}\ntopic: {OSV.topic}\nname: Ann's job\narchiveDataReferences:\n{ids}")
    ann.page.reload()
    assert "Ann's job" in ann.page.get_by_role("textbox", name="What is archived (YAML)").input_value(), "the draft"
    ann.clicks("Check it")
    expect(ann.heading("Not all of this would work")).to_be_visible()
    ann.sees("Failed reading artifact from source service: HTTP 404")
    ann.clicks("Submit as checked")

    expect(ann.heading("Ann's job")).to_be_visible()
    ann.sees("partially succeeded")
    ann.clicks("Retry these: Failed reading artifact from source service: HTTP 404", "link")
    expect(ann.page.get_by_role("dialog")).to_contain_text("Only references that failed with")
    ann.page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    ann.sees("Retries")
    expect(ann.page.locator("dt:has-text('In all') + dd")).to_contain_text("2")
    ann.goes("/ui/jobs/new")
    assert ann.page.get_by_role("textbox", name="What is archived (YAML)").input_value() == "", "it was submitted"
    ann.complaints[:] = [each for each in ann.complaints if "status of 400" not in each]  # of the mistakes above


def test_a_csv_becomes_references(person: MakePerson) -> None:
    ann = person()
    ann.goes("/ui/jobs/new")
    ann.page.get_by_text("References from a CSV").click()
    ann.page.get_by_label("CSV", exact=True).fill("id\na\nb\na\n")
    ann.page.get_by_label("Archive type").select_option(OSV.name)
    ann.page.get_by_label("Name of the job").fill('say "hello"')
    ann.clicks("Take them over")
    ann.sees("2 references were taken over.")
    ann.sees("Duplicate reference id=a on line 4")
    written = ann.page.get_by_role("textbox", name="What is archived (YAML)").input_value()
    assert written == (
        f'message: {OSV.name}\ntopic: {OSV.topic}\nname: "say \\"hello\\""\narchiveDataReferences:\n'
        '  - id: "a"\n  - id: "b"\n'
    )
    ann.clicks("Check it")
    expect(ann.heading("This would work")).to_be_visible()


def test_two_operators_see_what_the_other_one_does(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"slow-{number}" for number in range(1500))))
    ann, bob = person(), person()
    for each in (ann, bob):
        each.at_job(job_id)
        expect(each.page.get_by_role("status")).to_have_text("Live")
    before = ann.page.locator("dd.ok").inner_text()
    expect(ann.page.locator("dd.ok")).not_to_have_text(before)
    ann.clicks("Pause", "link")
    ann.page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(bob.page.locator("main")).to_contain_text(re.compile("Paused by Developer, (now|[0-9]+ s ago)"))
    bob.clicks("Cancel the job", "link")
    bob.clicks("No, go back", "link")
    expect(bob.page.get_by_role("dialog")).to_be_hidden()
    bob.clicks("Cancel the job", "link")
    bob.page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    ann.sees("Cancelled by Developer")
    expect(ann.page.get_by_role("link", name="Resume")).to_be_hidden()


def test_a_live_view_goes_on_when_the_service_is_back(person: MakePerson, service: Service, source: Source) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"slow-again-{number}" for number in range(1500))))
    ann = person()
    ann.at_job(job_id)
    expect(ann.page.get_by_role("status")).to_have_text("Live")
    address = service.url
    service.kill()
    expect(ann.page.get_by_role("status")).to_contain_text("Not connected")
    service._arguments += ["--port", address.rpartition(":")[2]]
    service.start()
    assert service.url == address
    expect(ann.page.get_by_role("status")).to_have_text("Live")
    before = ann.page.locator("dd.ok").inner_text()
    expect(ann.page.locator("dd.ok")).not_to_have_text(before)
    service.api("POST", f"/api/jobs/{job_id}/cancel")
    ann.sees("Cancelled by Dora Developer")
    ann.complaints[:] = [each for each in ann.complaints if "net::ERR_" not in each]


def test_references_are_filtered_and_taken_home(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*(f"ref-{number}" for number in range(150)), "gone-3"))
    service.wait_completed(job_id)
    ann = person()
    ann.at_job(job_id)
    assert ann.downloads("Report as YAML").startswith(f"message: {OSV.name}")
    ann.clicks("References", "link")
    expect(ann.page.get_by_role("row")).to_have_count(101)
    ann.clicks("Next page ›", "link")
    expect(ann.page.get_by_role("row")).to_have_count(52)
    ann.page.get_by_label("State").select_option("failed")
    expect(ann.page.get_by_role("row")).to_have_count(2)
    assert ann.page.url.endswith("/references?state=failed")
    assert ann.downloads("These as CSV").count("gone-3") == 1
    ann.clicks("gone-3", "link")
    ann.sees("Failed reading artifact from source service: HTTP 404")
    ann.clicks("Copy the id")
    ann.page.context.grant_permissions(["clipboard-read"])
    expect(ann.page.get_by_role("status")).to_have_text("Copied: gone-3")
    assert ann.page.evaluate("navigator.clipboard.readText()") == "gone-3"
