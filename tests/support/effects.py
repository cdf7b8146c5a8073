"""What a completed job must have left, however often its processes were killed."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from tests.support.archive import Archive
from tests.support.objects import versions_in
from tests.support.records import read_topic


def assert_one_effect_each(archive: Archive, job_id: UUID, identifiers: Collection[str]) -> None:
    """Of unversioned references: one outcome and one object version each, at least one event with one idempotence id.

    The archive has no other jobs.
    """
    assert archive.task_states(job_id) == {"succeeded": len(identifiers)}
    (job,) = archive.query("SELECT * FROM backfill_job WHERE id = $1", job_id)
    assert (job["open"], job["succeeded"], job["failed"]) == (0, len(identifiers), 0)
    versions = Counter(version.key for version in versions_in(archive.s3, archive.bucket))
    assert len(versions) == len(identifiers)
    assert set(versions.values()) == {1}
    events = [record.json for record in read_topic(archive.kafka, archive.events)]
    assert_one_idempotence_id_each(events, identifiers)
    places = {event["references"]["storageObject"]["storageObjectKey"] for event in events}
    assert places == set(versions)


def assert_one_idempotence_id_each(events: Iterable[Mapping[str, Any]], identifiers: Collection[str]) -> None:
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        ids[event["references"]["archivedArtifact"]["referenceId"]].add(event["identity"]["idempotenceId"])
    assert set(ids) == set(identifiers)
    assert {len(each) for each in ids.values()} == {1}


def assert_all_succeeded(report: Mapping[str, Any], identifiers: Iterable[str]) -> None:
    assert [(each["id"], each["state"]) for each in report["archiveDataReferences"]] == [
        (identifier, "succeeded") for identifier in identifiers
    ]
    assert report["job-result"] == "succeeded"
