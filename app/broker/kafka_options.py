"""How to reach Kafka: what the settings say, and the arguments that every aiokafka client gets from it."""

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0

SESSION_SECONDS = 10.0
"""A member of a group that is not heard of for so long has died: its partitions go to the others."""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Times in seconds, sizes in bytes, files as paths.

    `security_protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; `sasl_mechanism` PLAIN, SCRAM-SHA-256 or
    SCRAM-SHA-512. `rebalance_timeout` is what a member has for settling when partitions are taken from it.
    """

    bootstrap_servers: str
    client_id: str = "process-archive-service"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_file: str | None = None
    ssl_cert_file: str | None = None
    ssl_key_file: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    ssl_check_hostname: bool = True
    create_topics: bool = False
    create_partitions: int = 8
    send_timeout: float = 30.0
    commit_timeout: float = 5.0
    session_timeout: float = field(default_factory=lambda: SESSION_SECONDS)
    rebalance_timeout: float = 15.0
    metadata_max_age: float = 10.0
    max_request_size: int = 1_048_576
    compression: str | None = None


def client_arguments(options: KafkaOptions) -> dict[str, Any]:
    """Keyword arguments of producer, consumer and admin client. Raises OSError for a file that cannot be read."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": options.bootstrap_servers,
        "client_id": options.client_id,
        "security_protocol": options.security_protocol,
        "metadata_max_age_ms": round(options.metadata_max_age * 1000),
        # above the rebalance timeout, for so long may the answer to a join take
        "request_timeout_ms": round((options.rebalance_timeout + 10) * 1000),
    }
    if options.security_protocol.startswith("SASL_"):
        arguments["sasl_mechanism"] = options.sasl_mechanism
        arguments["sasl_plain_username"] = options.sasl_username
        arguments["sasl_plain_password"] = options.sasl_password
    if options.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = _ssl_context(options)
    return arguments


async def why_unreachable(arguments: dict[str, Any]) -> str:
    """The reason why no bootstrap server accepts a connection, as a readable text; the client itself gives no
    reason."""
    known = {
        name: value
        for name, value in arguments.items()
        if name in ("client_id", "security_protocol", "ssl_context") or name.startswith("sasl_")
    }
    reasons = []
    for host, port, _ in collect_hosts(arguments["bootstrap_servers"]):
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                connection = await create_conn(host, port, request_timeout_ms=round(PROBE_SECONDS * 1000), **known)
        except (OSError, KafkaError) as error:
            reasons.append(f"{host}:{port}: {reason_of(error)}")
        else:
            connection.close()
    return "; ".join(reasons) or f"{arguments['bootstrap_servers']}: connected, but no metadata"


def reason_of(error: BaseException) -> str:
    """A readable reason on one line; aiokafka's errors often have no text of their own."""
    name = type(error).__name__
    text = " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        return text or "timed out"
    if not text or text == name:
        return name
    return text if name in text or isinstance(error, OSError) else f"{name}: {text}"


async def ended(work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Whether a client ended in time, with an error or without.

    In a task of its own: aiokafka passes on the cancellation of its inner tasks, which would look like our own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not task.done():
        return False
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("while ending a client: %s", reason_of(error))
    return True


def _ssl_context(options: KafkaOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ssl_ca_file)
    context.check_hostname = options.ssl_check_hostname
    if options.ssl_cert_file is not None:
        context.load_cert_chain(options.ssl_cert_file, options.ssl_key_file, options.ssl_key_password)
    return context
