"""The schema registry: schemas of received messages by id, ids of our own schemas; equal requests are shared."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from app.avro.writers_schema import WritersSchema
from app.broker.registry_http import RegistryAnswer, RegistryHttp, RegistryOptions
from app.domain.errors import InvalidMessage, Unavailable
from app.domain.readiness import SCHEMA_REGISTRY

T = TypeVar("T")

NO_SUBJECT, NO_VERSION, NO_SCHEMA = 40401, 40402, 40403
"""Error codes of the registry. A 404 without one of them is no answer of a registry: the address is wrong."""

KEPT = 1000
"""Schemas in memory, those used last; one takes about 50 KB."""

UNKNOWN_FOR = 60.0
"""Seconds for which an unknown id counts as unknown without a new request."""

LAG = 1.0
"""Seconds by which one node of a registry may be behind another: an unknown id is requested again after this time."""

MOST_REFERENCES = 100
"""Other schemas that one schema may refer to."""

log = logging.getLogger(__name__)


class SchemaRegistry:
    """The mutable state: schemas by id, the last used at the end; refused ids, each with the reason and the time until
    which it is not asked for again; running requests.

    Every call that asks the registry raises Unavailable("schema-registry", reason) while it is unavailable.
    """

    def __init__(
        self, http: RegistryHttp, *, auto_register: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._auto_register = auto_register
        self._monotonic = monotonic
        self._schemas: OrderedDict[int, WritersSchema] = OrderedDict()
        self._refused: OrderedDict[int, tuple[str, float]] = OrderedDict()
        self._requests: dict[Hashable, asyncio.Task[Any]] = {}

    def known(self, schema_id: int) -> WritersSchema | None:
        """The schema; None when `find` must be called first. Raises InvalidMessage for an id that is unknown to the
        registry, or whose schema cannot be used."""
        schema = self._schemas.get(schema_id)
        if schema is not None:
            self._schemas.move_to_end(schema_id)
            return schema
        reason, until = self._refused.get(schema_id, ("", 0.0))
        if self._monotonic() < until:
            raise InvalidMessage(reason)
        return None

    async def find(self, schema_id: int) -> WritersSchema:
        """The schema with this id, from the registry when it is not known yet. Raises InvalidMessage as `known`."""
        known = self.known(schema_id)
        return await self._once(schema_id, lambda: self._find(schema_id)) if known is None else known

    async def id_of(self, subject: str, schema: bytes) -> int:
        """The id of our schema under this subject. Registers a missing schema where the settings allow it."""
        return await self._once((subject, schema), lambda: self._id_of(subject, schema.decode()))

    async def ping(self) -> None:
        """Asks the registry for its types of schemas, a small answer. Raises Unavailable when it is no registry."""
        answer = await self._http.request("GET", "schemas", "types")
        if answer.error:
            return  # one that is too old to have such a list
        _expected(answer, "types of schemas")
        if not answer.names:
            raise Unavailable(
                SCHEMA_REGISTRY, "types of schemas: the answer is not a list of them; is schema-registry-url right?"
            )

    async def close(self) -> None:
        """Cancels running requests."""
        requests = list(self._requests.values())
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of `ask`. Callers with the same `key` share a running request; a caller that is cancelled does not
        cancel it."""
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = asyncio.ensure_future(ask())
            request.add_done_callback(lambda done: self._done(key, done))
        try:
            found: T = await asyncio.shield(request)
        except Unavailable as outage:  # one's own: raised in many tasks, the same object would collect their tracebacks
            raise Unavailable(outage.component, outage.reason) from None
        except InvalidMessage as invalid:
            raise InvalidMessage(str(invalid)) from None
        return found

    def _done(self, key: Hashable, request: "asyncio.Task[Any]") -> None:
        del self._requests[key]
        if not request.cancelled():
            request.exception()  # looked at, should nobody wait any more

    async def _find(self, schema_id: int) -> WritersSchema:
        answer = await self._http.request("GET", "schemas", "ids", str(schema_id))
        if answer.error == NO_SCHEMA:
            await asyncio.sleep(LAG)
            answer = await self._http.request("GET", "schemas", "ids", str(schema_id))
        if answer.error == NO_SCHEMA:
            raise self._refuse(schema_id, f"the schema registry knows no schema {schema_id}")
        content = _expected(answer, f"schema {schema_id}")
        try:
            schema = WritersSchema([*await self._referred_to(content), _text(content)])
        except ValueError as error:
            raise self._refuse(schema_id, f"schema {schema_id} cannot be used: {error}") from None
        self._schemas[schema_id] = schema
        while len(self._schemas) > KEPT:
            self._schemas.popitem(last=False)
        return schema

    def _refuse(self, schema_id: int, reason: str) -> InvalidMessage:
        self._refused.pop(schema_id, None)
        self._refused[schema_id] = (reason, self._monotonic() + UNKNOWN_FOR)
        while len(self._refused) > KEPT:
            self._refused.popitem(last=False)
        return InvalidMessage(reason)

    async def _referred_to(self, content: dict[str, Any]) -> list[str]:
        """The texts of the schemas that this schema refers to, each after those that it refers to itself. Raises
        ValueError."""
        seen: set[tuple[str, int]] = set()

        async def texts_of(content: dict[str, Any]) -> list[str]:
            texts: list[str] = []
            for subject, version in _references(content):
                if (subject, version) in seen:
                    continue
                seen.add((subject, version))
                if len(seen) > MOST_REFERENCES:
                    raise ValueError(f"it needs more than {MOST_REFERENCES} other schemas")
                answer = await self._http.request("GET", "subjects", subject, "versions", str(version))
                if answer.error in (NO_SUBJECT, NO_VERSION):
                    raise ValueError(f"the registry does not have what it refers to: {subject}, version {version}")
                needed = _expected(answer, f"subject {subject}, version {version}")
                texts += [*await texts_of(needed), _text(needed)]
            return texts

        return await texts_of(content)

    async def _id_of(self, subject: str, schema: str) -> int:
        answer = await self._http.request("POST", "subjects", subject, body={"schema": schema})
        if answer.error not in (NO_SUBJECT, NO_SCHEMA):
            return _id(answer, f"subject {subject}")
        if not self._auto_register:
            raise Unavailable(
                SCHEMA_REGISTRY,
                f"subject {subject} does not have our schema: register it (contracts/messages/*.avsc), or set "
                "jeap.messaging.kafka.auto-register-schema",
            )
        if answer.error == NO_SUBJECT:
            allowed = await self._http.request("PUT", "config", subject, body={"compatibility": "NONE"})
            _expected(allowed, f"compatibility of subject {subject}")
        registered = await self._http.request("POST", "subjects", subject, "versions", body={"schema": schema})
        found = _id(registered, f"registering under subject {subject}")
        log.info("registered schema %d under subject %s", found, subject)
        return found


def _expected(answer: RegistryAnswer, what: str) -> dict[str, Any]:
    """The content of a 200. Raises Unavailable for any other status: work waits until somebody corrects the cause."""
    if not answer.is_well:
        code = f" {answer.error}" if answer.error else "; is schema-registry-url right?"
        raise Unavailable(SCHEMA_REGISTRY, f"{what}: HTTP {answer.status}{code}")
    return answer.content


def _id(answer: RegistryAnswer, what: str) -> int:
    found = _expected(answer, what).get("id")
    if type(found) is not int or not 0 <= found < 2**32:
        raise Unavailable(SCHEMA_REGISTRY, f"{what}: the answer has no id")
    return found


def _text(content: dict[str, Any]) -> str:
    """The schema in an answer. Raises ValueError when it is not Avro."""
    text, kind = content.get("schema"), content.get("schemaType") or "AVRO"
    if not isinstance(text, str):
        raise Unavailable(SCHEMA_REGISTRY, "an answer has no schema; is schema-registry-url right?")
    if kind != "AVRO":
        raise ValueError(f"it is not Avro but {str(kind)[:20]}")
    return text


def _references(content: dict[str, Any]) -> list[tuple[str, int]]:
    found = content.get("references") or []
    try:
        return [(str(each["subject"]), int(each["version"])) for each in found]
    except (TypeError, KeyError, ValueError):
        raise Unavailable(SCHEMA_REGISTRY, "an answer has references that cannot be read") from None


__all__ = ["RegistryHttp", "RegistryOptions", "SchemaRegistry"]
