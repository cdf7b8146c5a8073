"""Spans of the OpenTelemetry SDK, exported over OTLP http/protobuf; loaded only where spans are exported."""

import random
import ssl
from collections.abc import Mapping
from functools import lru_cache
from os import environ
from time import time_ns
from traceback import format_exception
from types import TracebackType
from typing import NamedTuple, Self

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_CERTIFICATE,
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from app.telemetry.spans import Kind, TraceContext, Value

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


def collector() -> SpanProcessor:
    """Sends batches to the collector that the variables of OpenTelemetry name, without a proxy of the environment."""
    session = requests.Session()
    session.trust_env = False
    return BatchSpanProcessor(OTLPSpanExporter(certificate_file=authorities(), session=session))


def authorities() -> str | None:
    """The file or directory of the authorities that all other connections trust (`app/outgoing/trust.py`).

    None when a variable of OpenTelemetry names others. Without this, Python's `certifi` would decide.
    """
    if environ.get(OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE) or environ.get(OTEL_EXPORTER_OTLP_CERTIFICATE):
        return None
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath


class Place(NamedTuple):
    """The place of a span: its own ids, the span above it, and the spans of other traces that it belongs to."""

    context: SpanContext
    parent: SpanContext | None
    links: tuple[Link, ...]


class ExportedSpan:
    """A span for the exporters of the SDK, recorded here: a span of the SDK's own tracer costs ten times as much."""

    __slots__ = (
        "_attributes",
        "_events",
        "_exporter",
        "_kind",
        "_name",
        "_place",
        "_start",
        "_status",
        "traceparent",
    )

    def __init__(
        self,
        exporter: "Exporter",
        name: str,
        kind: SpanKind,
        place: Place,
        attributes: Mapping[str, Value] | None,
    ) -> None:
        context = place.context
        self._exporter = exporter
        self._name = name
        self._kind = kind
        self._place = place
        self._attributes = dict(attributes) if attributes else {}
        self._events: list[Event] = []
        self._status = _UNSET
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"
        self._start = time_ns()

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def set(self, key: str, value: Value) -> None:
        self._attributes[key] = value

    def record_error(self, error: BaseException | str) -> None:
        if isinstance(error, BaseException):
            about = {
                "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
                "exception.message": str(error),
                "exception.stacktrace": "".join(format_exception(error)),
            }
            self._events.append(Event("exception", about, time_ns()))
        self._status = Status(StatusCode.ERROR, str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.record_error(error)
        context, parent, links = self._place
        if context.trace_flags & TraceFlags.SAMPLED:
            self._exporter.processor.on_end(
                ReadableSpan(
                    name=self._name,
                    context=context,
                    parent=parent,
                    resource=self._exporter.resource,
                    attributes=self._attributes,
                    events=self._events,
                    links=links,
                    kind=self._kind,
                    status=self._status,
                    start_time=self._start,
                    end_time=time_ns(),
                    instrumentation_scope=self._exporter.scope,
                )
            )


class Exporter:
    """Exports only spans that the service starts: the SDK's global provider is not changed."""

    def __init__(self, processor: SpanProcessor, service_name: str | None) -> None:
        """Without `service_name` the resource comes from the environment."""
        self.resource = Resource.create({} if service_name is None else {SERVICE_NAME: service_name})
        self.processor = processor
        self.scope = InstrumentationScope("process-archive-service")
        self._provider = TracerProvider(resource=self.resource)
        self._provider.add_span_processor(processor)
        self._sampler = self._provider.sampler
        self._follows_parents = isinstance(self._sampler, ParentBased)

    def shutdown(self) -> None:
        self._provider.shutdown()

    def start(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        attributes: Mapping[str, Value] | None,
        trace_id: str | None,
        link: TraceContext | None,
    ) -> ExportedSpan:
        above = None if parent is None else _remote(parent)
        links = () if link is None else _links(link)
        if above is not None:
            number = above.trace_id
        else:
            number = random.getrandbits(128) or 1 if trace_id is None else int(trace_id, 16)
        is_sampled = self._is_sampled(number, above, name, kind, attributes, links)
        flags = _SAMPLED if is_sampled else _NOT_SAMPLED
        context = SpanContext(number, random.getrandbits(64) or 1, False, flags)
        return ExportedSpan(self, name, _KINDS[kind], Place(context, above, links), attributes)

    def _is_sampled(
        self,
        trace_id: int,
        parent: SpanContext | None,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Value] | None,
        links: tuple[Link, ...],
    ) -> bool:
        """What the variables of OpenTelemetry name follows the parent, or does not look at it."""
        if parent is not None and self._follows_parents:
            return parent.trace_flags.sampled
        found = self._sampler.should_sample(_NO_PARENT, trace_id, name, _KINDS[kind], attributes, links)
        return found.decision is Decision.RECORD_AND_SAMPLE


_NO_PARENT = set_span_in_context(INVALID_SPAN)
_UNSET = Status(StatusCode.UNSET)
_SAMPLED, _NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)


@lru_cache(maxsize=1024)
def _remote(parent: TraceContext) -> SpanContext:
    flags = _SAMPLED if parent.sampled else _NOT_SAMPLED
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags)


@lru_cache(maxsize=1024)
def _links(to: TraceContext) -> tuple[Link, ...]:
    return (Link(_remote(to)),)
