"""`pas verify` as it is called, on an embedded archive."""

import asyncio
import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.__main__ import main
from app.db.database import Database
from app.objectstore.filesystem import FilesystemObjectStore
from tests.unit.verify.archived import Archived, documents, files_of


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAS_CONFIG", raising=False)


def fill(tmp_path: Path, *, damaged: bool) -> None:
    async def work() -> None:
        directory = tmp_path / "pas"
        directory.mkdir()
        database = Database(f"sqlite:///{directory}/pas.sqlite")
        objects = FilesystemObjectStore(directory / "objects")
        archive = Archived(database, objects, "archive", tmp_path / "state")
        await archive.prepare()
        (stored,) = await archive.job(*documents(1))
        if damaged:
            files_of(directory / "objects", stored)[0].write_bytes(b"123456789")
        await objects.close()
        await database.close()

    asyncio.run(work())


def test_exit_0_when_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, damaged=False)
    assert main(["verify", "--embedded", "--data-dir", "pas", "--max-bytes-per-second", "1MiB"]) == 0
    assert capsys.readouterr().out.endswith("findings: 0\n")
    assert not list(tmp_path.glob(".pas-verify*"))


def test_exit_1_on_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, damaged=True)
    assert main(["verify", "--embedded", "--data-dir", "pas", "--since", "2020-01-01"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("different job=")
    assert " sha256: expected " in out


def test_a_service_may_run_and_write_meanwhile(tmp_path: Path) -> None:
    fill(tmp_path, damaged=False)
    with (tmp_path / "pas" / "lock").open("w") as lock, closing(sqlite3.connect(tmp_path / "pas" / "pas.sqlite")) as db:
        fcntl.flock(lock, fcntl.LOCK_EX)
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE backfill_task SET message = 'not yet committed'")
        assert main(["verify", "--embedded", "--data-dir", "pas"]) == 0


def test_exit_2_on_wrong_usage_and_wrong_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--job", "7"], ["--since", "yesterday"], ["--max-bytes-per-second", "0"], ["--only", "x"]):
        with pytest.raises(SystemExit) as exit_:
            main(["verify", *wrong])
        assert exit_.value.code == 2
    assert main(["verify"]) == 2
    assert "application.yml" in capsys.readouterr().err


def test_exit_3_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--embedded", "--data-dir", "none"]) == 3
    assert "holds no database" in capsys.readouterr().err
    assert not Path("none").exists()


def test_1_is_never_said_by_anything_but_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, damaged=False)
    with closing(sqlite3.connect(tmp_path / "pas" / "pas.sqlite")) as db, db:
        db.execute("UPDATE backfill_task SET stored = '{}'")
    assert main(["verify", "--embedded", "--data-dir", "pas"]) == 3
    assert "Traceback" in capsys.readouterr().err
