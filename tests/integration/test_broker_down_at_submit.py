"""The broker is down when a job is submitted, and comes back."""

from uuid import uuid4

from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import Kafka
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each

REFERENCES = [f"ref-{number}" for number in range(50)]


def test_a_job_submitted_while_the_broker_is_down_is_accepted_and_done_when_it_is_back(
    make_archive: MakeArchive,
) -> None:
    job_id = uuid4()
    with running(Kafka()) as kafka:
        archive = make_archive(kafka=kafka)
        with archive.service() as service:
            kafka.kill()
            service.submit(job_id, unversioned(*REFERENCES))
            assert service.job(job_id)["counts"]["open"] == len(REFERENCES)
            service.submit(job_id, unversioned(*REFERENCES))
            assert service.ready()[0] == 200  # submissions are still accepted
            kafka.start()
            assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
            service.wait("no outage is named", lambda: service.problem("broker") == "")
        assert_one_effect_each(archive, job_id, REFERENCES)
