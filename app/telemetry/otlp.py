"""Sends ended spans to a collector, over OTLP http/protobuf; loaded only where spans are exported."""

import ssl
from collections.abc import Sequence
from os import environ
from typing import cast

import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_CERTIFICATE,
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from typing_extensions import override

_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class EndedSpan(ReadableSpan):
    """A sampled span as its message of OTLP. The SDK's batches look only at whether it is sampled."""

    def __init__(self, message: SpanMessage) -> None:
        self.message = message

    @property
    @override
    def context(self) -> SpanContext:
        return _SAMPLED


class Collector(SpanExporter):
    """Sends batches of `EndedSpan` to the collector that the variables of OpenTelemetry name, without a proxy of the
    environment."""

    def __init__(self, resource: Resource) -> None:
        session = requests.Session()
        session.trust_env = False
        self._otlp = OTLPSpanExporter(certificate_file=authorities(), session=session)
        scope = InstrumentationScope("process-archive-service")
        self._empty = encode_spans([ReadableSpan("", _SAMPLED, resource=resource, instrumentation_scope=scope)])
        del self._empty.resource_spans[0].scope_spans[0].spans[:]

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._empty)
        ended = cast("Sequence[EndedSpan]", spans)
        request.resource_spans[0].scope_spans[0].spans.extend([each.message for each in ended])
        sent = self._otlp._client.export(request.SerializeToString())  # its own `export` encodes spans of the SDK
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    @override
    def shutdown(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]


def collector(service_name: str | None) -> SpanProcessor:
    """Batches for the collector. Without `service_name` the name of the service comes from the environment."""
    return BatchSpanProcessor(Collector(Resource.create({} if service_name is None else {SERVICE_NAME: service_name})))


def authorities() -> str | None:
    """The file or directory of the authorities that all other connections trust (`app/outgoing/trust.py`).

    None when a variable of OpenTelemetry names others. Without this, Python's `certifi` would decide.
    """
    if environ.get(OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE) or environ.get(OTEL_EXPORTER_OTLP_CERTIFICATE):
        return None
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath
