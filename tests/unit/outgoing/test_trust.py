"""Everybody trusts the same authorities, and nobody takes a proxy of the environment."""

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from app.api.auth.key_sets import RemoteKeys
from app.domain.jobs import Reference
from app.objectstore.s3 import S3Options, open_s3
from app.process.adapters import key_sets_of
from app.settings.model import Settings
from app.sources.oauth import OAuthClientOptions
from app.telemetry.otlp import authorities
from tests.support.certificates import self_signed
from tests.unit.objectstore.tried import as_tried
from tests.unit.objectstore.uploads import upload_to
from tests.unit.sources.server import TRACEPARENT, RawServer, Request, answer, document, serving, sources

PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawServer]:
    """A source, a token endpoint, key sets and a store with a certificate that `trust` makes a trusted one."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    async def respond(request: Request, writer: object) -> None:
        path = request.target
        if path == "/token":
            reply = answer(200, body=b'{"access_token": "t"}')
        elif path == "/keys":
            reply = answer(200, body=b'{"keys": []}')
        elif request.method == "PUT":
            etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
            reply = answer(200, {"ETag": etag, "x-amz-version-id": "v"}, b"")
        elif request.method == "HEAD":
            reply = answer(404, body=b"")
        else:
            reply = document(b"[1]")
        writer.write(reply)  # type: ignore[attr-defined]

    async with serving(respond, context) as started:
        yield started


@pytest.fixture(params=["SSL_CERT_FILE", "SSL_CERT_DIR"])
def trust(request: pytest.FixtureRequest, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "this-machine.pem"
    if request.param == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        return
    hashed = tmp_path / "authorities"
    hashed.mkdir()
    (hashed / f"{subject_hash(certificate)}.0").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(hashed))


def subject_hash(certificate: Path) -> str:
    """The name under which OpenSSL looks for it: `openssl x509 -hash`."""
    from cryptography import x509

    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    (attribute,) = found.subject
    value = str(attribute.value).lower().encode()
    # The canonical encoding: a set of a sequence of the name's identifier and its text in lower case as UTF8String.
    pair = b"\x06\x03\x55\x04\x03" + b"\x0c" + bytes([len(value)]) + value
    sequence = b"\x30" + bytes([len(pair)]) + pair
    digest = hashlib.sha1(b"\x31" + bytes([len(sequence)]) + sequence, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


async def of_a_source(server: RawServer) -> None:
    client = OAuthClientOptions("c", f"{server.url}/token", "id", "secret")
    async with (
        sources(client) as opened,
        opened.fetching(server.configuration(oauth="c"), Reference("1"), TRACEPARENT) as found,
    ):
        assert found.content == b"[1]"


async def of_the_issuer(server: RawServer) -> None:
    issuer = SimpleNamespace(issuer="i", jwk_set_uri=f"{server.url}/keys")
    settings = SimpleNamespace(data_dir=None, resource_server=SimpleNamespace(issuers=[issuer]))
    keys = cast(RemoteKeys, key_sets_of(cast(Settings, settings)).of("i"))
    await keys.renewed()
    assert keys.problem() == "keys of i: the key set has no usable key"


async def of_the_store(server: RawServer) -> None:
    options = S3Options(access_url=server.url, access_key="AK", secret_key="SECRET-KEY")
    async with open_s3(options) as store:
        assert (await as_tried(store, "b").put(upload_to("b"))).version_id == "v"
        assert await store.head("b", "k") is None
        assert b"".join([piece async for piece in store.read("b", "k", None)]) == b"[1]"


Ask = Callable[[RawServer], Awaitable[None]]
ALL = [of_a_source, of_the_issuer, of_the_store]


@pytest.mark.parametrize("ask", ALL)
async def test_what_the_variables_name_is_trusted_by_everybody_without_a_proxy(
    ask: Ask, server: RawServer, trust: None
) -> None:
    await ask(server)


@pytest.mark.parametrize("ask", ALL)
async def test_nobody_trusts_a_certificate_that_is_not_among_them(ask: Ask, server: RawServer) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate"):
        await ask(server)
    assert server.requests == []


def test_the_collector_of_spans_is_trusted_by_the_same_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, _ = self_signed(tmp_path)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_CERTIFICATE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert authorities() == str(certificate)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/other.pem")
    assert authorities() is None
