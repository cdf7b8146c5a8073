"""The place of an object on a file system: names that cannot leave the root, and the two files of a version."""

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.objectstore import FileContent, ListedVersion, ObjectVersion

MAX_NAME = 200
"""Bytes of a directory name; file systems take 255."""

_VERSION_FILE = re.compile(r"([0-9a-f]{32})\.json")
_OWN_FILE = re.compile(r"\.?[0-9a-f]{32}(\.json)?(\.tmp)?")


def directory_of(root: Path, bucket: str, key: str) -> Path:
    """`root/<bucket>/<key>`: each part of the key is one directory name. Every key has a directory inside the
    bucket."""
    return Path(root, bucket, *map(_name_of, key.split("/")))


def _name_of(part: str) -> str:
    """Reversible for short parts: what is not plain is percent-encoded, a dot in front too; empty is a lone `%`."""
    name = quote(part, safe=" !$&'()+,;=@^~")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > MAX_NAME:
        name = "%sha256-" + hashlib.sha256(part.encode()).hexdigest()
    return name or "%"


def new_version_id(after: str | None) -> str:
    """32 hex digits: nanoseconds since 1970 and a random half; sorts after `after` also when the clock went back."""
    now = time.time_ns()
    if after is not None:
        now = max(now, int(after[:16], 16) + 1)
    return f"{now:016x}{secrets.token_hex(8)}"


def read_versions(directory: Path, key: str) -> list[dict[str, Any]]:
    """The description of each complete version in the directory, newest first.

    A version is incomplete without its `.json`, or without its full content: a crash came in between.
    """
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    ids = sorted((found[1] for found in map(_VERSION_FILE.fullmatch, names) if found), reverse=True)
    return [
        description
        for description in (read_version(directory, key, version_id) for version_id in ids)
        if description is not None
    ]


def read_version(directory: Path, key: str, version_id: str) -> dict[str, Any] | None:
    """The description of a version; None when it does not exist or is incomplete. A name may stand for two long
    keys."""
    if not re.fullmatch(r"[0-9a-f]{32}", version_id):
        return None
    description = _read_description(directory, version_id)
    return description if description is not None and description.get("key") == key else None


def _read_description(directory: Path, version_id: str) -> dict[str, Any] | None:
    try:
        description: dict[str, Any] = json.loads((directory / f"{version_id}.json").read_bytes())
        size = (directory / version_id).stat().st_size
        # No crash makes content longer: that is for those to find who compare its hash.
        whole = object_version(description).size <= size and _is_aware(
            description["last_modified"], description["retain_until"]
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):  # somebody else wrote that
        return None
    return description if whole else None


def _is_aware(*moments: str | None) -> bool:
    return all(each is None or datetime.fromisoformat(each).tzinfo is not None for each in moments)


def walk_versions(directory: Path, behind: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
    """The descriptions of all complete versions: names in order, a directory before those in it, newest first.

    `behind` are the names that lead to a directory: the walk continues after the versions of this directory. Files that
    vanish meanwhile are skipped.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(directory) if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return
    if behind is None:
        yield from _descriptions_in(
            directory, [found[1] for found in map(_VERSION_FILE.fullmatch, reversed(names)) if found]
        )
    for name in names:
        if (not behind or name >= behind[0]) and (directory / name).is_dir():
            yield from walk_versions(directory / name, behind[1:] if behind and name == behind[0] else None)


def _descriptions_in(directory: Path, version_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The descriptions of the complete versions among these, whatever their keys."""
    for version_id in version_ids:
        description = _read_description(directory, version_id)
        if description is not None:
            yield description


def write_version(directory: Path, content: bytes | FileContent, description: dict[str, Any]) -> None:
    """Writes both files of a version; they are on disk when this returns. The rename of the `.json` completes the
    version."""
    version_id = description["version_id"]
    data = directory / version_id
    try:
        write_durably(data, content)
        write_description(directory, description)
    except BaseException:
        data.unlink(missing_ok=True)
        raise


def write_description(directory: Path, description: dict[str, Any]) -> None:
    """Replaces the `.json` of a version in one step."""
    target = directory / f"{description['version_id']}.json"
    replace_durably(target, json.dumps(description, indent=1).encode())


def replace_durably(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        write_durably(temporary, content)
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def write_durably(path: Path, content: bytes | FileContent) -> None:
    """Writes a new read-only file; its content is on disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, for the mode and O_EXCL
        if isinstance(content, FileContent):
            with content.path.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            file.write(content)
        file.flush()
        os.fsync(descriptor)


def make_directory(directory: Path) -> None:
    """Makes a directory and its parents; each entry is on disk when this returns."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Removes files of puts that a crash cut off. Only while nobody else writes into the directory."""
    names = {entry.name for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False)}
    for name in names:
        whole = f"{name.removesuffix('.json')}.json" in names and not name.endswith(".tmp")
        if _OWN_FILE.fullmatch(name) and not whole:
            (directory / name).unlink(missing_ok=True)


def listed_version(description: dict[str, Any]) -> ListedVersion:
    modified = datetime.fromisoformat(description["last_modified"])
    return ListedVersion(
        description["bucket"], description["key"], description["version_id"], description["size"], modified
    )


def object_version(description: dict[str, Any]) -> ObjectVersion:
    until = description["retain_until"]
    return ObjectVersion(
        bucket=description["bucket"],
        key=description["key"],
        version_id=description["version_id"],
        etag=description["etag"],
        size=description["size"],
        user_metadata=dict(description["user_metadata"]),
        last_modified=datetime.fromisoformat(description["last_modified"]),
        retain_until=None if until is None else datetime.fromisoformat(until),
    )
