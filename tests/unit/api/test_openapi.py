"""The OpenAPI document says of every answer what it is, with an example."""

from typing import Any

import pytest
from fastapi import FastAPI

from app.api import health, jobs
from app.api.models import JobView
from app.api.problems import install


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI(title="PAS", version="1")
    install(app)
    app.include_router(health.router)
    app.include_router(jobs.router)
    return app.openapi()


def test_every_answer_with_a_body_has_schema_and_example(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                where = f"{method} {path} {status}"
                assert answer["description"] != "Successful Response", where
                assert answer.get("content") or where == "put /api/jobs/{job_id} 200", where
                for media, content in answer.get("content", {}).items():
                    assert content.keys() >= {"schema", "example"}, f"{where} {media}"


def test_every_job_operation_names_its_token_and_what_may_refuse_it(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == ([{"bearer": []}] if path.startswith("/api/") else None)
            if path.startswith("/api/"):
                assert operation["responses"].keys() >= {"200", "400", "401", "403", "503"}
                assert operation["parameters"][0]["schema"]["format"] == "uuid"


def test_the_example_of_a_job_is_one() -> None:
    assert (
        JobView.model_validate(jobs.EXAMPLE_JOB).model_dump(mode="json", by_alias=True).keys()
        == jobs.EXAMPLE_JOB.keys()
    )
