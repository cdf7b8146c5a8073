"""`pas check-config --connect`: connects once to every service that the settings name, and writes nothing."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from typing_extensions import override

from app.api.auth.callers import KeySets
from app.broker import Broker
from app.broker.registry import SchemaRegistry
from app.catalog.registry import Registry
from app.db.database import Database
from app.domain.errors import PermanentFailure, StartRefused, TransientFailure, Unavailable
from app.domain.readiness import BROKER, DATABASE, ISSUER, Readiness
from app.evidence.timestamps import NoTimestamp, TimestampAuthority
from app.objectstore import ObjectStore
from app.process import adapters
from app.process.probes import Probes, check_database, probe_of_schemas
from app.process.watch import Probe
from app.settings.model import Settings
from app.sources.oauth import TokenCache
from app.sources.transport import http_session
from app.telemetry.logs import blot_out

LIMIT = 20.0
"""Seconds for one connection attempt; all attempts run at the same time. Servers that are up answer within one second.
"""

AGAIN = 0.5
"""Seconds between two probes of a broker that the first connection has not reached yet."""

CLOSE = 10.0
"""Seconds to close everything: a broker that is away makes its client wait."""


class TriedServers(NamedTuple):
    what: str
    """`object store, archive`, `token endpoint of client example-source`."""
    problem: str | None
    """None where it is as it should be; never a secret."""

    @override
    def __str__(self) -> str:
        return blot_out(f"{self.what}: {self.problem or 'well'}")


async def connect(settings: Settings) -> list[TriedServers]:
    """Tries every connection that the service would make, in the order of the answer; ends within about half a minute.

    This check never creates topics or buckets, not even where the settings let the service create them.
    """
    async with _opened(settings) as tries:
        return list(await asyncio.gather(*(_tried(what, look) for what, look in tries.items())))


async def _tried(what: str, look: Probe) -> TriedServers:
    try:
        async with asyncio.timeout(LIMIT):
            await look()
    except Unavailable as error:
        return TriedServers(what, error.reason)
    except (TransientFailure, PermanentFailure, StartRefused) as error:
        return TriedServers(what, str(error))
    except TimeoutError:
        return TriedServers(what, f"no answer within {LIMIT:.0f} s")
    return TriedServers(what, None)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Mapping[str, Probe]]:
    """The connections to try, by name. For a further server add one entry."""
    careful = _that_makes_nothing(settings)
    tries: dict[str, Probe] = {}
    async with AsyncExitStack() as stack:
        database = Database(settings.datasource.url.get_secret_value(), pool_size=1)
        stack.push_async_callback(_close, database.close)
        objects = await stack.enter_async_context(adapters.open_object_store(careful))
        registry = await stack.enter_async_context(adapters.open_registry(careful))
        broker = adapters.open_broker(careful)
        stack.push_async_callback(_close, broker.close)

        def looking(key_sets: KeySets) -> dict[str, Probe]:
            return Probes(
                adapters.topics_of(settings),
                adapters.target(settings).buckets,
                database,
                broker,
                objects,
                Registry({}),
                key_sets,
                Readiness(()),
                lambda: check_database(database, migrate=False),
            ).by_component()

        found = looking(KeySets({}))
        topics = adapters.topics_of(settings)
        tries[DATABASE] = found[DATABASE]
        tries[f"topics {', '.join(topics)}"] = _topics(settings, broker, topics, found[BROKER])
        if registry is not None:
            tries[f"schema registry {settings.kafka.schema_registry_url}"] = _schemas(settings, registry)
        for bucket in adapters.target(settings).buckets:
            tries[f"object store, {bucket}"] = _bucket(settings, objects, bucket)
        for issuer in settings.resource_server.issuers:
            server = dataclasses.replace(settings.resource_server, issuers=(issuer,))
            key_sets = adapters.key_sets_of(dataclasses.replace(settings, resource_server=server))
            keeping = asyncio.create_task(key_sets.run())
            stack.callback(keeping.cancel)
            tries[f"issuer {issuer.issuer}"] = looking(key_sets)[ISSUER]
        options = adapters.http_options(settings)
        session = await stack.enter_async_context(http_session(options))
        for client in adapters.oauth_clients(settings):
            tokens = TokenCache(client, options, session)
            stack.push_async_callback(tokens.close)
            tries[f"token endpoint of client {client.id}"] = _token(tokens)
        if (authority := adapters.timestamp_authority(settings)) is not None:
            tries[f"timestamp authority {authority.url}"] = _timestamp(authority)
        await broker.start()
        yield tries


def _that_makes_nothing(settings: Settings) -> Settings:
    store = settings.object_storage
    return dataclasses.replace(
        settings,
        kafka=dataclasses.replace(settings.kafka, create_topics=False, auto_register_schema=False),
        object_storage=dataclasses.replace(store, storage=dataclasses.replace(store.storage, create_bucket=False)),
    )


def _topics(settings: Settings, broker: Broker, topics: Sequence[str], look: Probe) -> Probe:
    async def try_topics() -> None:
        end = time.monotonic() + LIMIT / 2
        while True:
            try:
                if settings.kafka.create_topics:  # the service makes what is missing
                    await broker.missing_topics(topics)
                else:
                    await look()
                return
            except Unavailable as error:
                if "not connected yet" not in error.reason:
                    raise
                if time.monotonic() > end:
                    raise Unavailable(BROKER, f"no answer within {LIMIT / 2:.0f} s") from error
            await asyncio.sleep(AGAIN)

    return try_topics


def _schemas(settings: Settings, registry: SchemaRegistry) -> Probe:
    encoding = adapters.encoding_of(settings, registry)
    for make in (adapters.commands, adapters.run_commands, adapters.events, adapters.job_event_encoder):
        make(settings, encoding)
    look = probe_of_schemas(registry, encoding)
    # the service registers what is missing
    return registry.ping if settings.kafka.auto_register_schema else look


def _bucket(settings: Settings, objects: ObjectStore, bucket: str) -> Probe:
    async def try_bucket() -> None:
        try:
            await objects.examine(bucket)
        except Unavailable as error:
            if not (settings.object_storage.storage.create_bucket and "NoSuchBucket" in error.reason):
                raise  # else the service makes it

    return try_bucket


def _token(tokens: TokenCache) -> Probe:
    async def try_token() -> None:
        await tokens.get()

    return try_token


def _timestamp(authority: TimestampAuthority) -> Probe:
    async def try_authority() -> None:
        try:
            await authority.stamp(b"pas check-config --connect")
        except NoTimestamp as error:
            raise TransientFailure(str(error)) from error

    return try_authority


async def _close(close: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE):
            await close()
