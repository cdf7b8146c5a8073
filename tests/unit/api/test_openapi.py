"""The OpenAPI document says of every answer what it is, with an example."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.api import well_known
from app.api.archive_types import endpoints as archive_types
from app.api.archive_types.endpoints import ArchiveTypesView
from app.api.artifacts import endpoints as artifacts
from app.api.artifacts.models import ArtifactView, ColumnView
from app.api.evidence import endpoints as evidence
from app.api.evidence.models import InclusionView, KeyView, ProofView
from app.api.health import health_routes
from app.api.http.problems import install
from app.api.jobs import control as job_control
from app.api.jobs import failures, preflight, references
from app.api.jobs import submit_and_report as jobs
from app.api.jobs.failures import FailuresView
from app.api.jobs.models import JobView
from app.api.jobs.preflight_views import PreflightView
from app.api.jobs.reference_rows import ReferencePage
from app.api.runs import endpoints as metadata_backfills
from app.api.runs.models import RunErrorPage, RunView
from app.api.shapes import examples
from app.api.system import endpoints as system
from app.api.system.models import SystemView
from app.domain.readiness import Readiness

WITHOUT_BODY = ("put /api/jobs/{job_id} 200", "get /api/jobs/{job_id}/events 204")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI(title="PAS", version="1")
    install(app)
    app.include_router(health_routes(Readiness(())))
    for each in (
        jobs,
        job_control,
        failures,
        references,
        archive_types,
        artifacts,
        metadata_backfills,
        evidence,
        preflight,
        system,
        well_known,
    ):
        app.include_router(each.router)
    return app.openapi()


def test_every_answer_with_a_body_has_schema_and_example(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                where = f"{method} {path} {status}"
                assert answer["description"] != "Successful Response", where
                assert answer.get("content") or where in WITHOUT_BODY, where
                for media, content in answer.get("content", {}).items():
                    assert content.keys() >= {"schema", "example"}, f"{where} {media}"


def test_every_job_operation_names_its_token_and_what_may_refuse_it(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation.get("security") == ([{"bearer": []}] if path.startswith("/api/") else None)
            if path.startswith("/api/"):
                assert operation["responses"].keys() >= {"200", "401", "403", "503"}
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and parameter["name"] != "artifact_id":
                    assert parameter["schema"]["format"] == "uuid"


def test_every_body_of_a_request_has_schema_and_example(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                assert content.keys() >= {"schema", "example"}, f"{method} {path} {media}"


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (JobView, examples.JOB),
        (FailuresView, examples.FAILURES),
        (ReferencePage, examples.page(examples.REFERENCE, examples.FAILED_REFERENCE)),
        (RunView, examples.RUN),
        (RunErrorPage, examples.page(*examples.RUN_ERRORS)),
        (PreflightView, examples.PREFLIGHT),
        (ArtifactView, examples.ARTIFACT),
        (ArchiveTypesView, examples.ARCHIVE_TYPES),
        (ColumnView, examples.COLUMN),
        (SystemView, examples.SYSTEM),
        (KeyView, examples.SIGNING_KEY),
        (ProofView, examples.PROOF),
        (InclusionView, examples.INCLUSION),
    ],
)
def test_examples_are_what_they_stand_for(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert model.model_validate(example).model_dump(mode="json", by_alias=True) == example
