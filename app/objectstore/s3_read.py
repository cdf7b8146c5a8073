"""The read of documents: one signed GET of a version, with as little CPU as possible."""

import hashlib
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
from yarl import URL

from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import error_of, start_of, unavailable, unreachable
from app.objectstore.s3_sign import Signers

CHUNK = 256 * 1024
"""Bytes of one piece, at most."""

EMPTY = hashlib.sha256(b"").hexdigest()
GONE = ("NoSuchKey", "NoSuchVersion")


class HotRead:
    """Reads objects over the session of the reads."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._signers = Signers()

    async def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        """The content in pieces. Raises FileNotFoundError where the version is gone, Unavailable."""
        connection = self._connection
        http = await connection.http_for_reads()
        address = await connection.address(bucket)
        signer = self._signers.of(await connection.credentials(), address.region)
        url = f"{address.base}/{quote(key, safe='/~')}"
        if version_id is not None:
            url += f"?versionId={quote(version_id, safe='~')}"
        headers: dict[str, str] = {}
        signer.sign("GET", url, address.host, headers, EMPTY)
        try:
            async with http.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    code, message = error_of(await start_of(answer.content))
                    if code in GONE or answer.status == 405:  # 405: that version is a delete marker
                        raise FileNotFoundError(f"{bucket}/{key}")
                    raise unavailable(answer.status, code, message, bucket)
                async for piece in answer.content.iter_chunked(CHUNK):
                    yield piece
        except FileNotFoundError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, bucket) from error
