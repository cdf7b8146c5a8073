"""From one process to three and back while a job runs: what moves between them is neither lost nor done twice."""

import random
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.faults.conftest import FULL, Scale
from tests.faults.making import MakeArchive, references
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.records import committed
from tests.support.service import Service

AT_ONCE = 8


def archived(service: Service) -> int:
    return sum(line["message"] == "archived" for line in service.logged())


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"] if FULL else ["SIGKILL"])  # SIGTERM: test_stop_under_load
def test_a_job_goes_on_while_processes_come_and_go(
    make_archive: MakeArchive, source: Source, scale: Scale, dice: random.Random, end: str
) -> None:
    archive, job_id, names = make_archive(), uuid4(), references(scale.references)
    archive.configure({"jeap.processarchive.backfill.concurrency": AT_ONCE})
    source.script(delay_ms=2000)  # the job is still under way when processes have come, and when they go
    with archive.service(constants=SHORT_SESSION) as first, ExitStack() as stack:
        first.submit(job_id, unversioned(*names))
        first.wait_done(job_id, 10)
        others = [stack.enter_context(archive.service(constants=SHORT_SESSION)) for _ in range(2)]
        for other in others:
            first.wait("all have a part", lambda other=other: archived(other) > 0)  # type: ignore[misc]
        going = [first, *others]
        stays = going.pop(dice.randrange(3))
        for service in going:
            if end == "SIGKILL":
                service.kill()
            else:
                service.terminate()
        if end == "SIGTERM":
            assert [service.exit_code() for service in going] == [0, 0]
        assert stays.job(job_id)["counts"]["open"] > 0
        source.clear()
        assert_all_succeeded(stays.wait_completed(job_id, 300), names)

        def everything_committed() -> bool:
            offsets, ends = committed(archive.kafka, archive.commands, archive.group)
            return offsets == ends

        stays.wait("all commands committed", everything_committed)
    assert_one_effect_each(archive, job_id, names)
