"""The plan of a job: one line of hashes of what would be archived, how and where; and the changes since it was made."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from app.domain.archive_types import ArchiveDataType, ArchiveTypeConfiguration

FORM = "1"
"""The format of a plan, its first character. A plan of another format has other parts, or other hashes."""

_PLAN = re.compile(rf"{FORM}(?:\.[A-Za-z0-9_-]+){{6}}")
_OF_ANOTHER_FORM = re.compile(r"[0-9]{1,4}(?:\.[A-Za-z0-9_-]+){1,20}")

_CONTENT_BYTES = 16
"""So many that the author of a submission cannot make two submissions with the same plan (decision 12)."""

_OTHER_BYTES = 9


@dataclass(frozen=True, slots=True)
class Terms:
    """How and where this installation archives. `lock_mode` is None where objects are not locked."""

    types: tuple[ArchiveDataType, ...]
    bucket: str
    prefix_mode: str
    allowed_buckets: frozenset[str]
    allowed_prefixes: frozenset[str]
    lock_mode: str | None


class HashedTerms(NamedTuple):
    """The parts of a plan that are the same for all jobs.

    `schemas` covers all schemas of the registry: only the answer of the source names the schema of a document.
    """

    schemas: str
    bucket: str
    lock: str
    retention: str


class Plan(NamedTuple):
    """A plan. Each part is a hash of its own, so that the changed part can be named."""

    content: str
    configuration: str
    terms: HashedTerms

    def text(self) -> str:
        """`1.<content>.<configuration>.<schemas>.<bucket>.<lock>.<retention>`: short enough for a header."""
        return ".".join((FORM, self.content, self.configuration, *self.terms))


def hashed_terms(terms: Terms) -> HashedTerms:
    retention = {(each.schema.system, each.schema.name, each.expiration_days) for each in terms.types}
    return HashedTerms(
        schemas=_hashed(sorted(_schema(each) for each in terms.types)),
        bucket=_hashed([
            terms.bucket, terms.prefix_mode, sorted(terms.allowed_buckets), sorted(terms.allowed_prefixes)
        ]),
        lock=_hashed(terms.lock_mode),
        retention=_hashed(sorted(retention)),
    )  # fmt: skip


def plan_of(content_hash: bytes, configuration: ArchiveTypeConfiguration, terms: HashedTerms) -> Plan:
    """`content_hash` as of `domain.identity`: comments and the order of references change nothing."""
    given = {name: value for name, value in asdict(configuration).items() if value not in (None, ())}
    return Plan(_short(content_hash, _CONTENT_BYTES), _hashed(given), terms)


def changes(text: str, now: Plan, lock_mode: str | None) -> list[str]:
    """The differences between the plan `text` and the present plan, as texts; empty when both agree. `lock_mode` as in
    Terms."""
    if not _PLAN.fullmatch(text):
        if text.partition(".")[0] != FORM and _OF_ANOTHER_FORM.fullmatch(text):
            return ["was made by another release of the service, which plans in another way"]
        return ["is not a plan as a preflight gives it; copy all of it"]
    _, content, configuration, *terms = text.split(".")
    then = Plan(content, configuration, HashedTerms(*terms))
    return list(_differences(then, now, lock_mode))


def _differences(then: Plan, now: Plan, lock_mode: str | None) -> Iterator[str]:
    if then.content != now.content:
        yield "is for other content: message, topic, config-id or references are not the same"
    if then.configuration != now.configuration:
        yield "was made with another configuration of the archive type (address, OAuth client, metadata, …)"
    if then.terms.schemas != now.terms.schemas:
        yield "was made with other schemas in the registry"
    if then.terms.bucket != now.terms.bucket:
        yield "was made with another bucket, or other buckets and prefixes that a source may ask for"
    if then.terms.lock != now.terms.lock:
        yield f"was made with another lock mode: now {lock_mode or 'objects are not locked'}"
    if then.terms.retention != now.terms.retention:
        yield "was made with another retention of archive types"


def _schema(data_type: ArchiveDataType) -> tuple[str | int, ...]:
    return (*data_type.schema, data_type.reference_id_type, data_type.file.extension, data_type.file.sha256)


def _hashed(value: Any) -> str:
    return _short(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest(), _OTHER_BYTES)


def _short(digest: bytes, size: int) -> str:
    return urlsafe_b64encode(digest[:size]).rstrip(b"=").decode()
