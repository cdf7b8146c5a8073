"""The query parameters of a request: an unknown or repeated parameter is a mistake."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from fastapi import Request

from app.api.http.problems import MAX_ERRORS, ApiProblem
from app.domain.mistakes import Mistake
from app.domain.nearest import nearest_first

LONGEST_NAME = 80
"""Characters of a name, or of a value, that an answer repeats."""


def check_query(request: Request) -> None:
    """Raises ApiProblem 400 that names every unknown or repeated parameter.

    Called once the caller is known, before a body is read: `app.api.edge.require` does so.
    """
    if not request.scope.get("query_string"):
        return
    known = tuple(dict.fromkeys(_declared(getattr(request.scope.get("route"), "dependant", None))))
    if mistakes := name_mistakes(request.query_params.multi_items(), known):
        raise ApiProblem(400, "The query has mistakes.", errors=mistakes[:MAX_ERRORS])


def name_mistakes(
    items: Sequence[tuple[str, str]], known: Sequence[str], also: Collection[str] = (), pattern: str | None = None
) -> list[Mistake]:
    """The mistakes in the names of a query, each name once.

    `known` are the existing parameters, `also` names of this query that are valid too, and `pattern` describes such
    names.
    """
    found = []
    for name, count in Counter(name for name, _ in items).items():
        if name not in known and name not in also:
            found.append(Mistake(_short(name), None, _unknown(name, known, pattern)))
        elif count > 1:
            values = [value for each, value in items if each == name]
            found.append(Mistake(_short(name), None, _repeated(values)))
    return found


def _unknown(name: str, known: Sequence[str], pattern: str | None) -> str:
    there = [*nearest_first(name, known), *([pattern] if pattern else [])]
    names = f"there are {', '.join(there)}" if there else "this address has none"
    return f"is no parameter; {names}"


def _repeated(values: Sequence[str]) -> str:
    """The repeated values of a known parameter, which are the caller's own filters. Values of unknown ones may be
    secrets."""
    different = list(dict.fromkeys(values))
    times = "twice" if len(values) == 2 else f"{len(values)} times"
    if len(different) == 1:
        return f"is given {times}; give it once"
    shown = " and ".join(repr(_short(value)) for value in different[:2])
    return f"is given {times}, as {shown}; give it once"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _declared(dependant: Any) -> Iterator[str]:
    """The query parameters of an endpoint and of all its dependencies, as FastAPI found them."""
    if dependant is not None:
        for parameter in dependant.query_params:
            yield parameter.alias
        for each in dependant.dependencies:
            yield from _declared(each)
