"""The spans that a test exports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from typing_extensions import override

from app.telemetry import traces
from app.telemetry.otlp import EndedSpan


class ExportedSpans(SpanExporter):
    """Keeps the messages of spans in the order in which they ended."""

    def __init__(self) -> None:
        self.ended: list[Span] = []

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.ended += [each.message for each in spans if isinstance(each, EndedSpan)]
        return SpanExportResult.SUCCESS


@contextmanager
def exporting() -> Iterator[ExportedSpans]:
    exported = ExportedSpans()
    traces.export_to(SimpleSpanProcessor(exported))
    try:
        yield exported
    finally:
        traces.shutdown_traces()


def trace_of_span(span: Span) -> str:
    return span.trace_id.hex()


def parent_of(span: Span) -> str | None:
    """The 16 hex digits of the span above."""
    return span.parent_span_id.hex() or None


def linked_to(span: Span) -> list[str]:
    """The `traceparent` of each span that it is linked to."""
    return [f"00-{each.trace_id.hex()}-{each.span_id.hex()}-{each.flags & 1:02x}" for each in span.links]


def attributes_of(span: Span) -> dict[str, str | int | float | bool]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}
