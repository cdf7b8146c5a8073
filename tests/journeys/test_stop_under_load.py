"""SIGTERM while much is under way: unready at once, exit code 0 in time, and the next process goes on."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_idempotence_id_each
from tests.support.embedded import Embedded

REFERENCES = [f"ref-{number}" for number in range(200)]


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


def test_work_that_ends_soon_is_finished_and_the_rest_is_done_by_the_next_process(
    tmp_path: Path, source: Source
) -> None:
    embedded, job_id = Embedded(tmp_path, source), uuid4()
    source.script(delay_ms=400)
    with embedded.service(forked=False) as service:
        service.submit(job_id, unversioned(*REFERENCES))
        service.wait_done(job_id, 10)
        service.terminate()
        service.wait("unready", lambda: service.ready() == (503, {"status": "stopping", "problems": {}}))
        assert service.exit_code() == 0
        asked = set(source.counts)
        assert 10 < len(asked) < len(REFERENCES)
        source.clear()
        service.start()
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        assert not asked & set(source.counts)  # what was under way had been finished
    assert set(embedded.object_versions().values()) == {1}
    assert_one_idempotence_id_each([line["value"] for line in embedded.events()], REFERENCES)


def test_work_that_hangs_is_put_back_and_does_not_hold_up_the_end(tmp_path: Path, source: Source) -> None:
    hanging = {"jeap.processarchive.http.timeout": "5m", "jeap.processarchive.http.total-timeout": "5m"}
    settings = {**hanging, "jeap.processarchive.shutdown-timeout": "4s"}
    embedded, job_id = Embedded(tmp_path, source, settings), uuid4()
    source.script(match="ref-1*", delay_ms=120_000)
    with embedded.service() as service:
        service.submit(job_id, unversioned(*REFERENCES))
        service.wait("some hang", lambda: source.load["in_flight"] >= 5)
        service.terminate()
        assert service.exit_code(20) == 0
        source.clear()
        service.start()
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
    assert set(embedded.object_versions().values()) == {1}
