"""A process that dies in the midst of a put to the object store of the embedded service."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.objectstore import PreconditionFailed
from app.objectstore.filesystem import FilesystemObjectStore
from tests.servers.fetch import REPOSITORY
from tests.unit.objectstore.test_filesystem import BUCKET, content_of, files_under, store
from tests.unit.objectstore.uploads import KEY, upload_to

__all__ = ["store"]


async def killed_before(step: str, root: Path) -> None:
    """Another process dies in the midst of a put, where it would have called `step`."""
    program = (
        "import asyncio, os, sys, pathlib\n"
        "from app.objectstore import filesystem, filesystem_layout\n"
        "from tests.unit.objectstore.uploads import upload_to\n"
        f"filesystem_layout.{step} = lambda *_: os._exit(9)\n"
        f"asyncio.run(filesystem.FilesystemObjectStore(pathlib.Path(sys.argv[1])).put(upload_to('{BUCKET}')))\n"
    )
    (root / BUCKET / KEY).mkdir(parents=True)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(root), cwd=REPOSITORY)
    assert await process.wait() == 9


async def test_a_crash_between_content_and_commit_leaves_no_version(
    store: FilesystemObjectStore, tmp_path: Path
) -> None:
    await killed_before("write_description", tmp_path)
    (tmp_path / BUCKET / KEY / f".{'a' * 32}.json.tmp").write_bytes(b"{")
    assert len(files_under(tmp_path)) == 2
    assert await store.head(BUCKET, KEY) is None
    stored = await store.put(upload_to(BUCKET))
    assert files_under(tmp_path) == [f"{BUCKET}/{KEY}/{stored.version_id}", f"{BUCKET}/{KEY}/{stored.version_id}.json"]


async def test_a_crash_after_the_commit_leaves_the_version(store: FilesystemObjectStore, tmp_path: Path) -> None:
    await killed_before("sync_directory", tmp_path)
    assert await content_of(store) == upload_to(BUCKET).content
    with pytest.raises(PreconditionFailed):
        await store.put(upload_to(BUCKET))
