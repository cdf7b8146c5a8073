"""Metadata runs that are broken off: whatever happens, the rows at the end are those of an uninterrupted run."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import running
from tests.faults.conftest import FULL
from tests.faults.making import MakeArchive
from tests.servers import Oidc, Postgres, SeaweedFS
from tests.servers.process import run_sync
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION, SOURCE_AUDIENCE, Archive
from tests.support.archive_types import unversioned
from tests.support.metadata_runs import DOCUMENTS, all_runs, set_paths, wait_run
from tests.support.service import Service
from tests.support.stored import ToStore, s3_options, store_advisories

ARTIFACTS, KILLS, OUTAGE = (5000, 10, 30.0) if FULL else (300, 2, 5.0)
JOB = 120
"""References of the job that archives while a run is on."""

LONGEST_DELAY = 0.1
"""Seconds between the count that was waited for and the kill."""

SESSION = {} if FULL else SHORT_SESSION
PATIENCE = 600.0
"""Seconds for a run: after a kill Kafka gives the partitions of the dead process away at the end of its session."""

SETTINGS = {
    "jeap.processarchive.metadata-backfill.enabled": True,
    "jeap.processarchive.metadata-backfill.batch-size": 20 if FULL else 5,
    "jeap.processarchive.backfill.concurrency": 4,  # one batch after the other: a run lasts long enough to be hit
    "jeap.processarchive.objectstorage.object-lock-enabled": False,
}
OLD = {"osv_id": "id", "first": "aliases[0]"}
NEW = {
    **OLD,
    "first": "references[0].url",
    "summary": "summary",
    "aliases": "aliases[*]",
    "package": "affected[0].package.name",
    "kinds": "affected[*].ranges[*].type",
    "severity": "severity[0].score",
    "cwes": "database_specific.cwe_ids",
    "credit": "credits[0].name",
    "details": "details",
    "nothing": '["a.b"].c',
}
ROWS = """
    SELECT a.reference_id, a.reference_version, a.revision AS artifact_revision, a.superseded,
           v.key, v.kind, v.json, v.text, v.text_head, v.number, v.revision
    FROM artifact a LEFT JOIN artifact_metadata v ON v.artifact_id = a.id
    ORDER BY a.reference_id, a.id, v.key
"""


@dataclass(frozen=True)
class Stock:
    """Archived with the old paths; each test works on a copy of the database. `rows`: after a run nobody disturbed."""

    s3: SeaweedFS
    bucket: str
    database: str
    rows: list[dict[str, Any]]


def artifact_rows(archive: Archive) -> list[dict[str, Any]]:
    return archive.query(ROWS)


def copy_of(
    make_archive: MakeArchive, postgres: Postgres, s3: SeaweedFS, bucket: str, database: str, **arguments: Any
) -> Archive:
    archive = make_archive(s3=s3, make=("topics",), **arguments)
    postgres.create_database(archive.database, database)
    archive.bucket = bucket
    archive.configure(SETTINGS)
    set_paths(archive, **OLD)
    return archive


@pytest.fixture(scope="module")
def stock(make_archive: MakeArchive, postgres: Postgres) -> Iterator[Stock]:
    """On an object store of its own, as that is killed."""
    documents = [path.read_bytes() for path in sorted(DOCUMENTS.glob("*.json"))]
    advisories = [ToStore(f"ref-{place}", documents[place % len(documents)]) for place in range(ARTIFACTS)]
    with running(SeaweedFS()) as s3:
        made = make_archive(s3=s3)
        run_sync(store_advisories(postgres.url(made.database), s3_options(s3), made.bucket, advisories, OLD))
        undisturbed = copy_of(make_archive, postgres, s3, made.bucket, made.database)
        with undisturbed.service() as service:
            set_paths(undisturbed, **NEW)
            assert_completed(wait_run(service, seconds=PATIENCE))
        rows = artifact_rows(undisturbed)
        assert len(rows) == ARTIFACTS * len(NEW)
        assert {row["artifact_revision"] for row in rows} == {2}
        assert {row["revision"] for row in rows if row["key"] == "osv_id"} == {1}
        yield Stock(s3, made.bucket, made.database, rows)


@pytest.fixture
def archive(make_archive: MakeArchive, postgres: Postgres, stock: Stock) -> Archive:
    return copy_of(make_archive, postgres, stock.s3, stock.bucket, stock.database)


def processed(archive: Archive) -> int:
    """Artifacts that the newest run has looked at."""
    found = archive.query("SELECT processed FROM metadata_run ORDER BY started DESC LIMIT 1")
    return int(found[0]["processed"]) if found else 0


def is_over(archive: Archive) -> bool:
    return bool(archive.query("SELECT id FROM metadata_run WHERE state <> 'open'"))


def wait_processed(service: Service, archive: Archive, count: int) -> None:
    service.wait(f"{count} artifacts processed", lambda: processed(archive) >= count, PATIENCE)


def moments(dice: random.Random, kills: int) -> list[tuple[int, float]]:
    """After how many artifacts, and how much later; the first may be before the change is noticed."""
    counts = sorted(dice.sample(range(ARTIFACTS // 20, ARTIFACTS * 3 // 4), kills - 1))
    return [(0, dice.uniform(0, 3)), *((count, dice.uniform(0, LONGEST_DELAY)) for count in counts)]


def assert_completed(done: dict[str, Any]) -> None:
    counts = {name: done[name] for name in ("state", "total", "processed", "updated", "failed")}
    assert counts == {
        "state": "completed",
        "total": ARTIFACTS,
        "processed": ARTIFACTS,
        "updated": ARTIFACTS,
        "failed": 0,
    }


def assert_as_undisturbed(service: Service, archive: Archive, stock: Stock) -> None:
    """One run, each artifact counted once, and row by row the same."""
    assert_completed(wait_run(service, seconds=PATIENCE))
    assert len(all_runs(service)) == 1
    rows = artifact_rows(archive)
    different = [(got, wanted) for got, wanted in zip(rows, stock.rows, strict=True) if got != wanted]
    assert different == []


def test_a_run_killed_at_random_moments_ends_with_the_rows_of_an_undisturbed_one(
    archive: Archive, stock: Stock, dice: random.Random
) -> None:
    broken_off = 0
    with archive.service(constants=SESSION) as service:
        set_paths(archive, **NEW)
        for count, delay in moments(dice, KILLS):
            wait_processed(service, archive, count)
            time.sleep(delay)
            service.kill()
            broken_off += not is_over(archive)
            service.start()
        assert_as_undisturbed(service, archive, stock)
    assert broken_off > KILLS // 2


def test_a_run_of_two_processes_of_which_one_is_killed_ends_with_the_same_rows(
    archive: Archive, stock: Stock, dice: random.Random
) -> None:
    with archive.services(2, SESSION) as both:
        set_paths(archive, **NEW)
        killed, survivor = dice.sample(both, 2)
        wait_processed(survivor, archive, dice.randrange(ARTIFACTS // 20, ARTIFACTS // 2))
        time.sleep(dice.uniform(0, LONGEST_DELAY))
        killed.kill()
        assert not is_over(archive)
        assert_as_undisturbed(survivor, archive, stock)


def test_a_run_waits_while_the_object_store_is_away_and_ends_with_the_same_rows(archive: Archive, stock: Stock) -> None:
    with archive.service() as service:
        set_paths(archive, **NEW)
        wait_processed(service, archive, ARTIFACTS // 5)
        stock.s3.kill()
        begin = time.monotonic()
        try:
            service.wait("the object store is named", lambda: bool(service.problem("objectstore")))
            time.sleep(1)  # what was read before may be recorded still
            count = processed(archive)
            time.sleep(max(0.0, OUTAGE - (time.monotonic() - begin)))
            assert processed(archive) == count < ARTIFACTS
        finally:
            stock.s3.start()
        assert_as_undisturbed(service, archive, stock)


def test_what_is_archived_while_a_run_is_on_has_the_new_keys_once(
    make_archive: MakeArchive, postgres: Postgres, stock: Stock, oidc: Oidc
) -> None:
    job_id, names = uuid4(), [path.stem for path in sorted(DOCUMENTS.glob("*.json"))][:JOB]
    with Source(documents=DOCUMENTS, delay_ms=400, jwks_uri=oidc.jwks_uri, audience=SOURCE_AUDIENCE) as source:
        archive = copy_of(make_archive, postgres, stock.s3, stock.bucket, stock.database, source=source)
        with archive.services(2) as (service, _):
            service.submit(job_id, unversioned(*names))
            service.wait_done(job_id, 5)
            set_paths(archive, **NEW)
            assert service.wait_completed(job_id, PATIENCE)["job-result"] == "succeeded"

            def all_are_new() -> bool:
                return archive.query("SELECT id FROM artifact WHERE revision < 2 LIMIT 1") == []

            service.wait("every artifact is of the new definition", all_are_new, PATIENCE)
            wait_run(service, seconds=PATIENCE)
            assert all(each["state"] == "completed" and each["failed"] == 0 for each in all_runs(service))
            done = all_runs(service)
    rows = artifact_rows(archive)
    before = [row for row in rows if row["reference_id"].startswith("ref-")]
    assert before == stock.rows
    during = [row for row in rows if not row["reference_id"].startswith("ref-")]
    assert [(row["reference_id"], row["key"]) for row in during] == [(n, key) for n in names for key in sorted(NEW)]
    of_document = {row["json"]: row["reference_id"] for row in stock.rows if row["key"] == "osv_id"}
    wanted = {(of_document[f'"{n}"'], key): n for n in names for key in NEW}
    values = {
        (n, row["key"]): row["json"] for row in stock.rows if (n := wanted.get((row["reference_id"], row["key"])))
    }
    assert {(row["reference_id"], row["key"]): row["json"] for row in during} == values
    assert {row["revision"] for row in during if row["key"] == "summary"} == {2}
    later = [row for row in during if row["key"] == "osv_id" and row["revision"] == 2]
    assert 0 < len(later) < JOB, "the definition changed in the middle of the job"
    # Each was brought up to date by a run or archived with the new definition, none both.
    assert sum(each["processed"] for each in done) == ARTIFACTS + JOB - len(later)
