"""Schemathesis over the OpenAPI document, against a real service: no 5xx, and nothing that is not documented."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.fetch import REPOSITORY
from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.embedded import Embedded
from tests.support.service import Service

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "allow_header_conformance",
    "unsupported_method",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Source() as source, Embedded(tmp_path_factory.mktemp("fuzzed"), source).service() as started:
        yield started


def fuzz(service: Service, directory: Path, *arguments: str, config: str = "") -> None:
    """About 10 examples of each operation, beside those of the document and its edges."""
    file = directory / "schemathesis.toml"
    file.write_text(config)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(file)),
            *("run", f"{service.url}/openapi.json", "--no-color", "--continue-on-failure", "--warnings", "off"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--checks", ",".join(CHECKS)),
            *("--request-timeout", "20", "--suppress-health-check", "all", "--generation-database", "none"),
            *arguments,
        ],
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Operations:       0 selected" not in done.stdout


def test_who_has_every_role_meets_only_what_is_documented(service: Service, tmp_path: Path) -> None:
    fuzz(service, tmp_path, "-H", f"Authorization: Bearer {service.token()}")


def test_who_has_no_token_meets_only_what_is_documented(service: Service, tmp_path: Path) -> None:
    fuzz(service, tmp_path, "--phases", "examples,coverage")


def test_what_is_there_is_answered_as_documented(service: Service, tmp_path: Path) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned("a", "b"))
    service.wait_completed(job_id)
    artifact = service.api("GET", "/api/artifacts").json()["items"][0]["id"]
    config = f'[parameters]\n"path.job_id" = "{job_id}"\n"path.artifact_id" = {artifact}\n'
    token = f"Authorization: Bearer {service.token()}"
    paths = ["--include-path-regex", "/jobs/|/artifacts/", "--exclude-method", "PUT"]
    fuzz(service, tmp_path, "-H", token, *paths, config=config)
