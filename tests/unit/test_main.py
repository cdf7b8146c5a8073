"""The process around the service."""

import gc
import stat
from pathlib import Path

import pytest

from app.__main__ import main
from app.process.data_dir import own
from app.process.supervision import spare_the_collector
from app.settings.load import load_settings


def test_what_was_loaded_at_start_is_not_looked_at_by_the_garbage_collector() -> None:
    loaded, thresholds = len(gc.get_objects()), gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > 0
        assert len(gc.get_objects()) < loaded / 10
    finally:
        gc.unfreeze()
        gc.freeze()
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("port", ["99999", "-1", "http", "1_0"])
def test_a_port_that_is_none_is_wrong_usage(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--embedded", f"--port={port}"])
    assert ended.value.code == 2
    assert "is no port from 0 to 65535" in capsys.readouterr().err


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pas 0.")


def test_a_new_data_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with own(load_settings(None, {}, embedded=directory)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
