"""Connections to S3: botocore's client for rare requests, HTTP sessions and credentials for frequent puts and reads."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.credentials import ReadOnlyCredentials

from app.domain.errors import Unavailable
from app.objectstore.lifecycle import watch_rules
from app.objectstore.s3_errors import COMPONENT, translated, unreachable
from app.objectstore.s3_session import KEEP_ALIVE, guarded_session_class
from app.outgoing.connections import GuardedConnector
from app.outgoing.trust import trusted
from app.outgoing.unasked import Unasked

_HOST_LABEL = re.compile(r"[a-z0-9-]{3,63}")
"""A bucket that can stand in a host name under a TLS wildcard: no dots."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach the store, and its settings; on AWS `access_url` and both keys are left out.

    Timeouts are seconds: to connect, between two pieces of an answer, and for a whole put.
    """

    access_url: str | None = None
    region: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    object_lock_enabled: bool = True
    object_lock_mode: str = "COMPLIANCE"
    lifecycle_enabled: bool = True
    create_bucket: bool = False
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    put_timeout: float = 120.0
    connections: int = 64


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Where objects of a bucket are put: `base` has no slash at its end, `host` is as signed."""

    base: str
    host: str
    region: str


class S3Connection:
    """Opened by the first use, so that a store or credentials that are missing at the start may appear later."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._unasked = Unasked(COMPONENT)
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()
        self._client: Any = None
        self._http: aiohttp.ClientSession | None = None
        self._http_for_reads: aiohttp.ClientSession | None = None
        self._credentials: Any = None
        self._addresses: dict[str, BucketAddress] = {}

    @cached_property
    def _session(self) -> aioboto3.Session:
        """Made by the first use too: boto3 reads the ambient configuration for it, and may refuse that."""
        options = self.options
        return aioboto3.Session(
            aws_access_key_id=options.access_key, aws_secret_access_key=options.secret_key, region_name=options.region
        )

    async def client(self) -> Any:
        """The aioboto3 client. Raises Unavailable where there are no credentials or no region."""
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    await self._connect()
        return self._client

    async def credentials(self) -> ReadOnlyCredentials:
        """The credentials of this moment; ambient ones refresh themselves before they expire."""
        if self._credentials is None:
            await self.client()
        with translated():
            frozen: ReadOnlyCredentials = await self._credentials.get_frozen_credentials()
        return frozen

    async def http(self) -> aiohttp.ClientSession:
        """The shared session of the puts."""
        if self._http is None:
            await self.client()
        if self._http is None:  # not in between by another task
            self._http = self._new_session(self.options.put_timeout)
        return self._http

    async def http_for_reads(self) -> aiohttp.ClientSession:
        """The shared session of the reads: a slow reader holds up no put, and may take any time."""
        if self._http_for_reads is None:
            await self.client()
        if self._http_for_reads is None:
            self._http_for_reads = self._new_session(None)
        return self._http_for_reads

    def close_idle(self) -> None:
        """Called after an answer that does not belong to its put: no connection of the puts is used again."""
        if self._http is not None and isinstance(self._http.connector, GuardedConnector):
            self._http.connector.close_idle()

    def _new_session(self, total: float | None) -> aiohttp.ClientSession:
        options = self.options
        return aiohttp.ClientSession(
            connector=GuardedConnector(self._unasked, tls=trusted(), limit=options.connections, keep_alive=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=total, sock_connect=options.connect_timeout, sock_read=options.read_timeout
            ),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )

    async def address(self, bucket: str) -> BucketAddress:
        """Where botocore would send a put of this bucket: path-style, virtual host, dual-stack, FIPS and the rest.

        Asked once per bucket, of a presigned URL: the only public way to botocore's endpoint rules. With the style left
        to botocore such a URL names AWS's global host, which redirects for most regions; so the style is set.
        """
        known = self._addresses.get(bucket)
        if known is None:
            await self.client()
            style = "path" if self.options.access_url or not _HOST_LABEL.fullmatch(bucket) else "virtual"
            with translated(bucket):
                async with self._new_client(style) as client:
                    url = await client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "x"})
            parts = urlsplit(url)
            base = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/x')}"
            region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[-3]
            default = {"http": 80, "https": 443}[parts.scheme]
            host = parts.netloc.removesuffix(f":{default}")
            known = self._addresses[bucket] = BucketAddress(base, host, region)
        return known

    async def close(self) -> None:
        for session in (self._http, self._http_for_reads):
            if session is not None:
                await session.close()
        await self._open.aclose()
        self._client = self._http = self._http_for_reads = self._credentials = None

    async def _connect(self) -> None:
        try:
            await self._open_client()
        except ValueError as error:  # a number or an address of the ambient configuration that is none
            raise unreachable(error, "") from error

    async def _open_client(self) -> None:
        with translated():
            credentials = await self._session.get_credentials()
            if credentials is None:
                raise Unavailable(
                    COMPONENT,
                    "no credentials: set objectstorage.connection.access-key and .secret-key, "
                    "or run where AWS provides them",
                )
            style = "path" if self.options.access_url else "auto"
            client = await self._open.enter_async_context(self._new_client(style))
            watch_rules(client)
        self._credentials, self._client = credentials, client

    def _new_client(self, style: str) -> AbstractAsyncContextManager[Any]:
        options = self.options
        config = AioConfig(
            http_session_cls=guarded_session_class(self._unasked),
            proxies={},  # none of the environment
            signature_version="s3v4",
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            max_pool_connections=options.connections,
            # The caller waits and tries again by itself; one more try hides a connection that just went stale.
            retries={"mode": "standard", "total_max_attempts": 2},
            s3={"addressing_style": style},
            # Checksums of its own making are news to many stores that are not AWS.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = options.region or ("us-east-1" if options.access_url else None)
        client: AbstractAsyncContextManager[Any] = self._session.client(
            "s3", endpoint_url=options.access_url, region_name=region, config=config
        )
        return client
