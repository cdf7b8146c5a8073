"""The trace of a request: that of its `traceparent`, else a new one; a problem and the log name the same."""

import secrets

from starlette.requests import Request

from app.telemetry import traces

_TRACE_ID = "pas.trace_id"
"""Key of the ASGI scope under which the trace id of a request is kept."""


def request_span(request: Request, name: str) -> traces.Span:
    """The span of a request, below the caller's `traceparent` where it sent a valid one."""
    span = traces.start(name, "server", request.headers.get("traceparent"))
    request.scope[_TRACE_ID] = span.trace_id
    return span


def trace_id_of(request: Request) -> str:
    """32 hex digits: of the span of this request, else of its `traceparent`, else new and kept."""
    if _TRACE_ID not in request.scope:
        sent = traces.parse(request.headers.get("traceparent"))
        request.scope[_TRACE_ID] = secrets.token_hex(16) if sent is None else sent.trace_id
    return str(request.scope[_TRACE_ID])
