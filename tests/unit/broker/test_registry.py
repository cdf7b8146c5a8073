"""The client of the schema registry: one request for all who wait, a memory for schemas and for what is unknown."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.broker import registry
from app.domain.errors import InvalidMessage, Unavailable
from app.domain.readiness import SCHEMA_REGISTRY
from tests.servers.http import Answer
from tests.support.schema_registry import FakeRegistry, client_of, refused, schema_registry, well

SCHEMA = {"type": "record", "name": "R", "namespace": "org.example", "fields": [{"name": "a", "type": "string"}]}
TEXT = json.dumps(SCHEMA).encode()


@pytest.fixture(autouse=True)
def _no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "LAG", 0.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with schema_registry() as fake:
        yield fake


def record(name: str, *fields: tuple[str, Any]) -> dict[str, Any]:
    members = [{"name": field, "type": kind} for field, kind in fields]
    return {"type": "record", "name": name, "namespace": "org.example", "fields": members}


async def test_fifty_who_wait_for_a_schema_make_one_request_and_later_ones_none(fake: FakeRegistry) -> None:
    number, client = fake.add(SCHEMA), client_of(fake)
    assert client.known(number) is None
    found = await asyncio.gather(*(client.find(number) for _ in range(50)))
    assert len(set(map(id, found))) == 1
    assert found[0].name == "org.example.R"
    assert await client.find(number) is client.known(number) is found[0]
    assert fake.requests == [f"GET /schemas/ids/{number}"]


async def test_one_who_stops_waiting_does_not_end_the_request_of_the_others(fake: FakeRegistry) -> None:
    number, client = fake.add(SCHEMA), client_of(fake)
    fake.misbehave = lambda _request: Answer(body=json.dumps(fake.schemas[number]).encode(), delay=0.05)
    first, second = (asyncio.create_task(client.find(number)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == "org.example.R"
    assert first.cancelled()


async def test_an_unknown_id_is_asked_for_twice_and_then_remembered_for_a_while(fake: FakeRegistry) -> None:
    now = 0.0
    client = client_of(fake, monotonic=lambda: now)
    for _ in range(3):
        with pytest.raises(InvalidMessage, match="the schema registry knows no schema 7"):
            await client.find(7)
    with pytest.raises(InvalidMessage):
        client.known(7)
    assert len(fake.requests) == 2
    fake.add(SCHEMA, schema_id=7)
    now = registry.UNKNOWN_FOR + 1
    assert client.known(7) is None
    assert (await client.find(7)).name == "org.example.R"


async def test_a_registry_whose_parts_are_behind_each_other_is_given_a_second(fake: FakeRegistry) -> None:
    number = fake.add(SCHEMA)
    fake.misbehave = lambda _request: refused(40403) if len(fake.requests) == 1 else None
    assert (await client_of(fake).find(number)).name == "org.example.R"


async def test_schemas_used_last_are_kept(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KEPT", 2)
    client = client_of(fake)
    first, second, third = (fake.add(record(name)) for name in "ABC")
    for number in (first, second, first, third):
        await client.find(number)
    assert client.known(second) is None
    assert client.known(first) is not None
    assert client.known(third) is not None
    for number in (97, 98, 99):
        with pytest.raises(InvalidMessage):
            await client.find(number)
    assert client.known(97) is None


async def test_references_are_fetched_each_once_and_come_before_who_needs_them(fake: FakeRegistry) -> None:
    fake.add(record("Inner", ("x", "int")), "in/ner")
    needs_inner = [{"name": "org.example.Inner", "subject": "in/ner", "version": 1}]
    fake.add(record("Middle", ("i", "Inner")), "middle", references=needs_inner)
    needs_both = [{"name": "org.example.Middle", "subject": "middle", "version": 1}, *needs_inner]
    number = fake.add(record("Outer", ("m", "Middle"), ("i", "Inner")), references=needs_both)
    schema = await client_of(fake).find(number)
    assert schema.values(b"\0\0\0\0\1\x02\x04", 5) == {"m": {"i": {"x": 1}}, "i": {"x": 2}}
    assert fake.requests.count("GET /subjects/in%2Fner/versions/1") == 1


async def test_references_in_a_circle_come_to_an_end(fake: FakeRegistry) -> None:
    itself = [{"name": "R", "subject": "s", "version": 1}]
    number = fake.add(record("R", ("r", "org.example.Missing")), references=itself)
    with pytest.raises(InvalidMessage, match="cannot be used: not a valid Avro schema"):
        await client_of(fake).find(number)


async def test_too_many_references_are_refused(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MOST_REFERENCES", 2)
    needed = [{"name": name, "subject": name, "version": 1} for name in "ABC"]
    for name in "ABC":
        fake.add(record(name), name)
    number = fake.add(SCHEMA, references=needed)
    with pytest.raises(InvalidMessage, match="needs more than 2 other schemas"):
        await client_of(fake).find(number)


@pytest.mark.parametrize(
    ("schema", "more", "reason"),
    [
        ('syntax = "proto3";', {"schemaType": "PROTOBUF"}, "it is not Avro but PROTOBUF"),
        ("{", {}, "cannot be used"),
        ('"string"', {}, "not that of a record"),
        (SCHEMA, {"references": [{"name": "A", "subject": "gone", "version": 3}]}, "refers to: gone, version 3"),
    ],
)
async def test_a_schema_that_nothing_can_be_read_with_is_refused_and_remembered(
    fake: FakeRegistry, schema: Any, more: dict[str, Any], reason: str
) -> None:
    number, client = fake.add(schema, **more), client_of(fake)
    with pytest.raises(InvalidMessage, match=reason):
        await client.find(number)
    asked = len(fake.requests)
    with pytest.raises(InvalidMessage, match=reason):
        await client.find(number)
    assert len(fake.requests) == asked


AWAY: list[tuple[Answer, str]] = [
    (Answer(status=503), "HTTP 503"),
    (Answer(status=429), "HTTP 429"),
    (Answer(status=401), "refuses our credentials"),
    (Answer(status=403), "refuses our credentials"),
    (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "HTTP 302"),
    (Answer(status=404, body=b"<html>"), "HTTP 404; is schema-registry-url right?"),
    (Answer(body=b"<html>log in</html>"), "has no schema; is schema-registry-url right?"),
    (Answer(body=b"[]"), "has no schema"),
    (well({"schema": 7}), "has no schema"),
    (well({"schema": "{}", "references": ["x"]}), "references that cannot be read"),
    (Answer(drop="connection"), "."),
    (Answer(drop="body", body=b"x" * 100), "."),
]


@pytest.mark.parametrize(("answer", "reason"), AWAY, ids=[reason for _, reason in AWAY])
async def test_an_answer_that_says_nothing_of_the_schema_makes_work_wait(
    fake: FakeRegistry, answer: Answer, reason: str
) -> None:
    number, client = fake.add(SCHEMA), client_of(fake)
    fake.misbehave = lambda _request: answer
    with pytest.raises(Unavailable, match=reason) as caught:
        await client.find(number)
    assert caught.value.component == SCHEMA_REGISTRY
    fake.misbehave = lambda _request: None
    assert (await client.find(number)).name == "org.example.R"


async def test_a_new_subject_becomes_compatible_with_everything_and_gets_the_schema(fake: FakeRegistry) -> None:
    number = await client_of(fake).id_of("t-org.example.R", TEXT)
    assert fake.schemas[number]["schema"] == TEXT.decode()
    assert fake.compatibility == {"t-org.example.R": "NONE"}
    assert fake.requests == [
        "POST /subjects/t-org.example.R",
        "PUT /config/t-org.example.R",
        "POST /subjects/t-org.example.R/versions",
    ]


async def test_a_schema_that_is_there_is_only_looked_up(fake: FakeRegistry) -> None:
    number = fake.add(TEXT.decode(), "t-org.example.R", schema_id=11)
    assert await client_of(fake).id_of("t-org.example.R", TEXT) == number == 11
    assert fake.requests == ["POST /subjects/t-org.example.R"]


async def test_a_subject_of_somebody_else_keeps_its_compatibility(fake: FakeRegistry) -> None:
    fake.add(record("Older"), "t-org.example.R")
    await client_of(fake).id_of("t-org.example.R", TEXT)
    assert fake.compatibility == {}
    assert len(fake.subjects["t-org.example.R"]) == 2


async def test_an_incompatible_schema_makes_work_wait_and_names_the_subject(fake: FakeRegistry) -> None:
    fake.add(record("Older"), "t-R")
    fake.misbehave = lambda request: refused(40901) if request.target.endswith("/versions") else None
    with pytest.raises(Unavailable, match="registering under subject t-R: HTTP 409 40901"):
        await client_of(fake).id_of("t-R", TEXT)


@pytest.mark.parametrize("subject_is_there", [False, True])
async def test_without_permission_to_register_a_missing_schema_is_named(
    fake: FakeRegistry, subject_is_there: bool
) -> None:
    if subject_is_there:
        fake.add(record("Older"), "t-R")
    client = client_of(fake, auto_register=False)
    with pytest.raises(Unavailable, match=r"subject t-R does not have our schema: register it .*auto-register-schema"):
        await client.id_of("t-R", TEXT)
    assert fake.requests == ["POST /subjects/t-R"]
    fake.add(TEXT.decode(), "t-R", schema_id=3)
    assert await client.id_of("t-R", TEXT) == 3


@pytest.mark.parametrize("content", [{}, {"id": "3"}, {"id": -1}, {"id": 2**32}, {"id": True}])
async def test_an_id_that_is_none_is_not_used(fake: FakeRegistry, content: dict[str, Any]) -> None:
    fake.misbehave = lambda _request: well(content)
    with pytest.raises(Unavailable, match="has no id"):
        await client_of(fake).id_of("t-R", TEXT)


async def test_the_ping_finds_a_registry_and_no_other_server(fake: FakeRegistry) -> None:
    await client_of(fake).ping()
    fake.misbehave = lambda _request: refused(40400)  # an older registry without the list of types
    await client_of(fake).ping()
    fake.misbehave = lambda _request: Answer(status=404)
    with pytest.raises(Unavailable, match="is schema-registry-url right"):
        await client_of(fake).ping()


async def test_closing_ends_requests_under_way(fake: FakeRegistry) -> None:
    client = client_of(fake)
    fake.misbehave = lambda _request: Answer(delay=60)
    waiting = asyncio.create_task(client.find(1))
    while not fake.requests:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"", b"{}", b"[]", b"[1]", b'"AVRO"', b'{"status": "UP"}'])
async def test_what_answers_anything_else_is_no_registry(fake: FakeRegistry, body: bytes) -> None:
    fake.misbehave = lambda _request: Answer(body=body, headers={"Content-Type": "text/html"})
    with pytest.raises(Unavailable, match="not a list of them; is schema-registry-url right"):
        await client_of(fake).ping()
