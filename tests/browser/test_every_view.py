"""Every view, with hostile texts in it: nothing is in anybody's way, light and dark, and on a telephone's width."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import expect

from tests.browser.person import MakePerson, Person
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.service import Service

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>'"&{{7*7}}"""

NAME = HOSTILE.replace(" ", "/") + "n" * 180
"""Without blanks, and nearly as long as a name may be."""


def longest(beginning: str) -> str:
    """An id as long as ids may be; behind what is hostile nothing in it can be broken."""
    return beginning + HOSTILE + "e3" * ((512 - len(beginning) - len(HOSTILE)) // 2)


@pytest.fixture(scope="module")
def views(service: Service) -> Iterator[dict[str, str]]:
    """Name → path, of views that show what is hostile; the first letters are the order in which they are visited."""
    job_id = uuid4()
    ids = [*map(longest, ("gone-", "x", "y")), "gone-" + "0f" * 32, *(f"slow-view-{number}" for number in range(900))]
    named = "'" + NAME.replace("'", "''") + "'"
    service.put(job_id, submission(OSV, unversioned(*ids), name=named))
    service.wait_done(job_id, 40)
    proven = uuid4()
    service.put(proven, submission(OSV, unversioned(longest("x"), longest("gone-")), name=named))
    service.wait_completed(proven)
    wait_proven(service, proven)
    artifact = service.api("GET", f"/api/artifacts?jobId={job_id}&limit=1").json()["items"][0]["id"]
    body = {"messageType": OSV.name, "mode": "all"}
    run = service.api("POST", "/api/metadata-backfills", json=body).json()["id"]
    yield {
        "jobs": "/ui/jobs",
        "job": f"/ui/jobs/{job_id}",
        "references": f"/ui/jobs/{job_id}/references?id=gone",
        "reference": f"/ui/jobs/{job_id}/references/0",
        "question": f"/ui/jobs/{job_id}/do/cancel",
        "retry": f"/ui/jobs/{proven}/do/retry",
        "proof": f"/ui/jobs/{proven}/proof?id={quote(longest('x'))}",
        "new-job": "/ui/jobs/new",
        "artifacts": f"/ui/artifacts?col.advisory=1&referenceId={quote(longest('x'))}",
        "artifact": f"/ui/artifacts/{artifact}?content=show",
        "runs": "/ui/metadata",
        "run": f"/ui/metadata/{run}",
        "run-by-hand": "/ui/metadata-new",
        "archive-types": "/ui/archive-types",
        "reconcile": "/ui/reconcile",
        "system": "/ui/system",
        "audit": "/ui/audit",
    }
    service.api("POST", f"/api/jobs/{job_id}/cancel")


def wait_proven(service: Service, job_id: UUID) -> None:
    deadline = time.monotonic() + 60
    while service.api("GET", f"/api/jobs/{job_id}/evidence").status_code != 200:
        assert time.monotonic() < deadline, "no proof was made"
        time.sleep(0.3)


def look(person: Person, path: str) -> None:
    person.goes(path)
    expect(person.page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize(("scheme", "rule"), [("light", None), ("dark", "color-contrast")])
def test_nothing_is_in_the_way_of_anybody(
    person: MakePerson, views: dict[str, str], scheme: str, rule: str | None
) -> None:
    """In the dark only the colours differ."""
    ann = person(color_scheme=scheme)
    found = {}
    for name, path in views.items():
        look(ann, path)
        if hindrances := ann.hindrances(rule):
            found[name] = hindrances
    assert found == {}


@pytest.mark.parametrize("window", [360, 1280], ids=["telephone", "desk"])
def test_everything_fits_in_the_window(person: MakePerson, views: dict[str, str], window: int) -> None:
    ann = person(viewport={"width": window, "height": 800})
    widths = {}
    for name, path in views.items():
        look(ann, path)
        widths[name] = ann.width()
    assert {name: width for name, width in widths.items() if width > window} == {}


def test_what_others_say_is_text(person: MakePerson, views: dict[str, str]) -> None:
    ann = person()
    for name in ("jobs", "job", "references", "reference", "question", "proof"):
        look(ann, views[name])
        ann.sees("<script>alert(1)</script>")
        assert ann.page.locator("main script, main img[src=x]").count() == 0
    ann.sees("{{7*7}}")


def test_a_proof_is_found_and_taken_home(person: MakePerson, views: dict[str, str]) -> None:
    ann = person()
    ann.goes(views["proof"].partition("?")[0])
    ann.page.get_by_label("Reference id").fill(longest("x"))
    ann.clicks("Prove it")
    ann.sees("Leaf 1 of 2 is")
    assert '"index": 0' in ann.downloads("This proof as JSON")
    assert ann.downloads("All leaves (NDJSON)").count("\n") == 2
    assert ann.downloads("Signed checkpoint").splitlines()[1] == "2"
    ann.sees("pas evidence verify proof.zip --key KEY")


def test_the_policy_holds(person: MakePerson, views: dict[str, str]) -> None:
    """Scripts and styles that are put into the page are refused by the browser, and it says so."""
    ann = person()
    look(ann, views["job"])
    ann.page.evaluate(
        "const it = document.createElement('script'); it.textContent = 'window.ran = 1'; document.body.append(it)"
    )
    ann.page.evaluate(
        "const it = document.createElement('div'); it.setAttribute('style', 'color: red'); document.body.append(it)"
    )
    assert ann.page.evaluate("window.ran") is None
    assert len(ann.complaints) == 2
    assert all("Content Security Policy" in each for each in ann.complaints)
    ann.complaints.clear()


def test_the_views_without_anything_say_what_to_do(person: MakePerson) -> None:
    ann = person(logged_in=False)
    ann.goes("/ui/jobs?startedBy=nobody")
    assert ann.hindrances() == [], "the login"
    ann.clicks("Log in as the developer")
    ann.sees("No job fits these filters")
    assert ann.hindrances() == []
    ann.goes(f"/ui/jobs/{UUID(int=0)}")
    ann.sees("There is no job")
    ann.complaints[:] = [each for each in ann.complaints if "404" not in each]


def test_pictures_of_the_main_views(person: MakePerson, service: Service, pictures: Path | None) -> None:
    """Made for docs/ by `make pictures`; otherwise this only walks through them."""
    for name, ids in (
        ("Reports of 2024", [f"old-{number}" for number in range(40)]),
        ("A first try", ["gone-1", "gone-2"]),
    ):
        done = uuid4()
        service.put(done, submission(OSV, unversioned(*ids), name=f"'{name}'"))
        service.wait_completed(done)
    job_id = uuid4()
    number_of = 600 if pictures else 90  # a job that is under way looks better with many
    ids = [f"PSF-2026-{number:04d}" if number % 9 else f"gone-{number:04d}" for number in range(1, number_of)]
    ids[4] = "bad-0005"
    service.put(job_id, submission(OSV, unversioned(*ids), name="'Advisories of 2026'"))
    service.wait_done(job_id, number_of // 3)
    service.api("POST", f"/api/jobs/{job_id}/pause")
    ann = person(viewport={"width": 1100, "height": 720})
    for name, path in (
        ("jobs", "/ui/jobs"),
        ("job", f"/ui/jobs/{job_id}"),
        ("artifacts", "/ui/artifacts?col.advisory=1"),
    ):
        look(ann, path)
        picture(ann, pictures, name)
    ann.goes("/ui/jobs/new")
    ann.writes(
        f"message: {OSV.name}\ntopic: {OSV.topic}\narchiveDataReferences:\n  - id: PSF-2026-7001\n  - id: gone-7002\n"
    )
    ann.clicks("Check it")
    expect(ann.heading("Not all of this would work")).to_be_visible()
    picture(ann, pictures, "new-job")
    service.api("POST", f"/api/jobs/{job_id}/cancel")


def picture(person: Person, pictures: Path | None, name: str) -> None:
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        person.page.screenshot(path=pictures / f"{name}.png")
