"""Tries a store with a small object: does it keep the promises that "one effect" rests on?

At most one version is left behind on a store that keeps them, for some seconds; every request is sent the way on which
documents are put, so that a header which a proxy drops is noticed too. Other processes may try at the same time.
"""

import asyncio
import contextlib
import hashlib
import logging
import random
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from app.domain.errors import Unavailable
from app.objectstore import PROBE_KEY, ConditionUndecided, PreconditionFailed, Upload
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import COMPONENT, Refused, status_of, translated
from app.objectstore.s3_put import HotPut, whole_second

LOCK = timedelta(seconds=10)
"""How long the object is locked, by the clock of the store: a slow put still arrives before it ends."""

ABANDONED = timedelta(minutes=1)
"""Age of an object that no other process is at work with any more: it was left behind and is made anew."""

PAUSE = 0.1
"""Seconds at most before the second try, twice as many before the third, and so on."""

TRIES = 10
"""How often a try begins again because another process, or a person, changed the object meanwhile."""

CHECKSUM_KEY = f"{PROBE_KEY}-checksum"
CONTENT = b"The Process Archive Service tries the object store with this object. It can be deleted.\n"
WRONG_CHECKSUM = b64encode(hashlib.sha256(b"something else").digest()).decode()
WRONG_ETAG = '"00000000000000000000000000000000"'

NO_IF_NONE_MATCH = (
    "the store does not honour If-None-Match (a put was accepted where an object is): "
    "one effect for each reference cannot be promised"
)
NO_IF_MATCH = (
    "the store does not honour If-Match (a put on the condition of an ETag that does not exist was accepted): "
    "one effect for each reference cannot be promised"
)
NO_CHECKSUM = (
    "the store does not check x-amz-checksum-sha256 (a put with a wrong checksum was accepted): "
    "a document that was damaged on the way would be archived"
)
NO_LOCK = (
    "a version that was put with a lock in mode {mode} does not show it: documents would not be protected; allow "
    "s3:GetObjectRetention to the access key, or set jeap.processarchive.objectstorage.object-lock-enabled to false"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbedVersion:
    """The fields of a version that the probe needs."""

    version_id: str
    etag: str
    last_modified: datetime
    lock_mode: str | None
    retain_until: datetime | None


@dataclass(frozen=True, slots=True)
class Leftover:
    """A version that the probe made. It can be deleted from `until` on, by the clock of the store (None: at once)."""

    key: str
    version_id: str
    until: datetime | None


class Probe:
    """For one bucket, used once. `left` has the versions to delete, also when `run` raised."""

    def __init__(self, connection: S3Connection, hot_put: HotPut, bucket: str) -> None:
        self._connection = connection
        self._hot_put = hot_put
        self._bucket = bucket
        self.left: list[Leftover] = []
        self._ahead = timedelta()
        """How far the clock of the store is ahead of ours, by its last answer."""

    async def run(self) -> list[str]:
        """The promises that the store does not keep, in words; empty when it keeps all. Raises Unavailable."""
        try:
            for number in range(TRIES):
                try:
                    return await self._once()
                except PreconditionFailed:  # another process was faster, or removed what it had made
                    await asyncio.sleep(random.uniform(0, PAUSE) * (number + 1))
        except Refused as error:
            raise Unavailable(COMPONENT, f"{error.reason} (the store was tried with the object {PROBE_KEY})") from error
        raise Unavailable(
            COMPONENT,
            f"bucket {self._bucket}: the store could not be tried, as the object {PROBE_KEY} was changed meanwhile, "
            f"{TRIES} times in a row",
        )

    def now(self) -> datetime:
        """The time by the clock of the store: only that clock decides whether a lock ends in the future."""
        return datetime.now(UTC) + self._ahead

    async def delete(self, key: str, version_id: str) -> bool:
        """Whether that version could be deleted: a lock may hold it, or the right may be missing."""
        client = await self._connection.client()
        try:
            with translated(self._bucket):
                await client.delete_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        except Unavailable as unavailable:
            log.debug("the object that the store was tried with stays: %s", unavailable.reason, extra={"key": key})
            return False
        return True

    async def _once(self) -> list[str]:
        """One run. Raises PreconditionFailed when the run must begin again."""
        locks = self._connection.options.object_lock_enabled
        found = await self._look()
        is_abandoned = found is not None and found.last_modified < self.now() - ABANDONED
        if found is not None and is_abandoned and await self.delete(PROBE_KEY, found.version_id):
            found = None
        until = whole_second(self.now() + LOCK) if locks else None
        if found is None:
            present = await self._put(None, until)
        elif locks and not self._is_locked(found, None):  # put without a lock: replaced
            present = await self._put(found.etag, until)
        else:  # another process has just made it
            present = found
        broken = []
        if await self._accepts(None, until):
            await self._need(present)
            broken.append(NO_IF_NONE_MATCH)
        if await self._accepts(WRONG_ETAG, until):
            broken.append(NO_IF_MATCH)
        if await self._accepts_wrong_checksum(until):
            broken.append(NO_CHECKSUM)
        if locks and not self._is_locked(await self._need(present), None if present is found else until):
            broken.append(NO_LOCK.format(mode=self._connection.options.object_lock_mode))
        return broken

    async def _look(self, key: str = PROBE_KEY, version_id: str | None = None) -> ProbedVersion | None:
        """The current version, or the named one; None when there is none. Learns the clock of the store."""
        client = await self._connection.client()
        which = {} if version_id is None else {"VersionId": version_id}
        with translated(self._bucket):
            try:
                answer = await client.head_object(Bucket=self._bucket, Key=key, **which)
            except ClientError as error:
                self._learn_clock(error.response)
                if status_of(error) in (404, 405):  # 405: that version is a delete marker
                    return None
                await client.get_object(Bucket=self._bucket, Key=key, **which)  # its answer has a body, which says why
                raise
        self._learn_clock(answer)
        until = answer.get("ObjectLockRetainUntilDate")
        return ProbedVersion(
            version_id=answer.get("VersionId", "null"),
            etag=answer["ETag"],
            last_modified=answer["LastModified"].astimezone(UTC),
            lock_mode=answer.get("ObjectLockMode"),
            retain_until=None if until is None else until.astimezone(UTC),
        )

    async def _need(self, present: ProbedVersion) -> ProbedVersion:
        """The same version, looked up again: this shows that it existed all the time."""
        seen = await self._look(version_id=present.version_id)
        if seen is None:
            raise PreconditionFailed("another process has deleted the object")
        return seen

    async def _put(
        self, if_match: str | None, until: datetime | None, key: str = PROBE_KEY, checksum: str | None = None
    ) -> ProbedVersion:
        upload = Upload(
            bucket=self._bucket,
            key=key,
            content=CONTENT,
            content_type="text/plain",
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            user_metadata={},
            retain_days=None,
            tag=None,
            if_match=if_match,
        )
        made = await self._hot_put.put(upload, locked_until=until, checksum=checksum)
        self.left.append(Leftover(key, made.version_id, until))
        return ProbedVersion(made.version_id, made.etag, made.last_modified, made.lock_mode, made.retain_until)

    async def _accepts(self, if_match: str | None, until: datetime | None) -> bool:
        """Whether the store accepts a put that it must refuse. Raises ConditionUndecided when that cannot be
        decided."""
        try:
            await self._put(if_match, until)
        except ConditionUndecided:
            raise
        except PreconditionFailed:
            return False
        return True

    async def _accepts_wrong_checksum(self, until: datetime | None) -> bool:
        """The same for a wrong checksum, on a key of its own, which exists only on a store that accepts it."""
        present = await self._look(CHECKSUM_KEY)
        try:
            await self._put(None if present is None else present.etag, until, CHECKSUM_KEY, WRONG_CHECKSUM)
        except Refused as refused:
            if refused.status != 400:
                raise
            return False
        return True

    def _is_locked(self, seen: ProbedVersion, until: datetime | None) -> bool:
        """Whether the lock has the mode of the settings and, if known, at least the length."""
        if seen.lock_mode != self._connection.options.object_lock_mode or seen.retain_until is None:
            return False
        return until is None or seen.retain_until >= until

    def _learn_clock(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        with contextlib.suppress(ValueError, TypeError):
            moment = parsedate_to_datetime(date)
            self._ahead = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
