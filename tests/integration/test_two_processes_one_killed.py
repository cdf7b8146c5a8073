"""Two processes share the work of a job; one of them is killed in the middle."""

from uuid import uuid4

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.records import committed
from tests.support.service import Service

REFERENCES = [f"ref-{number}" for number in range(600)]


def test_every_reference_is_settled_once_when_one_of_two_processes_is_killed(
    make_archive: MakeArchive, source: Source
) -> None:
    source.script(delay_ms=8)
    archive, job_id = make_archive(), uuid4()
    with archive.services(2, SHORT_SESSION) as (killed, survivor):
        killed.submit(job_id, unversioned(*REFERENCES))
        survivor.wait_done(job_id, 150)
        killed.kill()
        survivor.wait("the survivor has work", lambda: archived(survivor) > 0)
        assert 0 < archived(killed) < len(REFERENCES)
        report = survivor.wait_completed(job_id)
        assert_all_succeeded(report, REFERENCES)

        def everything_committed() -> bool:
            offsets, ends = committed(archive.kafka, archive.commands, archive.group)
            return offsets == ends

        survivor.wait("all commands committed", everything_committed)
    assert_one_effect_each(archive, job_id, REFERENCES)


def archived(service: Service) -> int:
    return sum(line["message"] == "archived" for line in service.logged())
