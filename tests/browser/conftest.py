"""One embedded service with its source for all tests of the page, and a Chromium for each file of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.person import PATIENCE, MakePerson, Person
from tests.servers import ServerUnavailable, chromium
from tests.servers.source import Source
from tests.support.embedded import Embedded
from tests.support.service import Service


@pytest.fixture(scope="session")
def source() -> Iterator[Source]:
    with Source() as started:
        started.script(match="gone-*", status=404)
        started.script(match="bad-*", body='{"id": 3}')
        started.script(match="slow-*", delay_ms=1500)
        yield started


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Embedded:
    """Settings of which one archive type has metadata and is live."""
    directory = tmp_path_factory.mktemp("page")
    embedded = Embedded(directory, source, {"jeap.processarchive.metadata-backfill.enabled": True})
    types = (directory / "archive-types.yml").read_text()
    more = "\n  reference: {id: payload.id}"
    more += "\n  metadata_extraction_paths: [{key: advisory, path: id}, {key: modified, path: modified}]"
    (directory / "archive-types.yml").write_text(
        types.replace("topic: psf-osv-record-published", f"topic: psf-osv-record-published{more}")
    )
    return embedded


@pytest.fixture(scope="session")
def service(embedded: Embedded) -> Iterator[Service]:
    with embedded.service() as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of each file its own: what Playwright keeps running would be in the way of asynchronous tests."""
    try:
        program = chromium.fetch()
    except ServerUnavailable as unavailable:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"chromium: {unavailable}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(program), args=list(chromium.ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def person(browser: Browser, service: Service) -> Iterator[MakePerson]:
    """Makes people, each with a browser of its own, who have logged in; nobody's browser may have complained."""
    people: list[Person] = []

    def make(*, logged_in: bool = True, **options: Any) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(PATIENCE)
        made = Person(context, context.new_page(), service)
        made.watch()
        people.append(made)
        if logged_in:
            made.logs_in()
        return made

    yield make
    complaints = [each for made in people for each in made.complaints]
    for made in people:
        made.context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def pictures() -> Path | None:
    """Where pictures of the views are put; None: none are made."""
    named = os.environ.get("PAS_PICTURES")
    return Path(named) if named else None
