"""The queries of addresses of the page: a form without a script sends empty fields too, which mean nothing."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import Request

from app.api.http.problems import MAX_ERRORS, ApiProblem
from app.api.http.query import name_mistakes
from app.domain.mistakes import Mistake

E = TypeVar("E", bound=StrEnum)


class Filters:
    """The fields of a query that are given. Raises ApiProblem 400 for fields that are unknown or there twice."""

    def __init__(self, request: Request, known: Sequence[str]) -> None:
        items = request.query_params.multi_items()
        if mistakes := name_mistakes(items, known):
            raise ApiProblem(400, "The query has mistakes.", errors=mistakes[:MAX_ERRORS])
        self.given = {name: value for name, value in items if value}

    def text(self, name: str, longest: int = 512) -> str | None:
        """Raises ApiProblem 400."""
        value = self.given.get(name)
        if value is not None and (len(value) > longest or "\x00" in value):
            raise _wrong(name, f"is a text of at most {longest} characters")
        return value

    def choice(self, name: str, kind: type[E]) -> E | None:
        """Raises ApiProblem 400."""
        value = self.given.get(name)
        try:
            return None if value is None else kind(value)
        except ValueError:
            raise _wrong(name, f"is one of {', '.join(kind)}") from None

    def one_of(self, name: str, known: Collection[str]) -> str | None:
        """Raises ApiProblem 400."""
        value = self.given.get(name)
        if value is not None and value not in known:
            raise _wrong(name, f"is one of {', '.join(known)}")
        return value

    def query(self, **changes: str | None) -> str:
        """`?…` with these changes, None leaves a field out; empty where nothing is left."""
        kept = {name: value for name, value in {**self.given, **changes}.items() if value is not None}
        return f"?{urlencode(kept)}" if kept else ""


def _wrong(name: str, what: str) -> ApiProblem:
    return ApiProblem(400, "The query has mistakes.", errors=[Mistake(name, None, what)])
