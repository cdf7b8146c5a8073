"""The scripted peers of the tests: the source service and the S3 sink."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
from botocore.exceptions import ClientError

from tests.servers import Oidc
from tests.servers.s3_sink import S3Sink
from tests.servers.source import Source
from tests.servers.source_service import SourceService, in_this_loop


@pytest.fixture(scope="module")
def running_source() -> Iterator[Source]:
    with Source() as source:
        yield source


@pytest.fixture
def source(running_source: Source) -> Source:
    running_source.clear()
    return running_source


@pytest.fixture(scope="module")
def sink() -> Iterator[S3Sink]:
    with S3Sink(keep=3) as sink:
        yield sink


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=2) as client:
        yield client


def test_a_document_has_the_archive_headers_and_is_the_same_each_time(source: Source) -> None:
    first, second = (httpx.get(f"{source.url}/docs/PSF-1?version=3") for _ in range(2))
    assert first.headers["archive-data-system"] == "PSF"
    assert first.headers["archive-data-schema"] == "OsvRecord"
    assert first.headers["archive-data-schema-version"] == "1"
    assert first.json()["id"] == "PSF-1"
    assert first.content == second.content
    assert first.content != httpx.get(f"{source.url}/docs/PSF-1/4").content
    assert source.counts == {"PSF-1": 3}


def test_requests_are_remembered_as_they_were_on_the_wire(source: Source) -> None:
    httpx.get(f"{source.url}/docs/a%2Fb%3Fc", headers={"traceparent": "00-1-2-01"})
    (seen,) = source.requests
    assert (seen["target"], seen["id"], seen["version"]) == ("/docs/a%2Fb%3Fc", "a/b?c", None)
    assert seen["headers"]["traceparent"] == "00-1-2-01"


def test_documents_come_from_a_directory_where_it_has_them(tmp_path: Path) -> None:
    (tmp_path / "PSF-1.json").write_text('{"id": "PSF-1"}')
    with Source(documents=tmp_path, size=10_240) as source:
        assert httpx.get(f"{source.url}/docs/PSF-1").text == '{"id": "PSF-1"}'
        assert abs(len(httpx.get(f"{source.url}/docs/other").content) - 10_240) < 200


def test_a_rule_holds_for_its_ids_and_as_often_as_it_says(source: Source) -> None:
    source.script(match="bad-*", status=503, times=2, retry_after=7)
    source.script(match="bad-*", status=404, times=1)
    answers = [httpx.get(f"{source.url}/docs/bad-1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 404, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert httpx.get(f"{source.url}/docs/good").status_code == 200


def test_a_misspelt_rule_is_refused(source: Source) -> None:
    with pytest.raises(TypeError):
        source.script(mach="x")


def test_answers_are_as_odd_as_wanted(source: Source) -> None:
    source.script(match="none", status=204)
    source.script(match="empty", empty=True)
    source.script(match="moved", status=302, location="/docs/else")
    source.script(match="packed", gzip=True)
    source.script(match="bare", headers={"Archive-Data-Schema": None, "X-More": "1"})
    source.script(match="avro", body_base64="AAEC", headers={"Content-Type": "avro/binary"})
    source.script(match="new", changing=True)
    with httpx.Client(base_url=f"{source.url}/docs/") as client:
        assert client.get("none").status_code == 204
        assert (client.get("empty").status_code, client.get("empty").content) == (200, b"")
        assert client.get("moved").headers["location"] == "/docs/else"
        assert client.get("packed").headers["content-encoding"] == "gzip"
        assert client.get("packed").json()["id"] == "x_packed"
        assert "archive-data-schema" not in client.get("bare").headers
        assert client.get("avro").content == b"\x00\x01\x02"
        assert client.get("new").json() != client.get("new").json()


async def test_bodies_end_badly_or_never(source: Source, http: httpx.AsyncClient) -> None:
    source.script(match="gone", drop="connection")
    source.script(match="half", drop="body")
    source.script(match="flood", endless=True)
    source.script(match="drip", trickle_ms=20)
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(f"{source.url}/docs/gone")
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(f"{source.url}/docs/half")
    size = 0
    async with http.stream("GET", f"{source.url}/docs/flood") as answer:
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > 5_000_000:
                break
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await http.get(f"{source.url}/docs/drip")
    assert (await http.get(f"{source.url}/docs/good")).status_code == 200
    assert source.load == {"requests": 5, "in_flight": 0, "peak": 1}


async def test_an_overloaded_source_says_so(source: Source, http: httpx.AsyncClient) -> None:
    source.script(over=2, status=429)
    source.script(delay_ms=50)
    answers = await asyncio.gather(*(http.get(f"{source.url}/docs/{number}") for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]
    assert source.load["in_flight"] == 0


def test_a_source_can_want_a_token(oidc: Oidc) -> None:
    with Source(jwks_uri=oidc.jwks_uri, audience="psf-source") as source:
        uri = f"{source.url}/docs/1"
        assert httpx.get(uri).status_code == 401
        for client, status in (("pas-writer", 401), ("source-client", 200), ("source-client", 200)):
            token = oidc.token(client)
            assert httpx.get(uri, headers={"Authorization": f"Bearer {token}"}).status_code == status


async def test_the_source_runs_in_the_loop_of_a_test_too(http: httpx.AsyncClient) -> None:
    service = SourceService()
    service.script(match="1", status=500)
    async with in_this_loop(service) as url:
        assert (await http.get(f"{url}/docs/1")).status_code == 500
    assert service.counts["1"] == 1


async def test_the_source_needs_less_than_half_a_millisecond_of_its_core_for_a_request(source: Source) -> None:
    async with aiohttp.ClientSession() as session:

        async def some(worker: int) -> None:
            for number in range(100):
                async with session.get(f"{source.url}/docs/{worker}-{number}") as answer:
                    await answer.read()

        before = cpu_seconds(source)
        await asyncio.gather(*(some(worker) for worker in range(20)))
        assert cpu_seconds(source) - before < 2000 * 0.0005
    assert source.load["requests"] == 2000


def cpu_seconds(server: Source) -> float:
    assert server.process
    user, system = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_the_sink_takes_locked_objects_once(sink: S3Sink) -> None:
    s3 = sink.client()
    put = s3.put_object(Bucket="b", Key="k/v0", Body=b"{}", IfNoneMatch="*", Metadata={"hash": "1"})
    assert put["VersionId"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="b", Key="k/v0", Body=b"[]", IfNoneMatch="*")
    again = s3.put_object(Bucket="b", Key="k/v0", Body=b"[]", IfMatch=put["ETag"])
    assert again["VersionId"] != put["VersionId"]
    got = s3.get_object(Bucket="b", Key="k/v0")
    assert (got["Body"].read(), got["Metadata"], got["VersionId"]) == (b"[]", {}, again["VersionId"])
    assert s3.head_object(Bucket="b", Key="k/v0")["ContentLength"] == 2
    assert [version["Key"] for version in s3.list_object_versions(Bucket="b", Prefix="k/")["Versions"]] == ["k/v0"]


def test_the_sink_answers_what_a_service_asks_at_its_start(sink: S3Sink) -> None:
    s3 = sink.client()
    s3.head_bucket(Bucket="b")
    assert s3.get_bucket_versioning(Bucket="b")["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket="b")["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="b")
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="b", LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket="b")["Rules"] == [rule]
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="b", Key="never")


def test_generated_documents_are_json_whatever_the_id(source: Source) -> None:
    answer = httpx.get(f"{source.url}/docs/%22%C3%A4%5C")
    assert json.loads(answer.content)["id"] == 'x_"ä\\'
