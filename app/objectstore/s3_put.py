"""The hot put: headers, signature and one conditional request, with as little CPU as that can be done."""

import hmac
import io
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.credentials import ReadOnlyCredentials
from yarl import URL

from app.domain.errors import Unavailable
from app.objectstore import ObjectVersion, Upload
from app.objectstore.limits import check_upload
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import COMPONENT, MAX_ERROR_BODY, error_of, failure, unreachable

LARGE = 1 << 20
"""Bytes from which a body is sent in pieces: aiohttp warns of larger ones that would hold up the loop."""


class HotPut:
    """Puts objects over the shared session; keeps the signer while the credentials stay the same."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._signer: PutSigner | None = None

    async def put(self, upload: Upload) -> ObjectVersion:
        """Store it in one conditional request. Raises PreconditionFailed, ObjectRejected, Unavailable."""
        check_upload(upload)
        connection, bucket, content = self._connection, upload.bucket, upload.content
        http = await connection.http()
        address = await connection.address(bucket)
        signer = self._signer_of(await connection.credentials(), address.region)
        now = datetime.now(UTC)
        retain_until = None
        if connection.options.object_lock_enabled and upload.retain_days is not None:
            retain_until = whole_second(now + timedelta(days=upload.retain_days))
        headers = put_headers(upload, connection.options.object_lock_mode, retain_until)
        url = f"{address.base}/{quote(upload.key, safe='/~')}"
        signer.sign(url, address.host, headers, upload.sha256)
        try:
            async with http.put(
                URL(url, encoded=True),
                data=content if len(content) < LARGE else io.BytesIO(content),
                headers=headers,
                allow_redirects=False,
                proxy=address.proxy,
            ) as answer:
                if answer.status != 200:
                    code, message = error_of(await _start_of(answer.content))
                    raise failure(answer.status, code, message, bucket, if_match=upload.if_match is not None)
                await answer.read()
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

    def _signer_of(self, credentials: ReadOnlyCredentials, region: str) -> "PutSigner":
        signer = self._signer
        if signer is None or signer.credentials != credentials or signer.region != region:
            signer = self._signer = PutSigner(credentials, region)
        return signer


def put_headers(upload: Upload, lock_mode: str, retain_until: datetime | None) -> dict[str, str]:
    """All headers of a put that say what is stored and on which condition; names in lower case."""
    headers = {
        "content-type": upload.content_type,
        "x-amz-checksum-sha256": b64encode(bytes.fromhex(upload.sha256)).decode(),
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


async def _start_of(body: aiohttp.StreamReader) -> bytes:
    """All of an error body, or the part of an endless one in which a code would stand."""
    start = b""
    async for piece in body.iter_any():
        start += piece
        if len(start) >= MAX_ERROR_BODY:
            break
    return start


def _lower(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in metadata.items()}


def whole_second(moment: datetime) -> datetime:
    """The same second or the next: S3 keeps no fractions, and a lock must not end early."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)


class PutSigner(S3SigV4Auth):
    """botocore's signer over a plain dict of headers, with nothing computed twice: 15 µs instead of 97.

    Its steps and their order are untouched; a test compares the signatures with the original's.
    """

    def __init__(self, credentials: ReadOnlyCredentials, region: str) -> None:
        super().__init__(credentials, "s3", region)
        self.region = region
        self._key: tuple[str, bytes] = ("", b"")

    def sign(self, url: str, host: str, headers: dict[str, str], sha256: str) -> None:
        """Adds host, date, content hash, session token and signature to the headers of a PUT."""
        headers["host"] = host
        self.add_auth(_Request(url, headers, sha256))  # type: ignore[arg-type]

    def payload(self, request: Any) -> str:
        """Hex SHA-256 of the body, which the caller knows already."""
        return str(request.context["sha256"])

    def headers_to_sign(self, request: Any) -> Any:
        chosen = request.context.get("headers_to_sign")
        if chosen is None:  # asked for once more after the signature, with nothing changed
            lower = ((name.lower(), value) for name, value in request.headers.items())
            chosen = request.context["headers_to_sign"] = dict(sorted(lower))
        return chosen

    def canonical_headers(self, headers_to_sign: Any) -> str:
        return "\n".join([f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items()])

    def signed_headers(self, headers_to_sign: Any) -> str:
        return ";".join(headers_to_sign)

    def signature(self, string_to_sign: str, request: Any) -> str:
        day: str = request.context["timestamp"][:8]
        of_day, key = self._key
        if of_day != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


class _Request:
    """What the signer looks at; botocore's own request keeps headers in an e-mail message, the most of its cost."""

    method = "PUT"
    params: Mapping[str, str] = {}

    def __init__(self, url: str, headers: dict[str, str], sha256: str) -> None:
        self.url = url
        self.headers = headers
        self.context: dict[str, Any] = {"sha256": sha256}
