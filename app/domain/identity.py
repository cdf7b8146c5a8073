"""Names computed from content: idempotence ids, hashes, object keys, percent-encoding. All deterministic."""

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from itertools import pairwise
from urllib.parse import quote
from uuid import UUID, uuid5

from blake3 import blake3

from app.domain.jobs import Reference

PREFIX_MODES = {"NONE": "", "DAY": "%Y%m%d/", "MONTH": "%Y%m/", "YEAR": "%Y/"}
"""`storage.prefix-mode` → strftime of the day (UTC) on which the job started."""

_LIVE_JOBS = UUID("7a1c5f52-6a0c-4d0e-9f57-3f1c2b7f5d10")
"""The namespace of the ids of live jobs (UUIDs of version 5)."""

_LIVE_COMMAND = re.compile("-([0-9a-f]{32})")
"""What follows the job id in the id of a live command; that of a backfill has a colon there."""

_NO_TRACE, _INSTEAD = "0" * 32, "0" * 31 + "1"


def command_idempotence_id(job_id: UUID, reference: Reference) -> str:
    """`<jobId>-<length of id in UTF-16 units>:<id>:v<version>`, or `…:none`, as the Java service makes it."""
    length = len(reference.id.encode("utf-16-le")) // 2
    version = "none" if reference.version is None else f"v{reference.version}"
    return f"{job_id}-{length}:{reference.id}:{version}"


def artifact_idempotence_id(command_id: str) -> str:
    """The idempotence id of the artifact of a backfill; that of its command is a part of it."""
    return f"CreateArtifactCommand_{command_id}"


def live_artifact_idempotence_id(
    message_type: str, message_id: str, system: str, schema: str, reference: Reference
) -> str:
    """`<messageType>_<sha256 hex>`; `message_id` is the idempotence id of the message."""
    parts = [message_id, system, schema, reference.id]
    if reference.version is not None:
        parts.append(str(reference.version))
    return f"{message_type}_{hashlib.sha256(_with_lengths(parts).encode()).hexdigest()}"


def event_idempotence_id(artifact_id: str) -> str:
    return f"{artifact_id}-event"


def live_task_key(archive_type: str, message_id: str, reference: Reference) -> UUID:
    """Stands for what a message is to a configuration: a message that comes again has the same key, on every day.

    It is the `reference_key` of the task: two messages of a day may name the same reference.
    """
    parts = [archive_type, message_id, reference.id]
    if reference.version is not None:
        parts.append(str(reference.version))
    return UUID(bytes=blake3(_with_lengths(parts).encode()).digest()[:16])


def live_subject(archive_type: str, reference: Reference) -> UUID:
    """Stands for a reference of a configuration: the tasks of one subject are done in their order."""
    return UUID(bytes=blake3(archive_type.encode() + b"\0" + reference_key(reference)).digest()[:16])


def live_job_id(archive_type: str, day: date) -> UUID:
    """The job of the messages that a configuration gets on a day (UTC)."""
    return uuid5(_LIVE_JOBS, f"{day.isoformat()}/{archive_type}")


def live_command_id(job_id: UUID, key: UUID) -> str:
    """Idempotence id of the command of a live task; `key` is that of `live_task_key`."""
    return f"{job_id}-{key.hex}"


def live_key_of_command(idempotence_id: str) -> UUID | None:
    """The key of the live task that a command names; None for the command of a backfill."""
    found = _LIVE_COMMAND.fullmatch(idempotence_id, 36)
    return None if found is None else UUID(found[1])


def _with_lengths(parts: list[str]) -> str:
    """`<length>:<value>` each, the length in UTF-16 units, nothing in between."""
    return "".join(f"{len(part.encode('utf-16-le')) // 2}:{part}" for part in parts)


def hash_of_text(*parts: str) -> str:
    """Hex BLAKE3-256 of the concatenated UTF-8."""
    return blake3("".join(parts).encode()).hexdigest()


def reference_key(reference: Reference) -> bytes:
    """16 bytes that stand for a reference in the index of a job's tasks; an id may be too long for an index row."""
    version = b"" if reference.version is None else str(reference.version).encode()
    return blake3(version + b":" + reference.id.encode()).digest()[:16]


def trace_id_of(job_id: UUID, key: bytes) -> str:
    """The trace of the reference with this `reference_key` in a job: 32 hex digits, never all zeros.

    It is the same in every try, process and release: whoever needs it computes it.
    """
    return blake3(job_id.bytes + key).hexdigest(16).replace(_NO_TRACE, _INSTEAD)


def content_hash(message: str, topic: str, config_id: str | None, keys: bytes) -> bytes:
    """32 bytes equal for the same content of a job: order of the references and `num-of-retry` do not matter.

    `keys` has the 16 bytes of `reference_key` for each reference.
    """
    head = "".join("-" if text is None else f"{len(text)}:{text}" for text in (message, topic, config_id))
    digest = hashlib.sha256(head.encode())
    for share in _in_order(keys):
        digest.update(b"".join(share))
    return digest.digest()


def repeated_keys(keys: bytes) -> set[bytes]:
    """The keys that occur more than once; `keys` as in `content_hash`."""
    repeated: set[bytes] = set()
    for share in _in_order(keys):
        if len(set(share)) < len(share):
            repeated.update(key for key, following in pairwise(share) if key == following)
    return repeated


def _in_order(keys: bytes) -> Iterator[list[bytes]]:
    """The sorted keys, one group with the same first byte at a time: a million objects at once take 60 MB."""
    shares = [bytearray() for _ in range(256)]
    for place in range(0, len(keys), 16):
        shares[keys[place]] += keys[place : place + 16]
    for share in shares:
        yield sorted(bytes(share[place : place + 16]) for place in range(0, len(share), 16))


@lru_cache(maxsize=1024)
def prefix_of(mode: str, started: datetime) -> str:
    """Prefix of the objects of a job; `started` is in UTC. Kept, as all tasks of a job ask for the same one."""
    return started.strftime(PREFIX_MODES[mode])


def object_key(prefix: str, system: str, schema: str, reference_id_hash: str, version: int | None) -> str:
    """`<prefix><system>/<schema>/<h[0:2]>/<h>/v<version>`, `/v0` for unversioned data."""
    return f"{prefix}{system}/{schema}/{reference_id_hash[:2]}/{reference_id_hash}/v{version or 0}"


def percent_encode(text: str) -> str:
    """UTF-8, all but unreserved characters (RFC 3986), `%` too: RFC 6570 simple expansion of one value."""
    return quote(text, safe="")


def expand_uri(template: str, reference: Reference) -> str:
    """The template with `{id}` and `{version}` expanded; no id changes the shape of the URL."""
    version = "" if reference.version is None else str(reference.version)
    return template.replace("{version}", version).replace("{id}", percent_encode(reference.id))
