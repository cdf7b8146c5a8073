"""What a request without a body, or with another one than is wanted, is told."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from app.api.http import problems
from app.api.http.bodies import Uploads
from app.api.http.json_bodies import read_json_body
from app.api.submission.body import parse_submission
from app.api.submission.read import IN_ONE_LINE
from tests.unit.api.http.test_query import ALL, JOB, whole_app
from tests.unit.api.issuer import token

JSON = {"Content-Type": "application/json"}
EXAMPLE = {"jobId": "88dbb65f-9634-4685-bc86-17b72d715d3e"}
SHOWN = json.dumps(EXAMPLE)


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    job_id: str = Field(alias="jobId")
    cause: str | None = None


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problems.install(app)

    async def answer(request: Request) -> dict[str, str]:
        return {"read": (await read_json_body(request, 1_000, Wanted, EXAMPLE)).job_id}

    app.add_api_route("/", answer, methods=["POST"], response_model=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "body", "given"),
    [
        ({}, b"", "no Content-Type was given"),
        ({}, SHOWN.encode(), "no Content-Type was given"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"", "not application/x-www-form-urlencoded"),
        ({"Content-Type": "text/plain; charset=utf-8"}, b"{}", "not text/plain"),
    ],
)
async def test_another_media_type_is_told_the_right_one_and_an_example(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, given: str
) -> None:
    answer = await client.post("/", content=body, headers=headers)
    assert (answer.status_code, answer.headers["accept"]) == (415, "application/json")
    assert given in answer.json()["detail"]
    assert answer.json()["detail"].endswith(f"send Content-Type: application/json, with a body like {SHOWN}")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", f"it is empty; send a body like {SHOWN}"),
        (b" \n", f"it is empty; send a body like {SHOWN}"),
        (b"[]", f"send a body like {SHOWN}"),
        (b"jobId: x", f"send a body like {SHOWN}"),
        (b'{"jobId": ', f"send a body like {SHOWN}"),
        (b"null", f"send a body like {SHOWN}"),
    ],
)
async def test_a_body_that_is_no_object_is_told_how_one_looks(
    client: httpx.AsyncClient, body: bytes, said: str
) -> None:
    answer = await client.post("/", content=body, headers=JSON)
    [mistake] = answer.json()["errors"]
    assert (answer.status_code, mistake["path"]) == (400, "")
    assert mistake["message"].endswith(said)


async def test_a_body_as_it_is_wanted_is_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", json={"jobId": "a"})).json() == {"read": "a"}


@pytest.mark.parametrize(
    ("method", "path", "media_type", "example"),
    [
        ("POST", f"{JOB}/retry", "application/json", '{"jobId": "'),
        ("POST", "/api/metadata-backfills", "application/json", '{"messageType": "'),
        ("PUT", JOB, "application/yaml", "{message: "),
        ("POST", "/api/preflight", "application/yaml", "{message: "),
    ],
)
async def test_every_address_with_a_body_says_what_it_wants(
    method: str, path: str, media_type: str, example: str
) -> None:
    app, headers = whole_app(Uploads(1_000)), {"Authorization": f"Bearer {token(roles=ALL)}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code == 415
    assert f"send Content-Type: {media_type}, with a body like {example}" in answer.json()["detail"]


def test_the_example_of_a_submission_is_one() -> None:
    assert parse_submission(IN_ONE_LINE.encode(), 10).mistakes == ()
