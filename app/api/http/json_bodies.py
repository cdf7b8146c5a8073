"""JSON bodies of requests, read into their models; each mistake is reported with its place."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.http.bodies import read_body
from app.api.http.problems import MAX_ERRORS, ApiProblem, field_path, plain_message
from app.domain.mistakes import Mistake

M = TypeVar("M", bound=BaseModel)

MEDIA_TYPES = ("application/json",)


async def read_json_body(request: Request, limit: int, model: type[M], example: Mapping[str, Any]) -> M:
    """The body, of at most `limit` bytes.

    Raises ApiProblem 400, 413 and 415; when the body is not such an object at all, they show the `example`.
    """
    shown = json.dumps(example)
    return _read(await read_body(request, limit, MEDIA_TYPES, shown), model, shown)


def _read(body: bytes, model: type[M], example: str) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors()[:MAX_ERRORS]
        mistakes = [
            Mistake(field_path(("body", *each["loc"])), None, _plain_message(each, body, model, example))
            for each in found
        ]
        raise ApiProblem(400, "The body has mistakes.", errors=mistakes) from None


def _plain_message(error: Any, body: bytes, model: type[BaseModel], example: str) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            return f"is not known; there are {known}"
        case "missing":
            return "is missing"
        case "json_invalid" if not body.strip():
            return f"Invalid JSON: it is empty; send a body like {example}"
        case "json_invalid" | "model_type":
            return f"{plain_message(error['msg'])}; send a body like {example}"
        case _:
            return plain_message(error["msg"])
