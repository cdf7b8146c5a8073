"""Errors as `application/problem+json` (RFC 9457): how they are raised, answered, and shown in the OpenAPI document."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from app.api.http.request_trace import trace_id_of
from app.domain.errors import Unavailable
from app.domain.mistakes import Mistake

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Mistakes reported of one JSON request; YAML bodies have their own rule."""
RETRY_AFTER = 5
"""Seconds after which a client is asked to try again when a component is unavailable."""


class ApiProblem(Exception):
    """Ends a request with this status; the texts are shown to the caller."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        title: str | None = None,
        errors: Sequence[Mistake] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title or str(status))
        self.status = status
        self.detail = detail
        self.title = title
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def try_later(detail: str, *, close: bool = False) -> ApiProblem:
    """A 503: the client should send the same request again after `RETRY_AFTER` seconds; `close` ends the connection
    too."""
    headers = {"Retry-After": str(RETRY_AFTER), **({"Connection": "close"} if close else {})}
    return ApiProblem(503, detail, headers=headers)


def problem(
    status: int,
    title: str | None = None,
    detail: str | None = None,
    errors: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """The answer. Without a title it has the phrase of the status; `members` are further JSON members."""
    content: dict[str, Any] = {"type": "about:blank", "title": title or _phrase(status), "status": status}
    if detail:
        content["detail"] = detail
    if errors:
        content["errors"] = [_shown(mistake) for mistake in errors]
    # A lone surrogate that a mistake quotes cannot be encoded; the answer must come all the same.
    body = json.dumps(content | members, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem, and adds that to the OpenAPI document."""
    app.add_exception_handler(ApiProblem, _api_problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _unexpected)
    fastapis = app.openapi
    app.openapi = lambda: _amended(fastapis())  # type: ignore[method-assign]


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The argument `responses=` of a route: each status with its problem."""
    return {status: _documented(status) for status in statuses}


async def _api_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)  # noqa: S101 # registered for nothing else
    return answer_with(error)


def answer_with(error: ApiProblem) -> Response:
    return problem(error.status, error.title, error.detail, error.errors, error.headers)


async def _http_exception(request: Request, error: Exception) -> Response:
    """Errors that Starlette raises: 404, 405 with its `Allow`, and others."""
    assert isinstance(error, HTTPException)  # noqa: S101
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else None
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem(error.status_code, None, detail, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes with this address; Starlette names those of the first route only."""

    def has(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    methods = filter(has, ("GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"))
    return ", ".join("GET, HEAD" if method == "GET" else method for method in methods)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    mistakes = [
        Mistake(field_path(each["loc"]), None, plain_message(each["msg"])) for each in error.errors()[:MAX_ERRORS]
    ]
    return problem(400, None, "The request is not valid.", mistakes)


def plain_message(message: str) -> str:
    """The text of our own check, without the word that pydantic puts before it."""
    return message.removeprefix("Value error, ")


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)  # noqa: S101
    log.warning("%s %s answered with 503: %s", request.method, request.url.path, error)
    detail = f"The {error.component} {error.public_reason}; the same request can be sent again."
    return answer_with(try_later(detail))


async def _disconnected(_request: Request, _error: Exception) -> Response:
    """The client disconnected while its body was read: no answer is needed, and this is no error."""
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> Response:
    trace_id = trace_id_of(request)
    log.error("unexpected error", exc_info=error, extra={"trace_id": trace_id, "path": request.url.path})
    return problem(500, None, f"Unexpected error; the log has it under trace id {trace_id}.", traceId=trace_id)


def field_path(location: Sequence[int | str]) -> str:
    """`("body", "keys", 0)` → `keys[0]`; the first part only says where the value was searched."""
    path = ""
    for part in location[1:]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _shown(mistake: Mistake) -> dict[str, Any]:
    line = {} if mistake.line is None else {"line": mistake.line}
    return {"path": mistake.path, **line, "message": mistake.message}


def _phrase(status: int) -> str:
    return "Content Too Large" if status == 413 else HTTPStatus(status).phrase  # Python 3.11 has an older one


# --- the OpenAPI document

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "traceId": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {
                    "path": {"type": "string", "examples": ["archiveDataReferences[3].id"]},
                    "line": {"type": "integer", "minimum": 1},
                    "message": {"type": "string"},
                },
            },
        },
    },
}

_MEANINGS = {
    400: "The request is not valid",
    401: "No token, or one that is not accepted",
    403: "The role is missing",
    404: "There is no such thing",
    406: "There is no format that may be sent",
    408: "The body came too slowly",
    409: "Contradicts what is there",
    412: "Not what the plan says any more: `errors` say what has changed",
    413: "Too large",
    415: "Media type not accepted",
    503: "A part of the service cannot be reached; the same request can be sent again",
}
_HEADERS = {401: "WWW-Authenticate", 403: "WWW-Authenticate", 503: "Retry-After"}


def _documented(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": _phrase(status), "status": status}
    if status == 400:
        example["errors"] = [{"path": "archiveDataReferences[3].id", "line": 9, "message": "is missing"}]
    if status == 412:
        example["errors"] = [{"path": "Pas-Plan", "message": "was made with other schemas in the registry"}]
    answer: dict[str, Any] = {
        "description": _MEANINGS.get(status, _phrase(status)),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    if status in _HEADERS:
        answer["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return answer


def _amended(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document with the schema of a problem, and with 400 instead of FastAPI's own 422."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = SCHEMA
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            if isinstance(operation, dict) and operation.get("responses", {}).pop("422", None):
                operation["responses"].setdefault("400", _documented(400))
    return document
