"""Metadata runs on real servers: noticed without a restart, done once, whatever goes missing meanwhile."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers import Oidc
from tests.servers.source import Source
from tests.support.archive import SOURCE_AUDIENCE, Archive
from tests.support.contracts import assert_fits
from tests.support.metadata_runs import (
    DOCUMENTS,
    RUNS,
    advisories,
    all_runs,
    archive_advisories,
    run,
    set_paths,
    values,
    wait_run,
)
from tests.support.records import read_topic

NUMBER = 60
PATHS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "osv_id": ("id", lambda d: d["id"]),
    "summary": ("summary", lambda d: d.get("summary")),
    "aliases": ("aliases[*]", lambda d: d.get("aliases")),
    "first_alias": ("aliases[0]", lambda d: (d.get("aliases") or [None])[0]),
    "package": ("affected[0].package.name", lambda d: d["affected"][0].get("package", {}).get("name")),
    "kinds": (
        "affected[*].ranges[*].type",
        lambda d: [[r["type"] for r in a["ranges"]] if "ranges" in a else None for a in d["affected"]],
    ),
    "severity": ("severity[0].score", lambda d: (d.get("severity") or [{}])[0].get("score")),
    "cwes": ("database_specific.cwe_ids", lambda d: d.get("database_specific", {}).get("cwe_ids")),
    "credit": ("credits[0].name", lambda d: (d.get("credits") or [{}])[0].get("name")),
    "urls": ("references[*].url", lambda d: [r["url"] for r in d["references"]] if "references" in d else None),
    "details": ("details", lambda d: d["details"]),
    "nothing": ('["a.b"].c', lambda d: d.get("a.b", {}).get("c")),
}
EXPECTED = {id_: {key: read(found) for key, (_, read) in PATHS.items()} for id_, found in advisories(NUMBER).items()}
NULLS = sum(value is None for found in EXPECTED.values() for value in found.values())

SETTINGS = {
    "jeap.processarchive.metadata-backfill.enabled": True,
    "jeap.processarchive.metadata-backfill.batch-size": 7,
    "jeap.processarchive.objectstorage.object-lock-enabled": False,  # so that objects can be deleted
}


@pytest.fixture(scope="module")
def advisory_source(oidc: Oidc) -> Iterator[Source]:
    """Serves the real advisories."""
    with Source(documents=DOCUMENTS, jwks_uri=oidc.jwks_uri, audience=SOURCE_AUDIENCE) as started:
        yield started


@pytest.fixture
def archive(make_archive: MakeArchive, advisory_source: Source) -> Archive:
    return make_archive(source=advisory_source, settings=SETTINGS)


def paths() -> dict[str, str]:
    return {key: path for key, (path, _) in PATHS.items()}


def test_a_changed_definition_is_backfilled_without_a_restart(archive: Archive) -> None:
    with archive.service() as service:
        archive_advisories(service, list(EXPECTED))
        assert all_runs(service) == []
        set_paths(archive, **paths())
        done = wait_run(service)
        assert (done["state"], done["total"], done["processed"], done["updated"]) == (
            "completed",
            NUMBER,
            NUMBER,
            NUMBER,
        )
        assert (done["failed"], done["null"], done["revision"]) == (0, NULLS, 1)
        assert values(archive) == EXPECTED
        assert 0 < NULLS < NUMBER * len(PATHS)

        set_paths(archive, **{**paths(), "osv_id": "aliases[0]"})
        changed = wait_run(service, 2)
        assert (changed["keys"], changed["updated"], changed["revision"]) == (["osv_id"], NUMBER, 2)
        again = {id_: {**found, "osv_id": found["first_alias"]} for id_, found in EXPECTED.items()}
        assert values(archive) == again

        archive_advisories(service, [more := next(id_ for id_ in advisories(NUMBER + 1) if id_ not in EXPECTED)])
        assert values(archive)[more].keys() == PATHS.keys(), "what is archived now has all keys at once"
        assert len(all_runs(service)) == 2

        lines = [line for line in service.logged() if line.get("run_id") == done["id"]]
        text = [line["message"] for line in lines]
        assert text[0].startswith(
            f"metadata backfill started: {NUMBER} artifacts of OsvRecordPublishedEvent, keys osv_id"
        )
        assert text[-1].startswith(
            f"metadata backfill completed: {NUMBER} of {NUMBER} processed, {NUMBER} updated, {NULLS} nulls, 0 failed, "
        )
        page = service.api("GET", "/metrics").text
        assert f'pas_metadata_artifacts_total{{what="processed"}} {2 * NUMBER}.0' in page
        assert f'pas_metadata_artifacts_total{{what="updated"}} {2 * NUMBER}.0' in page

    commands = [record.json for record in read_topic(archive.kafka, archive.commands)]
    batches = [command for command in commands if command["type"]["name"] == "BackfillMetadataCommand"]
    assert len(batches) == 2 * -(-NUMBER // 7)
    for command in batches:
        assert_fits("BackfillMetadataCommand", command)
    assert read_topic(archive.kafka, archive.dead_letters) == []


def test_a_change_made_while_the_service_was_down_is_backfilled_at_the_start(archive: Archive) -> None:
    set_paths(archive, osv_id="id")
    with archive.service() as service:
        archive_advisories(service, list(EXPECTED))
        assert all_runs(service) == []
    set_paths(archive, **paths())
    with archive.service() as service:
        done = wait_run(service)
        assert (done["state"], done["updated"]) == ("completed", NUMBER)
        assert set(done["keys"]) == PATHS.keys() - {"osv_id"}
    assert values(archive) == EXPECTED


def test_two_processes_do_one_run_together(archive: Archive) -> None:
    with archive.services(2) as (one, two):
        archive_advisories(one, list(EXPECTED))
        set_paths(archive, **paths())
        assert wait_run(one)["updated"] == NUMBER
        assert len(all_runs(two)) == 1
        one.wait(
            "both have seen the change",
            lambda: all("new archive types loaded" in str(each.logged()) for each in (one, two)),
        )
    assert values(archive) == EXPECTED
    assert len(archive.query("SELECT id FROM metadata_run")) == 1


def test_an_invalid_definition_is_refused_and_the_former_stays(archive: Archive) -> None:
    with archive.service() as service:
        archive_advisories(service, list(EXPECTED)[:3])
        set_paths(archive, osv_id="a..b")
        service.wait("refused", lambda: "not taken over" in str(service.logged()))
        [line] = [line["message"] for line in service.logged() if "not taken over" in line["message"]]
        assert "archiveTypes[0]" in line
        assert "metadata_extraction_paths" in line
        assert service.ready()[0] == 200
        assert all_runs(service) == []
        set_paths(archive, osv_id="id")
        assert wait_run(service)["updated"] == 3


def test_an_object_that_is_gone_is_an_error_of_its_artifact_and_can_be_tried_again(archive: Archive) -> None:
    lost = list(EXPECTED)[10]
    with archive.service() as service:
        archive_advisories(service, list(EXPECTED))
        [row] = archive.query("SELECT id, object_key, version_id FROM artifact WHERE reference_id = $1", lost)
        where = {"Bucket": archive.bucket, "Key": row["object_key"]}
        content = archive.s3.client().get_object(**where)["Body"].read()
        archive.s3.client().delete_object(**where, VersionId=row["version_id"])
        set_paths(archive, **paths())
        done = wait_run(service)
        assert (done["state"], done["processed"], done["updated"], done["failed"]) == (
            "completed",
            NUMBER,
            NUMBER - 1,
            1,
        )
        [error] = done["errors"]
        assert (error["artifact"], error["message"], error["resolved"]) == (
            row["id"],
            "the stored object is gone",
            False,
        )
        assert service.api("GET", f"{RUNS}/{done['id']}/errors").json() == {"items": [error], "next": None}
        assert values(archive) == {id_: found for id_, found in EXPECTED.items() if id_ != lost}

        version = archive.s3.client().put_object(**where, Body=content)["VersionId"]
        archive.query("UPDATE artifact SET version_id = $2 WHERE id = $1", row["id"], version)
        body = {"messageType": "OsvRecordPublishedEvent", "mode": "failed"}
        dry = service.api("POST", RUNS, json={**body, "dryRun": True}).json()
        assert (dry["total"], dry["sample"][0]["artifact"], dry["sample"][0]["new"]) == (1, row["id"], EXPECTED[lost])
        assert service.api("POST", RUNS, json=body).status_code == 202
        again = wait_run(service, 2)
        assert (again["mode"], again["total"], again["updated"]) == ("failed", 1, 1)
        assert run(service, done["id"])["errors"][0]["resolved"]
    assert values(archive) == EXPECTED


def test_a_run_is_paused_resumed_and_cancelled(archive: Archive) -> None:
    archive.configure(
        {
            **SETTINGS,
            "jeap.processarchive.metadata-backfill.batch-size": 1,
            "jeap.processarchive.backfill.concurrency": 1,
        }
    )
    set_paths(archive, **paths())
    body = {"messageType": "OsvRecordPublishedEvent", "mode": "all"}
    with archive.service() as service:
        archive_advisories(service, list(EXPECTED))

        def act(run_id: str, what: str) -> dict[str, Any]:
            answer = service.api("POST", f"{RUNS}/{run_id}/{what}")
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        started = service.api("POST", RUNS, json=body).json()
        assert (started["state"], started["total"]) == ("open", NUMBER)
        assert act(started["id"], "pause")["state"] == "paused"
        counts = [run(service, started["id"])["processed"]]
        service.wait("it stands still", lambda: stands_still(counts, run(service, started["id"])["processed"]))
        assert counts[-1] < NUMBER
        assert act(started["id"], "resume")["state"] == "open"
        done = wait_run(service)
        assert (done["state"], done["processed"], done["updated"]) == ("completed", NUMBER, 0)
        assert service.api("POST", f"{RUNS}/{done['id']}/cancel").status_code == 409

        second = service.api("POST", RUNS, json=body).json()
        act(second["id"], "pause")
        assert act(second["id"], "cancel")["state"] == "cancelled"
        counts = [run(service, second["id"])["processed"]]
        service.wait("it stands still", lambda: stands_still(counts, run(service, second["id"])["processed"]))
        assert counts[-1] < NUMBER
        assert run(service, second["id"])["state"] == "cancelled"
    assert values(archive) == EXPECTED


def stands_still(counts: list[int], count: int) -> bool:
    """Whether the last twenty counts (a second) are equal."""
    counts.append(count)
    return len(counts) > 20 and len(set(counts[-20:])) == 1
