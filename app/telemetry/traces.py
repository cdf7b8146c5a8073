"""Spans: only W3C ids, which cost almost nothing, or OpenTelemetry spans when OTEL_… variables name a collector."""

import logging
import os
import random
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from app.telemetry.spans import Kind, Span, TraceContext, Tracer, Value, parse

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

__all__ = [
    "Kind",
    "Span",
    "TraceContext",
    "Value",
    "configure_traces",
    "export_to",
    "parse",
    "shutdown_traces",
    "start",
    "wanted",
]

log = logging.getLogger(__name__)


def start(
    name: str,
    kind: Kind = "internal",
    parent: str | None = None,
    attributes: Mapping[str, Value] | None = None,
    *,
    trace_id: str | None = None,
) -> Span:
    """A span below `parent`, a `traceparent`; without one, or with an invalid one, it begins a new trace.

    `trace_id` says which trace it belongs to, as 32 hex digits: when `parent` is of another one, the span is a first
    one of its trace, with a link to `parent`.

    The sampled flag of the parent is kept. A sampler decides about a first span; without one it is sampled.
    """
    above, link = parse(parent), None
    if trace_id is not None and above is not None and above.trace_id != trace_id:
        above, link = None, above
    if _exporter is not None:
        return _exporter.start(name, kind, above, attributes, trace_id, link)
    if above is None:
        trace_id = trace_id or f"{random.getrandbits(128) or 1:032x}"
        return _IdsOnly(f"00-{trace_id}-{random.getrandbits(64) or 1:016x}-01")
    flags = "01" if above.sampled else "00"
    return _IdsOnly(f"00-{above.trace_id}-{random.getrandbits(64) or 1:016x}-{flags}")


def configure_traces(service_name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Exports spans over OTLP http/protobuf if the variables of OpenTelemetry name a collector; says whether.

    `OTEL_EXPORTER_OTLP_ENDPOINT` or `…_TRACES_ENDPOINT` switch it on, `OTEL_SDK_DISABLED=true` and
    `OTEL_TRACES_EXPORTER=none` off. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over `service_name`. All
    other variables of the exporter, the batches and the sampler are read by the SDK itself.
    """
    if not wanted(environment):
        return False
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        log.warning("traces are sent as OTLP http/protobuf, %s is not supported", protocol)
    try:
        from app.telemetry.otlp import collector  # the SDK is loaded only where it is used

        named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
        export_to(collector(None if named else service_name))
    except Exception as error:  # whatever the SDK makes of its variables: archiving does not depend on it
        log.warning("no traces are exported: OpenTelemetry refuses its variables: %s", str(error)[:300])
        return False
    return True


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the variables ask for spans to be exported."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp"):
        if exporter != "none":
            log.warning("OTEL_TRACES_EXPORTER=%s is not supported, no traces are exported", exporter)
        return False
    return bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def export_to(processor: "SpanProcessor") -> None:
    """Hands all sampled spans to `processor` from now on, each as an `EndedSpan`."""
    global _exporter
    from app.telemetry.exported import Exporter

    _exporter = Exporter(processor)


def shutdown_traces() -> None:
    """Exports pending spans and ends the export; blocks for at most the exporter's timeout."""
    global _exporter
    exporter, _exporter = _exporter, None
    if exporter is not None:
        exporter.shutdown()


class _IdsOnly:
    """The span of a process that exports nothing: only the ids, which go to the log, the report and the source."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    def set(self, key: str, value: Value) -> None: ...

    def record_error(self, error: BaseException | str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


_exporter: Tracer | None = None
