"""People steer jobs: list, follow, pause, resume, cancel and retry them, while two processes share the work."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import yaml

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import DECREE, OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.records import read_topic
from tests.support.service import Service, pas

AT_ONCE = 8


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    made = make_archive()
    made.configure({"jeap.processarchive.backfill.concurrency": AT_ONCE})
    return made


@pytest.fixture(scope="module")
def services(archive: Archive) -> Iterator[list[Service]]:
    with archive.services(2) as started:
        yield started


@pytest.fixture
def service(services: list[Service], source: Source) -> Iterator[Service]:
    source.clear()
    yield services[0]
    source.clear()


def names(count: int) -> list[str]:
    return [f"{uuid4().hex[:6]}-{number}" for number in range(count)]


def act(service: Service, job_id: UUID, what: str, **arguments: Any) -> dict[str, Any]:
    answer = service.api("POST", f"/api/jobs/{job_id}/{what}", **arguments)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def refused(service: Service, job_id: UUID, what: str, **arguments: Any) -> str:
    """The reason of a 409."""
    answer = service.api("POST", f"/api/jobs/{job_id}/{what}", **arguments)
    assert answer.status_code == 409, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_within_a_second_no_task_of_a_paused_job_starts_and_a_resume_goes_on(
    service: Service, services: list[Service], source: Source
) -> None:
    job_id, other, references = uuid4(), uuid4(), names(400)
    source.script(delay_ms=200)
    service.submit(job_id, unversioned(*references))
    service.wait_done(job_id, 10)
    paused = act(services[1], job_id, "pause")  # not by the process that took the job
    assert (paused["paused"], paused["state"], paused["estimatedEnd"]) == (True, "open", None)
    assert paused["pausedBy"] == "John Doe"
    assert paused["pausedAt"] > paused["started"]
    time.sleep(1)
    asked = source.load["requests"]
    time.sleep(1.5)
    assert source.load["requests"] == asked
    before = service.job(job_id)
    assert before["counts"]["open"] > 0
    assert refused(service, job_id, "pause") == f"Job {job_id} is paused already; nothing was changed."
    act(service, job_id, "redrive")
    service.submit(other, unversioned("another job goes on"))
    service.wait_completed(other)
    assert service.job(job_id)["counts"] == before["counts"]

    source.clear()
    resumed = act(service, job_id, "resume")
    assert (resumed["paused"], resumed["pausedAt"], resumed["pausedBy"]) == (False, None, None)
    assert_all_succeeded(service.wait_completed(job_id), references)
    assert refused(service, job_id, "resume") == f"Job {job_id} has ended; nothing was changed."
    assert refused(service, job_id, "pause") == f"Job {job_id} has ended; nothing was changed."


def test_what_waits_for_its_source_does_not_start_after_a_pause(service: Service, source: Source) -> None:
    job_id = uuid4()
    source.script(delay_ms=50)
    service.submit(job_id, unversioned(*names(600)))
    service.wait_done(job_id, 30)
    source.clear()
    source.script(status=503, retry_after=3, times=3)
    source.script(delay_ms=50)
    service.wait("the source is given a rest", lambda: source.load["in_flight"] == 0)
    act(service, job_id, "pause")
    time.sleep(1.2)
    asked = source.load["requests"]
    time.sleep(5)
    assert source.load["requests"] == asked
    source.clear()
    act(service, job_id, "resume")
    service.wait("completed", lambda: service.job(job_id)["state"] == "completed")
    assert service.job(job_id)["counts"]["failed"] == 0


def test_a_pause_that_was_on_when_a_process_started_holds(archive: Archive, service: Service, source: Source) -> None:
    job_id = uuid4()
    source.script(delay_ms=300)
    service.submit(job_id, unversioned(*names(300)))
    service.wait_done(job_id, 5)
    act(service, job_id, "pause")
    time.sleep(1.5)
    counts = service.job(job_id)["counts"]
    with archive.service():
        time.sleep(2)
        assert service.job(job_id)["counts"] == counts
    source.clear()
    act(service, job_id, "resume")
    service.wait_completed(job_id)


def test_a_cancelled_job_ends_with_what_was_stored(archive: Archive, service: Service, source: Source) -> None:
    job_id, references = uuid4(), names(400)
    source.script(delay_ms=150)
    service.submit(job_id, unversioned(*references))
    service.wait_done(job_id, 20)
    source.clear()
    source.script(delay_ms=3000)
    asked_before = source.load["requests"]
    service.wait("a record is asked for slowly", lambda: source.load["requests"] > asked_before)
    act(service, job_id, "cancel")
    report = service.wait_completed(job_id, 20)
    assert report["job-result"] == "partially-succeeded"
    states = {each["id"]: each for each in report["archiveDataReferences"]}
    cancelled = [each for each in states.values() if each["state"] == "failed"]
    assert 20 <= len(references) - len(cancelled) < 320
    assert {each["error"]["message"] for each in cancelled} == {"cancelled by John Doe"}
    seen = {request["id"]: request["headers"]["traceparent"].split("-")[1] for request in source.requests}
    asked = [each for each in cancelled if each["id"] in seen]  # in flight when the job was cancelled
    assert asked
    assert all(each["error"]["traceId"] == seen[each["id"]] for each in asked)
    assert len({each["error"]["traceId"] for each in cancelled}) == len(cancelled)
    assert refused(service, job_id, "cancel") == f"Job {job_id} has ended; nothing was changed."
    time.sleep(1)
    assert service.report(job_id) == report  # nobody turns it around
    assert service.redrive(job_id)["counts"]["open"] == 0
    succeeded = {identifier for identifier, each in states.items() if each["state"] == "succeeded"}
    announced = {
        record.json["references"]["archivedArtifact"]["referenceId"]
        for record in read_topic(archive.kafka, archive.events)
    }
    assert succeeded <= announced
    assert not announced & {each["id"] for each in cancelled}
    verified = pas("verify", "--config", str(archive.config), "--job", str(job_id), "--json")
    assert verified.returncode == 0, verified.stdout


def test_what_failed_is_retried_in_a_new_job_once(service: Service, source: Source) -> None:
    job_id, new_id, references = uuid4(), uuid4(), names(30)
    failing = references[3::5]
    for each in failing:
        source.script(match=each, status=404)
    service.submit(job_id, unversioned(*references))
    service.wait_completed(job_id)
    source.clear()
    body: dict[str, Any] = {"json": {"jobId": str(new_id).upper()}}
    first = service.api("POST", f"/api/jobs/{job_id}/retry", **body)
    assert first.status_code == 201
    assert first.headers["Location"] == f"/api/jobs/{new_id}"
    assert (first.json()["jobId"], first.json()["retryOf"]) == (str(new_id), str(job_id))
    assert_all_succeeded(service.wait_completed(new_id), failing)
    again = service.api("POST", f"/api/jobs/{job_id}/retry", **body)
    assert (again.status_code, again.json()["counts"]["succeeded"]) == (200, len(failing))
    assert source.counts == dict.fromkeys(failing, 1)
    assert service.job(job_id)["counts"]["failed"] == len(failing)

    assert "has no failed references" in refused(service, new_id, "retry", json={"jobId": str(uuid4())})
    assert "is not a retry of" in refused(service, new_id, "retry", json={"jobId": str(job_id)})
    # What was retried can be submitted as well, under the same id: it is the same content.
    service.submit(new_id, unversioned(*failing))


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, "jobId", "is missing"),
        ({"jobId": 1}, "jobId", "valid string"),
        ({"jobId": "88dbb65f96344685bc8617b72d715d3e"}, "jobId", "is not a UUID with hyphens"),
        ({"jobId": str(uuid4()), "id": 1}, "id", "is not known; there are jobId"),
    ],
)
def test_a_retry_says_what_is_wrong_with_its_body(
    service: Service, body: dict[str, Any], path: str, message: str
) -> None:
    answer = service.api("POST", f"/api/jobs/{uuid4()}/retry", json=body)
    assert answer.status_code == 400
    [mistake] = answer.json()["errors"]
    assert mistake["path"] == path
    assert message in mistake["message"]


def test_a_retry_does_not_fit_a_configuration_that_is_gone(make_archive: MakeArchive, source: Source) -> None:
    source.clear()
    source.script(match="gone", status=404)
    archive, job_id = make_archive(), uuid4()
    with archive.service() as service:
        service.submit(job_id, unversioned("gone"))
        service.wait_completed(job_id)
        types = archive.directory / "archive-types.yml"
        kept = [each for each in yaml.safe_load(types.read_text())["archiveTypes"] if each["messageType"] != OSV.name]
        types.write_text(yaml.safe_dump({"archiveTypes": kept}))
        service.wait(
            "the file is taken over",
            lambda: (
                service.put(
                    uuid4(), b"message: OsvRecordPublishedEvent\ntopic: t\narchiveDataReferences: [{id: a}]\n"
                ).text.find("no archive type")
                > 0
            ),
        )
        new: dict[str, Any] = {"json": {"jobId": str(uuid4())}}
        assert "no archive type is configured" in refused(service, job_id, "retry", **new)
        assert service.api("GET", f"/api/jobs/{new['json']['jobId']}").status_code == 404
    source.clear()


def test_a_job_pauses_itself_when_too_many_of_its_references_fail(make_archive: MakeArchive, source: Source) -> None:
    source.clear()
    source.script(status=404, delay_ms=200)
    archive, job_id, references = make_archive(), uuid4(), names(300)
    threshold = "jeap.processarchive.backfill.failure-threshold"
    at_once = {"jeap.processarchive.backfill.concurrency": AT_ONCE}
    archive.configure({f"{threshold}.share": 0.5, f"{threshold}.min-tasks": 20, **at_once})
    with archive.service() as service:
        service.submit(job_id, unversioned(*references))
        service.wait("paused", lambda: service.job(job_id)["paused"])
        time.sleep(1.5)
        counts = service.job(job_id)["counts"]
        assert 20 <= counts["failed"] < 200
        assert counts["open"] == 300 - counts["failed"]
        [said] = [line for line in service.logged() if "of its references failed" in line["message"]]
        assert (said["level"], said["job_id"]) == ("WARNING", str(job_id))
        source.clear()
        act(service, job_id, "resume")
        service.wait("completed", lambda: service.job(job_id)["state"] == "completed")
        assert service.job(job_id)["counts"]["failed"] == counts["failed"]


def test_jobs_are_listed_newest_first_with_counts(service: Service, source: Source) -> None:
    ids = [uuid4() for _ in range(3)]
    for number, job_id in enumerate(ids):
        service.submit(job_id, unversioned(*names(number + 1)))
        service.wait_completed(job_id)
    page = service.api("GET", "/api/jobs", params={"limit": 2, "state": "completed", "message": OSV.name}).json()
    assert [each["jobId"] for each in page["items"]] == [str(ids[2]), str(ids[1])]
    assert page["items"][0] == service.job(ids[2])
    rest = service.api("GET", "/api/jobs", params={"limit": 1000, "cursor": page["next"]}).json()
    assert rest["items"][0]["jobId"] == str(ids[0])
    assert rest["next"] is None
    assert service.api("GET", "/api/jobs", params={"message": DECREE.name}).json() == {"items": [], "next": None}
    for query in ({"state": "paused"}, {"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"message": "a\0b"}):
        answer = service.api("GET", "/api/jobs", params=query)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == next(iter(query))


def test_a_job_is_followed_until_it_ends(service: Service, source: Source) -> None:
    job_id = uuid4()
    source.script(delay_ms=400)
    service.submit(job_id, unversioned(*names(60)))
    seen = list(events(service, job_id))
    jobs = [json.loads(data) for _, data in seen]
    done = [job["counts"]["succeeded"] for job in jobs]
    assert done == sorted(done)
    assert len(jobs) >= 3
    assert [name for name, _ in seen] == ["open"] * (len(seen) - 1) + ["completed"]
    assert jobs[-1] == service.job(job_id)
    known = service.api("GET", f"/api/jobs/{job_id}/events", headers={"Last-Event-ID": "completed"})
    assert (known.status_code, known.content) == (204, b"")
    assert len(list(events(service, job_id))) == 1  # who does not know yet is told


def test_a_stream_of_events_does_not_hold_up_the_end_of_the_service(make_archive: MakeArchive, source: Source) -> None:
    source.clear()
    source.script(delay_ms=3000)
    job_id = uuid4()
    with make_archive().service() as service:
        service.submit(job_id, unversioned(*names(3)))
        ended = threading.Event()

        def follow() -> None:
            list(events(service, job_id))
            ended.set()

        thread = threading.Thread(target=follow)
        thread.start()
        time.sleep(1)
        service.terminate()
        assert service.exit_code() == 0
        assert ended.wait(5)
        thread.join()
        ours = [line for line in service.logged() if line["logger"].startswith(("app.", "uvicorn."))]
        assert [line for line in ours if line["level"] == "ERROR"] == []
    source.clear()


def events(service: Service, job_id: UUID) -> Iterator[tuple[str, str]]:
    """Id and data of each event until the stream ends."""
    headers = {"Authorization": f"Bearer {service.token()}", "Accept": "text/event-stream"}
    with httpx.stream("GET", f"{service.url}/api/jobs/{job_id}/events", headers=headers, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                yield event.pop("id"), event.pop("data")


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/api/jobs", "read"),
        ("GET", "/api/jobs/{id}/events", "read"),
        ("POST", "/api/jobs/{id}/pause", "write"),
        ("POST", "/api/jobs/{id}/resume", "write"),
        ("POST", "/api/jobs/{id}/cancel", "write"),
        ("POST", "/api/jobs/{id}/retry", "write"),
    ],
)
def test_each_needs_its_role_and_a_job_that_is_there(
    archive: Archive, service: Service, method: str, path: str, role: str
) -> None:
    url = path.format(id=uuid4())
    assert httpx.request(method, f"{service.url}{url}").status_code == 401
    other = archive.oidc.token("pas-reader" if role == "write" else "pas-writer")
    answer = service.api(method, url, token=other)
    assert answer.status_code == 403
    assert f"backfilljob:{role}" in answer.json()["detail"]
    if "{id}" in path:
        more: dict[str, Any] = {"json": {"jobId": str(uuid4())}} if path.endswith("retry") else {}
        assert service.api(method, url, **more).status_code == 404
        assert service.api(method, path.format(id="no-uuid"), **more).status_code == 400
