"""SIGTERM under load on the real servers: one of two processes goes in good order, a hanging source or not."""

from uuid import uuid4

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each

REFERENCES = [f"ref-{number}" for number in range(400)]


def test_a_process_that_is_stopped_leaves_its_work_to_the_other_one(make_archive: MakeArchive, source: Source) -> None:
    archive, job_id = make_archive(), uuid4()
    archive.configure({"jeap.processarchive.shutdown-timeout": "6s"})
    source.script(match="*7", delay_ms=20_000, times=8)
    source.script(delay_ms=30)
    with archive.services(2) as (stopped, stays):
        stopped.submit(job_id, unversioned(*REFERENCES))
        stays.wait_done(job_id, 60)
        stopped.terminate()
        stopped.wait("unready", lambda: stopped.ready()[1]["status"] == "stopping")
        assert stopped.exit_code(15) == 0
        errors = [line for line in stopped.logged() if line["level"] == "ERROR" and line["logger"].startswith("app.")]
        assert errors == []
        assert_all_succeeded(stays.wait_completed(job_id), REFERENCES)
    assert_one_effect_each(archive, job_id, REFERENCES)
