"""One archive on the real servers: topics, database, bucket and settings of its own; any number of processes."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import yaml

from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.process import run_sync
from tests.servers.source import Source
from tests.support.archive_types import OAUTH_CLIENT, write_archive_types
from tests.support.migrated import migrated_on
from tests.support.service import Service

SOURCE_AUDIENCE = "psf-source"
GROUP = "psf-pas"

SHORT_SESSION = {"app.broker.kafka_options:SESSION_SECONDS": 4.0}
"""Seconds until the group of a killed process gives its partitions to others, or to itself, in the place of 10."""


NOT_MIGRATED = ("topics", "empty database", "bucket")


class Archive:
    """`settings` are dotted names that go before the usual ones, None takes one away; `make` says what is there.

    A `database` is migrated, an `empty database` is not.
    """

    def __init__(
        self,
        directory: Path,
        kafka: Kafka,
        postgres: Postgres,
        s3: SeaweedFS,
        oidc: Oidc,
        source: Source,
        *,
        settings: Mapping[str, Any] | None = None,
        make: tuple[str, ...] = ("topics", "database", "bucket"),
    ) -> None:
        self.directory = directory
        self.kafka, self.postgres, self.s3, self.oidc, self.source = kafka, postgres, s3, oidc, source
        name = f"a{uuid4().hex[:10]}"
        self.commands, self.events = f"{name}-createartifact", f"{name}-archived"
        self.dead_letters = f"{self.commands}-dlq"
        self.bucket = self.database = name
        self.group = f"{GROUP}-{name}"
        if "topics" in make:
            self.make_topics()
        if "database" in make:
            postgres.create_database(self.database, migrated_on(postgres))
        if "empty database" in make:
            postgres.create_database(self.database)
        if "bucket" in make:
            s3.create_bucket(self.bucket)
        self.config = directory / "application.yml"
        self.configure(settings or {})

    def make_topics(self) -> None:
        """The command topic has several partitions, so that one job is on all of them."""
        self.kafka.create_topic(self.commands, partitions=4)
        self.kafka.create_topic(self.dead_letters)
        self.kafka.create_topic(self.events, partitions=2)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Writes the settings file; a process reads it when it starts."""
        storage = "jeap.processarchive.objectstorage"
        resource_server = "jeap.security.oauth2.resourceserver"
        client = f"jeap.security.oauth2.client.{OAUTH_CLIENT}"
        settings = {
            "server.address": "127.0.0.1",
            "jeap.processarchive.backfill.enabled": True,
            "jeap.processarchive.backfill.topic": self.commands,
            "jeap.processarchive.backfill.system-name": "psf",
            "jeap.processarchive.backfill.service-name": self.group,
            "jeap.processarchive.backfill.retry-backoff": "50ms",
            **write_archive_types(self.directory, self.source.url),
            "jeap.processarchive.archivedartifact.event-topic": self.events,
            "jeap.processarchive.archivedartifact.system-id": "ch.example.psf",
            "jeap.processarchive.archivedartifact.system-name": "PSF",
            f"{storage}.connection.access-url": self.s3.url,
            f"{storage}.connection.region": self.s3.region,
            f"{storage}.connection.access-key": self.s3.access_key,
            f"{storage}.connection.secret-key": self.s3.secret_key,
            f"{storage}.storage.bucket": self.bucket,
            "jeap.messaging.kafka.bootstrap-servers": self.kafka.bootstrap,
            f"{resource_server}.system-name": "psf",
            f"{resource_server}.audience": "psf-archive",
            f"{resource_server}.issuers": [{"issuer": self.oidc.issuer, "jwk-set-uri": self.oidc.jwks_uri}],
            f"{client}.token-uri": self.oidc.token_uri,
            f"{client}.client-id": OAUTH_CLIENT,
            f"{client}.client-secret": "secret",
            f"{client}.scope": "documents:read",
            "jeap.datasource.url": self.postgres.url(self.database),
            **changes,
        }
        self.config.write_text(yaml.safe_dump({key: value for key, value in settings.items() if value is not None}))

    @cached_property
    def token(self) -> str:
        """Of a caller who may read and write."""
        return self.oidc.token("pas-admin")

    def service(self, *arguments: str, forked: bool = True, constants: Mapping[str, float] | None = None) -> Service:
        """A process of the service, not started; `with` starts it and waits until it is ready."""
        options = ["--config", str(self.config), *(arguments or ("--migrate",))]
        return Service(options, lambda: self.token, forked=forked, constants=constants)

    @contextmanager
    def services(self, number: int, constants: Mapping[str, float] | None = None) -> Iterator[list[Service]]:
        """So many processes that share the work, ready."""
        with ExitStack() as stack:
            started = []
            for _ in range(number):
                service = self.service(constants=constants)
                stack.callback(service.close)
                started.append(service.start_listening())
            for service in started:
                service.wait("ready", lambda service=service: service.ready()[0] == 200)  # type: ignore[misc]
            yield started

    def query(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """The rows of a statement on the database of the archive."""

        async def fetch() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.postgres.url(self.database))
            try:
                return [dict(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        return run_sync(fetch())

    def task_states(self, job_id: UUID) -> dict[str, int]:
        """Number of tasks by state, as the rows have it."""
        statement = "SELECT state, count(*) AS number FROM backfill_task WHERE job_id = $1 GROUP BY state"
        return {row["state"]: row["number"] for row in self.query(statement, job_id)}
