"""The object store as the archiver needs it: conditional versioned puts, looks at versions, locks. Protocol only."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.archive_types import ArchiveDataType

PROBE_KEY = "archive-data-schema/pas-store-probe"
"""Key of the small object with which a store is tried (`probe`). Where schemas lie the service may write in any case;
no schema has such a name, for want of an extension."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to put, always on a condition: `if_match` is the ETag seen, None means the key must be free."""

    bucket: str
    key: str
    content: bytes
    content_type: str
    sha256: str
    user_metadata: Mapping[str, str]
    retain_days: int | None
    """Object lock until now + these days, where locking is enabled; None: no lock asked (schema files)."""
    tag: tuple[str, str] | None
    if_match: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One stored version as a HEAD tells it. `user_metadata` names are in lower case."""

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
    """One stored version as a listing tells it: without metadata and lock."""

    bucket: str
    key: str
    version_id: str
    size: int
    last_modified: datetime


class ObjectStoreError(Exception):
    """Base of what `put` and the others raise for this object; `domain.errors.Unavailable` for the store."""


class PreconditionFailed(ObjectStoreError):
    """The condition of a put did not hold (412), or could not be decided (409, 404): look, then again."""


class ConditionUndecided(PreconditionFailed):
    """Whether the condition holds could not be decided (409), or there was nothing to hold it against (404)."""


class ObjectRejected(ObjectStoreError):
    """The store will never take this object (metadata or body too large, a bad tag): permanent for the task."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class ObjectStore(Protocol):
    """Everything raises `Unavailable("objectstore", reason)` for what is not this object's fault."""

    async def put(self, upload: Upload) -> ObjectVersion:
        """Store it in one conditional request. Raises PreconditionFailed, ObjectRejected, Unavailable.

        Before the first put into a bucket the store is tried: Unavailable names what it does not keep.
        """

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
        """The current (or that) version; None where there is none or a delete marker stands."""

    async def versions(self, bucket: str, key: str) -> Sequence[ObjectVersion]:
        """All versions of exactly this key with their metadata, newest first, delete markers left out."""

    def list_versions(self, bucket: str, after: str | None = None) -> AsyncIterator[Sequence[ListedVersion]]:
        """Every version in the bucket, in pages, delete markers left out. Raises Unavailable.

        Keys come in an order of the store's own that stays the same, the versions of one key one after the other;
        `after` goes on behind all versions of that key, whether or not it is still there.
        """

    async def lengthen_lock(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        """Let the retention of a version end at `until` or, where it is longer already, as it does.

        Does nothing where locking is off. Raises PreconditionFailed where the version is gone, Unavailable.
        """

    def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        """The content of a version in chunks; raises FileNotFoundError where it is gone."""

    async def prepare(self, buckets: Sequence[str], types: Sequence[ArchiveDataType]) -> None:
        """Check each bucket (there, versioned, object lock), try the store, add the missing lifecycle rules of `types`.

        All other rules and settings are carried over unchanged and the result is read back; where lifecycle rules are
        switched off none are read or written. Makes the bucket where the settings allow it. Safe to repeat; the caller
        holds the database lock. Raises Unavailable naming what is wrong, `LifecycleLimit` where more than 1,000 rules
        would be needed.
        """

    async def check(self, buckets: Sequence[str]) -> None:
        """A cheap look for /health/ready: raises Unavailable with the reason."""

    async def examine(self, bucket: str) -> None:
        """Whether objects can be put there: the bucket, its versions and, where that is asked for, its object lock.

        Nothing is written: what the store does not keep is said where it was tried already. Raises Unavailable with the
        reason.
        """

    async def close(self) -> None: ...


class LifecycleLimit(Exception):
    """A bucket would need more than 1,000 lifecycle rules: the start is refused with this message."""
