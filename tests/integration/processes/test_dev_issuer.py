"""Processes that make the key of the development issuer at once."""

import multiprocessing
from pathlib import Path

from app.api.auth.dev_issuer import open_issuer


def _name(data_dir: Path) -> str:
    return open_issuer(data_dir).name


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        for turn in range(5):
            assert len(set(pool.map(_name, [tmp_path / str(turn)] * 16, chunksize=1))) == 1
