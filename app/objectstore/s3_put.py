"""The put of documents: headers, signature and one conditional request, with as little CPU as possible."""

import hashlib
import io
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO
from urllib.parse import quote

import aiohttp
from yarl import URL

from app.domain.errors import Unavailable
from app.objectstore import FileContent, ObjectVersion, Upload
from app.objectstore.limits import check_upload
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import COMPONENT, error_of, failure, start_of, unreachable
from app.objectstore.s3_sign import Signers

LARGE = 1 << 20
"""Bytes from which a body is sent in pieces: aiohttp warns of larger ones that would hold up the loop."""

UNPROVEN = (
    "the answer to a put names neither the checksum nor the MD5 of what was put: it answers something else, or there "
    "is a proxy on the way that leaves out x-amz-checksum-sha256 and changes the ETag"
)

CHECKSUM = "x-amz-checksum-sha256"
ENCRYPTION = "x-amz-server-side-encryption"


FOR_FILES = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)
"""A large file takes its time, and the store its own to put it together."""


class HotPut:
    """Puts objects over the session of the puts."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._signers = Signers()

    async def put(
        self, upload: Upload, *, locked_until: datetime | None = None, checksum: str | None = None
    ) -> ObjectVersion:
        """Stores an object in one conditional request. Raises PreconditionFailed, ObjectRejected, Unavailable.

        For a trial of the store, `locked_until` replaces the days of the upload, and `checksum` (base64) the right
        checksum.
        """
        check_upload(upload)
        connection, bucket, content = self._connection, upload.bucket, upload.content
        http = await connection.http()
        address = await connection.address(bucket)
        signer = self._signers.of(await connection.credentials(), address.region)
        now = datetime.now(UTC)
        retain_until = locked_until
        if connection.options.object_lock_enabled and upload.retain_until is not None:
            retain_until = whole_second(upload.retain_until)
        elif connection.options.object_lock_enabled and upload.retain_days is not None:
            retain_until = whole_second(now + timedelta(days=upload.retain_days))
        headers = put_headers(upload, connection.options.object_lock_mode, retain_until)
        if checksum is not None:
            headers["x-amz-checksum-sha256"] = checksum
        url = f"{address.base}/{quote(upload.key, safe='/~')}"
        signer.sign("PUT", url, address.host, headers, upload.sha256)
        try:
            async with http.put(
                URL(url, encoded=True),
                data=_body(content),
                headers=headers,
                allow_redirects=False,
                timeout=FOR_FILES if isinstance(content, FileContent) else http.timeout,
            ) as answer:
                if answer.status != 200:
                    code, message = error_of(await start_of(answer.content))
                    raise failure(answer.status, code, message, bucket, if_match=upload.if_match is not None)
                await answer.read()
                if not proves(answer.headers, headers, content):
                    connection.close_idle()
                    raise Unavailable(COMPONENT, f"bucket {bucket}: {UNPROVEN}")
                version_id = answer.headers.get("x-amz-version-id", "null")
                etag = answer.headers.get("etag", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, bucket) from error
        if version_id == "null":
            raise Unavailable(COMPONENT, f"bucket {bucket} keeps no versions: enable versioning")
        return ObjectVersion(
            bucket=bucket,
            key=upload.key,
            version_id=version_id,
            etag=etag,
            size=len(content),
            user_metadata=_lower(upload.user_metadata),
            last_modified=now,
            retain_until=retain_until,
            lock_mode=None if retain_until is None else connection.options.object_lock_mode,
        )


def _body(content: bytes | FileContent) -> bytes | BinaryIO:
    if isinstance(content, FileContent):
        return content.path.open("rb")  # closed by aiohttp once it is sent
    return content if len(content) < LARGE else io.BytesIO(content)


def put_headers(upload: Upload, lock_mode: str, retain_until: datetime | None) -> dict[str, str]:
    """All headers of a put that describe the object and the condition; names in lower case."""
    headers = {
        "content-type": upload.content_type,
        CHECKSUM: b64encode(bytes.fromhex(upload.sha256)).decode(),
    }
    if upload.if_match is None:
        headers["if-none-match"] = "*"
    else:
        headers["if-match"] = upload.if_match
    if upload.tag is not None:
        key, value = upload.tag
        headers["x-amz-tagging"] = f"{quote(key, safe='')}={quote(value, safe='')}"
    if retain_until is not None:
        headers["x-amz-object-lock-mode"] = lock_mode
        headers["x-amz-object-lock-retain-until-date"] = retain_until.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, value in upload.user_metadata.items():
        headers[f"x-amz-meta-{name.lower()}"] = value
    return headers


def proves(answer: Mapping[str, str], asked: Mapping[str, str], content: bytes | FileContent) -> bool:
    """Whether the headers of an answer show that it belongs to the put of this content.

    They show it by the checksum that was sent, else by the ETag, which is the MD5 of the content, except under keys
    that the store's owner manages: then nothing is shown, and nothing required.
    """
    checksum = answer.get(CHECKSUM)
    if checksum is not None:
        return checksum == asked[CHECKSUM]
    if answer.get(ENCRYPTION, "").startswith("aws:kms") or f"{ENCRYPTION}-customer-algorithm" in answer:
        return True
    etag = answer.get("etag", "").removeprefix("W/").strip('"').lower()
    if isinstance(content, FileContent):
        return etag == content.md5
    return etag == hashlib.md5(content, usedforsecurity=False).hexdigest()


def _lower(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}


def whole_second(moment: datetime) -> datetime:
    """The same second, or the next one if there is a fraction: S3 keeps no fractions, and a lock must not end early."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)
