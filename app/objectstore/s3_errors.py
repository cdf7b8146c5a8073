"""The meaning of an answer of S3: a fault of the object, a condition that did not hold, or an unavailable store."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from app.domain.errors import Unavailable
from app.domain.readiness import OBJECT_STORE
from app.objectstore import ConditionUndecided, ObjectRejected, PreconditionFailed

COMPONENT = OBJECT_STORE

MAX_ERROR_BODY = 65_536
"""Bytes of an error answer that are read; S3 sends some hundred."""

REJECTED = {
    "MetadataTooLarge": "the metadata is larger than the object store takes",
    "RequestHeaderSectionTooLarge": "the metadata is larger than the object store takes",
    "EntityTooLarge": "the document is larger than the object store takes",
    "MaxMessageLengthExceeded": "the document is larger than the object store takes",
    "InvalidTag": "the object store does not take the tag",
    "KeyTooLongError": "the object key is longer than the object store takes",
}
"""S3 codes that only this object causes: trying again is useless."""

REJECTED_STATUS = {
    413: "the document is larger than the object store takes",
    431: "the metadata is larger than the object store takes",
}
"""The same from a proxy before the store, which answers without an S3 code."""

_KEYS = "check objectstorage.connection.access-key and .secret-key"
_REGION = "check objectstorage.connection.region and .access-url"
_LOCK = "the bucket needs object lock enabled, or set objectstorage.object-lock-enabled to false"
HINTS = {
    "AccessDenied": "check what the access key may do (put with tags and retention, get, list versions, lifecycle)",
    "AllAccessDisabled": "the bucket or the account is closed",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "ExpiredToken": "the ambient credentials have expired",
    "InvalidToken": "the ambient credentials are not valid",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "NoSuchBucket": "create it with versioning and object lock, or set objectstorage.storage.create-bucket",
    "InvalidRequest": _LOCK,
    "InvalidBucketState": _LOCK,
    "ObjectLockConfigurationNotFoundError": _LOCK,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "BadDigest": "the content was changed on the way",
    "XAmzContentSHA256Mismatch": "the content was changed on the way",
    "XAmzContentChecksumMismatch": "the content was changed on the way",
    "SlowDown": "the store asks for fewer requests",
    "QuotaExceeded": "the bucket is full",
    "InsufficientStorage": "the store is full",
    "XMinioStorageFull": "the store is full",
}
"""S3 code → what an operator should look at."""

_STATUS_HINTS = {301: _REGION, 302: _REGION, 307: _REGION, 308: _REGION}


class Refused(Unavailable):
    """The store answered, with this status and this S3 code (empty where the answer had none)."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(COMPONENT, reason)
        self.status = status
        self.code = code


def failure(status: int, code: str, message: str, bucket: str, *, if_match: bool = False) -> Exception:
    """The exception to raise for an error answer; `code` is empty where the body had none (HEAD, proxies)."""
    if status == 412:
        return PreconditionFailed(f"HTTP 412 {code}".strip())
    if status == 409 and code in ("ConditionalRequestConflict", ""):
        return ConditionUndecided(f"HTTP 409 {code}".strip())
    if if_match and status == 404 and code != "NoSuchBucket":
        return ConditionUndecided(f"HTTP 404 {code}".strip())
    cause = REJECTED.get(code) or (None if code else REJECTED_STATUS.get(status))
    if cause is not None:
        return ObjectRejected(f"{cause} (HTTP {status}{' ' + code if code else ''})")
    return unavailable(status, code, message, bucket)


def unavailable(status: int, code: str, message: str, bucket: str) -> Refused:
    """`bucket b: HTTP 403 AccessDenied: <S3's message>; <what to do>`."""
    reason = f"{_of(bucket)}HTTP {status}"
    if code:
        reason += f" {code}"
    text = " ".join(message.split())[:200]
    if text and text != code:
        reason += f": {text.rstrip('.')}"
    hint = HINTS.get(code) or _STATUS_HINTS.get(status)
    return Refused(status, code, f"{reason}; {hint}" if hint else reason)


def error_of(body: bytes) -> tuple[str, str]:
    """Code and message of an error body, each empty where it has none.

    The body is searched, not parsed: an XML parser would expand entities that an unknown server may send.
    """
    text = body[:MAX_ERROR_BODY].decode("utf-8", "replace")
    return _element(text, "Code"), _element(text, "Message")


async def start_of(body: aiohttp.StreamReader) -> bytes:
    """An error body, or the first part of an endless one, in which a code would stand."""
    start = b""
    async for piece in body.iter_any():
        start += piece
        if len(start) >= MAX_ERROR_BODY:
            break
    return start


def code_of(error: ClientError) -> str:
    """The S3 code of a botocore error; empty for a HEAD, where botocore puts the status in its place."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return "" if code.isdigit() else code


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def translated(bucket: str = "") -> Iterator[None]:
    """Turns what botocore and aiohttp raise inside into `Unavailable`; errors of one object are handled before."""
    try:
        yield
    except ClientError as error:
        message = "" if not code_of(error) else str(error.response.get("Error", {}).get("Message", ""))
        raise unavailable(status_of(error), code_of(error), message, bucket) from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(error, bucket) from error


def unreachable(error: BaseException, bucket: str) -> Unavailable:
    """For a request that got no complete answer: connection, timeout, TLS, truncated body."""
    if isinstance(error, TimeoutError):
        return Unavailable(COMPONENT, f"{_of(bucket)}no answer in time")
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return Unavailable(COMPONENT, f"{_of(bucket)}{text}")


def _of(bucket: str) -> str:
    return f"bucket {bucket}: " if bucket else ""


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]{{0,1000}})</{name}>", text)
    return html.unescape(found[1]).strip() if found else ""
