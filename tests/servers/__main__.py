"""`python -m tests.servers`: starts the servers until Ctrl-C and prints one JSON line; `--fetch` only fetches them."""

import argparse
import json
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import FrameType

from tests.servers import (
    Kafka,
    Oidc,
    Postgres,
    SeaweedFS,
    ServerUnavailable,
    kafka,
    oauth,
    pgbouncer,
    postgres,
    seaweedfs,
)

SERVERS = {"kafka": kafka, "postgres": postgres, "s3": seaweedfs, "oidc": oauth, "pgbouncer": pgbouncer}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="fetch the servers into .servers/ and end")
    parser.add_argument("--benchmark", action="store_true", help="Kafka with more memory, PostgreSQL with fsync")
    arguments = parser.parse_args()
    return fetch() if arguments.fetch else serve(benchmark=arguments.benchmark)


def fetch() -> int:
    """Fetches each server and says what took how long; 1 when one of them cannot be had."""
    missing = 0
    for name, module in SERVERS.items():
        begin = time.monotonic()
        try:
            sys.stdout.write(f"{name}: {module.fetch()} ({time.monotonic() - begin:.1f} s)\n")
        except ServerUnavailable as unavailable:
            sys.stdout.write(f"{name}: not available: {unavailable}\n")
            missing = 1
    return missing


def serve(*, benchmark: bool = False) -> int:
    """Starts all servers together, prints their addresses as one JSON line and stops them on SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, _interrupt)
    broker, database, store, issuer = Kafka(benchmark=benchmark), Postgres(durable=benchmark), SeaweedFS(), Oidc()
    with ExitStack() as stack:
        servers = (broker, database, store, issuer)
        for server in servers:
            stack.callback(server.close)
        try:
            with ThreadPoolExecutor(len(servers)) as threads:
                list(threads.map(lambda server: server.start(), servers))
            database.create_database("pas")
            store.create_bucket("pas")
            sys.stdout.write(json.dumps(addresses(broker, database, store, issuer)) + "\n")
            sys.stdout.flush()
            signal.pause()
        except KeyboardInterrupt:
            return 0
        except ServerUnavailable as unavailable:
            sys.stderr.write(f"{unavailable}\n")
            return 1
    return 0


def addresses(broker: Kafka, database: Postgres, store: SeaweedFS, issuer: Oidc) -> dict[str, str]:
    """The addresses as settings of the service (environment variables), beside them what only a caller needs."""
    connection = "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_CONNECTION_"
    return {
        "JEAP_MESSAGING_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "JEAP_DATASOURCE_URL": database.url("pas"),
        f"{connection}ACCESS_URL": store.url,
        f"{connection}REGION": store.region,
        f"{connection}ACCESS_KEY": store.access_key,
        f"{connection}SECRET_KEY": store.secret_key,
        "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_STORAGE_BUCKET": "pas",
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_AUTHORIZATION_SERVER_ISSUER": issuer.issuer,
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_AUTHORIZATION_SERVER_JWK_SET_URI": issuer.jwks_uri,
        "token-uri": issuer.token_uri,
        "clients": " ".join(issuer.clients),
        "client-secret": "secret",
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
