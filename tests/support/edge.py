"""An edge with only the parts that a test needs; asking for another one fails with its name."""

from dataclasses import fields
from functools import cache
from types import ModuleType
from typing import Any, cast

from fastapi import FastAPI

from app.api.edge import Edge, put_edge
from app.api.http import problems


class _Absent:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"this test has no {self._name}")


@cache
def app_of(*rooms: ModuleType) -> FastAPI:
    """The endpoints of these rooms, for all tests, which give it their edge: FastAPI takes 0.1 s to prepare them."""
    app = FastAPI()
    problems.install(app)
    for room in rooms:
        app.include_router(room.router)
    return app


def edge_with(app: FastAPI, **parts: Any) -> None:
    """Gives `app` an edge of these parts."""
    names = [each.name for each in fields(Edge)]
    assert set(parts) <= set(names)
    put_edge(app, Edge(**{name: parts.get(name) or cast("Any", _Absent(name)) for name in names}))
