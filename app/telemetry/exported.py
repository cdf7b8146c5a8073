"""Spans of the OpenTelemetry SDK, exported over OTLP http/protobuf; loaded only where spans are exported."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.telemetry.traces import Kind, TraceContext, Value

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


def collector() -> SpanProcessor:
    """Sends batches to the collector that the variables of OpenTelemetry name."""
    return BatchSpanProcessor(OTLPSpanExporter())


class ExportedSpan:
    """A span of the OpenTelemetry SDK."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def set(self, key: str, value: Value) -> None:
        self._span.set_attribute(key, value)

    def record_error(self, error: BaseException | str) -> None:
        if isinstance(error, BaseException):
            self._span.record_exception(error)
        self._span.set_status(Status(StatusCode.ERROR, str(error)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.record_error(error)
        self._span.end()


class Exporter:
    """A provider of our own, not the global one: nothing but what the service starts is a span."""

    def __init__(self, processor: SpanProcessor, service_name: str | None) -> None:
        """Without `service_name` the resource is what the environment says."""
        resource = Resource.create({} if service_name is None else {SERVICE_NAME: service_name})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("process-archive-service")

    def shutdown(self) -> None:
        self._provider.shutdown()

    def start(
        self, name: str, kind: Kind, parent: TraceContext | None, attributes: Mapping[str, Value] | None
    ) -> ExportedSpan:
        context = trace.set_span_in_context(trace.INVALID_SPAN)
        if parent is not None:
            flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
            remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags)
            context = trace.set_span_in_context(NonRecordingSpan(remote))
        return ExportedSpan(self._tracer.start_span(name, context, _KINDS[kind], attributes))
