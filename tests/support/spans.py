"""The spans that a test exports."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.telemetry import traces


@contextmanager
def exporting() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    traces.export_to(SimpleSpanProcessor(exporter), "pas", {})
    try:
        yield exporter
    finally:
        traces.shutdown_traces()


def trace_of_span(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str | None:
    """The 16 hex digits of the span above."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def linked_to(span: ReadableSpan) -> list[str]:
    """The `traceparent` of each span that it is linked to."""
    contexts = [link.context for link in span.links]
    return [f"00-{each.trace_id:032x}-{each.span_id:016x}-{each.trace_flags:02x}" for each in contexts]
