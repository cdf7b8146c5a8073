"""How the processes of a parent are started: their command line, and the directory for their sockets."""

import stat
import sys
from pathlib import Path

import pytest

from app.process import starter
from app.process.member import Member
from app.process.starter import LONGEST_PATH, command
from tests.unit.test_modules import ROOT

MEMBER = Member(1, 2, 5, 6, 7, Path("/tmp/pas"))


def test_a_process_gets_the_command_line_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = ["serve", "--processes", "2", "--port", "0"]
    assert command(words, MEMBER) == [sys.executable, "-m", "app", *words, "--member", "1:2:5:6:7:/tmp/pas"]


def test_what_lies_in_another_directory_is_not_taken_for_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path)
    assert command(["serve"], MEMBER)[1:4] == ["-P", "-m", "app"]


def test_the_directory_is_for_us_only_short_enough_for_sockets_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with starter.private_directory() as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert len(str(directory)) <= LONGEST_PATH
        (directory / "1").touch()
    assert not directory.exists()
