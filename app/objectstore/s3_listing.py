"""All versions in a bucket, page after page, in a way that does not depend on how a server resumes a listing.

S3 lists keys in order and goes on behind a marker. SeaweedFS goes on in its directory tree: behind `a-b/1` it leaves
out all of `a/`. So whole answers are asked for, of directories as small as need be. Markers are used where they are
safe: among the hexadecimal names of our own keys (`…/<h[0:2]>/<h>/v<version>`), where most objects lie, and within one
directory, whose names that may be left out are looked at again.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC
from typing import Any

from app.domain.errors import Unavailable
from app.objectstore import ListedVersion
from app.objectstore.s3_errors import COMPONENT, translated

_HASHES = re.compile(r"(.*/)?[0-9a-f]{2}/")
"""A directory whose entries are hashes."""


async def walk(
    client: Any, bucket: str, after: str | None, prefix: str = "", limit: int = 1000
) -> AsyncIterator[Sequence[ListedVersion]]:
    """Pages in the order of the parts of the keys. `prefix` is empty or ends with a slash; `limit` is for tests."""
    with translated(bucket):
        answer = await client.list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=limit)
    if not answer.get("IsTruncated"):
        if page := _behind(after, sorted(listed(bucket, answer), key=lambda found: _parts(found.key))):
            yield page
    elif _HASHES.fullmatch(prefix):
        marker = {"KeyMarker": after} if after is not None and after.startswith(prefix) else {}
        async for answer in _answers(client, Bucket=bucket, Prefix=prefix, MaxKeys=limit, **marker):
            if page := _behind(after, listed(bucket, answer)):
                yield page
    else:
        async for page in _descend(client, bucket, after, prefix, limit):
            yield page


async def _descend(
    client: Any, bucket: str, after: str | None, prefix: str, limit: int
) -> AsyncIterator[Sequence[ListedVersion]]:
    """The keys and directories of one directory; a key stands before the directory of the same name."""
    keys: dict[tuple[str, ...], list[ListedVersion]] = {}
    directories: dict[tuple[str, ...], str] = {}
    async for answer in _answers(client, Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=limit):
        for found in listed(bucket, answer):
            keys.setdefault(_parts(found.key), []).append(found)
        for each in answer.get("CommonPrefixes", ()):
            directories[_parts(each["Prefix"][:-1])] = each["Prefix"]
        if answer.get("IsTruncated"):
            for skipped in _may_be_skipped(prefix, answer["NextKeyMarker"]):
                if await _holds_any(client, bucket, skipped):
                    directories[_parts(skipped[:-1])] = skipped
    seen = None if after is None else _parts(after)
    for place in sorted({*keys, *directories}):
        if page := _behind(after, keys.get(place, [])):
            yield page
        if place in directories and (seen is None or place >= seen[: len(place)]):
            async for page in walk(client, bucket, after, directories[place], limit):
                yield page


def _may_be_skipped(prefix: str, marker: str) -> list[str]:
    """Directories that come after the marker, as `a/` after `a-b/`, and before it in a directory tree."""
    name = marker[len(prefix) :].partition("/")[0]
    return [f"{prefix}{name[:place]}/" for place, letter in enumerate(name) if place and letter < "/"]


async def _holds_any(client: Any, bucket: str, prefix: str) -> bool:
    with translated(bucket):
        answer = await client.list_object_versions(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    return bool(answer.get("Versions") or answer.get("IsTruncated"))


async def _answers(client: Any, **arguments: Any) -> AsyncIterator[Mapping[str, Any]]:
    """Versity's gateway begins a page with the last version of the page before: it is left out."""
    before: set[tuple[str, str]] = set()
    while True:
        with translated(arguments["Bucket"]):
            answer = await client.list_object_versions(**arguments)
        versions = answer.get("Versions", ())
        new = [each for each in versions if (each["Key"], each["VersionId"]) not in before]
        before = {(each["Key"], each["VersionId"]) for each in versions}
        yield {**answer, "Versions": new}
        if not answer.get("IsTruncated"):
            return
        version = answer.get("NextVersionIdMarker")
        if (answer["NextKeyMarker"], version) == (arguments.get("KeyMarker"), arguments.get("VersionIdMarker")):
            raise Unavailable(COMPONENT, f"bucket {arguments['Bucket']}: the listing of versions does not go on")
        arguments["KeyMarker"] = answer["NextKeyMarker"]
        if version:
            arguments["VersionIdMarker"] = version
        else:
            arguments.pop("VersionIdMarker", None)


def listed(bucket: str, answer: Mapping[str, Any]) -> list[ListedVersion]:
    """The versions of one answer of ListObjectVersions."""
    return [
        ListedVersion(bucket, each["Key"], each["VersionId"], each["Size"], each["LastModified"].astimezone(UTC))
        for each in answer.get("Versions", ())
    ]


def _behind(after: str | None, page: Sequence[ListedVersion]) -> Sequence[ListedVersion]:
    if after is None:
        return page
    seen = _parts(after)
    return [found for found in page if _parts(found.key) > seen]


def _parts(key: str) -> tuple[str, ...]:
    return tuple(key.split("/"))
