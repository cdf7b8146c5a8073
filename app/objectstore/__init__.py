"""The object store as the archiver needs it: conditional versioned puts, versions, locks. Protocol only."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from app.domain.archive_types import ArchiveDataType

PROBE_KEY = "archive-data-schema/pas-store-probe"
"""Key of the small object with which a store is tried (`probe`). Where schemas lie the service may write in any case;
no schema has such a name, for want of an extension."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content that is too large for the memory, with what the answer to its put is compared with."""

    path: Path
    size: int
    md5: str
    """Hex."""

    def __len__(self) -> int:
        return self.size


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to put, always on a condition: `if_match` is the ETag seen, None means the key must be free."""

    bucket: str
    key: str
    content: bytes | FileContent
    content_type: str
    sha256: str
    user_metadata: Mapping[str, str]
    retain_days: int | None
    """Object lock until now + these days, where locking is enabled; None: no lock asked (schema files)."""
    tag: tuple[str, str] | None
    if_match: str | None = None
    retain_until: datetime | None = None
    """The end of the lock instead of `retain_days`, where locking is enabled."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One stored version as a HEAD describes it. `user_metadata` names are in lower case."""

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int
    user_metadata: Mapping[str, str]
    last_modified: datetime
    retain_until: datetime | None
    lock_mode: str | None = None
    """`COMPLIANCE` or `GOVERNANCE`; None where there is no lock, or where the store knows no modes."""


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One stored version as a listing describes it: without metadata and lock."""

    bucket: str
    key: str
    version_id: str
    size: int
    last_modified: datetime


Which = Callable[[ListedVersion], bool]


def every(listed: ListedVersion) -> bool:  # noqa: ARG001
    """The choice of all versions."""
    return True


class ObjectStoreError(Exception):
    """Base of the errors that concern one object; an error of the whole store is `domain.errors.Unavailable`."""


class PreconditionFailed(ObjectStoreError):
    """The condition of a put did not hold (412), or could not be decided (409, 404): look up the object, then put
    again."""


class ConditionUndecided(PreconditionFailed):
    """Whether the condition holds could not be decided (409), or there was nothing to hold it against (404)."""


class ObjectRejected(ObjectStoreError):
    """The store will never take this object (metadata or body too large, a bad tag): permanent for the task."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class ObjectStore(Protocol):
    """Every method raises `Unavailable("objectstore", reason)` for errors that are not this object's fault."""

    @property
    def lock_mode(self) -> str | None:
        """How new objects are locked, `COMPLIANCE` or `GOVERNANCE`; None where they are not, or there are no modes."""

    async def put(self, upload: Upload) -> ObjectVersion:
        """Stores an object in one conditional request. Raises PreconditionFailed, ObjectRejected, Unavailable.

        Before the first put into a bucket the store is tried: Unavailable names the promises that it does not keep.
        """

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
        """The current version, or the named one; None when there is none or it is a delete marker."""

    async def versions(self, bucket: str, key: str, which: Which = every) -> Sequence[ObjectVersion]:
        """The versions of exactly this key with their metadata, newest first, delete markers left out.

        `which` chooses them by what the listing says: the metadata of each costs a request.
        """

    def list_versions(self, bucket: str, after: str | None = None) -> AsyncIterator[Sequence[ListedVersion]]:
        """Every version in the bucket, in pages, delete markers left out. Raises Unavailable.

        The store chooses the order of keys, which stays the same; the versions of one key follow each other. `after`
        continues after all versions of that key, whether or not the key still exists.
        """

    def list_prefix(self, bucket: str, prefix: str) -> AsyncIterator[Sequence[ListedVersion]]:
        """Every version of the keys that begin with `prefix`, which ends with a slash; as `list_versions`. Raises
        Unavailable."""

    async def lengthen_lock(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        """Extends the retention of a version to `until`; a retention that ends later stays.

        Does nothing where locking is off. Raises PreconditionFailed when the version is gone, Unavailable.
        """

    def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        """The content of a version in chunks. Raises FileNotFoundError when the version is gone."""

    async def prepare(self, buckets: Sequence[str], types: Sequence[ArchiveDataType]) -> None:
        """Checks each bucket (exists, versioned, object lock), tries the store, adds the missing lifecycle rules of
        `types`.

        All other rules and settings are kept unchanged and the result is read back; where lifecycle rules are switched
        off none are read or written. Creates the bucket where the settings allow it. Safe to repeat; the caller holds
        the database lock. Raises Unavailable with the problem, `LifecycleLimit` when more than 1,000 rules would be
        needed.
        """

    async def check(self, buckets: Sequence[str]) -> None:
        """A cheap probe for /health/ready: raises Unavailable with the reason."""

    async def examine(self, bucket: str) -> None:
        """Checks whether objects can be put into the bucket: its existence, versioning and, where required, object
        lock.

        Nothing is written: a promise that the store does not keep is reported only when it was tried already. Raises
        Unavailable with the reason.
        """

    async def close(self) -> None: ...


class LifecycleLimit(Exception):
    """A bucket would need more than 1,000 lifecycle rules: the start is refused with this message."""
