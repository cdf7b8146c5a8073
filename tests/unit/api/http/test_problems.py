"""Every error is a problem document."""

import json
import logging
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app.api.http.problems import ApiProblem, install, problem, responses
from app.api.http.request_trace import request_span
from app.domain.errors import Unavailable
from app.domain.mistakes import Mistake
from app.telemetry import traces

SECRET = "postgresql://user:password@db"


class Retry(BaseModel):
    jobId: str
    keys: list[int] = []


spans: list[traces.Span] = []
"""Those of the requests to `/traced`."""


def app() -> FastAPI:
    app = FastAPI(title="PAS", version="1")
    install(app)

    @app.get("/fails/{how}", responses=responses(401, 403, 404, 503))
    async def fails(how: str) -> None:
        raise {
            "problem": ApiProblem(409, "The job exists.", errors=[Mistake("a[0].b", 3, "differs")], headers={"X": "y"}),
            "unavailable": Unavailable("database", SECRET),
            "disconnect": ClientDisconnect(),
            "unexpected": RuntimeError(SECRET),
        }[how]

    @app.put("/traced")
    async def traced(request: Request) -> None:
        with request_span(request, "PUT /traced") as span:
            spans.append(span)
            raise RuntimeError(SECRET)

    @app.post("/retry")
    async def retry(body: Retry, limit: Annotated[int, Query(ge=1)] = 1) -> int:
        return limit

    return app


async def ask(method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pas") as client:
        answer = await client.request(method, path, **more)
    assert answer.headers.get("content-type") in ("application/problem+json", None)
    return answer


def test_a_problem_has_the_members_of_rfc_9457_and_only_those_that_say_something() -> None:
    full = problem(400, "Bad", "Three mistakes", [Mistake("a", 1, "x"), Mistake("", None, "y")], {"A": "b"}, n=1)
    assert json.loads(bytes(full.body)) == {
        "type": "about:blank",
        "title": "Bad",
        "status": 400,
        "detail": "Three mistakes",
        "errors": [{"path": "a", "line": 1, "message": "x"}, {"path": "", "message": "y"}],
        "n": 1,
    }
    assert (full.status_code, full.media_type, full.headers["a"]) == (400, "application/problem+json", "b")
    assert json.loads(bytes(problem(413).body)) == {"type": "about:blank", "title": "Content Too Large", "status": 413}


def test_a_mistake_that_quotes_what_cannot_be_encoded_is_answered_all_the_same() -> None:
    answer = json.loads(bytes(problem(400, None, "ü \ud800 \0 €").body))
    assert answer["detail"] == "ü ? \0 €"


async def test_an_unknown_path_is_404() -> None:
    answer = await ask("GET", "/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"type": "about:blank", "title": "Not Found", "status": 404})


async def test_another_method_is_405_and_keeps_allow() -> None:
    answer = await ask("DELETE", "/retry")
    assert (answer.status_code, answer.headers["allow"], answer.json()["status"]) == (405, "POST", 405)


async def test_a_problem_that_is_raised_is_answered_with_its_headers() -> None:
    answer = await ask("GET", "/fails/problem")
    assert (answer.status_code, answer.headers["x"]) == (409, "y")
    assert answer.json()["detail"] == "The job exists."
    assert answer.json()["errors"] == [{"path": "a[0].b", "line": 3, "message": "differs"}]


async def test_parameters_and_bodies_that_are_not_valid_are_400_with_each_mistake() -> None:
    answer = await ask("POST", "/retry?limit=0", json={"keys": [1, "secret value"]})
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["limit", "jobId", "keys[1]"]
    assert "secret value" not in answer.text
    assert (await ask("POST", "/retry", content=b"{")).status_code == 400
    many = await ask("POST", "/retry", json={"jobId": "x", "keys": ["x"] * 100})
    assert len(many.json()["errors"]) == 20


async def test_a_part_that_is_away_is_503_and_the_reason_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask("GET", "/fails/unavailable")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "database" in answer.json()["detail"]
    assert SECRET not in answer.text
    assert SECRET in caplog.text


async def test_an_unexpected_error_is_500_with_a_trace_id_that_the_log_has_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = "0af7651916cd43dd8448eb211c80319c"
    for header in (f"00-{sent}-b7ad6b7169203331-01", "garbage", "00-" + "0" * 32 + "-b7ad6b7169203331-01"):
        caplog.clear()
        answer = await ask("GET", "/fails/unexpected", headers={"traceparent": header})
        assert answer.status_code == 500
        assert SECRET not in answer.text
        assert "RuntimeError" not in answer.text
        trace_id = answer.json()["traceId"]
        assert (trace_id == sent) == (sent in header)
        assert len(trace_id) == 32
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.__dict__["trace_id"] == trace_id


@pytest.mark.parametrize("header", [{}, {"traceparent": "garbage"}, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-00"}])
async def test_the_trace_id_of_a_500_is_that_of_the_span_of_its_request(header: dict[str, str]) -> None:
    answer = await ask("PUT", "/traced", headers=header)
    assert answer.status_code == 500
    assert answer.json()["traceId"] == spans[-1].trace_id
    assert (answer.json()["traceId"] == "a" * 32) == (header.get("traceparent", "").startswith("00-"))


@pytest.mark.parametrize("version", ["00", "01"])
async def test_the_trace_id_is_read_as_spans_read_it(version: str) -> None:
    sent = f"{version}-{'a' * 32}-{'b' * 16}-00" + ("-later" if version == "01" else "")
    answer = await ask("GET", "/fails/unexpected", headers={"traceparent": sent})
    assert answer.json()["traceId"] == "a" * 32
    zero = await ask("GET", "/fails/unexpected", headers={"traceparent": f"{version}-{'a' * 32}-{'0' * 16}-00"})
    assert zero.json()["traceId"] != "a" * 32


async def test_a_client_that_went_away_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    assert (await ask("GET", "/fails/disconnect")).status_code == 400
    assert caplog.records == []


def test_the_openapi_document_describes_problems_and_promises_no_422() -> None:
    served = app()
    document = served.openapi()
    assert document == served.openapi()
    assert "422" not in json.dumps(document)
    assert set(document["components"]["schemas"]) == {"Problem", "Retry"}
    fails = document["paths"]["/fails/{how}"]["get"]["responses"]
    assert set(fails) == {"200", "400", "401", "403", "404", "503"}
    assert "WWW-Authenticate" in fails["401"]["headers"]
    assert "Retry-After" in fails["503"]["headers"]
    for answer in (fails["403"], document["paths"]["/retry"]["post"]["responses"]["400"]):
        assert answer["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert answer["content"].keys() == {"application/problem+json"}
