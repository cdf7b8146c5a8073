"""Objects that leaves name are read by their versions: what is missing, different or not locked is named."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.__main__ import main
from app.db.tables import task
from app.domain.leaves import read_leaf
from app.evidence.signer import Signer
from app.evidence.stored_objects import differences
from tests.support.core import BUCKET, Core
from tests.support.packages import members_of, packed
from tests.support.proofs import build_all, builder, lines_in_bucket


async def proven(core: Core, signer: Signer, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Any:
    """A job of three references of which the first is stored as `change` says; its id."""
    job_id = await core.submit("a", "b", "c")
    await core.archive(job_id)
    row = (await core.tasks(job_id))[0]
    stored = json.loads(row.stored)
    change(stored)
    where = (task.c.job_id == job_id, task.c.position == 0)
    await core.database.run(lambda c: c.execute(update(task).where(*where).values(stored=json.dumps(stored))))
    await build_all(builder(core, signer))
    return job_id


async def found(core: Core, job_id: Any) -> list[str | None]:
    leaves = [read_leaf(line) for line in await lines_in_bucket(core, job_id)]
    return [each async for each in differences(core.objects, leaves)]


async def test_objects_as_the_leaves_say_differ_in_nothing(core: Core, signer: Signer) -> None:
    assert await found(core, await proven(core, signer)) == [None, None, None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version_id": "0" * 32}, "is missing"),
        ({"sha256": "0" * 64}, "has other content"),
        ({"size": 1}, "has other content"),
        ({"retain_until": "2099-01-01T00:00:00+00:00"}, "; the leaf says 2099-01-01"),
    ],
)
async def test_what_differs_is_named(core: Core, signer: Signer, change: dict[str, Any], said: str) -> None:
    first, *others = await found(core, await proven(core, signer, lambda stored: stored.update(change)))
    assert first is not None
    assert first.startswith(f"a: {BUCKET}/")
    assert said in first
    assert others == [None, None]


async def test_content_that_was_changed_on_the_disk_is_named(core: Core, signer: Signer) -> None:
    job_id = await proven(core, signer)
    (leaf, *_) = [read_leaf(line) for line in await lines_in_bucket(core, job_id)]
    assert leaf.object is not None
    (file,) = (core.topics.parent / "objects").rglob(leaf.object.version_id)
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    (first, *_) = await found(core, job_id)
    assert first is not None
    assert "has other content" in first


async def test_the_command_reads_the_objects_of_a_data_directory(
    core: Core, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = await proven(core, signer)
    package = packed(tmp_path / "F.zip", await members_of(core, job_id, signer.verifier))
    words = ["evidence", "verify", str(package), "--key", str(signer.verifier), "--objects", "--embedded"]
    code = await asyncio.to_thread(main, [*words, "--data-dir", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 0, out
    assert "holds          objects: 3 were read by their versions" in out
    assert "not looked at  objects" not in out

    (tmp_path / "other" / "objects").mkdir(parents=True)
    other = await asyncio.to_thread(main, [*words, "--data-dir", str(tmp_path / "other")])
    out = capsys.readouterr().out
    assert other == 1
    assert out.count("differs        object: ") == 3

    wrong = packed(tmp_path / "G.zip", {**await members_of(core, job_id, signer.verifier), "leaves.ndjson": b"x\n"})
    code = await asyncio.to_thread(main, [*words[:2], str(wrong), *words[3:], "--data-dir", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 1
    assert "not looked at  objects: the leaves that name them" in out
