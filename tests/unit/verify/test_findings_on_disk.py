"""Everything that can be wrong with an archive on disk is found and named, and nothing else is."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select, update

from app.db.metadata_tables import artifact
from app.db.tables import task
from app.domain.jobs import Reference, TaskId
from tests.unit.objectstore.uploads import upload_to
from tests.unit.verify.archived import Archived, documents, files_of, rewrite_row


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pas" / "objects"


async def test_an_archive_as_it_should_be_has_no_findings(archived: Archived) -> None:
    await archived.job(*documents(5), ("x" * 2000, b"long id"))
    await archived.job(*documents(3))  # the same documents again: the objects serve both jobs
    await archived.job(*documents(2, 100), recorded=False)
    result = await archived.verify()
    assert (result.code, result.findings) == (0, [])
    assert result.counts["ok"] == result.counts["tasks"] == 11
    assert result.counts["bytes"] == 5 * 9 + 7 + 3 * 9 + 2 * 11
    assert {name: result.counts[name] for name in ("versions", "known", "schema")} == {
        "versions": 9,
        "known": 8,
        "schema": 1,
    }
    assert {name: result.counts[name] for name in ("missing", "unlocked", "unknown", "expired", "other")} == {
        "missing": 0,
        "unlocked": 0,
        "unknown": 0,
        "expired": 0,
        "other": 0,
    }
    assert not archived.state.exists()


async def test_each_kind_of_damage_is_found_and_named(archived: Archived, root: Path) -> None:
    stored = await archived.job(*documents(7), days=30)
    files_of(root, stored[1])[0].unlink()
    files_of(root, stored[2])[0].write_bytes(b'{"id": x}')
    for place, until in ((3, None), (4, datetime.now(UTC).isoformat())):
        said = files_of(root, stored[place])[1]
        said.write_text(json.dumps({**json.loads(said.read_text()), "retain_until": until}))
    said = files_of(root, stored[5])[1]
    before = json.loads(said.read_text())
    said.write_text(json.dumps({**before, "user_metadata": {**before["user_metadata"], "author": "other"}}))
    stranger = await archived.put(TaskId(uuid4(), 0), Reference("ORPHAN"), b"nobody knows", datetime.now(UTC), 30)

    result = await archived.verify()
    assert result.code == 1
    assert result.kinds == [
        ("missing", "DOC/1"),
        ("different", "DOC/2"),
        ("unlocked", "DOC/3"),
        ("unlocked", "DOC/4"),
        ("different", "DOC/5"),
        ("unknown", "ORPHAN"),
    ]
    for finding, place in zip(result.findings, (1, 2, 3, 4, 5), strict=False):
        assert finding["job"] == str(archived.job_ids[0])
        assert (finding["bucket"], finding["key"], finding["versionId"]) == (
            "archive",
            stored[place].key,
            stored[place].version_id,
        )
    assert result.findings[1]["differences"] == [
        {"what": "sha256", "expected": stored[2].sha256, "found": result.findings[1]["differences"][0]["found"]}
    ]
    assert result.findings[2]["differences"][0]["found"] == "nothing"
    assert result.findings[4]["differences"] == [
        {"what": "metadata author", "expected": "Zo%C3%AB%20%26%20Co", "found": "other"}
    ]
    assert result.findings[5]["versionId"] == stranger.version_id
    assert result.counts["ok"] == 2
    assert result.counts["findings"] == 6


async def test_a_row_that_names_the_object_of_another_reference_is_found(archived: Archived) -> None:
    first, second = await archived.job(*documents(2))
    await rewrite_row(archived.database, first, second)
    result = await archived.verify()
    assert ("different", "DOC/0") in result.kinds
    assert {each["what"] for each in result.findings[0]["differences"]} == {"key", "metadata reference-id"}
    assert ("unknown", "DOC/0") in result.kinds


async def test_what_was_stored_without_lock_is_named_once_locking_is_on(archived: Archived, root: Path) -> None:
    (stored,) = await archived.job(*documents(1))
    said = files_of(root, stored)[1]
    said.write_text(json.dumps({**json.loads(said.read_text()), "retain_until": None}))
    await rewrite_row(archived.database, stored, replace(stored, retain_until=None))
    assert (await archived.verify(lock_mode=None)).code == 0
    assert (await archived.verify()).kinds == [("unlocked", "DOC/0")]


async def test_what_the_lifecycle_rule_may_remove_is_not_missed(archived: Archived, root: Path) -> None:
    (stored,) = await archived.job(*documents(1), days=1)
    for path in files_of(root, stored):
        path.unlink()
    assert (await archived.verify()).kinds == [("missing", "DOC/0")]
    old = replace(
        stored, archived_at=stored.archived_at - timedelta(days=2), retain_until=datetime.now(UTC) - timedelta(days=1)
    )
    await rewrite_row(archived.database, stored, old)
    result = await archived.verify()
    assert (result.code, result.counts["expired"], result.findings) == (0, 1, [])


async def test_an_object_whose_task_is_still_open_is_pending_and_not_unknown(archived: Archived) -> None:
    await archived.job(*documents(1), stored=False)
    place = TaskId(archived.job_ids[0], 0)
    await archived.put(place, Reference("DOC/0"), b"{}", datetime.now(UTC), 30)
    result = await archived.verify()
    assert (result.code, result.counts["pending"]) == (0, 1)


async def test_a_second_version_of_a_known_key_is_unknown(archived: Archived) -> None:
    (stored,) = await archived.job(*documents(1))
    head = await archived.objects.head(stored.bucket, stored.key)
    assert head is not None
    await archived.objects.put(upload_to("archive", stored.key, b"forged", if_match=head.etag))
    result = await archived.verify()
    assert result.code == 1
    assert [(each["kind"], each["key"]) for each in result.findings] == [("unknown", stored.key)]


async def test_objects_of_others_are_left_alone_and_ours_of_another_shape_are_not(archived: Archived) -> None:
    await archived.objects.put(upload_to("archive", "logs/today.txt", b"1", user_metadata={}))
    await archived.objects.put(upload_to("archive", "copy/of/it", b"2", user_metadata={"job-id": "j"}))
    result = await archived.verify()
    assert result.counts["other"] == 1
    assert [(each["kind"], each["key"], each["job"]) for each in result.findings] == [("unknown", "copy/of/it", "j")]


async def test_only_one_job_or_what_is_new_is_looked_at(archived: Archived) -> None:
    await archived.job(*documents(2))
    await archived.put(TaskId(uuid4(), 0), Reference("ORPHAN"), b"o", datetime.now(UTC), 30)
    between = datetime.now(UTC)
    await archived.job(*documents(3, 10))
    of_one = await archived.verify(job_id=archived.job_ids[0])
    assert (of_one.code, of_one.counts["tasks"]) == (0, 2)
    new = await archived.verify(since=between)
    assert (new.code, new.counts["tasks"], new.counts["versions"]) == (0, 3, 3)
    assert (await archived.verify(unknown=False)).code == 0
    assert (await archived.verify(stored=False)).kinds == [("unknown", "ORPHAN")]
    absent = await archived.verify(job_id=uuid4())
    assert absent.code == 2
    assert "there is no job" in absent.err


async def test_text_is_one_line_each_and_quotes_what_sources_chose(archived: Archived, root: Path) -> None:
    stored = await archived.job(('a"\nmissing job=-', b"1"), ("plain", b"2"))
    for each in stored:
        files_of(root, each)[0].unlink()
    result = await archived.verify(as_json=False)
    job = archived.job_ids[0]
    assert result.out.splitlines() == [
        f'missing job={job} reference="a\\"\\nmissing job=-" version=- bucket=archive key={stored[0].key} '
        f'version-id={stored[0].version_id} object: expected "1 bytes", found nothing',
        f"missing job={job} reference=plain version=- bucket=archive key={stored[1].key} "
        f'version-id={stored[1].version_id} object: expected "1 bytes", found nothing',
        "stored: 2 tasks, 0 bytes read: 0 ok, 2 missing, 0 different, 0 unlocked, 0 unreadable, 0 expired",
        "buckets: 1 versions: 0 known, 0 unknown, 0 pending, 1 schema, 0 other",
        "findings: 2",
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hash": "0" * 64}, "sha256"),
        ({"size": 1}, "size"),
        ({"content_type": "text/html"}, "content type"),
        ({"schema_version": 2}, "schema"),
        ({"retain_until": datetime(2026, 1, 1, tzinfo=UTC)}, "lock"),
        ({"retain_until": None}, "lock"),
    ],
)
async def test_a_row_of_an_artifact_that_says_something_else_is_found(
    archived: Archived, change: dict[str, Any], what: str
) -> None:
    await archived.job(*documents(2))
    first = select(func.min(artifact.c.id)).scalar_subquery()
    await archived.database.run(lambda c: c.execute(update(artifact).where(artifact.c.id == first).values(**change)))
    result = await archived.verify()
    assert result.kinds == [("different", "DOC/0")]
    assert [each["what"] for each in result.findings[0]["differences"]] == [f"row of the artifact: {what}"]


async def test_an_artifact_without_its_row_is_found(archived: Archived) -> None:
    await archived.job(*documents(1))
    await archived.job(*documents(1, 1), recorded=False)  # its row is still to come
    await archived.database.run(lambda c: c.execute(delete(artifact)))
    result = await archived.verify()
    assert result.kinds == [("different", "DOC/0")]
    assert result.findings[0]["differences"] == [{"what": "row of the artifact", "expected": "one", "found": "nothing"}]


async def test_a_lock_that_a_later_job_lengthened_is_in_the_row_of_the_artifact(archived: Archived) -> None:
    [first] = await archived.job(*documents(1), days=30)
    [second] = await archived.job(*documents(1), days=60)
    assert second.version_id == first.version_id
    async with archived.database.reading() as connection:
        [until] = (await connection.execute(select(artifact.c.retain_until))).scalars()
    assert until == second.retain_until
    assert (await archived.verify()).code == 0


DAMAGE: list[Callable[[dict[str, Any]], Any]] = [
    lambda said: {key: value for key, value in said.items() if key != "retain_until"},
    lambda said: {**said, "retain_until": "soon"},
    lambda said: {**said, "retain_until": "2026-05-08T07:26:37"},
    lambda said: {**said, "user_metadata": None},
    lambda said: {**said, "last_modified": 7},
    lambda said: [],
    lambda said: None,
]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_description_costs_one_finding(
    archived: Archived, root: Path, damage: Callable[[dict[str, Any]], Any]
) -> None:
    stored = await archived.job(*documents(3))
    said = files_of(root, stored[1])[1]
    said.write_text(json.dumps(damage(json.loads(said.read_text()))))
    result = await archived.verify()
    assert (result.code, result.kinds, result.counts["ok"]) == (1, [("missing", "DOC/1")], 2)


@pytest.mark.parametrize("stored", ["x", "{}", "[]", "7", '{"archived_at": null}'])
async def test_a_damaged_row_of_a_task_costs_one_finding(archived: Archived, stored: str) -> None:
    await archived.job(*documents(3))
    damaged = update(task).where(task.c.position == 1).values(stored=stored)
    await archived.database.run(lambda c: c.execute(damaged))
    result = await archived.verify(unknown=False)
    assert (result.code, result.kinds, result.counts["ok"]) == (1, [("different", "DOC/1")], 2)
    text = await archived.verify(unknown=False, as_json=False)
    assert "row of the task: expected" in text.out


async def test_schema_files_that_are_gone_or_changed_are_found(archived: Archived, root: Path) -> None:
    await archived.job(*documents(2))
    schemas = root / archived.bucket / "archive-data-schema"
    [description] = (path for path in schemas.rglob("*.json") if path.is_file())
    content = description.with_suffix("")
    before = content.read_bytes()
    content.chmod(0o644)
    content.write_bytes(b"[]")
    result = await archived.verify()
    [finding] = result.findings  # one cause
    assert (finding["kind"], finding["objects"], finding["reference"]) == ("different", 2, None)
    assert finding["key"] == "archive-data-schema/PSF_OsvRecord_1.schema.json"
    [found] = finding["differences"]
    assert found["what"] == "schema file"
    assert "sha256 " in found["found"]
    assert (result.code, result.counts["findings"], result.counts["different"], result.counts["ok"]) == (1, 1, 1, 0)
    assert "archive-data-schema/PSF_OsvRecord_1.schema.json" in result.err  # at once, not when all is read
    text = (await archived.verify(as_json=False)).out
    assert " objects=2 schema file: expected" in text
    content.unlink()
    [found] = (await archived.verify()).findings[0]["differences"]
    assert found["found"] == "nothing"
    content.write_bytes(before)
    assert (await archived.verify()).code == 0


async def test_an_object_with_damage_of_its_own_beside_a_damaged_schema_file_is_named_too(
    archived: Archived, root: Path
) -> None:
    stored = await archived.job(*documents(3))
    schemas = root / archived.bucket / "archive-data-schema"
    next(path for path in schemas.rglob("*.json") if path.is_file()).with_suffix("").unlink()
    files_of(root, stored[1])[0].write_bytes(b'{"id": x}')
    result = await archived.verify()
    assert [(each["reference"], each.get("objects")) for each in result.findings] == [("DOC/1", None), (None, 3)]
    assert result.counts["ok"] == 0


async def test_an_object_that_names_no_schema_file_is_found(archived: Archived, root: Path) -> None:
    stored = await archived.job(*documents(2))
    said = files_of(root, stored[1])[1]
    before = json.loads(said.read_text())
    metadata = {name: value for name, value in before["user_metadata"].items() if name != "schema-file-key"}
    said.write_text(json.dumps({**before, "user_metadata": metadata}))
    result = await archived.verify()
    assert result.kinds == [("different", "DOC/1")]
    assert result.findings[0]["differences"][0]["found"] == "nothing"


@pytest.mark.parametrize("left_out", [True, False])
async def test_an_empty_value_that_the_store_left_out_is_no_difference(
    archived: Archived, root: Path, left_out: bool
) -> None:
    archived.metadata = (("author", "Zoë & Co"), ("empty", ""))
    stored = await archived.job(*documents(1))
    said = files_of(root, stored[0])[1]
    before = json.loads(said.read_text())
    assert before["user_metadata"]["empty"] == ""
    kept = {name: value for name, value in before["user_metadata"].items() if name != "empty"}
    said.write_text(json.dumps({**before, "user_metadata": kept if left_out else {**kept, "empty": "no more"}}))
    assert (await archived.verify()).kinds == ([] if left_out else [("different", "DOC/0")])


async def test_a_value_that_is_gone_is_a_difference(archived: Archived, root: Path) -> None:
    stored = await archived.job(*documents(1))
    said = files_of(root, stored[0])[1]
    before = json.loads(said.read_text())
    kept = {name: value for name, value in before["user_metadata"].items() if name != "author"}
    said.write_text(json.dumps({**before, "user_metadata": kept}))
    [finding] = (await archived.verify()).findings
    assert [each["found"] for each in finding["differences"]] == ["nothing"]


@pytest.mark.parametrize("prefix", ["", "2026/", "202605/", "20260508/"])
async def test_what_lies_below_our_prefixes_and_is_not_ours_is_unknown(archived: Archived, prefix: str) -> None:
    for key in (f"{prefix}PSF/OsvRecord/secret/x", f"other/{prefix}PSF/OsvRecord/x", f"{prefix}PSF/OsvRecords/x"):
        await archived.objects.put(upload_to(archived.bucket, key, user_metadata={}))
    result = await archived.verify(systems=("PSF/OsvRecord",))
    assert [(each["kind"], each["key"]) for each in result.findings] == [
        ("unknown", f"{prefix}PSF/OsvRecord/secret/x"),
    ]
    assert result.counts["other"] == 2
