"""The login at an issuer, which is scripted here; with a real one: tests/integration/test_page_login.py."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.domain.errors import Unavailable
from app.sessions.sealing import Sealing
from app.ui.login import code_flow
from app.ui.login.code_flow import CodeFlow
from app.ui.login.issuer import IssuerClient, LoginClient, LoginRefused
from app.ui.page import Page, put_page
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token
from tests.unit.ui.page_app import HTML, page_app

BACK = "https://pas.example/ui/login/done"


@dataclass
class FakeIssuer:
    """`answer` makes the answer of the token endpoint from the form that it got."""

    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "end_session_endpoint": f"{ISSUER}/end",
        }
    )
    down: bool = False
    nonce: str = ""
    status: int = 200
    changes: dict[str, Any] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        if request.url.path.endswith("openid-configuration"):
            return httpx.Response(200, json=self.metadata)
        self.forms.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        self.authorizations.append(request.headers.get("authorization", ""))
        return httpx.Response(self.status, json={**self._tokens(), **self.changes})

    def _tokens(self) -> dict[str, Any]:
        if self.status != 200:
            return {"error": "invalid_grant", "error_description": "used already"}
        return {
            "access_token": token(name="Ada", roles=["backfilljob:read"]),
            "expires_in": 300,
            "refresh_token": "refresh",
            "id_token": token(aud="pas-page", nonce=self.nonce),
        }


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


def key_sets() -> KeySets:
    return KeySets.fetched([IssuerOptions(ISSUER, f"{ISSUER}/jwks")], FakeJwks().client, None, Clock())


def flow_at(issuer: FakeIssuer, secret: str | None = "s:cret", now: Callable[[], float] = lambda: NOW) -> CodeFlow:
    client = LoginClient(ISSUER, "pas-page", secret, "openid profile")
    return CodeFlow(IssuerClient(client, issuer.client, Clock()), key_sets(), Sealing(b"key"), now)


async def begun(flow: CodeFlow, issuer: FakeIssuer) -> tuple[dict[str, str], bytes]:
    """The query with which the issuer answers a login, and what the browser has kept."""
    place, sealed = await flow.begin(BACK, "/ui/jobs")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    assert place.startswith(f"{ISSUER}/authorize?")
    assert (asked["redirect_uri"], asked["code_challenge_method"], asked["client_id"]) == (BACK, "S256", "pas-page")
    assert asked["scope"] == "openid profile"
    issuer.nonce = asked["nonce"]
    return {"state": asked["state"], "code": "c0de"}, sealed


async def test_a_login_gives_tokens_and_leads_back(issuer: FakeIssuer) -> None:
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    tokens, following = await flow.end(sealed, answer)
    assert (following, tokens.refresh, tokens.expires) == ("/ui/jobs", "refresh", NOW + 300)
    form = issuer.forms[0]
    assert (form["grant_type"], form["code"], form["redirect_uri"]) == ("authorization_code", "c0de", BACK)
    assert len(form["code_verifier"]) >= 43
    assert "client_secret" not in form
    assert issuer.authorizations == ["Basic cGFzLXBhZ2U6cyUzQWNyZXQ="], "pas-page:s%3Acret"


async def test_the_secret_goes_into_the_body_where_the_issuer_wants_it_there(issuer: FakeIssuer) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    await flow.end(sealed, answer)
    assert (issuer.forms[0]["client_secret"], issuer.authorizations) == ("s:cret", [""])


async def test_a_public_client_sends_its_id_only(issuer: FakeIssuer) -> None:
    flow = flow_at(issuer, None)
    answer, sealed = await begun(flow, issuer)
    await flow.end(sealed, answer)
    assert (issuer.forms[0]["client_id"], issuer.authorizations) == ("pas-page", [""])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "another"}, "begun somewhere else"),
        ({"iss": "https://other.example"}, "not of this issuer"),
        ({"error": "access_denied", "error_description": "the person said no"}, "access_denied: the person said no"),
    ],
)
async def test_an_answer_to_another_login_is_refused(issuer: FakeIssuer, changed: dict[str, str], reason: str) -> None:
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    with pytest.raises(LoginRefused, match=reason):
        await flow.end(sealed, {**answer, **changed})
    assert issuer.forms == []


async def test_a_login_that_took_too_long_or_was_begun_elsewhere_is_refused(issuer: FakeIssuer) -> None:
    now = float(NOW)
    flow = flow_at(issuer, now=lambda: now)
    answer, sealed = await begun(flow, issuer)
    for kept in (None, b"", sealed[:-1]):
        with pytest.raises(LoginRefused):
            await flow.end(kept, answer)
    now += code_flow.LASTS
    with pytest.raises(LoginRefused):
        await flow.end(sealed, answer)


@pytest.mark.parametrize(
    "changes", [{"nonce": "another"}, {"aud": "somebody-else"}, {"iss": "https://other.example"}, {"exp": NOW - 60}]
)
async def test_an_id_token_that_is_not_of_this_login_is_refused(issuer: FakeIssuer, changes: dict[str, Any]) -> None:
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    issuer.changes = {"id_token": token(**{"aud": "pas-page", "nonce": issuer.nonce, **changes})}
    with pytest.raises(LoginRefused, match="ID token"):
        await flow.end(sealed, answer)


async def test_what_the_issuer_refuses_is_said(issuer: FakeIssuer) -> None:
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    issuer.status = 400
    with pytest.raises(LoginRefused, match="invalid_grant: used already"):
        await flow.end(sealed, answer)
    issuer.status, issuer.changes = 200, {"access_token": None}
    with pytest.raises(LoginRefused, match="no access token"):
        await flow.end(sealed, answer)


async def test_an_issuer_that_is_away_or_is_another_makes_the_login_wait(issuer: FakeIssuer) -> None:
    issuer.down = True
    with pytest.raises(Unavailable):
        await flow_at(issuer).begin(BACK, "/ui/")
    issuer.down, issuer.metadata["issuer"] = False, "https://other.example"
    with pytest.raises(Unavailable, match="calls itself"):
        await flow_at(issuer).begin(BACK, "/ui/")


async def test_tokens_are_renewed_and_keep_what_the_answer_leaves_out(issuer: FakeIssuer) -> None:
    flow = flow_at(issuer)
    answer, sealed = await begun(flow, issuer)
    tokens, _ = await flow.end(sealed, answer)
    issuer.changes = {"refresh_token": None, "id_token": None, "expires_in": 60}
    fresh = await flow.renew(tokens)
    assert fresh is not None
    assert (fresh.refresh, fresh.identity, fresh.expires) == ("refresh", tokens.identity, NOW + 60)
    assert issuer.forms[-1] == {"grant_type": "refresh_token", "refresh_token": "refresh"}
    issuer.status = 400
    assert await flow.renew(tokens) is None
    issuer.status = 502
    issuer.changes = {"error": 7}
    with pytest.raises(Unavailable):
        await flow.renew(tokens)


@dataclass
class LoggingIn:
    client: httpx.AsyncClient
    issuer: FakeIssuer
    page: Page

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path, headers=HTML)

    async def go(self) -> httpx.Response:
        """Begins a login and comes back; the answer then."""
        start = await self.get("/ui/login/start?next=/ui/jobs")
        asked = parse_qs(urlsplit(start.headers["location"]).query)
        self.issuer.nonce = asked["nonce"][0]
        return await self.get(f"/ui/login/done?code=c0de&state={asked['state'][0]}&session_state=x")


@pytest.fixture
async def logging_in(url: str, tmp_path: Path, issuer: FakeIssuer) -> AsyncIterator[LoggingIn]:
    async with page_app(url, tmp_path) as made:
        edge = made.page.edge
        object.__setattr__(
            edge, "authenticator", Authenticator(ResourceServerOptions("psf", AUDIENCE), key_sets(), lambda: NOW)
        )
        page = Page(edge, made.page.sessions, flow_at(issuer), made.page.minutes, made.page.limits, "1.2.3")
        put_page(made.app, page)
        transport = httpx.ASGITransport(made.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://pas.example") as client:
            yield LoggingIn(client, issuer, page)


async def test_the_browser_comes_back_with_a_session(logging_in: LoggingIn) -> None:
    login = await logging_in.get("/ui/login?next=/ui/jobs")
    assert "issuer.example" in login.text
    assert "/ui/login/start?next=/ui/jobs" in login.text
    done = await logging_in.go()
    assert (done.status_code, done.headers["location"]) == (303, "/ui/jobs"), done.text
    cookies = done.headers.get_list("set-cookie")
    assert all("Secure" in each and "HttpOnly" in each and "SameSite=lax" in each for each in cookies)
    assert "refresh" not in json.dumps(cookies)
    shown = await logging_in.get("/ui/jobs")
    assert (shown.status_code, "Ada" in shown.text) == (200, True)
    assert f"form-action 'self' {ISSUER}" in shown.headers["content-security-policy"]


async def test_each_login_has_a_key_of_its_own(logging_in: LoggingIn) -> None:
    await logging_in.go()
    before = logging_in.client.cookies["pas_session"]
    await logging_in.go()
    assert logging_in.client.cookies["pas_session"] != before
    assert await logging_in.page.sessions.end(before) is None


async def test_logout_ends_both_sessions(logging_in: LoggingIn) -> None:
    await logging_in.go()
    shown = await logging_in.get("/ui/jobs")
    form = shown.text.split('name="token" value="')[1].split('"')[0]
    out = await logging_in.client.post("/ui/logout", data={"token": form})
    place = urlsplit(out.headers["location"])
    asked = parse_qs(place.query)
    assert (place.netloc, place.path) == ("issuer.example", "/end")
    assert asked["post_logout_redirect_uri"] == ["https://pas.example/ui/login"]
    assert asked["id_token_hint"][0].count(".") == 2
    assert (await logging_in.get("/ui/jobs")).status_code == 303


async def test_a_person_whose_token_this_service_does_not_accept_is_told_so(logging_in: LoggingIn) -> None:
    logging_in.issuer.changes = {"access_token": token(aud="another")}
    answer = await logging_in.go()
    assert (answer.status_code, "audience does not match" in answer.text) == (403, True)
    logging_in.issuer.changes = {"access_token": "opaque"}
    assert (await logging_in.go()).status_code == 403


async def test_an_outage_of_the_issuer_is_said(logging_in: LoggingIn) -> None:
    logging_in.issuer.down = True
    answer = await logging_in.get("/ui/login/start")
    assert (answer.status_code, "The login service cannot be reached" in answer.text) == (503, True)


async def test_without_the_embedded_mode_there_is_no_one_click(logging_in: LoggingIn) -> None:
    assert (await logging_in.client.post("/ui/login")).status_code == 404
