"""Reconcile over HTTP: what lists may look like, what is answered, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http import problems
from app.api.http.concurrency import ConcurrencyLimit
from app.api.reconcile import endpoints
from app.api.submission import expected_reader
from app.api.submission.expected_reader import ExpectedReader
from app.catalog.live import LiveCatalog
from app.db import tasks
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome
from app.evidence import reconcile
from app.evidence.objects import LockTerms
from app.evidence.reconcile import Objects, Reconciliation
from app.objectstore.filesystem import FilesystemObjectStore
from tests.support.edge import edge_with
from tests.support.rows import NOW as THEN
from tests.support.rows import insert_job
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token
from tests.unit.api.job_app import CATALOG

READER = {"Authorization": f"Bearer {token(scope='backfilljob:read')}"}
NDJSON, CSV, YAML = "application/x-ndjson", "text/csv", "application/yaml"


@asynccontextmanager
async def service(
    url: str, reader: ExpectedReader | None = None, turns: int = 2
) -> AsyncIterator[tuple[httpx.AsyncClient, Database]]:
    app = FastAPI()
    problems.install(app)
    app.include_router(endpoints.router)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    database = Database(url)
    store = FilesystemObjectStore(Path("/nowhere"), object_lock_enabled=False)
    edge_with(
        app,
        authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
        reconciliation=Reconciliation(database, LiveCatalog(CATALOG), Objects(store, LockTerms(None))),
        expected_reader=reader or ExpectedReader(),
        reconciles=ConcurrencyLimit("lists", turns, waiting=0),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=READER) as client:
        yield client, database
    await database.close()


async def ask(client: httpx.AsyncClient, body: bytes, kind: str = NDJSON, query: str = "message=M") -> httpx.Response:
    return await client.post(f"/api/reconcile?{query}", content=body, headers={"Content-Type": kind})


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


LISTS = {
    "ndjson": (
        NDJSON,
        b'{"id":"ref-0"}\n\n{"id": "ref-1", "version": null, "note": [1]}\r\n{"id":"\xc3\xa4","version":2}',
    ),
    "csv": (CSV, b'\xef\xbb\xbfversion, id ,name\r\n,ref-0,x\n# a comment\n\n,"ref-1",\n+2, \xc3\xa4 ,y\n'),
    "yaml": (
        YAML,
        b'message: M\ntopic: t\narchiveDataReferences:\n- id: ref-0\n- {id: ref-1}\n- id: "\\u00e4"\n  version: 2\n',
    ),
}


@pytest.mark.parametrize("form", LISTS)
async def test_each_reference_is_answered_in_its_order(url: str, form: str) -> None:
    """Longer lists are read in a process of their own: tests/integration/processes/test_reconcile.py."""
    await references_are_answered(url, form, ExpectedReader())


async def references_are_answered(url: str, form: str, reader: ExpectedReader) -> None:
    kind, body = LISTS[form]
    async with service(url, reader) as (client, database):
        job_id = await insert_job(database, 2)
        outcome = Outcome(TaskId(job_id, 1), TaskState.FAILED, "Failed: HTTP 404", "0" * 32)
        await database.run(lambda c: tasks.settle(c, [outcome], THEN))
        assert lines(await ask(client, body, kind)) == [
            {"id": "ref-0", "version": None, "verdict": "open", "artifactId": None, "jobId": str(job_id)},
            {"id": "ref-1", "version": None, "verdict": "failed", "artifactId": None, "jobId": str(job_id)},
            {"id": "ä", "version": 2, "verdict": "unknown", "artifactId": None, "jobId": None},
            {"counts": {"archived": 0, "open": 1, "failed": 1, "no-data": 0, "unknown": 1}},
        ]


async def test_csv_has_the_rows_and_no_counts(url: str) -> None:
    async with service(url) as (client, database):
        job_id = await insert_job(database, 1)
        answer = await client.post(
            "/api/reconcile?message=M",
            content=b'{"id":"ref-0"}\n{"id":"=1+1","version":3}\n',
            headers={"Content-Type": NDJSON, "Accept": "text/csv"},
        )
        assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        head, first, second = answer.text.split("\r\n")[:-1]
        assert head == "id,version,verdict,artifactId,jobId"
        assert first == f"ref-0,,open,,{job_id}"
        assert second == "'=1+1,3,unknown,,"


async def test_a_value_in_quotes_goes_on_in_the_next_line(url: str) -> None:
    body = b'id,note\r\nunknown-1,"one\r\n""two"", three\r\n"\r\n"un ""quoted""",\r\nunknown-2,"a\n#b\n\nc"\n'
    async with service(url) as (client, _):
        answer = await ask(client, body, CSV)
    found = [json.loads(line) for line in answer.text.splitlines()[:-1]]
    assert [each["id"] for each in found] == ["unknown-1", 'un "quoted"', "unknown-2"]


async def test_a_quote_within_a_value_means_nothing(url: str) -> None:
    async with service(url) as (client, _):
        answer = await ask(client, 'id\n5" disk\nunknown-1\n6" disk\n"a\u2028b"\n'.encode(), CSV)
    found = [json.loads(line) for line in answer.text.splitlines()[:-1]]
    assert [each["id"] for each in found] == ['5" disk', "unknown-1", '6" disk', "a\u2028b"]


async def test_all_batches_of_a_long_list_are_answered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 7)
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(50))
    async with service(url) as (client, database):
        await insert_job(database, 40)
        *found, last = lines(await ask(client, body))
        assert [each["id"] for each in found] == [f"ref-{number}" for number in range(50)]
        assert (last["counts"]["open"], last["counts"]["unknown"]) == (40, 10)


WRONG = {
    "no json": (NDJSON, b'{"id":"a"}\n{"id":\n', 2, "is not JSON"),
    "no object": (NDJSON, b"[1]\n", 1, "must be an object"),
    "no id": (NDJSON, b'{"version":1}\n', 1, "is missing"),
    "id of a number": (NDJSON, b'{"id":1}\n', 1, "must be a text"),
    "version of text": (NDJSON, b'{"id":"a","version":"1"}\n', 1, "must be a whole number"),
    "version true": (NDJSON, b'{"id":"a","version":true}\n', 1, "must be a whole number"),
    "version 0": (NDJSON, b'{"id":"a","version":0}\n', 1, "must be a whole number"),
    "control character": (NDJSON, b'{"id":"a\\u0000"}\n', 1, "control character"),
    "half a character": (NDJSON, b'{"id":"\\ud83d"}\n', 1, "is not JSON"),
    "dots": (NDJSON, b'{"id":".."}\n', 1, "cannot be an id"),
    "too long an id": (NDJSON, b'{"id":"' + b"a" * 513 + b'"}\n', 1, "at most 512"),
    "too long a line": (NDJSON, b'{"id":"a","x":"' + b"a" * 20_000 + b'"}\n', 1, "is longer than"),
    "no utf-8": (NDJSON, b'{"id":"a"}\n{"id":"\xff"}\n', 2, "is not UTF-8"),
    "utf-16": (CSV, "id\nx\n".encode("utf-16"), 1, "is not UTF-8"),
    "empty": (NDJSON, b"\n \n", None, "is empty"),
    "no header": (CSV, b"a,1\n", 1, "is no header"),
    "semicolons": (CSV, b"id;version\na;1\n", 1, "separate columns by commas"),
    "a column less behind quotes over lines": (CSV, b'id,note\na,"1\n2"\nb\n', 4, "must have 2 columns"),
    "a member twice": (NDJSON, b'{"id": "a", "id": "b"}\n', 1, "stands twice"),
    "a member twice, escaped": (NDJSON, b'{"id": "a", "\\u0069d": "b"}\n', 1, "stands twice"),
    "two ids": (CSV, b"id,id\n", 1, "is no header"),
    "only a header": (CSV, b"id,version\n", None, "is empty"),
    "too few columns": (CSV, b"id,version\na,1\nb\n", 3, "must have 2 columns"),
    "open quotes": (CSV, b'id\n"a\n', 2, "must have 1 column"),
    "version of a letter": (CSV, b"id,version\na,x\n", 2, "whole number"),
    "blank": (CSV, b"id,version\n ,1\n", 2, "is blank"),
    "no yaml": (YAML, b"archiveDataReferences: [", 2, "a closing bracket is expected here"),
    "no list": (YAML, b"message: M\ntopic: t\n", None, "is missing"),
    "unknown key": (YAML, b"message: M\nreferences: []\narchiveDataReferences: [{id: a}]\n", 2, "unknown key"),
    "line break": (YAML, "archiveDataReferences:\n- id: 'a\u2028b'\n".encode(), 2, "line break U+2028"),
    "tag": (YAML, b"%TAG ! x\n---\narchiveDataReferences: [{id: a}]\n", 1, "%TAG"),
    "a control character": (YAML, b"archiveDataReferences:\n- id: a\n- id: \x01\n", None, "U+0001"),
    "not utf-8": (YAML, b"archiveDataReferences:\n- id: \xff\n", None, "not UTF-8"),
    "half a pair": (YAML, b'archiveDataReferences: [{id: "\\ud83d"}]\n', 1, "half of a pair"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_read_is_named_with_its_line(url: str, case: str) -> None:
    await is_refused(url, case, ExpectedReader())


async def is_refused(url: str, case: str, reader: ExpectedReader) -> None:
    kind, body, line, text = WRONG[case]
    async with service(url, reader) as (client, _):
        answer = await ask(client, body, kind)
        assert answer.status_code == 400, answer.text
        mistake = answer.json()["errors"][0]
        assert text in mistake["message"], mistake
        assert mistake.get("line") == line


async def test_at_most_twenty_mistakes_are_listed(url: str) -> None:
    async with service(url) as (client, _):
        errors = (await ask(client, b"oops\n" * 30)).json()["errors"]
        assert len(errors) == 21
        assert "there are more" in errors[-1]["message"]


async def test_the_message_may_stand_in_the_yaml_or_the_query(url: str) -> None:
    yaml = b"message: M\nconfig-id: c\narchiveDataReferences: [{id: a}]\n"
    async with service(url) as (client, _):
        assert (await ask(client, yaml, YAML, "")).status_code == 200
        assert (await ask(client, yaml, YAML, "message=M&configId=c")).status_code == 200
        for query, path in (("message=N", "message"), ("configId=d", "configId")):
            answer = await ask(client, yaml, YAML, query)
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, path)
        for query, text in (
            ("", "is missing"),
            ("message=N", "no archive type"),
            ("message=M&configId=d", "config-id d"),
        ):
            answer = await ask(client, b'{"id":"a"}\n', NDJSON, query)
            assert answer.status_code == 400
            assert text in answer.text


async def test_who_may_not_read_jobs_is_refused(url: str) -> None:
    async with service(url) as (client, _):
        other = {"Authorization": f"Bearer {token(scope='artifact:read audit:read')}", "Content-Type": NDJSON}
        assert (await client.post("/api/reconcile?message=M", content=b"", headers=other)).status_code == 403
        del client.headers["authorization"]
        assert (await ask(client, b'{"id":"a"}\n')).status_code == 401


async def test_other_media_types_and_parameters_are_refused(url: str) -> None:
    async with service(url) as (client, _):
        assert (await ask(client, b"{}", "application/json")).status_code == 415
        assert (await ask(client, b'{"id":"a"}\n', NDJSON, "message=M&mesage=M")).status_code == 400


async def test_more_references_than_allowed_are_refused(url: str) -> None:
    body = b'{"id":"a"}\n' * 11
    async with service(url, ExpectedReader(most=10)) as (client, _):
        assert (await ask(client, body)).status_code == 413


async def test_beyond_the_memory_rows_go_to_a_file(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_reader, "IN_MEMORY", 100)
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(3_000))
    async with service(url, ExpectedReader()) as (client, _):
        assert len(lines(await ask(client, body))) == 3_001


async def test_no_room_for_the_file_is_503(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_reader, "IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(3_000))
    async with service(url, ExpectedReader()) as (client, _):
        assert (await ask(client, body)).status_code == 503


async def test_a_database_that_goes_is_the_last_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "BATCH", 1)
    async with service(url) as (client, _):
        real = Reconciliation._block
        calls = 0

        async def block(self: Reconciliation, *arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 2:
                raise Unavailable("database", "is away")
            return await real(self, *arguments, **more)

        monkeypatch.setattr(Reconciliation, "_block", block)
        *found, last = lines(await ask(client, b'{"id":"a"}\n' * 4))
        assert len(found) == 2
        assert "database" in last["error"]
        calls = 0
        with pytest.raises(RuntimeError):  # CSV breaks off: the server closes the connection
            await client.post(
                "/api/reconcile?message=M",
                content=b'{"id":"a"}\n' * 4,
                headers={"Content-Type": NDJSON, "Accept": "text/csv"},
            )
        calls = 2
        assert (await ask(client, b'{"id":"a"}\n')).status_code == 503


async def test_so_many_lists_at_a_time_and_each_gives_its_turn_back(url: str) -> None:
    async with service(url, turns=1) as (client, _):
        for _ in range(3):
            assert (await ask(client, b'{"id":"a"}\n')).status_code == 200
            assert (await ask(client, b"oops\n")).status_code == 400

        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"id":"a"}\n'
            await go_on.wait()

        first = asyncio.create_task(
            client.post("/api/reconcile?message=M", content=slow(), headers={"Content-Type": NDJSON})
        )
        await asyncio.sleep(0.05)
        assert (await ask(client, b'{"id":"a"}\n')).status_code == 503
        go_on.set()
        assert (await first).status_code == 200
