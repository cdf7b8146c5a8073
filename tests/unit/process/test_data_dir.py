"""The data directory of the embedded mode belongs to one process."""

import logging
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.process.data_dir import DataDirInUse, DataDirUnusable, own


def settings(directory: Path | None, *replaced: str) -> Any:
    return SimpleNamespace(data_dir=directory, replaced=replaced)


def test_it_is_made_for_nobody_else_to_read(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "data"
    with own(settings(directory)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_second_process_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    with own(settings(tmp_path)), pytest.raises(DataDirInUse, match="is in use by another"), own(settings(tmp_path)):
        pass
    with own(settings(tmp_path)):
        pass


def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirUnusable, match="Not a directory"), own(settings(tmp_path / "file" / "data")):
        pass


def test_what_it_replaces_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), own(settings(tmp_path, "jeap.datasource.url")):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "embedded: these settings of the file are replaced: jeap.datasource.url"
    ]


def test_only_the_embedded_mode_has_one() -> None:
    with pytest.raises(ValueError, match="not embedded"), own(settings(None)):
        pass
