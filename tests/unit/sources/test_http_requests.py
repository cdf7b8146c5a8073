"""What the source sees of a fetch."""

import asyncio

import pytest

from app.domain.errors import PermanentFailure
from app.domain.jobs import Reference
from tests.unit.sources.server import TRACEPARENT, Request, answer, document, serving, sources

IDS = {
    "DOC-2024-001": "DOC-2024-001",
    "a/b": "a%2Fb",
    "a?b=c&d": "a%3Fb%3Dc%26d",
    "#x": "%23x",
    "100%": "100%25",
    "a b": "a%20b",
    "ä": "%C3%A4",
    "😀": "%F0%9F%98%80",
    "%2e%2e": "%252e%252e",
    "%2F..%2F": "%252F..%252F",
    "a+b": "a%2Bb",
    "a..b": "a..b",
    "...": "...",
    "../../etc": "..%2F..%2Fetc",
    "~-._": "~-._",
    "'!()*:@$,;[]": "%27%21%28%29%2A%3A%40%24%2C%3B%5B%5D",
    "{version}": "%7Bversion%7D",
    "\\": "%5C",
    "@evil.example:80/": "%40evil.example%3A80%2F",
}


@pytest.mark.parametrize("path", ["/docs/{id}", "/docs/{id}/content", "/docs?id={id}", "/docs?a=b&id={id}&c=%2e"])
async def test_every_id_reaches_the_server_byte_for_byte(path: str) -> None:
    async with serving(document()) as server, sources() as client:
        for id in IDS:
            async with client.fetching(server.configuration(path), Reference(id), TRACEPARENT):
                pass
        assert server.targets == [path.replace("{id}", encoded) for encoded in IDS.values()]


async def test_escapes_and_dots_of_the_template_are_left_alone() -> None:
    path = "/a%27b/%7E/%2e%2e/x/../y/{id};v={version}?q=%20+'#fragment"
    async with serving(document()) as server, sources() as client:
        async with client.fetching(server.configuration(path), Reference("1", 7), TRACEPARENT):
            pass
        assert server.targets == ["/a%27b/%7E/%2e%2e/x/../y/1;v=7?q=%20+'"]


async def test_spaces_and_other_scripts_of_the_template_are_encoded() -> None:
    async with serving(document()) as server, sources() as client:
        async with client.fetching(server.configuration("/ö x/{id}"), Reference("1"), TRACEPARENT):
            pass
        assert server.targets == ["/%C3%B6%20x/1"]


@pytest.mark.parametrize("host", ["{id}.example.org", "b%C3%BCcher.example", "bücher.example"])
async def test_no_reference_chooses_the_host(host: str) -> None:
    async with serving(document()) as server, sources() as client:
        configuration = server.configuration()
        object.__setattr__(configuration, "uri", f"https://{host}/{{id}}")
        with pytest.raises(PermanentFailure, match="not a plain host name"):
            async with client.fetching(configuration, Reference("evil"), TRACEPARENT):
                pass


async def test_the_source_sees_traceparent_and_no_wish_for_compression() -> None:
    async with serving(document()) as server, sources() as client:
        async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
            pass
        headers = server.requests[0].headers
        assert headers["traceparent"] == TRACEPARENT
        assert headers["accept-encoding"] == "identity"
        assert "authorization" not in headers
        assert "python" not in headers["user-agent"].lower()


async def test_cookies_are_not_kept() -> None:
    async with serving(document(Set_Cookie="session=1; Path=/")) as server, sources() as client:
        for _ in range(2):
            async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
                pass
        assert "cookie" not in server.requests[1].headers


async def test_proxies_and_netrc_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(document()) as server, sources() as client:
        async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
            pass
        assert "authorization" not in server.requests[0].headers


async def test_a_redirect_is_not_followed() -> None:
    async with serving(answer(302, {"Location": "/elsewhere"})) as server, sources() as client:
        with pytest.raises(PermanentFailure) as failure:
            async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
                pass
        assert failure.value.message == "Failed reading artifact from source service: HTTP 302"
        assert server.targets == ["/docs/1"]


async def test_connections_are_kept_for_the_next_fetch_also_after_a_404(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.transport.REST", 0.0)  # test_unasked_answers.py has the rest

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(404) if request.target == "/docs/404" else document())

    async with serving(respond) as server, sources() as client:
        for id in ("1", "404", "2"):
            try:
                async with client.fetching(server.configuration(), Reference(id), TRACEPARENT):
                    pass
            except PermanentFailure:
                pass
        assert server.connections == 1


async def test_one_attempt_is_one_request_also_when_the_connection_drops() -> None:
    async def drop(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.write(document())
        else:
            writer.close()

    async with serving(drop) as server, sources() as client:
        async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
            pass
        with pytest.raises(Exception, match="connection closed without an answer"):
            async with client.fetching(server.configuration(), Reference("2"), TRACEPARENT):
                pass
        assert server.targets == ["/docs/1", "/docs/2"]
