"""The page is there where the settings give a way to log in."""

from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from app.api import no_page
from app.api.auth.callers import KeySets
from app.api.edge import Edge
from app.db.database import Database
from app.domain.readiness import Readiness
from app.main import create_app
from app.process.page import open_page
from app.sessions.sealing import UnreadableSeal
from app.settings.model import Settings
from app.system.source_limits import SourceLimits
from app.ui.login.code_flow import CodeFlow
from app.ui.login.embedded import EmbeddedLogin
from app.ui.page import Page
from tests.unit.settings.test_settings import COMPLETE, load, mistakes

CLIENT = "jeap.security.oauth2.ui-client: {issuer: 'https://id.example', client-id: pas-page, client-secret: s}\n"

EDGE = cast("Edge", object())
LIMITS = cast("SourceLimits", object())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def page_with(settings: Settings) -> Page | None:
    return open_page(settings, EDGE, Database("sqlite:///unused"), KeySets({}), LIMITS, "1")


def test_without_a_client_there_is_no_page_and_with_one_there_is(tmp_path: Path) -> None:
    assert page_with(load(COMPLETE)) is None
    page = page_with(load(COMPLETE + CLIENT))
    assert page is not None
    assert isinstance(page.login, CodeFlow)
    assert page.login.name == "id.example"
    assert page.login.form_targets == ("https://id.example",)
    assert page_with(load(COMPLETE + CLIENT + "jeap.processarchive.ui.enabled: false\n")) is None


def test_the_embedded_service_has_one_unless_it_is_switched_off(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    page = page_with(load(COMPLETE, embedded=tmp_path / "data"))
    assert page is not None
    assert isinstance(page.login, EmbeddedLogin)
    key = tmp_path / "data" / "page-key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)
    settings = load(COMPLETE + CLIENT.replace("id.example", "other.example"), embedded=tmp_path / "data")
    assert "jeap.security.oauth2.ui-client.issuer" in settings.replaced
    assert page_with(load(COMPLETE, {"JEAP_PROCESSARCHIVE_UI_ENABLED": "false"}, embedded=tmp_path / "data")) is None


async def test_sessions_need_the_same_key_of_the_settings_in_all_processes() -> None:
    def sealing(**variables: str) -> Any:
        page = page_with(load(COMPLETE + CLIENT, variables))
        assert page is not None
        return page.sessions.sealing

    sealed = sealing().seal(b"tokens", b"")
    assert sealing(JEAP_PROCESSARCHIVE_UI_ADDRESS="https://pas.example").open(sealed, b"") == b"tokens"
    with pytest.raises(UnreadableSeal):
        sealing(JEAP_PROCESSARCHIVE_UI_SESSION_KEY="another").open(sealed, b"")


def test_a_client_is_given_whole_and_of_an_issuer_that_is_trusted() -> None:
    client = "jeap.security.oauth2.ui-client."
    assert mistakes(COMPLETE + f"{client}issuer: https://id.example\n") == [
        f"{client}client-id: missing, while {client}issuer is given"
    ]
    assert mistakes(COMPLETE + f"{client}client-id: pas-page\n") == [
        f"{client}issuer: missing, while {client}client-id or -secret is given"
    ]
    [mistake] = mistakes(COMPLETE + CLIENT.replace("id.example", "other.example"))
    assert mistake.startswith(f"{client}issuer: its tokens are not accepted: list it among jeap.security.oauth2.resou")
    assert load(COMPLETE + "jeap.processarchive.ui.trace-url: 'https://traces.example/{traceId}'\n").ui.trace_url
    [mistake] = mistakes(COMPLETE + "jeap.processarchive.ui.trace-url: https://traces.example/\n")
    assert mistake.startswith("jeap.processarchive.ui.trace-url: must have {traceId}")


@pytest.mark.parametrize("enabled", [True, False])
async def test_without_a_page_the_root_says_what_is_here(enabled: bool) -> None:
    app = create_app("", Readiness(()), EDGE if enabled else None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.json()["detail"]) == (404, no_page.HERE)
        assert (await client.get("/ui/")).json()["title"] == "Not Found"
