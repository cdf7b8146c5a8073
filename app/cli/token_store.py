"""Where logins are kept: in the keyring of the system, else in a file that only its owner can read."""

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from app.cli.exits import Ended
from app.cli.profiles import directory

KEYRING_NAME = "pas"
"""The name under which the keyring has our entries; the address of the service is the user name of each."""


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """A login to a service with its tokens; `expires` in seconds since the epoch."""

    issuer: str
    client_id: str
    access_token: str
    expires: float
    refresh_token: str | None = None
    client_secret: str | None = None
    """Of a login by client credentials, so that its tokens can be renewed."""
    scope: str | None = None
    """The value of `--scope`."""


def kept(url: str) -> StoredLogin | None:
    """The login to this service. Raises Ended where the file cannot be read."""
    if (ring := _keyring()) is not None:
        with contextlib.suppress(ring.errors.KeyringError):
            if (text := ring.get_password(KEYRING_NAME, url)) is not None:
                return _login(json.loads(text))
    entry = _read_file().get(url)
    return None if entry is None else _login(entry)


def keep(url: str, login: StoredLogin) -> str:
    """Keeps it in place of an earlier one; where that is, for people."""
    if (ring := _keyring()) is not None:
        try:
            ring.set_password(KEYRING_NAME, url, json.dumps(asdict(login)))
        except ring.errors.KeyringError:
            pass  # locked, or too long for it: the file then
        else:
            _change_file(url, None)
            return "the keyring of the system"
    _change_file(url, asdict(login))
    return str(_file())


def forget(url: str) -> None:
    """Forgets the login to this service wherever it is kept."""
    if (ring := _keyring()) is not None:
        with contextlib.suppress(ring.errors.KeyringError):
            ring.delete_password(KEYRING_NAME, url)
    _change_file(url, None)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """One process renews a token: a refresh token is often good for one use only."""
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory() / "logins.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keyring() -> Any:
    """The module, or None where the system has no keyring."""
    import keyring

    return None if keyring.get_keyring().priority <= 0 else keyring


def _file() -> Path:
    return directory() / "logins.json"


def _read_file() -> dict[str, dict[str, Any]]:
    path = _file()
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Ended(
                    f"{path} can be read by others: its tokens are not used.", f"chmod 600 {path}, or delete it"
                )
            content = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Ended(f"{path} cannot be read: {error}", "Delete it and log in again.") from error
    if not isinstance(content, dict):
        raise Ended(f"{path} is none of ours.", "Delete it and log in again.")
    return content


def _change_file(url: str, entry: dict[str, Any] | None) -> None:
    """Never half written, and never readable by others."""
    entries = _read_file()
    if entry is None:
        if entries.pop(url, None) is None:
            return
    else:
        entries[url] = entry
    directory().mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory(), prefix="logins.")  # of mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(entries, file)
        Path(name).replace(_file())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _login(entry: Any) -> StoredLogin:
    try:
        return StoredLogin(**{each.name: entry[each.name] for each in fields(StoredLogin) if each.name in entry})
    except (TypeError, KeyError) as error:
        raise Ended("The login that was kept cannot be read.", "Log in again: pas login") from error
