"""The whole journey on the embedded service, with a SIGKILL in the middle: nothing is lost, nothing is there twice."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.contracts import assert_fits
from tests.support.effects import assert_all_succeeded, assert_one_idempotence_id_each
from tests.support.embedded import EVENTS, Embedded
from tests.support.service import pas

REFERENCES = [f"ref-{number}" for number in range(300)]


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


@pytest.fixture
def embedded(tmp_path: Path, source: Source) -> Embedded:
    return Embedded(tmp_path, source)


def test_a_job_is_completed_after_kills_with_one_object_each_and_events_at_least_once(
    embedded: Embedded, source: Source
) -> None:
    source.script(delay_ms=10)
    job_id = uuid4()
    with embedded.service(forked=False) as service:
        service.submit(job_id, unversioned(*REFERENCES))
        for done in (50, 150):
            service.wait_done(job_id, done)
            service.kill()
            service.start()
        report = service.wait_completed(job_id)
        assert_all_succeeded(report, REFERENCES)
        assert (report["started-by-name"], report["started-by-ext_id"]) == ("Dora Developer", "0042")
        service.submit(job_id, unversioned(*REFERENCES))  # known after the restarts
        service.terminate()
        assert service.exit_code() == 0

    versions = embedded.object_versions()
    assert len(versions) == len(REFERENCES)
    assert set(versions.values()) == {1}
    lines = embedded.events()
    assert_one_idempotence_id_each([line["value"] for line in lines], REFERENCES)
    for line in lines:
        assert set(line) == {"key", "headers", "value"}
        assert line["key"] == {"processId": str(job_id)}
        assert line["headers"]["traceparent"].startswith("00-")
        assert_fits("SharedArchivedArtifactVersionCreatedEvent", line["value"])
    assert [path.name for path in (embedded.data_dir / "topics").iterdir()] == [f"{EVENTS}.jsonl"]
    with sqlite3.connect(embedded.data_dir / "pas.sqlite") as database:
        rows = database.execute("SELECT open, succeeded, failed FROM backfill_job").fetchall()
    assert rows == [(0, len(REFERENCES), 0)]


def test_a_reference_without_data_is_open_after_a_restart_too_and_can_be_redriven(
    embedded: Embedded, source: Source
) -> None:
    source.script(match="later", status=204)
    job_id = uuid4()
    with embedded.service() as service:
        service.submit(job_id, unversioned("there", "later"))
        service.wait_counts(job_id, succeeded=1, noDataYet=1)
        service.kill()
        service.start()
        assert service.job(job_id)["counts"]["noDataYet"] == 1
        source.clear()
        service.redrive(job_id)
        assert_all_succeeded(service.wait_completed(job_id), ["there", "later"])


def test_a_data_directory_has_one_server(embedded: Embedded) -> None:
    with embedded.service() as service:
        second = pas("serve", "--port", "0", *embedded.arguments)
        assert second.returncode == 1
        assert second.stderr.splitlines()[-1] == (
            f"pas: {embedded.data_dir} is in use by another `pas serve --embedded`"
        )
        assert service.ready()[0] == 200
