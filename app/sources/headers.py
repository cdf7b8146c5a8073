"""Reads the headers of an answer: schema, content type, metadata, where to store, when to ask again."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from app.domain.archive_types import SchemaName
from app.domain.errors import STEP_READ, PermanentFailure, task_message

CONTENT_TYPE = "content-type"
SYSTEM = "archive-data-system"
SCHEMA = "archive-data-schema"
SCHEMA_VERSION = "archive-data-schema-version"
BUCKET = "archive-storage-bucket"
PREFIX = "archive-storage-prefix"
METADATA = "archive-metadata-"

SINGLE = {
    name.encode(): spelling
    for name, spelling in (
        (CONTENT_TYPE, "Content-Type"),
        (SYSTEM, "Archive-Data-System"),
        (SCHEMA, "Archive-Data-Schema"),
        (SCHEMA_VERSION, "Archive-Data-Schema-Version"),
        (BUCKET, "Archive-Storage-Bucket"),
        (PREFIX, "Archive-Storage-Prefix"),
    )
}
"""Headers that may stand once; as received, in lower case, to how the contract spells them."""

LONGEST_NAME = 255
"""Characters of a system or schema name: longer ones would not fit into object keys."""

HIGHEST_VERSION = 2**31 - 1

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; a source that asks for more is taken to mean a day."""

QUOTED_OR_BLANKS = re.compile(r'"(?:[^"\\]|\\.)*"?|[ \t]+')
"""Between the parts of a content type tabs are as good as blanks (RFC 9110, OWS); what stores it knows blanks only. In
quotes they are of the value."""

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Description:
    """The headers of a document; fields as in `domain.artifacts.Document`."""

    content_type: str
    schema: SchemaName
    metadata: tuple[tuple[str, str], ...]
    bucket: str | None
    prefix: str | None


def describe(headers: Iterable[tuple[bytes, bytes]]) -> Description:
    """Reads the headers of a 2xx answer as received; `PermanentFailure` names the header that is missing or wrong.

    A metadata header that occurs several times is one value, joined with `, ` (RFC 9110). The other headers may occur
    several times with the same value. An empty value of an optional header counts as absent.
    """
    single: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.lower()
        if name in SINGLE:
            spelling = SINGLE[name]
            value = _text(raw_value, spelling)
            if single.setdefault(spelling, value) != value:
                raise _wrong(spelling, "is there more than once, with different values")
        elif name.startswith(b"archive-metadata-"):
            key = name[len(METADATA) :].decode("latin-1")
            if not key:
                raise _wrong("Archive-Metadata-", "has no name")
            value = _text(raw_value, f"Archive-Metadata-{key}")
            metadata[key] = f"{metadata[key]}, {value}" if key in metadata else value
    schema = SchemaName(
        _name(single, "Archive-Data-System"),
        _name(single, "Archive-Data-Schema"),
        _version(_required(single, "Archive-Data-Schema-Version")),
    )
    return Description(
        _content_type(_required(single, "Content-Type")),
        schema,
        tuple(metadata.items()),
        single.get("Archive-Storage-Bucket") or None,
        single.get("Archive-Storage-Prefix") or None,
    )


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a `Retry-After` header, given as seconds or as an HTTP date; None when it has neither."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return LONGEST_RETRY_AFTER if len(value) > 9 else min(float(value), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER)


def _text(raw: bytes, header: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if CONTROL.search(text):
        raise _wrong(header, "contains control characters")
    return text.strip()


def _required(single: dict[str, str], header: str) -> str:
    value = single.get(header)
    if not value:
        raise _wrong(header, "is missing")
    return value


def _content_type(value: str) -> str:
    """With one blank for several and for tabs, those in quotes apart."""
    if "  " not in value and "\t" not in value:
        return value
    return QUOTED_OR_BLANKS.sub(lambda found: found[0] if found[0][0] == '"' else " ", value)


def _name(single: dict[str, str], header: str) -> str:
    value = _required(single, header)
    if len(value) > LONGEST_NAME:
        raise _wrong(header, f"is longer than {LONGEST_NAME} characters")
    return value


def _version(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) <= 10 and 1 <= int(value) <= HIGHEST_VERSION:
        return int(value)
    shown = f": {value}" if len(value) <= 32 and value.isprintable() else ""
    raise _wrong("Archive-Data-Schema-Version", f"is not an integer from 1{shown}")


def _wrong(header: str, what: str) -> PermanentFailure:
    return PermanentFailure(task_message(STEP_READ, f"header {header} {what}"))
