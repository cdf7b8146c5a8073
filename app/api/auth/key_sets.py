"""The key sets of the trusted issuers: fetched, kept through an outage, renewed on time and for unknown keys."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from app.api.auth.jwks import VerificationKey, parse_keys
from app.domain.errors import Unavailable
from app.domain.readiness import ISSUER

log = logging.getLogger(__name__)

MAX_DOCUMENT = 1024 * 1024
"""Bytes of a key set."""
MAX_TRIED = 10
"""Keys tried for a token that names none."""


@dataclass(frozen=True, slots=True)
class IssuerOptions:
    """An issuer, exactly as in the claim `iss`, and where its keys are."""

    issuer: str
    jwk_set_uri: str


@dataclass(frozen=True, slots=True)
class RefreshIntervals:
    """All in seconds. The age at which keys are renewed; the least time between two fetches (for an unknown key, or a
    signature that no known key made); the time between two attempts before there are any keys; the total time of one
    fetch."""

    renew: float = 600
    unknown_key: float = 30
    first: float = 3
    timeout: float = 5


class KeySource(Protocol):
    """The keys of one issuer."""

    async def candidates(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey] | None:
        """Keys that may have signed a token with this header; None when no such key id is listed."""
        ...

    async def renewed(self) -> bool:
        """Fetches the keys again, unless that was tried a short time ago; returns whether it was done."""
        ...

    async def run(self) -> None: ...
    def reason(self) -> str | None: ...
    def problem(self) -> str | None: ...


def matching(keys: Sequence[VerificationKey], kid: str | None, algorithm: str) -> Sequence[VerificationKey] | None:
    """As `KeySource.candidates`. A token that names a key is tried with that key only."""
    named = [key for key in keys if kid is None or key.id == kid]
    if not named:
        return None
    return [key for key in named if algorithm in key.algorithms][:MAX_TRIED]


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys that never change and need no fetch."""

    keys: tuple[VerificationKey, ...]

    async def candidates(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey] | None:
        return matching(self.keys, kid, algorithm)

    async def renewed(self) -> bool:
        return False

    async def run(self) -> None:
        return

    def reason(self) -> str | None:
        return None

    def problem(self) -> str | None:
        return None


class RemoteKeys:
    """The keys at a `jwk-set-uri`. One fetch runs at a time; a token whose key is known never waits for it."""

    def __init__(
        self,
        options: IssuerOptions,
        client: Callable[[], httpx.AsyncClient],
        pace: RefreshIntervals | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self._client = client
        self._pace = pace or RefreshIntervals()
        self._monotonic = monotonic
        self._keys: tuple[VerificationKey, ...] | None = None
        self._renewed_at = self._tried_at = float("-inf")
        self._problem: str | None = None
        self._fetch: asyncio.Task[None] | None = None

    async def candidates(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey] | None:
        """Raises Unavailable before the first keys could be fetched."""
        if self._keys is None:
            await self._wait(self._begin(self._pace.first))
        elif self._monotonic() - self._renewed_at > self._pace.renew:
            self._begin(self._pace.unknown_key)
        if (found := self._matching(kid, algorithm)) is None and await self.renewed():
            found = self._matching(kid, algorithm)
        return found

    async def renewed(self) -> bool:
        fetch = self._begin(self._pace.unknown_key)
        await self._wait(fetch)
        return fetch is not None

    async def run(self) -> None:
        """Keeps the keys fresh until cancelled; until the first success it tries every few seconds."""
        try:
            while True:
                await self._wait(self._begin(0))
                if self._problem is None:
                    await asyncio.sleep(self._pace.renew)
                else:
                    await asyncio.sleep(self._pace.first if self._keys is None else self._pace.unknown_key)
        finally:
            if self._fetch is not None:
                self._fetch.cancel()

    def reason(self) -> str | None:
        """Why no keys were fetched so far; None once there are keys."""
        return (self.problem() or f"keys of {self.options.issuer} not fetched yet") if self._keys is None else None

    def problem(self) -> str | None:
        """What was wrong with the last fetch; None when it succeeded."""
        return self._problem and f"keys of {self.options.issuer}: {self._problem}"

    def _matching(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey] | None:
        if self._keys is None:
            raise Unavailable(ISSUER, self.reason() or "")
        return matching(self._keys, kid, algorithm)

    def _begin(self, pause: float) -> asyncio.Task[None] | None:
        """The running fetch, or a new one unless the last began less than `pause` seconds ago."""
        if self._fetch is None or self._fetch.done():
            if self._monotonic() - self._tried_at < pause:
                return None
            self._tried_at = self._monotonic()
            self._fetch = asyncio.create_task(self._renew())
        return self._fetch

    async def _wait(self, fetch: asyncio.Task[None] | None) -> None:
        if fetch is not None:
            await asyncio.wait([fetch])  # unlike await it leaves the fetch to the others when this request is cancelled

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(self._pace.timeout):
                keys = parse_keys(await self._download())
        except TimeoutError:
            self._say(f"no answer within {self._pace.timeout:g} s")
        except Exception as error:  # whatever the client raises, it is this issuer that is away
            self._say(str(error)[:200] or type(error).__name__)
        else:
            # What is no longer listed is no longer trusted, all keys included; the first keys must be some.
            if keys or self._keys is not None:
                self._keys = keys
                self._renewed_at = self._monotonic()
            self._say(None if keys else "the key set has no usable key")

    async def _download(self) -> bytes:
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with (
            self._client() as client,
            client.stream("GET", self.options.jwk_set_uri, headers=headers, follow_redirects=False) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"HTTP {answer.status_code}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("the answer is packed")  # not asked for, and it could unpack to any size
            content = bytearray()
            async for block in answer.aiter_bytes():
                content += block
                if len(content) > MAX_DOCUMENT:
                    raise ValueError(f"more than {MAX_DOCUMENT} bytes")
            return bytes(content)

    def _say(self, problem: str | None) -> None:
        if problem != self._problem:
            if problem is None:
                log.info("keys of %s: fetched again", self.options.issuer)
            else:
                log.warning("keys of %s: %s", self.options.issuer, problem)
        self._problem = problem


class KeySets:
    """The trusted issuers, each with its keys: the issuer of a token decides which keys count."""

    def __init__(self, sources: Mapping[str, KeySource]) -> None:
        self._sources = dict(sources)

    @classmethod
    def fetched(
        cls,
        issuers: Sequence[IssuerOptions],
        client: Callable[[], httpx.AsyncClient],
        pace: RefreshIntervals | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> "KeySets":
        """Keys over HTTP; `client` makes a client for each fetch. Raises ValueError when an issuer is named twice."""
        sources: dict[str, KeySource] = {
            options.issuer: RemoteKeys(options, client, pace, monotonic) for options in issuers
        }
        if len(sources) < len(issuers):
            raise ValueError("an issuer is configured twice")
        return cls(sources)

    @classmethod
    def static(cls, issuer: str, keys: Sequence[VerificationKey]) -> "KeySets":
        """One issuer whose keys are known, for embedded mode and tests."""
        return cls({issuer: StaticKeys(tuple(keys))})

    def of(self, issuer: str) -> KeySource | None:
        """The keys of an issuer, whose name is compared exactly; None when the issuer is not trusted."""
        return self._sources.get(issuer)

    async def run(self) -> None:
        """Keeps all keys fresh until cancelled; a slow issuer does not hold up the others."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources.values():
                tasks.create_task(source.run())

    def reason(self) -> str | None:
        """Why the issuers are not ready."""
        return _joined([source.reason() for source in self._sources.values()])

    def problem(self) -> str | None:
        """What is wrong with the issuers now, apart from readiness; None when the last fetches succeeded."""
        return _joined([source.problem() for source in self._sources.values()])


def _joined(texts: Sequence[str | None]) -> str | None:
    return "; ".join(text for text in texts if text) or None
