"""The login to the page at a real authorization server, before two processes that have one address."""

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.integration.conftest import MakeArchive
from tests.servers import Oidc
from tests.support.service import Service

CLIENT = "jeap.security.oauth2.ui-client."


@pytest.fixture(scope="module")
def two(make_archive: MakeArchive, oidc: Oidc) -> Iterator[list[Service]]:
    settings = {
        CLIENT + "issuer": oidc.issuer,
        CLIENT + "client-id": "pas-page",
        CLIENT + "client-secret": oidc.clients["pas-page"].client_secret,
    }
    archive = make_archive(settings=settings)
    with archive.services(2) as services:
        yield services


@pytest.fixture
def browser(two: list[Service]) -> Iterator["Browser"]:
    with httpx.Client(headers={"Accept": "text/html"}, timeout=30) as client:
        yield Browser(two, client)


class Browser:
    """Goes where it is led; whichever process answers, the address is that of the first."""

    def __init__(self, services: list[Service], client: httpx.Client) -> None:
        self.services = services
        self.address = services[0].url
        self.client = client
        self.turn = 0

    def goes(self, method: str, address: str, **more: str) -> httpx.Response:
        """One request; the processes take turns."""
        address = urljoin(f"{self.address}/", address)
        if address.startswith(self.address):
            self.turn += 1
            host = {"Host": urlsplit(self.address).netloc}
            there = address.replace(self.address, self.services[self.turn % 2].url, 1)
            return self.client.request(method, there, headers=host, data=more or None)
        return self.client.request(method, address)

    def is_led(self, answer: httpx.Response) -> httpx.Response:
        """To where no redirect leads on."""
        while answer.is_redirect:
            ours = any(str(answer.url).startswith(each.url) for each in self.services)
            answer = self.goes("GET", urljoin(self.address if ours else str(answer.url), answer.headers["location"]))
        return answer


def test_a_person_logs_in_looks_around_and_logs_out(browser: Browser, oidc: Oidc) -> None:
    login = browser.is_led(browser.goes("GET", "/"))
    assert "You log in at" in login.text
    start = re.search(r'href="(/ui/login/start[^"]*)"', login.text)
    assert start is not None
    shown = browser.is_led(browser.goes("GET", start[1]))
    assert (shown.status_code, "Paula Page" in shown.text) == (200, True), shown.text
    assert "New job" in shown.text
    assert "/ui/artifacts" not in shown.text, "the role is missing, so it is not offered"
    for _ in range(4):
        assert browser.goes("GET", "/ui/jobs").status_code == 200
    assert browser.goes("GET", "/ui/artifacts").status_code == 403

    asked = oidc.token_requests("pas-page")
    time.sleep(4)
    assert browser.goes("GET", "/ui/jobs").status_code == 200
    assert oidc.token_requests("pas-page") == asked + 1, "renewed, half a minute before its end"
    assert browser.goes("GET", "/ui/jobs").status_code == 200
    assert oidc.token_requests("pas-page") == asked + 1, "the other process has the renewed one"

    token = re.search(r'name="token" value="(\w+)"', shown.text)
    assert token is not None
    out = browser.goes("POST", "/ui/logout", token=token[1])
    place = urlsplit(out.headers["location"])
    assert f"{place.scheme}://{place.netloc}" == oidc.issuer
    assert parse_qs(place.query)["post_logout_redirect_uri"] == [f"{browser.address}/ui/login"]
    assert browser.goes("GET", out.headers["location"]).status_code == 200, "the issuer asks whether to end its session"
    for _ in range(2):
        assert browser.goes("GET", "/ui/jobs").headers["location"].startswith("/ui/login")


def test_an_answer_that_nobody_asked_for_is_no_login(browser: Browser) -> None:
    answer = browser.goes("GET", "/ui/login/done?code=stolen&state=guessed")
    assert (answer.status_code, "begun somewhere else" in answer.text) == (403, True)
    assert "pas_session" not in str(answer.headers)
