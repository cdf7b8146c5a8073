"""A span: its W3C context, and the operations on it until its block ends."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)


class TraceContext(NamedTuple):
    """A valid `traceparent`: ids in lower case hex."""

    trace_id: str
    span_id: str
    sampled: bool


class Span(Protocol):
    """A span that ends with its `with` block; an exception that leaves the block is recorded."""

    traceparent: str
    """`00-<32 hex>-<16 hex>-<01 or 00>`: what to send on."""

    @property
    def trace_id(self) -> str: ...

    def set(self, key: str, value: Value) -> None: ...

    def record_error(self, error: BaseException | str) -> None:
        """Marks the span as failed, for an error that does not leave the block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Tracer(Protocol):
    """Begins spans and exports them when they have ended."""

    def start(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        attributes: Mapping[str, Value] | None,
        trace_id: str | None,
        link: TraceContext | None,
    ) -> Span:
        """`trace_id` is that of a span without parent; None: a new one."""

    def shutdown(self) -> None:
        """Exports pending spans; blocks for at most the timeout of the export."""


@lru_cache(maxsize=4096)
def parse(traceparent: str | None) -> TraceContext | None:
    """The context of a `traceparent` header, or None where it is missing or not valid W3C trace context."""
    if traceparent is None:
        return None
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))
