"""The trace of a request: the one of its `traceparent`, or a new one; problem and log name the same trace id."""

import secrets

from starlette.requests import Request

from app.telemetry import traces

_TRACE_ID = "pas.trace_id"
"""Key of the ASGI scope under which the trace id of a request is kept."""


def request_span(request: Request, name: str) -> traces.Span:
    """The span of a request, below the caller's `traceparent` when that is valid."""
    span = traces.start(name, "server", request.headers.get("traceparent"))
    request.scope[_TRACE_ID] = span.trace_id
    return span


def trace_id_of(request: Request) -> str:
    """32 hex digits: of the span of this request, else of its `traceparent`, else a new one that is kept."""
    if _TRACE_ID not in request.scope:
        sent = traces.parse(request.headers.get("traceparent"))
        request.scope[_TRACE_ID] = secrets.token_hex(16) if sent is None else sent.trace_id
    return str(request.scope[_TRACE_ID])
