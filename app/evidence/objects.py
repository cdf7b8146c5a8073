"""Whether a stored object is there, is what was stored, and is locked: one look, by its version id."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.artifacts import StoredObject
from app.domain.errors import Unavailable
from app.domain.reconciled import ReferenceVerdict
from app.objectstore import ObjectStore, ObjectStoreError, ObjectVersion
from app.objectstore.contents import digest_of


@dataclass(frozen=True, slots=True)
class LockTerms:
    """The lock that the settings ask for; `mode` is None where locking is off."""

    mode: str | None


async def look(
    objects: ObjectStore, stored: StoredObject, until: datetime | None, terms: LockTerms
) -> ReferenceVerdict:
    """ARCHIVED, MISSING, DIFFERENT or UNLOCKED; `until` is the end of the lock that was set. Reads all of the object.

    An object that the store does not give, though it answers, is MISSING. Raises Unavailable.
    """
    try:
        version = await objects.head(stored.bucket, stored.key, stored.version_id)
        if version is None or not await _is_whole(objects, stored):
            return ReferenceVerdict.MISSING if version is None else ReferenceVerdict.DIFFERENT
    except FileNotFoundError:
        return ReferenceVerdict.MISSING
    except ObjectStoreError:
        return ReferenceVerdict.MISSING
    except Unavailable:
        await objects.check([stored.bucket])  # the whole store is away: this raises too
        return ReferenceVerdict.MISSING
    return ReferenceVerdict.ARCHIVED if _is_locked(version, until, terms) else ReferenceVerdict.UNLOCKED


async def _is_whole(objects: ObjectStore, stored: StoredObject) -> bool:
    read = await digest_of(objects, stored.bucket, stored.key, stored.version_id)
    return read == (stored.sha256, stored.size)


def _is_locked(version: ObjectVersion, until: datetime | None, terms: LockTerms) -> bool:
    if until is None:
        return terms.mode is None or version.retain_until is not None
    if version.retain_until is None or version.retain_until < until:
        return False
    return terms.mode != "COMPLIANCE" or version.lock_mode in (None, terms.mode)
