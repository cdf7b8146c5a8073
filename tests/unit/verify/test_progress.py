"""How far a verification got: kept in one step, found again as it was, and never in a file of somebody else."""

from pathlib import Path
from uuid import UUID

import pytest

from app.domain.jobs import TaskId
from app.verify.findings import FindingCounts, FindingKind
from app.verify.progress import DamagedSchema, Progress, StateError, StateFile, fingerprint
from app.verify.read_back import SchemaProblem

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")


def advanced() -> Progress:
    progress = Progress(
        stored_done=True, bucket="archive", key="PSF/x", counts=FindingCounts({"ok": 3, FindingKind.MISSING: 1})
    )
    progress.task = TaskId(JOB, 7)
    progress.schemas.append(DamagedSchema(SchemaProblem("archive", "schema", "v", "none"), 1))
    return progress


def test_progress_is_found_again_as_it_was(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state", "a")
    file.save(advanced())
    found = StateFile(tmp_path / "state", "a").load()
    assert found == advanced()
    assert found is not None
    assert (found.task, found.counts["ok"], found.counts["never counted"]) == (TaskId(JOB, 7), 3, 0)
    assert found.counts.findings == 1


def test_without_a_file_there_is_no_progress_and_no_place() -> None:
    assert StateFile(Path("/nowhere/state"), "a").load() is None
    assert Progress().task is None


def test_a_copy_changes_on_its_own() -> None:
    first = advanced()
    copy = first.copy()
    copy.counts["ok"] += 1
    copy.schemas[0].objects += 1
    copy.task = TaskId(JOB, 8)
    assert (first.counts["ok"], first.schemas[0].objects, first.position) == (3, 1, 7)


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state", "a")
    file.save(advanced())
    file.path.unlink()
    file.save(advanced())
    assert not file.path.exists()
    file.save(Progress())
    assert file.path.exists()
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_progress_of_another_verification_is_refused(tmp_path: Path) -> None:
    StateFile(tmp_path / "state", fingerprint(["one"])).save(advanced())
    with pytest.raises(StateError, match="other options; name another one with --state"):
        StateFile(tmp_path / "state", fingerprint(["another"])).load()


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "not JSON", '{"format": "other"}'])
def test_a_file_of_something_else_is_never_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").write_text(content)
    file = StateFile(tmp_path / "state", "a")
    for use in (file.load, lambda: file.begin(Progress())):
        with pytest.raises(StateError, match="is no file of `pas verify`"):
            use()
    assert (tmp_path / "state").read_text() == content


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"\xff")
    with pytest.raises(StateError, match="cannot be read"):
        StateFile(tmp_path / "state", "a").load()
    with pytest.raises(StateError, match="cannot be read"):
        StateFile(tmp_path, "a").load()


def test_a_place_that_cannot_be_written_is_named_before_hours_of_work(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory; name a file for the progress with --state"):
        StateFile(tmp_path / "nowhere" / "state", "a").begin(Progress())


def test_a_fingerprint_tells_verifications_apart() -> None:
    assert fingerprint([("a", "b"), None]) == fingerprint([("a", "b"), None])
    assert len({fingerprint(parts) for parts in ([], ["a"], ["a", None], [("a",)], ["a", "b"])}) == 5
