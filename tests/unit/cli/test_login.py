"""Logging in: who says where, how tokens are kept and renewed, and what is said when it does not go."""

import json
import stat
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import login, oauth, token_store
from app.cli.exits import Ended
from app.cli.token_store import StoredLogin
from tests.unit.cli.conftest import URL, Done, Fake

ISSUER = "https://login.example.org/realms/pas"
SAID = {"authorization_servers": [ISSUER], "cli_client_id": "pas-cli"}
DISCOVERY = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device",
    "scopes_supported": ["openid", "offline_access"],
}
DEVICE = {
    "device_code": "hidden-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://login.example.org/d",
    "interval": 5,
    "expires_in": 600,
}


def jwt(**claims: Any) -> str:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


TOKEN = jwt(sub="dora", name="Dora", iss=ISSUER, exp=4102444800, userroles=["psf_@backfilljob_#read"], scope="openid x")


@pytest.fixture
def issuer(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The service says where one logs in; nobody has a token, and no time passes."""
    monkeypatch.delenv("PAS_TOKEN")
    monkeypatch.setattr(login.by_device, "__defaults__", (lambda _seconds: None,))
    fake.says("GET", login.METADATA, SAID)
    fake.says("GET", f"{ISSUER}/.well-known/openid-configuration", DISCOVERY)
    fake.says("POST", f"{ISSUER}/device", DEVICE)
    fake.says("GET", "/api/jobs", {"items": [], "next": None})
    return fake


def answers(fake: Fake, *given: dict[str, Any]) -> None:
    """What the token endpoint answers, in turn; an `error` is a 400."""
    left = iter(given)

    def answer(_request: httpx.Request) -> httpx.Response:
        body = next(left)
        return httpx.Response(400 if "error" in body else 200, json=body)

    fake.says("POST", f"{ISSUER}/token", answer)


def form(fake: Fake) -> dict[str, str]:
    return dict(httpx.QueryParams(fake.requests[-1].content.decode()))


PENDING = {"error": "authorization_pending"}
GIVEN = {"access_token": TOKEN, "expires_in": 600, "refresh_token": "r-1"}


def test_a_person_logs_in_by_device_code_with_what_the_service_says(issuer: Fake, home: Path) -> None:
    answers(issuer, PENDING, {"error": "slow_down"}, GIVEN)
    done = issuer.run("login")
    assert (done.code, done.out) == (0, f"Logged in to {URL} as Dora.\n")
    assert "ABCD-EFGH" in done.err
    assert "https://login.example.org/d" in done.err
    assert form(issuer)["client_id"] == "pas-cli"
    asked = [request for request in issuer.requests if request.url.path.endswith("/device")]
    assert httpx.QueryParams(asked[0].content.decode())["scope"] == "openid offline_access"
    assert issuer.run("jobs", "list").code == 0
    assert issuer.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert stat.S_IMODE((home / "logins.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_options_go_before_what_the_service_says(issuer: Fake) -> None:
    answers(issuer, GIVEN)
    assert issuer.run("login", "--issuer", ISSUER, "--client-id", "mine", "--scope", "a b").code == 0
    assert [request.url.path for request in issuer.requests if request.url.host == "pas.example.org"] == []
    assert form(issuer)["client_id"] == "mine"


def test_a_slow_down_slows_down(issuer: Fake) -> None:
    pauses: list[float] = []
    answers(issuer, PENDING, {"error": "slow_down"}, PENDING, GIVEN)
    login.by_device(oauth.find_issuer(ISSUER, False), "pas-cli", None, False, pauses.append)
    assert pauses == [5, 5, 10, 10]


def test_an_issuer_that_is_away_for_a_moment_is_asked_again(issuer: Fake) -> None:
    left = iter([httpx.ReadTimeout("slow"), httpx.ConnectError("refused")])

    def answer(_request: httpx.Request) -> Any:
        if error := next(left, None):
            raise error
        return GIVEN

    issuer.says("POST", f"{ISSUER}/token", answer)
    pauses: list[float] = []
    login.by_device(oauth.find_issuer(ISSUER, False), "pas-cli", None, False, pauses.append)
    assert pauses == [5, 10, 15]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"error": "access_denied"}], "The login was refused."),
        ([PENDING, {"error": "expired_token"}], "Nobody logged in in time."),
        ([PENDING] * 1000, "Nobody logged in in time."),
        ([{"error": "invalid_client", "error_description": "unknown"}], "The issuer refused: invalid_client: unknown"),
    ],
)
def test_a_login_that_does_not_go_is_1_and_keeps_nothing(
    given: list[dict[str, Any]], said: str, issuer: Fake, home: Path
) -> None:
    answers(issuer, *given)
    done = issuer.run("login")
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert not (home / "logins.json").exists()


@pytest.mark.parametrize("where", ["variable", "stdin"])
def test_a_client_logs_in_with_its_secret(where: str, issuer: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    if where == "variable":
        monkeypatch.setenv("PAS_CLIENT_SECRET", "s:é\n")
    else:
        monkeypatch.setattr("sys.stdin", io.StringIO("s:é\n"))
    answers(issuer, {"access_token": TOKEN, "expires_in": 0}, {"access_token": jwt(sub="again")})
    assert issuer.run("login", "--client-id", "robot").code == 0
    assert form(issuer) == {"grant_type": "client_credentials"}
    assert issuer.requests[-1].headers["authorization"] == "Basic cm9ib3Q6cyUzQSVDMyVBOQ=="
    assert issuer.run("jobs", "list").code == 0, "renewed by itself, with the secret that was kept"
    assert issuer.requests[-1].headers["authorization"] == f"Bearer {jwt(sub='again')}"


def kept(**changes: Any) -> StoredLogin:
    made = StoredLogin(ISSUER, "pas-cli", TOKEN, time.time() + 600, "r-1")
    made = StoredLogin(**{**{name: getattr(made, name) for name in made.__slots__}, **changes})
    token_store.keep(URL, made)
    return made


NEW = jwt(sub="dora", n=2)


def test_a_token_is_renewed_before_its_end_and_the_new_one_is_kept(issuer: Fake) -> None:
    kept(expires=time.time() + 10)
    answers(issuer, {"access_token": NEW, "expires_in": 600, "refresh_token": "r-2"})
    for _ in range(2):
        assert issuer.run("jobs", "list").code == 0
        assert issuer.requests[-1].headers["authorization"] == f"Bearer {NEW}"
    found = token_store.kept(URL)
    assert found is not None
    assert found.refresh_token == "r-2"


def test_a_token_that_is_no_longer_taken_is_renewed_once(issuer: Fake) -> None:
    kept()
    answers(issuer, {"access_token": NEW, "expires_in": 600})
    accepted: dict[str, Any] = {"items": [], "next": None}

    def jobs(request: httpx.Request) -> Any:
        return accepted if request.headers["authorization"] == f"Bearer {NEW}" else httpx.Response(401)

    issuer.says("GET", "/api/jobs", jobs)
    assert issuer.run("jobs", "list").code == 0
    found = token_store.kept(URL)
    assert found is not None
    assert found.refresh_token == "r-1", "an issuer that gives no new one means the old one"
    issuer.says("GET", "/api/jobs", httpx.Response(401))
    answers(issuer, {"access_token": TOKEN, "expires_in": 600})
    assert issuer.run("jobs", "list").code == 1


def test_what_another_process_renewed_is_taken_and_not_renewed_again(issuer: Fake) -> None:
    from app.cli.tokens import OfLogin

    old = kept(expires=time.time() - 1)
    kept(access_token=NEW)
    assert OfLogin(URL, old).token() == NEW
    assert issuer.requests == []


def test_a_login_that_has_ended_says_so(issuer: Fake) -> None:
    kept(expires=0)
    answers(issuer, {"error": "invalid_grant"})
    done = issuer.run("jobs", "list")
    assert done.code == 1
    assert "Log in again: pas login" in done.err


def test_a_login_is_for_its_service_only(issuer: Fake) -> None:
    kept()
    done = issuer.run("jobs", "list", "--url", "https://evil.example.org")
    assert done.code == 1
    assert "Missing access token" in done.err
    assert issuer.requests == []


def test_logout_forgets(issuer: Fake) -> None:
    kept()
    assert "is forgotten" in issuer.run("logout").out
    assert token_store.kept(URL) is None
    assert "There was no login" in issuer.run("logout").out


def test_whoami_says_what_the_token_says(issuer: Fake) -> None:
    kept()
    done = issuer.run("whoami")
    assert (done.code, issuer.requests) == (0, [])
    for said in ("Dora", ISSUER, "psf_@backfilljob_#read", "2100-01-01", "the login"):
        assert said in done.out
    assert TOKEN not in done.out
    read = json.loads(issuer.run("whoami", "--output", "json", "--access-token", jwt(sub="x", exp=1)).out)
    assert (read["subject"], read["from"], read["expires"]) == ("x", "--access-token", "1970-01-01T00:00:01Z")
    assert "no JWT" in issuer.run("whoami", "--access-token", "opaque").err


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"authorization_servers": [ISSUER, "https://two"], "cli_client_id": "c"}, 2, "several issuers"),
        ({"authorization_servers": [], "cli_client_id": "c"}, 1, "names no issuer"),
        ({"authorization_servers": [ISSUER]}, 2, "--client-id"),
        ({"authorization_servers": ["urn:pas:dev:x"]}, 1, "pas dev-token"),
        ({"authorization_servers": ["urn:other"], "cli_client_id": "c"}, 1, "has no address"),
        (httpx.Response(404), 1, "--issuer and --client-id"),
    ],
)
def test_what_the_service_does_not_say_is_asked_for(said: Any, code: int, words: str, issuer: Fake) -> None:
    issuer.says("GET", login.METADATA, said)
    done = issuer.run("login")
    assert done.code == code
    assert words in done.err


def test_an_issuer_that_calls_itself_otherwise_is_not_trusted(issuer: Fake) -> None:
    issuer.says("GET", f"{ISSUER}/.well-known/openid-configuration", {**DISCOVERY, "issuer": "https://evil"})
    with pytest.raises(Ended, match="not trusted"):
        oauth.find_issuer(ISSUER, False)


def test_an_issuer_of_oauth_without_openid_is_found(issuer: Fake) -> None:
    issuer.says("GET", f"{ISSUER}/.well-known/openid-configuration", httpx.Response(404))
    issuer.says("GET", f"{ISSUER}/.well-known/oauth-authorization-server", DISCOVERY)
    assert oauth.find_issuer(ISSUER + "/", False).token_endpoint == f"{ISSUER}/token"


def test_debug_shows_no_secret_of_a_login(issuer: Fake) -> None:
    answers(issuer, PENDING, GIVEN)
    done: Done = issuer.run("login", "--debug")
    assert f"> POST {ISSUER}/token" in done.err
    assert "client_id=pas-cli" in done.err
    for secret in (TOKEN, "r-1", "hidden-code"):
        assert secret not in done.err


def test_a_file_that_others_can_read_is_not_used(issuer: Fake, home: Path) -> None:
    kept()
    (home / "logins.json").chmod(0o644)
    done = issuer.run("jobs", "list")
    assert done.code == 1
    assert "chmod 600" in done.err


class Ring:
    """A keyring that works, or fails as one that is locked."""

    class errors:  # as the module calls it
        class KeyringError(Exception):
            pass

    def __init__(self, *, locked: bool = False) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = locked

    def set_password(self, name: str, user: str, password: str) -> None:
        if self.locked:
            raise self.errors.KeyringError
        self.entries[name, user] = password

    def get_password(self, name: str, user: str) -> str | None:
        if self.locked:
            raise self.errors.KeyringError
        return self.entries.get((name, user))

    def delete_password(self, name: str, user: str) -> None:
        if self.locked or (name, user) not in self.entries:
            raise self.errors.KeyringError
        del self.entries[name, user]


@pytest.mark.parametrize("locked", [False, True])
def test_the_keyring_has_the_login_where_it_works(
    locked: bool, issuer: Fake, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Ring(locked=locked)
    monkeypatch.setattr(token_store, "_keyring", lambda: ring)
    made = kept()
    assert token_store.kept(URL) == made
    assert list(ring.entries) == ([] if locked else [("pas", URL)])
    assert (home / "logins.json").exists() is locked
    token_store.forget(URL)
    assert token_store.kept(URL) is None
