"""JSON bodies of requests, read into their models with every mistake and its place."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.api.http.problems import MAX_ERRORS, ApiProblem, field_path, said
from app.domain.mistakes import Mistake

M = TypeVar("M", bound=BaseModel)


def read_json(body: bytes, model: type[M]) -> M:
    """Raises ApiProblem 400."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors()[:MAX_ERRORS]
        mistakes = [Mistake(field_path(("body", *each["loc"])), None, _said(each, model)) for each in found]
        raise ApiProblem(400, "The body has mistakes.", errors=mistakes) from None


def _said(error: Any, model: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            return f"is not known; there are {known}"
        case "missing":
            return "is missing"
        case _:
            return said(error["msg"])
