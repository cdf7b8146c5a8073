"""What people do with what is archived: search, look, take home; metadata by hand."""

import re
from uuid import uuid4

from playwright.sync_api import expect

from tests.browser.person import MakePerson
from tests.support.archive_types import OSV, unversioned
from tests.support.service import Service


def test_an_artifact_is_found_by_its_metadata_looked_at_and_downloaded(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned("PSF-2026-9001", "PSF-2026-9002"))
    service.wait_completed(job_id)
    ann = person()
    ann.clicks("Artifacts", "link")
    ann.page.get_by_label("Key 1").select_option("advisory")
    ann.page.get_by_label("Value 1").fill("PSF-2026-9001")
    ann.page.get_by_text("Columns").click()
    ann.page.get_by_label("advisory", exact=True).check()
    ann.clicks("Search")
    expect(ann.page.get_by_role("row")).to_have_count(2)
    expect(ann.page.get_by_role("row").nth(1).get_by_role("cell", name="PSF-2026-9001")).to_have_count(2)
    assert "key2" not in ann.page.url, "an address has only what is set"
    assert "PSF-2026-9001" in ann.downloads("As CSV")
    ann.clicks("PSF-2026-9001", "link")
    ann.clicks("Show the content", "link")
    expect(ann.page.get_by_label("Content", exact=True).locator("code")).to_contain_text('"id": "PSF-2026-9001",')
    assert ann.downloads("Download").startswith('{"id": "PSF-2026-9001"')
    ann.page.get_by_role("link", name=str(job_id)).click()
    ann.sees("succeeded")


def test_a_search_that_makes_no_sense_is_explained(person: MakePerson) -> None:
    ann = person()
    ann.goes("/ui/artifacts?archivedFrom=yesterday")
    expect(ann.page.get_by_role("alert")).to_contain_text("archivedFrom must be a time with its offset")
    ann.complaints.clear()


def test_a_metadata_run_is_tried_before_it_is_started(person: MakePerson, service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned("PSF-2026-9100"))
    service.wait_completed(job_id)
    ann = person()
    ann.clicks("Metadata", "link")
    ann.clicks("Run by hand", "link")
    ann.page.get_by_label("Archive type").select_option(OSV.name)
    ann.page.get_by_label("What is read").select_option("all")
    ann.page.get_by_label(re.compile("Keys")).fill("advisory")
    ann.clicks("Try it (writes nothing)")
    expect(ann.heading("What a run would do")).to_be_visible()
    ann.sees('"PSF-2026-9100"')
    ann.clicks("Start the run")
    ann.sees("completed")
    expect(ann.page.locator("dt:has-text('Keys') + dd")).to_have_text("advisory")
    ann.clicks("System", "link")
    ann.sees("all is well")
    ann.clicks("Archive types", "link")
    ann.sees(OSV.topic)
