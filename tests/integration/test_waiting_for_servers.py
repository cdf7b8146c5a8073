"""What is not there at the start is waited for and named; work begins without a restart when it comes."""

from uuid import uuid4

from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import Postgres
from tests.support.archive import NOT_MIGRATED
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import Service

REFERENCES = ["a", "b", "c"]


def assert_not_ready(service: Service) -> None:
    status, body = service.ready()
    assert (status, body["status"]) == (503, "not ready")


def test_a_database_that_cannot_be_reached_is_waited_for(make_archive: MakeArchive) -> None:
    job_id, body = uuid4(), submission(OSV, unversioned(*REFERENCES))
    with running(Postgres()) as postgres:
        archive = make_archive(postgres=postgres)
        postgres.kill()
        service = archive.service()
        try:
            service.start_listening()
            service.wait("named", lambda: "not seen" not in service.problem("database"))
            assert_not_ready(service)
            refused = service.put(job_id, body)
            assert refused.status_code == 503
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert "Retry-After" in refused.headers
            postgres.start()
            service.wait("ready", lambda: service.ready()[0] == 200)
            service.submit(job_id, unversioned(*REFERENCES))
            assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        finally:
            service.close()


def test_missing_topics_and_a_missing_bucket_are_named_and_picked_up_when_they_are_made(
    make_archive: MakeArchive,
) -> None:
    archive, job_id = make_archive(make=("database",)), uuid4()
    service = archive.service()
    try:
        service.start_listening()
        service.wait("topics named", lambda: archive.commands in service.problem("broker"))
        service.wait("bucket named", lambda: archive.bucket in service.problem("objectstore"))
        problem = service.problem("broker")
        assert all(topic in problem for topic in (archive.commands, archive.dead_letters, archive.events))
        service.wait("the database is migrated", lambda: not service.problem("database"))
        assert_not_ready(service)
        service.submit(job_id, unversioned(*REFERENCES))
        archive.make_topics()
        service.wait("topics seen", lambda: not service.problem("broker"))
        assert_not_ready(service)
        archive.s3.create_bucket(archive.bucket)
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        assert service.ready() == (200, {"status": "ready", "problems": {}})
    finally:
        service.close()


def test_a_bucket_without_lock_is_named_and_used_when_it_has_one(make_archive: MakeArchive) -> None:
    archive, job_id = make_archive(make=("topics", "database")), uuid4()
    archive.s3.create_bucket(archive.bucket, lock=False)
    service = archive.service()
    try:
        service.start_listening()
        service.wait("named", lambda: "versioning" in service.problem("objectstore"))
        s3 = archive.s3.client()
        s3.put_bucket_versioning(Bucket=archive.bucket, VersioningConfiguration={"Status": "Enabled"})
        service.wait("named", lambda: "lock" in service.problem("objectstore"))
        service.wait("the database is migrated", lambda: not service.problem("database"))
        assert_not_ready(service)
        service.submit(job_id, unversioned(*REFERENCES))
        assert archive.task_states(job_id) == {"open": len(REFERENCES)}
        lock = {"ObjectLockEnabled": "Enabled"}
        s3.put_object_lock_configuration(Bucket=archive.bucket, ObjectLockConfiguration=lock)
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        assert service.ready()[0] == 200
    finally:
        service.close()


def test_a_stop_does_not_wait_for_a_bucket_that_is_not_there(make_archive: MakeArchive) -> None:
    archive = make_archive(make=("topics", "database"))
    archive.configure({"jeap.processarchive.shutdown-timeout": "10m"})
    service = archive.service()
    try:
        service.start_listening()
        service.wait("named", lambda: archive.bucket in service.problem("objectstore"))
        service.terminate()
        assert service.exit_code() == 0
    finally:
        service.close()


def test_a_submission_before_the_database_is_migrated_is_503(make_archive: MakeArchive) -> None:
    archive, job_id, body = make_archive(make=NOT_MIGRATED), uuid4(), submission(OSV, unversioned(*REFERENCES))
    service = archive.service()
    statuses = []
    try:
        service.start_listening()
        while (status := service.put(job_id, body).status_code) != 200:
            statuses.append(status)
        assert set(statuses) <= {503}
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
    finally:
        service.close()
