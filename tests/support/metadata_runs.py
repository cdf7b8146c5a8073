"""Metadata runs of real services: definitions written as an operator does, values read from the database."""

import json
from typing import Any
from uuid import uuid4

import yaml

from tests.servers.fetch import REPOSITORY
from tests.support.archive import Archive
from tests.support.archive_types import OSV, unversioned
from tests.support.service import Service

RUNS = "/api/metadata-backfills"
DOCUMENTS = REPOSITORY / "examples/source/documents"
ENDED = ("completed", "cancelled", "superseded")


def set_paths(archive: Archive, **paths: str) -> None:
    """Replaces the metadata paths of the advisories' configuration, at once as a deployment does."""
    file = archive.directory / "archive-types.yml"
    configured = yaml.safe_load(file.read_text())
    for each in configured["archiveTypes"]:
        if each["messageType"] == OSV.name:
            each["metadata_extraction_paths"] = [{"key": key, "path": path} for key, path in paths.items()]
    new = file.with_suffix(".new")
    new.write_text(yaml.safe_dump(configured))
    new.replace(file)


def archive_advisories(service: Service, ids: list[str]) -> None:
    job = uuid4()
    service.submit(job, unversioned(*ids))
    assert service.wait_completed(job)["job-result"] == "succeeded"


def advisories(number: int) -> dict[str, Any]:
    """Id → document, of the advisories that the example source serves."""
    found = sorted(DOCUMENTS.glob("*.json"))[::-1][:number]
    return {path.stem: json.loads(path.read_text()) for path in found}


def all_runs(service: Service) -> list[dict[str, Any]]:
    """The newest first."""
    answer = service.api("GET", RUNS)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def run(service: Service, run_id: str) -> dict[str, Any]:
    answer = service.api("GET", f"{RUNS}/{run_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def wait_run(service: Service, number: int = 1, seconds: float = 60) -> dict[str, Any]:
    """Waits until there are so many runs and all have ended; the newest."""

    def ended() -> bool:
        found = all_runs(service)
        return len(found) >= number and all(each["state"] in ENDED for each in found)

    service.wait(f"{number} runs ended, last {all_runs(service)}", ended, seconds)
    return run(service, all_runs(service)[0]["id"])


def values(archive: Archive) -> dict[str, dict[str, Any]]:
    """Reference → key → value, of the current artifacts, read past the service."""
    statement = """
        SELECT a.reference_id, v.key, v.json FROM artifact a JOIN artifact_metadata v ON v.artifact_id = a.id
        WHERE NOT a.superseded ORDER BY a.id, v.key
    """
    found: dict[str, dict[str, Any]] = {}
    for row in archive.query(statement):
        found.setdefault(row["reference_id"], {})[row["key"]] = json.loads(row["json"])
    return found
