"""The data directory of embedded mode: created, locked by one process; the settings that it replaces are logged."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from app.private_files import write_once
from app.settings.model import Settings

log = logging.getLogger(__name__)


class DataDirInUse(Exception):
    """Another process uses this data directory."""


class DataDirUnusable(Exception):
    """The data directory cannot be made or written; the text says why."""


@contextlib.contextmanager
def own(settings: Settings) -> Iterator[None]:
    """Locks the data directory for this process. Raises DataDirInUse, DataDirUnusable."""
    if settings.data_dir is None:
        raise ValueError("not embedded")
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # documents are confidential
        opened = (settings.data_dir / "lock").open("w")
    except OSError as error:
        raise DataDirUnusable(f"the data directory {settings.data_dir} cannot be used: {error.strerror}") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirInUse(f"{settings.data_dir} is in use by another `pas serve --embedded`") from error
        if settings.replaced:
            log.info("embedded: these settings of the file are replaced: %s", ", ".join(settings.replaced))
        yield


def kept_key(data_dir: Path) -> bytes:
    """The key with which the sessions of the page are encrypted; made on first use. Raises DataDirUnusable."""
    path = data_dir / "page-key"
    try:
        if not path.exists():
            write_once(path, os.urandom(32))
        return path.read_bytes()
    except OSError as error:
        raise DataDirUnusable(f"the key {path} cannot be used: {error.strerror}") from error
