"""`python -m tests.servers`: starts servers until Ctrl-C and prints lines for a shell; `--fetch` only fetches them."""

import argparse
import shlex
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
    chromium,
    kafka,
    oauth,
    pgbouncer,
    postgres,
    registry,
    seaweedfs,
)
from tests.servers.process import ServerProcess

SERVERS = {
    "kafka": kafka,
    "postgres": postgres,
    "s3": seaweedfs,
    "oidc": oauth,
    "pgbouncer": pgbouncer,
    "registry": registry,
    "chromium": chromium,
}


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
    """Starts all servers together and stops them on SIGINT or SIGTERM.

    What happens goes to standard error; standard output has lines that a shell can source (`addresses`).
    """
    signal.signal(signal.SIGTERM, _interrupt)
    broker, database, store, issuer = Kafka(benchmark=benchmark), Postgres(durable=benchmark), SeaweedFS(), Oidc()
    with ExitStack() as stack:
        servers = (broker, database, store, issuer)
        for server in servers:
            stack.callback(server.close)
        try:
            with ThreadPoolExecutor(len(servers)) as threads:
                list(threads.map(_start, servers))
            database.create_database("pas")
            store.create_bucket("pas")
            for name, value in addresses(broker, database, store, issuer).items():
                sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
            sys.stdout.flush()
            _say(HINT)
            signal.pause()
        except KeyboardInterrupt:
            _say("stopping them")
            return 0
        except ServerUnavailable as unavailable:
            _say(str(unavailable))
            return 1
    return 0


HINT = """
The lines above are settings of the service and of the command line: paste them into another shell, or
`make servers > servers.env` here and `source servers.env` there. Then:
  .venv/bin/pas serve --config config/application.yml --migrate
  .venv/bin/pas login --client-id "$PAS_CLIENT_ID" && .venv/bin/pas jobs list
Ctrl-C stops the servers; what they hold is gone then."""


def _start(server: ServerProcess) -> None:
    begin = time.monotonic()
    _say(f"{server.name}: starting; the first time it is fetched before")
    server.start()
    _say(f"{server.name}: ready after {time.monotonic() - begin:.1f} s")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def addresses(broker: Kafka, database: Postgres, store: SeaweedFS, issuer: Oidc) -> dict[str, str]:
    """Environment variables: settings of the service in the place of those of config/application.yml, and the client
    with all roles for the command line."""
    connection = "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_CONNECTION_"
    server = "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_"
    return {
        "JEAP_MESSAGING_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "JEAP_MESSAGING_KAFKA_CREATE_TOPICS": "true",
        "JEAP_DATASOURCE_URL": database.url("pas"),
        f"{connection}ACCESS_URL": store.url,
        f"{connection}REGION": store.region,
        f"{connection}ACCESS_KEY": store.access_key,
        f"{connection}SECRET_KEY": store.secret_key,
        "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_STORAGE_BUCKET": "pas",
        f"{server}ISSUER": issuer.issuer,
        f"{server}JWK_SET_URI": issuer.jwks_uri,
        "PAS_CLIENT_ID": "pas-all",
        "PAS_CLIENT_SECRET": issuer.clients["pas-all"].client_secret,
        "PAS_TOKEN_URI": issuer.token_uri,
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
