"""Spans that become messages of OTLP when they end; loaded only where spans are exported."""

import random
from collections.abc import Mapping
from time import time_ns
from traceback import format_exception
from types import TracebackType
from typing import NamedTuple, Self

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags, Status
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.trace import INVALID_SPAN, Link, SpanContext, SpanKind, TraceFlags, set_span_in_context

from app.telemetry.otlp import EndedSpan
from app.telemetry.spans import Kind, TraceContext, Value

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_MESSAGE_KINDS = {kind: SpanMessage.SpanKind.Value(f"SPAN_KIND_{of_sdk.name}") for kind, of_sdk in _KINDS.items()}

_FIRST = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE = _FIRST | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""Flags of a span below another one: all that is known of that one came as a `traceparent`."""

_NO_PARENT = set_span_in_context(INVALID_SPAN)


class Place(NamedTuple):
    """The place of a span: its own ids, the span above it, and a span of another trace that it belongs to."""

    own: TraceContext
    parent: TraceContext | None
    link: TraceContext | None


class ExportedSpan:
    """A span that is handed to the exporter when it ends, if it is sampled.

    As a message of OTLP at once: the SDK's own span costs ten times as much to begin and end, and six times as much to
    encode.
    """

    __slots__ = ("_attributes", "_error", "_events", "_kind", "_name", "_place", "_processor", "_start", "traceparent")

    def __init__(
        self, processor: SpanProcessor, name: str, kind: Kind, place: Place, attributes: Mapping[str, Value] | None
    ) -> None:
        own = place.own
        self._processor = processor
        self._name = name
        self._kind = kind
        self._place = place
        self._attributes = dict(attributes) if attributes else {}
        self._error: str | None = None
        self._events: list[SpanMessage.Event] = []
        self.traceparent = f"00-{own.trace_id}-{own.span_id}-{'01' if own.sampled else '00'}"
        self._start = time_ns()

    @property
    def trace_id(self) -> str:
        return self._place.own.trace_id

    def set(self, key: str, value: Value) -> None:
        self._attributes[key] = value

    def record_error(self, error: BaseException | str) -> None:
        if isinstance(error, BaseException):
            about = {
                "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
                "exception.message": str(error),
                "exception.stacktrace": "".join(format_exception(error)),
            }
            self._events.append(SpanMessage.Event(name="exception", time_unix_nano=time_ns(), attributes=_pairs(about)))
        self._error = str(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.record_error(error)
        if self._place.own.sampled:
            self._processor.on_end(EndedSpan(self._message()))

    def _message(self) -> SpanMessage:
        own, parent, link = self._place
        message = SpanMessage(
            trace_id=bytes.fromhex(own.trace_id),
            span_id=bytes.fromhex(own.span_id),
            name=self._name,
            kind=_MESSAGE_KINDS[self._kind],
            start_time_unix_nano=self._start,
            end_time_unix_nano=time_ns(),
            attributes=_pairs(self._attributes),
            flags=_FIRST if parent is None else _REMOTE,
        )
        if parent is not None:
            message.parent_span_id = bytes.fromhex(parent.span_id)
        if link is not None:
            trace_id, span_id = bytes.fromhex(link.trace_id), bytes.fromhex(link.span_id)
            message.links.add(trace_id=trace_id, span_id=span_id, flags=_REMOTE | link.sampled)
        if self._error is not None:
            message.events.extend(self._events)
            message.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=_text(self._error)))
        return message


def _pairs(attributes: Mapping[str, Value]) -> list[KeyValue]:
    pairs = []
    for key, value in attributes.items():
        pair = KeyValue(key=key)
        if isinstance(value, str):
            pair.value.string_value = _text(value)
        elif isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value
        pairs.append(pair)
    return pairs


def _text(value: str) -> str:
    """The value as text that has bytes in UTF-8: half a surrogate pair is written as an escape."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="backslashreplace").decode()
    return value


class Exporter:
    """Exports only spans that the service starts: the SDK's global provider is not changed."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor
        self._provider = TracerProvider()
        self._provider.add_span_processor(processor)
        self._sampler = self._provider.sampler
        self._follows_parents = isinstance(self._sampler, ParentBased)
        self._samples_all = self._sampler.get_description().startswith(("ParentBased{root:AlwaysOn", "AlwaysOn"))

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
        if parent is not None:
            trace_id = parent.trace_id
        elif trace_id is None:
            trace_id = f"{random.getrandbits(128) or 1:032x}"
        if parent is not None and self._follows_parents:
            is_sampled = parent.sampled
        else:
            is_sampled = self._samples_all or self._is_sampled(trace_id, name, kind, attributes, link)
        own = TraceContext(trace_id, f"{random.getrandbits(64) or 1:016x}", is_sampled)
        return ExportedSpan(self._processor, name, kind, Place(own, parent, link), attributes)

    def _is_sampled(
        self,
        trace_id: str,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Value] | None,
        link: TraceContext | None,
    ) -> bool:
        """Asks the sampler that the variables of OpenTelemetry name, for a span whose parent does not decide."""
        links = () if link is None else (Link(_of_sdk(link)),)
        found = self._sampler.should_sample(_NO_PARENT, int(trace_id, 16), name, _KINDS[kind], attributes, links)
        return found.decision is Decision.RECORD_AND_SAMPLE


def _of_sdk(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)
