"""Requests to a schema registry (Confluent's REST API): bounded in time and size, no proxies, no redirects."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import orjson

from app.domain.errors import Unavailable
from app.domain.readiness import SCHEMA_REGISTRY

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes. A message schema has about 10 KB; registries accept at most 1 MB by default."""

SECONDS = 10.0
"""For one request as a whole; a registry that is up answers within milliseconds."""

AT_ONCE = 8
"""Requests at the same time; more wait."""

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """`url` may have a path; `username` and `password` are for basic authentication."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class RegistryAnswer(NamedTuple):
    """`error` is the error code of the registry, such as `40403`; 0 when the answer has none."""

    status: int
    error: int
    content: dict[str, Any]
    names: list[str]
    """Of an answer that is a list of texts; empty of any other."""

    @property
    def is_well(self) -> bool:
        return self.status == 200


class RegistryHttp:
    """Opens a connection for each request: requests are rare, as all answers are remembered."""

    def __init__(self, options: RegistryOptions, tls: ssl.SSLContext) -> None:
        self._url = options.url.rstrip("/")
        self._auth = (options.username, options.password or "") if options.username is not None else None
        self._tls = tls
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def request(self, method: str, *path: str, body: Any = None) -> RegistryAnswer:
        """The answer: a success, or a refusal (4xx) other than 401, 403, 408 and 429. `path`: parts of the path, not
        encoded.

        Raises Unavailable when the registry cannot be reached, fails, or refuses our credentials (401, 403).
        """
        where = f"{self._url}/{'/'.join(quote(part, safe='') for part in path)}"
        try:
            async with self._turns, asyncio.timeout(SECONDS):
                status, content = await self._exchange(method, where, None if body is None else orjson.dumps(body))
        except TimeoutError:
            raise self._unavailable(f"no answer within {SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._unavailable(" ".join(str(error).split())[:200] or type(error).__name__) from error
        if status in (401, 403):
            raise self._unavailable(f"HTTP {status}: it refuses our credentials, or what they may do")
        if status >= 500 or status in (408, 429) or 300 <= status < 400:
            raise self._unavailable(f"HTTP {status}")
        return _answer(status, content)

    async def _exchange(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Accept": f"{CONTENT_TYPE}, application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = CONTENT_TYPE
        client = httpx.AsyncClient(verify=self._tls, trust_env=False, auth=self._auth, timeout=SECONDS)
        async with client, client.stream(method, url, content=body, headers=headers) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("the answer is packed")  # not asked for, and it could unpack to any size
            content = bytearray()
            async for block in answer.aiter_raw():
                content += block
                if len(content) > LARGEST_ANSWER:
                    raise ValueError(f"an answer has more than {LARGEST_ANSWER} bytes")
            return answer.status_code, bytes(content)

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(SCHEMA_REGISTRY, f"{self._url}: {reason}")


def _answer(status: int, content: bytes) -> RegistryAnswer:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    names = found if isinstance(found, list) and all(isinstance(each, str) for each in found) else []
    found = found if isinstance(found, dict) else {}
    code = found.get("error_code")
    return RegistryAnswer(status, code if isinstance(code, int) else 0, found, names)
