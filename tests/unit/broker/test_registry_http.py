"""Requests to the schema registry: who asks, through what, how long and how much is listened to."""

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.broker import registry_http
from app.broker.registry_http import RegistryHttp, RegistryOptions
from app.domain.errors import Unavailable
from app.outgoing.trust import trusted
from tests.servers.http import Answer
from tests.support.certificates import self_signed
from tests.support.schema_registry import FakeRegistry, schema_registry
from tests.unit.sources.server import serving


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with schema_registry() as fake:
        yield fake


def http(url: str, username: str | None = None, password: str | None = None) -> RegistryHttp:
    return RegistryHttp(RegistryOptions(url, username, password), trusted())


async def test_a_path_of_the_url_stays_and_parts_are_encoded(fake: FakeRegistry) -> None:
    await http(f"{fake.url}/apis/ccompat/v7/").request("GET", "subjects", "a/b ?ä", "versions", "1")
    assert fake.requests == ["GET /apis/ccompat/v7/subjects/a%2Fb%20%3F%C3%A4/versions/1"]


async def test_credentials_go_as_basic_authentication_and_are_shown_nowhere(fake: FakeRegistry) -> None:
    options = RegistryOptions(fake.url, "pas", "pässword:7")
    await RegistryHttp(options, trusted()).request("GET", "schemas", "types")
    assert fake.headers[0]["authorization"] == "Basic " + base64.b64encode("pas:pässword:7".encode()).decode()
    assert "pässword" not in repr(options)
    fake.misbehave = lambda _request: Answer(status=401)
    with pytest.raises(Unavailable) as caught:
        await RegistryHttp(options, trusted()).request("GET", "schemas", "types")
    assert "pässword" not in str(caught.value)


async def test_without_credentials_none_are_sent_even_where_netrc_has_some(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await http(fake.url).request("GET", "schemas", "types")
    assert "authorization" not in fake.headers[0]


async def test_proxies_of_the_environment_are_not_used(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await http(fake.url).request("GET", "schemas", "types")).is_well


async def test_a_registry_that_cannot_be_reached_is_named_with_its_address() -> None:
    with pytest.raises(Unavailable, match=r"schema-registry: http://127\.0\.0\.1:1: .+"):
        await http("http://127.0.0.1:1").request("GET", "schemas", "types")


async def test_a_slow_registry_is_given_up(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_http, "SECONDS", 0.05)
    fake.misbehave = lambda _request: Answer(body=b"x" * 100, trickle=0.02)
    with pytest.raises(Unavailable, match=r"no answer within 0\.05 s|timed out|Timeout"):
        await http(fake.url).request("GET", "schemas", "types")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(endless=True), "more than 1000 bytes"),
        (Answer(body=b"x" * 5000), "more than 1000 bytes"),
        (Answer(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b"), "packed"),
    ],
)
async def test_an_answer_is_bounded_and_never_unpacked(
    fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, answer: Answer, reason: str
) -> None:
    monkeypatch.setattr(registry_http, "LARGEST_ANSWER", 1000)
    fake.misbehave = lambda _request: answer
    with pytest.raises(Unavailable, match=reason):
        await http(fake.url).request("GET", "schemas", "types")


async def test_only_named_authorities_are_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    async with serving(answer, tls=server) as registry:
        options = RegistryOptions(registry.url)
        assert (await RegistryHttp(options, trusted(certificate)).request("GET", "schemas", "types")).is_well
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await RegistryHttp(options, trusted()).request("GET", "schemas", "types")
